import { Int64, Table, tableFromArrays, tableToIPC, vectorFromArray } from 'apache-arrow'
import { describe, expect, it } from 'vitest'
import type { ColumnDefinition } from '../../src/index.js'
import type { InputFormat } from '../../src/ingest/formats.js'
import { openInput } from '../../src/ingest/input.js'
import { type LoadOptions, loadInput } from '../../src/ingest/load.js'
import type { RejectedLine } from '../../src/ingest/staging.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { createTable, openWorld, readRows } from '../support/world.js'

const world = await openWorld()

/** Loads bytes into a fresh table. */
async function load(
  format: InputFormat,
  bytes: Uint8Array | string,
  columns?: readonly ColumnDefinition[],
  options: Partial<LoadOptions> = {},
) {
  const table = world.table(new MemoryStore())
  await createTable(table, columns ? { columns } : {})
  const path = world.spool.file('body')
  await world.spool.write(path, Buffer.from(bytes))
  const kept: RejectedLine[] = []
  const result = await world.database.use(async (connection) => {
    const input = await openInput(connection, world.spool, format, path)
    const keepRejects = async (rejects: readonly RejectedLine[]) => void kept.push(...rejects)
    return loadInput(table, input, { onError: 'fail', ...options, keepRejects }).finally(async () => input.release())
  })
  return { ...result, kept, all: await readRows<Record<string, unknown>>(world, table) }
}

const failure = async (...args: Parameters<typeof load>) =>
  load(...args).then(
    () => expect.unreachable('it was taken'),
    (error: unknown) => error as { code: string; message: string; details: { lines?: { line: number; reason: string }[] } },
  )
const column = (name: string, type: string, nullable = true): ColumnDefinition => ({ name, type, nullable })

describe('NDJSON', () => {
  it('reads what is missing as NULL, and null as NULL, wherever the first line differs', async () => {
    const lines = ['{"v":"first"}', '{"id":null}', '{}', '{"id":null,"v":null}', '{"id":1,"v":"x"}', ' {"v":null , "id":2} ']
    const { all } = await load('ndjson', lines.join('\n'))
    expect(all).toEqual([
      { id: null, v: 'first' },
      { id: null, v: null },
      { id: null, v: null },
      { id: null, v: null },
      { id: 1, v: 'x' },
      { id: 2, v: null },
    ])
  })

  it('keeps every digit of whole numbers, and every number that is whole', async () => {
    const { all } = await load('ndjson', '{"id":9007199254740991}\n{"id":-5}\n{"id":"12"}\n{"id":2.0}\n{"id":1e3}\n')
    expect(all.map(({ id }) => id)).toEqual([9007199254740991, -5, 12, 2, 1000])
  })

  it.each([
    ['{"id":1.5}', 'field "id": expected long, got 1.5'],
    ['{"id":"1.5"}', 'field "id": expected long, got "1.5"'],
    ['{"id":true}', 'field "id": expected long, got true'],
    ['{"id":""}', 'field "id": expected long, got ""'],
    ['{"id":[1]}', 'field "id": expected long, got [1]'],
    ['{"id":1,"id":1}', 'a field is named twice'],
    ['{"ID":1}', 'unknown field "ID"'],
    ['[{"id":1}]', 'not a JSON object'],
    ['"id"', 'not a JSON object'],
    ['null', 'not a JSON object'],
  ])('refuses %s: %s', async (line, reason) => {
    const error = await failure('ndjson', `{"id":1,"v":"x"}\n${line}\n`)
    expect(error.details.lines).toEqual([expect.objectContaining({ line: 2, reason })])
  })

  it('refuses a field inside a struct that the table does not have, and one that is missing', async () => {
    const columns = [column('s', 'STRUCT<x: BIGINT, y: STRING>'), column('l', 'ARRAY<STRUCT<x: BIGINT>>')]
    const whole = await load('ndjson', '{"s":{"x":1,"y":null},"l":[{"x":1},{"x":2}]}\n{"s":null}\n{"l":[]}', columns)
    expect(whole.rowsAdded).toBe(3)
    const error = await failure(
      'ndjson',
      '{"s":{"x":1,"y":"a"}}\n{"s":{"x":1,"y":"a","z":2}}\n{"s":{"x":1}}\n{"l":[{"x":1},{"x":1,"q":1}]}\n',
      columns,
    )
    expect(error.details.lines?.map(({ line }) => line)).toEqual([2, 3, 4])
    expect(error.details.lines?.map(({ reason }) => reason)).toEqual([
      'unknown field "s.z"',
      expect.stringMatching(/^field "s.y" is missing/),
      expect.stringMatching(/such as field "l"/),
    ])
  })

  it('takes NUL bytes, quotes, line separators and emoji in a text as they are', async () => {
    const texts = ['a\u0000b', '"\\\'', '\u2028\u2029\u0085', '😀', 'a\ufeff', '\u0001', '\\x01\\x02', '', ' ']
    const { all } = await load('ndjson', texts.map((v, id) => JSON.stringify({ id, v })).join('\n'))
    expect(all.map(({ v }) => v)).toEqual(texts)
  })

  it('is not thrown by deep nesting', async () => {
    const deep = `{"id":${'['.repeat(200_000)}${']'.repeat(200_000)}}`
    const error = await failure('ndjson', `{"id":1}\n${deep}\n`)
    expect(error).toMatchObject({ code: 'ROWS_INVALID', details: { lines: [{ line: 2 }] } })
    expect(JSON.stringify(error.details).length).toBeLessThan(5000)
  })

  it('says why a long line is refused, however long it is', async () => {
    const error = await failure('ndjson', `{"id":1}\n{"v":"${'x'.repeat(100_000)}","other":1}\n`)
    expect(error.details.lines?.[0]?.reason).toBe('unknown field "other"')
  })

  it('refuses a line beyond the limit with its number', async () => {
    const error = await failure('ndjson', `{"id":1}\n{"v":"${'x'.repeat(17 * 2 ** 20)}"}\n`)
    expect(error).toMatchObject({ code: 'ROWS_INVALID', details: { lines: [{ line: 2, reason: 'longer than 16 MiB' }] } })
  })

  it('names the line that is not UTF-8', async () => {
    const error = await failure(
      'ndjson',
      Buffer.concat([Buffer.from('{"id":1}\n{"v":"'), Buffer.from([0xc3]), Buffer.from('"}\n')]),
    )
    expect(error).toMatchObject({ code: 'ROWS_INVALID', details: { lines: [{ line: 2, reason: 'not UTF-8' }] } })
  })

  it('of nothing adds nothing', async () => {
    for (const text of ['', '\n', '\ufeff', ' \r\n\t\n']) expect((await load('ndjson', text)).rowsAdded).toBe(0)
  })
})

describe('CSV', () => {
  it.each([
    [
      'id,v\n1,a\n2,\n',
      [
        [1, 'a'],
        [2, null],
      ],
    ],
    ['v;id\r\na;1\r\n', [[1, 'a']]],
    ['id\tv\n1\ta b\n', [[1, 'a b']]],
    ['id,v\n1,"x, ""y""\nz"\n2,#not a comment\n#3,w\n', undefined],
    [
      '\ufeff\nid,v\n\n1,a\n\n2,b\n',
      [
        [1, 'a'],
        [2, 'b'],
      ],
    ],
    [
      'v\n"/a,b"\nc|d\n',
      [
        [null, '/a,b'],
        [null, 'c|d'],
      ],
    ],
    ['id,v\n', []],
    ['', []],
  ])('reads %j', async (text, expected) => {
    if (expected) expect((await load('csv', text)).all.map(({ id, v }) => [id, v])).toEqual(expected)
    else
      expect((await failure('csv', text)).details.lines).toEqual([
        { line: 5, reason: 'a value does not fit its column', raw: '#3,w' },
      ])
  })

  it.each([
    ['too few values', 'id,v\n"1","a\nb"\n2\n', 4, 'it has 1 values, and the header names 2'],
    ['too many values', 'id,v\n\n1,a\n2,b,c\n', 4, 'it has 3 values, and the header names 2'],
    ['a quote that does not end', 'id,v\n1,"a\n2,b\n', 2, 'a quote does not end, or has text behind it'],
    ['text behind a quote', 'id,v\n1,a\n2,"b"c\n', 3, 'a quote does not end, or has text behind it'],
    ['a value of another type', 'id,v\n"1","a\nb\nc"\n\nx,y\n', 6, 'a value does not fit its column'],
    ['a part of a whole number', 'id,v\n1.5,y\n', 2, 'a value does not fit its column'],
  ])('names the line with %s', async (_, text, line, reason) => {
    const error = await failure('csv', text)
    expect(error).toMatchObject({ code: 'ROWS_INVALID', details: { lines: [{ line, reason }] } })
  })

  it('rejects what does not fit, and takes the rest', async () => {
    const columns = [column('id', 'BIGINT', false), column('v', 'STRING'), column('bad', 'BIGINT')]
    const { rowsAdded, kept } = await load('csv', 'id,v,bad\n1,a,1\n,b,2\n3,c,x\n,,\n', columns, { onError: 'reject' })
    expect(rowsAdded).toBe(1)
    expect(kept.map(({ line, raw }) => [line, raw])).toEqual([
      [3, ',b,2'],
      [4, '3,c,x'],
      [5, ',,'],
    ])
  })

  it('counts what each of several commits left out, and loses no row to a blank line', async () => {
    const text = 'id,v\n1,"a\n\n"\n\nx,b\n\n2,c\ny,d\n3,e\n'
    const { all, commits, rowsRejected } = await load('csv', text, undefined, {
      onError: 'reject',
      batchRows: 2,
      batch: { appId: 'p', version: 1 },
    })
    expect([all.map(({ id }) => id), commits, rowsRejected]).toEqual([[1, 2, 3], 3, 2])
    const lines = await load('ndjson', '\n\n{"id":1}\n\n\n{"id":2}\n\n{"id":3}\n', undefined, { batchRows: 2 })
    expect(lines.all.map(({ id }) => id)).toEqual([1, 2, 3])
  })

  it('refuses columns that the table does not have', async () => {
    expect(await failure('csv', 'id,w\n1,2\n')).toMatchObject({ code: 'SCHEMA_MISMATCH', details: { columns: 'w' } })
  })
})

describe('JSON', () => {
  it.each([
    ['an array of objects', '[{"id":1,"v":"a"},\n {"v":"b"}]', 2],
    ['one object', '{"id":1}', 1],
    ['an empty array', '[]', 0],
  ])('may be %s', async (_, text, rows) => {
    expect((await load('json', text)).rowsAdded).toBe(rows)
  })

  it('counts the elements when one is no row', async () => {
    const error = await failure('json', '[{"id":1},{"id":2,"x":1},{"id":3}]')
    expect(error.details.lines).toEqual([expect.objectContaining({ line: 2, reason: 'unknown field "x"' })])
  })

  it.each(['[{"id":1}', 'nonsense', '[{"id":1}] trailing'])('refuses %j', async (text) => {
    expect(await failure('json', text)).toMatchObject({ code: 'ROWS_INVALID' })
  })
})

describe('Arrow and Parquet', () => {
  it('come in as rows', async () => {
    const bytes = tableToIPC(tableFromArrays({ id: BigInt64Array.from([1n, 2n]), v: ['a', 'b'] }), 'stream')
    expect((await load('arrow', bytes)).all).toEqual([
      { id: 1, v: 'a' },
      { id: 2, v: 'b' },
    ])
  })

  it('lose nothing on the way to a narrower column', async () => {
    const arrow = (values: number[]) => tableToIPC(tableFromArrays({ id: Float64Array.from(values) }), 'stream')
    expect((await load('arrow', arrow([1, 2]))).all.map(({ id }) => id)).toEqual([1, 2])
    expect((await failure('arrow', arrow([1, 2.5]))).details.lines).toEqual([
      expect.objectContaining({ line: 2, raw: '{"id":2.5}' }),
    ])
  })

  it('name the row with a NULL where the table takes none', async () => {
    const bytes = tableToIPC(new Table({ id: vectorFromArray([1n, null, 3n], new Int64()) }), 'stream')
    const columns = [column('id', 'BIGINT', false)]
    expect((await failure('arrow', bytes, columns)).details.lines).toEqual([expect.objectContaining({ line: 2 })])
    expect((await load('arrow', bytes, columns, { onError: 'reject' })).all.map(({ id }) => id)).toEqual([1, 3])
  })

  it('are refused when they are cut short', async () => {
    const bytes = tableToIPC(tableFromArrays({ id: BigInt64Array.from([1n, 2n]) }), 'stream')
    expect(await failure('arrow', bytes.slice(0, bytes.length - 12))).toMatchObject({ code: 'ROWS_INVALID' })
    const file = world.spool.file('parquet')
    await world.database.rows(`COPY (SELECT range AS id FROM range(100)) TO '${file}' (FORMAT parquet)`)
    const { readFile } = await import('node:fs/promises')
    const parquet = await readFile(file)
    expect((await load('parquet', parquet)).rowsAdded).toBe(100)
    expect(await failure('parquet', parquet.subarray(0, parquet.length - 20))).toMatchObject({ code: 'ROWS_INVALID' })
    expect(await failure('parquet', '')).toMatchObject({ code: 'ROWS_INVALID' })
  })
})
