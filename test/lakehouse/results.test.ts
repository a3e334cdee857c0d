import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tableFromIPC } from 'apache-arrow'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse, type ResultFormat } from '../../src/index.js'

let root: string
let lake: Lakehouse

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'deltaic-results-'))
  lake = await openLakehouse(root)
  await lake.sql('CREATE TABLE t (id INT, s STRING); INSERT INTO t SELECT range, range::VARCHAR FROM range(200000)')
})
afterAll(async () => {
  await lake?.close()
  await rm(root, { recursive: true, force: true })
})

async function bytesOf(query: string, format: ResultFormat, options?: { maxRows: number }): Promise<Buffer> {
  const result = await lake.sql(query)
  const chunks: Uint8Array[] = []
  for await (const chunk of result.bytes(format, options)) chunks.push(chunk)
  return Buffer.concat(chunks)
}
const textOf = async (query: string, format: ResultFormat, options?: { maxRows: number }) =>
  (await bytesOf(query, format, options)).toString()
/** The rows of Parquet bytes, read back as a table of their own. */
async function parquetRows(query: string): Promise<unknown[]> {
  const name = `p${readings++}`
  await lake.table(name).append(await bytesOf(query, 'parquet'), { format: 'parquet', create: true })
  return (await lake.sql(`SELECT * FROM ${name}`)).rows()
}
let readings = 0
const spooled = async () => {
  const folders = await readdir(join(root, '.deltaic'))
  const files = await Promise.all(folders.map((folder) => readdir(join(root, '.deltaic', folder))))
  return files.flat().filter((name) => !name.startsWith('spill') && name !== 'empty.parquet')
}

describe('answers as JSON', () => {
  it.each([
    ['9007199254740993::BIGINT', '9007199254740993'],
    ['sum(9223372036854775807::BIGINT)', '9223372036854775807'],
    ["'nan'::DOUBLE", 'null'],
    ["'-inf'::FLOAT", 'null'],
    ['-0.5::DOUBLE', '-0.5'],
    ["['nan'::DOUBLE, 1.5, NULL]", '[null,1.5,null]'],
    ["{'a b': 'inf'::DOUBLE, 'l': [{'x': 'nan'::FLOAT}], 'n': 1}", '{"a b":null,"l":[{"x":null}],"n":1}'],
    ["MAP {'k': 'nan'::DOUBLE, 'l': 2}", '{"k":null,"l":2.0}'],
    ['NULL::STRUCT(a DOUBLE)', 'null'],
    ["TIMESTAMPTZ '2024-01-01 12:00:00.5+02'", '"2024-01-01T10:00:00.500000Z"'],
    ["TIMESTAMP '2024-01-01 12:00:00'", '"2024-01-01T12:00:00.000000"'],
    ["[TIMESTAMPTZ '2024-01-01']", '["2024-01-01T00:00:00.000000Z"]'],
    ["TIMESTAMP 'infinity'", '"infinity"'],
    ["DATE '2024-02-29'", '"2024-02-29"'],
    ["'é😀\"\\' || chr(10)", '"é😀\\"\\\\\\n"'],
    ['NULL', 'null'],
  ])('hold %s as %s', async (expression, json) => {
    expect(await textOf(`SELECT ${expression} AS v`, 'ndjson')).toBe(`{"v":${json}}\n`)
    expect(JSON.parse(await textOf(`SELECT ${expression} AS v`, 'json'))).toEqual([{ v: JSON.parse(json) }])
  })

  it('keep columns of one name apart, and every column of the answer says its name', async () => {
    const query = 'SELECT 1 AS a, 2 AS a, 3 AS A, 4 AS a_1, 5 AS "ü|"'
    expect(JSON.parse(await textOf(query, 'json'))).toEqual([{ a: 1, a_2: 2, A_3: 3, a_1: 4, 'ü|': 5 }])
    const result = await lake.sql(query)
    expect(result.columns.map(({ name }) => name)).toEqual(['a', 'a_2', 'A_3', 'a_1', 'ü|'])
    expect(await result.rows()).toEqual([{ a: 1, a_2: 2, A_3: 3, a_1: 4, 'ü|': 5 }])
    expect(await parquetRows('SELECT 1 AS a, 2 AS a')).toEqual([{ a: 1, a_1: 2 }])
  })
})

describe('answers in every format', () => {
  it('of no rows keep their columns', async () => {
    const none = 'SELECT * FROM t WHERE false'
    expect(JSON.parse(await textOf(none, 'json'))).toEqual([])
    expect(await textOf(none, 'ndjson')).toBe('')
    expect(await textOf(none, 'csv')).toBe('id,s\n')
    expect(await textOf(none, 'markdown')).toBe('| id | s |\n| ---: | --- |\n')
    expect(await textOf(none, 'table')).toMatch(/│ id │ s │[\s\S]*0 rows/)
    const arrow = tableFromIPC(await bytesOf(none, 'arrow'))
    expect([arrow.numRows, arrow.schema.fields.map(({ name }) => name)]).toEqual([0, ['id', 's']])
    expect(await parquetRows(none)).toEqual([])
    expect((await (await lake.sql(none)).toArrow()).schema.fields.length).toBe(2)
  })

  it('keep the order asked for, over many batches', async () => {
    const query = 'SELECT id FROM t WHERE id % 2 = 0 ORDER BY hash(id), id'
    const expected = (await (await lake.sql(query)).rows<{ id: number }>()).map(({ id }) => id)
    expect(expected.length).toBe(100_000)
    const lines = (await textOf(query, 'ndjson')).trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as { id: number }).id)).toEqual(expected)
    expect((JSON.parse(await textOf(query, 'json')) as { id: number }[]).map(({ id }) => id)).toEqual(expected)
    expect((await textOf(query, 'csv')).trimEnd().split('\n').slice(1).map(Number)).toEqual(expected)
    expect([...(tableFromIPC(await bytesOf(query, 'arrow')).getChild('id') ?? [])]).toEqual(expected)
    expect((await parquetRows(query)).map((row) => (row as { id: number }).id)).toEqual(expected)
    expect(await textOf(query, 'markdown', { maxRows: 2 })).toBe(
      `| id |\n| ---: |\n| ${expected[0]} |\n| ${expected[1]} |\n\n2 rows shown, there are more\n`,
    )
  })

  it('for people show NULL, escape what would break the table, and cut long values between characters', async () => {
    const markdown = await textOf("SELECT NULL AS \"a|b\", 'x|y' || chr(10) || 'z' AS s, repeat('😀', 150) AS long", 'markdown')
    expect(markdown).toContain('| a\\|b | s | long |')
    expect(markdown).toContain('| NULL | x\\|y z | ')
    expect(markdown).toContain('😀…')
    expect(markdown).not.toContain('\ufffd')
    expect(await textOf('SELECT 1 AS "\u001b[31mred"', 'table')).not.toContain('\u001b')
  })

  it('keep whole numbers of 128 bits in Parquet', async () => {
    await parquetRows('SELECT sum(9007199254740993) + 12345678901234567890 AS n')
    expect(await (await lake.sql(`SELECT n::VARCHAR AS n FROM p${readings - 1}`)).rows()).toEqual([{ n: '12354686100489308883' }])
  })

  it('know how many rows they had once they were read', async () => {
    for (const format of ['json', 'csv', 'arrow', 'parquet', 'table'] as const) {
      const result = await lake.sql('SELECT * FROM t LIMIT 7')
      expect([result.rowCount, result.statement]).toEqual([undefined, 'query'])
      for await (const _ of result.bytes(format));
      expect(result.rowCount, format).toBe(7)
    }
  })
})

describe('answers that are not read to the end', () => {
  const big = 'SELECT a.id, b.s FROM t a, (FROM t LIMIT 100) b'

  it.each(['arrow', 'ndjson', 'csv'] as const)('of %s leave nothing behind', async (format) => {
    const result = await lake.sql('SELECT * FROM t')
    for await (const _ of result.bytes(format)) break
    await result.close()
    await result.close()
    expect(await spooled()).toEqual([])
  })

  it('end well when batches are no longer wanted, or were never asked for', async () => {
    for await (const _ of (await lake.sql(big)).batches()) break
    await (await lake.sql(big)).close()
    expect(await (await lake.sql('SELECT 1 AS x')).rows()).toEqual([{ x: 1 }])
    expect(await spooled()).toEqual([])
  })

  it.each(['json', 'arrow', 'table'] as const)('of %s reject with the reason of the signal', async (format) => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const result = await lake.sql(`SELECT count(*) FROM (${big} ORDER BY hash(a.id, b.s))`, { signal: controller.signal })
    const reading = (async () => {
      for await (const _ of result.bytes(format));
    })()
    setTimeout(() => controller.abort(reason), 20)
    await expect(reading).rejects.toBe(reason)
    await expect(lake.sql('SELECT 1', { signal: controller.signal }).then((r) => r.rows())).rejects.toBe(reason)
    expect(await spooled()).toEqual([])
  })

  it('reject with the reason of the signal between two pieces of a rendered answer', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const result = await lake.sql('SELECT * FROM t', { signal: controller.signal })
    await expect(
      (async () => {
        for await (const _ of result.bytes('csv')) controller.abort(reason)
      })(),
    ).rejects.toBe(reason)
    expect(await spooled()).toEqual([])
  })

  it.each(['batches', 'ndjson', 'arrow', 'json', 'rows'] as const)(
    'never end quietly when row 5,000,000 fails: %s',
    async (form) => {
      const result = await lake.sql(
        "SELECT CAST(CASE WHEN range = 4999999 THEN 'x' ELSE '1' END AS INT) AS v FROM range(5000000)",
      )
      const reading = (async () => {
        if (form === 'rows') await result.rows()
        else if (form === 'batches') for await (const _ of result.batches());
        else for await (const _ of result.bytes(form));
      })()
      await expect(reading).rejects.toMatchObject({
        name: 'DeltaError',
        code: expect.stringMatching(/SQL_INVALID|ENGINE_FAILED/) as string,
      })
      expect(result.rowCount).toBeUndefined()
      expect(await spooled()).toEqual([])
    },
  )
})

describe('parameters', () => {
  it('are of every type', async () => {
    const params = { s: "it's 😀", n: 1.5, i: 7, b: 9007199254740993n, t: true, z: null, d: new Date(1.7e12) }
    const rows = await (
      await lake.sql(
        'SELECT $s AS s, $n AS n, $i + 0 AS i, $b AS b, $t AS t, $z IS NULL AS z, $d = to_timestamp(1.7e9) AS d, typeof($d) AS dt',
        { params },
      )
    ).rows()
    expect(rows).toEqual([
      { s: "it's 😀", n: 1.5, i: 7, b: 9007199254740993n, t: true, z: true, d: true, dt: 'TIMESTAMP WITH TIME ZONE' },
    ])
  })

  it('that are files come back out of nothing', async () => {
    const file = join(root, 'outside.csv')
    await writeFile(file, 'x\n1\n')
    await expect(lake.sql('SELECT * FROM $f', { params: { f: file } })).rejects.toMatchObject({ kind: 'invalid' })
  })
})
