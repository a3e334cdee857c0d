import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { ndjson, openLake, rowsOf } from '../support/world.js'

async function newLake(properties: Record<string, string> = {}) {
  const store = new MemoryStore()
  const lake = await openLake(store)
  const columns = [
    { name: 'id', type: 'INT' },
    { name: 'v', type: 'STRING' },
  ]
  await lake.createTable('t', { columns, properties })
  return lake
}
const columnsOf = async (lake: Awaited<ReturnType<typeof newLake>>) =>
  Object.fromEntries((await lake.table('t').detail()).columns.map(({ name, type }) => [name, type]))

describe('rows with fields that the table lacks', () => {
  it('are refused by default, with line and field', async () => {
    await using lake = await newLake()
    await expect(lake.table('t').ingest(ndjson({ id: 1 }, { id: 2, extra: 3 }))).rejects.toMatchObject({
      code: 'ROWS_INVALID',
      details: { lines: [{ line: 2, reason: 'unknown field "extra"' }] },
    })
  })

  it('bring them along where the schema may evolve', async () => {
    await using lake = await newLake()
    const evolve = { schema: 'evolve' } as const
    const rows = ndjson({ id: 1, v: '2024-01-01' }, { id: 2, at: '2024-01-02T03:04:05Z', n: 5, deep: { a: 1 }, none: null })
    expect(await lake.table('t').ingest(rows, evolve)).toMatchObject({ rows: 2 })
    expect(await columnsOf(lake)).toEqual({
      id: 'integer',
      v: 'string',
      at: 'timestamp',
      n: 'long',
      deep: 'struct<a:long>',
      none: 'string',
    })
    expect(await lake.table('t').ingest(Buffer.from('id,w\n3,x\n'), { ...evolve, format: 'csv' })).toMatchObject({ rows: 1 })
    expect(await lake.table('t').append(ndjson({ id: 4, y: true }), evolve)).toMatchObject({ rowsAdded: 1 })
    expect(await rowsOf(lake, 'SELECT id, n, w, y FROM t ORDER BY id')).toEqual([
      { id: 1, n: null, w: null, y: null },
      { id: 2, n: 5, w: null, y: null },
      { id: 3, n: null, w: 'x', y: null },
      { id: 4, n: null, w: null, y: true },
    ])
  })

  it('that come in at one time from many are all taken', async () => {
    await using lake = await newLake()
    const sent = Array.from({ length: 6 }, (_, id) =>
      lake.table('t').ingest(ndjson({ id, [`c${id % 3}`]: id }), { schema: 'evolve' }),
    )
    expect((await Promise.all(sent)).map(({ rows }) => rows)).toEqual([1, 1, 1, 1, 1, 1])
    expect(await rowsOf(lake, 'SELECT count(c0) AS a, count(c1) AS b, count(c2) AS c FROM t')).toEqual([{ a: 2, b: 2, c: 2 }])
  })

  it('do not change a table whose lines fail all the same, and may be rejected', async () => {
    await using lake = await newLake()
    const body = Buffer.from('{"id":"many","v":"x"}\n{"id":2,"v":"y"}\n')
    await expect(lake.table('t').ingest(body, { schema: 'evolve' })).rejects.toMatchObject({ code: 'ROWS_INVALID' })
    expect(await lake.table('t').ingest(body, { schema: 'evolve', onError: 'reject' })).toMatchObject({ rows: 1, rejected: 1 })
    expect(await columnsOf(lake)).toEqual({ id: 'integer', v: 'string' })
  })
})

describe('values that a column is too narrow for', () => {
  const big = ndjson({ id: 1, v: 'a' }, { id: 3_000_000_000, v: 'b' })

  it('widen it where the table has type widening, and then only', async () => {
    await using lake = await newLake({ 'delta.enableTypeWidening': 'true' })
    expect(await lake.table('t').ingest(ndjson({ id: 1, x: 1 }), { schema: 'evolve' })).toMatchObject({ rows: 1 })
    expect(await columnsOf(lake)).toMatchObject({ id: 'integer' })
    expect(await lake.table('t').ingest(big, { schema: 'evolve' })).toMatchObject({ rows: 2 })
    expect(await columnsOf(lake)).toMatchObject({ id: 'long' })
    expect(await rowsOf(lake, 'SELECT sum(id)::BIGINT AS s FROM t')).toEqual([{ s: 3_000_000_002 }])
    await using narrow = await newLake()
    await expect(narrow.table('t').ingest(big, { schema: 'evolve' })).rejects.toMatchObject({
      details: { lines: [{ line: 2, reason: 'field "id": expected integer, got 3000000000' }] },
    })
  })
})

describe('lines that break a rule of the table', () => {
  it('are rejected with the rule, beside lines that are no rows, and the others are taken', async () => {
    await using lake = await newLake()
    await lake.sql('ALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0)')
    const body = Buffer.from('{"id":1}\n{"id":-2,"v":"x"}\nbroken\n{"id":3}\n{"v":"no id"}\n')
    const [one, two] = await Promise.all([
      lake.table('t').ingest(body, { onError: 'reject' }),
      lake.table('t').ingest(ndjson({ id: 10 }), { onError: 'reject' }),
    ])
    expect([one.rows, one.rejected, two.rows]).toEqual([2, 3, 1])
    expect(one.rejects.map(({ line, raw }) => [line, raw])).toEqual([
      [2, '{"id":-2,"v":"x"}'],
      [3, 'broken'],
      [5, '{"v":"no id"}'],
    ])
    expect(one.rejects[0]?.reason).toBe('it breaks the rule "positive": id > 0')
    const csv = await lake.table('t').ingest(Buffer.from('id,v\n4,a\n-5,b\n'), { format: 'csv', onError: 'reject' })
    expect(csv).toMatchObject({ rows: 1, rejected: 1, rejects: [{ line: 3, raw: '{"id":-5,"v":"b"}' }] })
    expect(await rowsOf(lake, 'SELECT id FROM t ORDER BY id')).toEqual([1, 3, 4, 10].map((id) => ({ id })))
    expect(await rowsOf(lake, 'SELECT count(*)::INTEGER AS n FROM t__rejects')).toEqual([{ n: 4 }])
    await expect(lake.table('t').ingest(ndjson({ id: -1 }))).rejects.toMatchObject({ code: 'CONSTRAINT_VIOLATED' })
  })

  it('are rejected from a file as well, in whichever of its commits they would have come, and fill what the table fills', async () => {
    await using lake = await newLake()
    await lake.sql(`ALTER TABLE t ADD CONSTRAINT positive CHECK (id > 0)`)
    await lake.sql(`ALTER TABLE t SET TBLPROPERTIES ('deltaic.ingest.provenance' = 'producer, sequence, received_at')`)
    const body = Buffer.from('{"id":1}\n{"id":-2}\nbroken\n{"id":4}\n{"id":-5}\n{"id":6}\n')
    const append = (options: object) => lake.table('t').append(body, { format: 'ndjson', batchRows: 2, ...options })
    const before = (await lake.table('t').snapshot()).version
    await expect(append({})).rejects.toMatchObject({
      code: 'ROWS_INVALID',
      details: { lines: [{ line: 2, reason: 'it breaks the rule "positive": id > 0' }, { line: 3 }, { line: 5 }] },
    })
    expect((await lake.table('t').snapshot()).version).toBe(before)
    const done = await append({ onError: 'reject', txn: { appId: 'loader', version: 7 } })
    expect(done).toMatchObject({ rowsAdded: 3, rowsRejected: 3, commits: 3 })
    expect(await rowsOf(lake, 'SELECT id, producer, sequence::INTEGER AS sequence FROM t ORDER BY id')).toEqual([
      { id: 1, producer: 'loader', sequence: 7 },
      { id: 4, producer: 'loader', sequence: 8 },
      { id: 6, producer: 'loader', sequence: 9 },
    ])
    expect(await rowsOf(lake, 'SELECT line::INTEGER AS line FROM t__rejects ORDER BY line')).toEqual(
      [2, 3, 5].map((line) => ({ line })),
    )
    expect(await append({ onError: 'reject', txn: { appId: 'loader', version: 7 } })).toMatchObject({ replayed: true })
    expect(await rowsOf(lake, 'SELECT count(*)::INTEGER AS n FROM t__rejects')).toEqual([{ n: 3 }])
  })
})
