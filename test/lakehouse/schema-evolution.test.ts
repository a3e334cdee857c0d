// Tables that take columns of the rows that come in: in the commit that brings the rows, or not at all.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-evolution-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let lakes = 0
const open = () => openLakehouse(join(folder, String(++lakes)), { threads: 1 })
async function rows(lake: Lakehouse, query = 'FROM t ORDER BY ALL'): Promise<unknown[]> {
  const found = await (await lake.sql(`SELECT to_json(__r)::VARCHAR AS row FROM (${query}) AS __r`)).rows()
  return found.map(({ row }) => JSON.parse(String(row)) as unknown)
}
const columns = async (lake: Lakehouse) =>
  (await lake.table('t').snapshot()).schema.fields.map(
    ({ name, type }) => `${name} ${typeof type === 'string' ? type : type.type}`,
  )

describe.each(['none', 'name'])('a table with column mapping %s that takes columns', (mode) => {
  const create = (lake: Lakehouse, design: string) =>
    lake.sql(
      `CREATE TABLE t ${design} TBLPROPERTIES ('delta.columnMapping.mode' = '${mode}', 'delta.enableChangeDataFeed' = 'true')`,
    )

  it('of an INSERT gets them in its commit, at every depth', async () => {
    await using lake = await open()
    await create(lake, '(id BIGINT, s STRUCT<a: INT>)')
    await lake.sql(`INSERT INTO t SELECT 1, {'a': 1}`)
    await lake.sql(`INSERT WITH SCHEMA EVOLUTION INTO t SELECT 2, {'a': 2, 'b': 'x'}, DATE '2026-01-01' AS day`)
    await lake.sql(`INSERT WITH SCHEMA EVOLUTION INTO t BY NAME SELECT true AS ok, 3 AS "ID"`)
    expect((await lake.table('t').snapshot()).version).toBe(3)
    expect(await columns(lake)).toEqual(['id long', 's struct', 'day date', 'ok boolean'])
    expect(await rows(lake)).toEqual([
      { id: 1, s: { a: 1, b: null }, day: null, ok: null },
      { id: 2, s: { a: 2, b: 'x' }, day: '2026-01-01', ok: null },
      { id: 3, s: null, day: null, ok: true },
    ])
    expect(await rows(lake, 'FROM t VERSION AS OF 1')).toEqual([{ id: 1, s: { a: 1 } }])
  })

  it('of a MERGE gets those that its clauses bring', async () => {
    await using lake = await open()
    await create(lake, '(id INT, v INT, kept INT)')
    await lake.sql('INSERT INTO t VALUES (1, 1, 7), (2, 2, 8)')
    await lake.sql(
      `MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT 1 AS id, 10 AS v, 'new' AS w UNION ALL SELECT 3, 30, 'other') s ON t.id = s.id ` +
        'WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *',
    )
    expect(await rows(lake)).toEqual([
      { id: 1, v: 10, kept: 7, w: 'new' },
      { id: 2, v: 2, kept: 8, w: null },
      { id: 3, v: 30, kept: null, w: 'other' },
    ])
    await lake.table('t').merge({
      source: 'SELECT 2 AS id, 5 AS x, 6 AS unused',
      on: 't.id = s.id',
      withSchemaEvolution: true,
      whenMatched: [{ update: { x: 's.x', v: 's.x + 1' } }],
    })
    expect(await columns(lake)).toEqual(['id integer', 'v integer', 'kept integer', 'w string', 'x integer'])
    expect(await rows(lake, 'SELECT * FROM t WHERE id = 2')).toEqual([{ id: 2, v: 6, kept: 8, w: null, x: 5 }])
    expect(await rows(lake, `SELECT id, x FROM table_changes('t', 3, 3) ORDER BY _change_type`)).toEqual([
      { id: 2, x: 5 },
      { id: 2, x: null },
    ])
  })

  it('of files and queries, in the library, gets them that is to evolve', async () => {
    await using lake = await open()
    await create(lake, '(id INT, p STRING)')
    const table = lake.table('t')
    writeFileSync(join(folder, 'more.ndjson'), '{"id":1,"p":"a"}\n{"id":2,"extra":{"n":1.5}}\n')
    await expect(table.append({ sql: 'SELECT 1 AS id, 2 AS p, 3 AS q' })).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' })
    const loaded = await table.append(join(folder, 'more.ndjson'), { schema: 'evolve', batchRows: 1 })
    expect(loaded).toMatchObject({ commits: 2, rowsAdded: 2 })
    await table.append({ sql: `SELECT 'z' AS q, 3 AS id` }, { schema: 'evolve' })
    expect(await rows(lake)).toEqual([
      { id: 1, p: 'a', extra: null, q: null },
      { id: 2, p: null, extra: { n: 1.5 }, q: null },
      { id: 3, p: null, extra: null, q: 'z' },
    ])
  })

  it('of rows that replace all others become theirs where that is said', async () => {
    await using lake = await open()
    await create(lake, '(id INT, p STRING, gone INT)')
    await lake.sql(`INSERT INTO t VALUES (1, 'a', 1)`)
    const table = lake.table('t')
    await table.overwrite({ sql: `SELECT 'text' AS id, 'b' AS p, 5 AS n` }, { schema: 'overwrite' })
    expect(await columns(lake)).toEqual(['id string', 'p string', 'n integer'])
    expect(await rows(lake)).toEqual([{ id: 'text', p: 'b', n: 5 }])
    expect(await rows(lake, 'FROM t VERSION AS OF 1')).toEqual([{ id: 1, p: 'a', gone: 1 }])
    await table.overwrite({ sql: `SELECT 'more' AS id, 1.5::DOUBLE AS d` }, { schema: 'evolve' })
    expect(await rows(lake)).toEqual([{ id: 'more', p: null, n: null, d: 1.5 }])
    const refused = table.overwrite({ sql: 'SELECT 1 AS id' }, { schema: 'overwrite', where: 'n = 1' })
    await expect(refused).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})

describe('a table that takes columns', () => {
  it('keeps those that it is partitioned by', async () => {
    await using lake = await open()
    await lake.sql('CREATE TABLE t (id INT, p STRING) PARTITIONED BY (p)')
    const refused = lake.table('t').overwrite({ sql: 'SELECT 1 AS id' }, { schema: 'overwrite' })
    await expect(refused).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' })
    await lake.sql(`INSERT WITH SCHEMA EVOLUTION OVERWRITE t BY NAME SELECT 'x' AS p, 1 AS id, 2 AS more`)
    expect(await rows(lake)).toEqual([{ id: 1, p: 'x', more: 2 }])
  })

  it('widens types where it has type widening, and casts where it has not', async () => {
    await using lake = await open()
    await lake.sql(`CREATE TABLE t (id INT) TBLPROPERTIES ('delta.enableTypeWidening' = 'true')`)
    await lake.sql('INSERT WITH SCHEMA EVOLUTION INTO t SELECT 5000000000')
    expect(await columns(lake)).toEqual(['id long'])
    await lake.sql('CREATE TABLE n (id INT)')
    await lake.sql('INSERT WITH SCHEMA EVOLUTION INTO n SELECT 5::BIGINT')
    await expect(lake.sql('INSERT WITH SCHEMA EVOLUTION INTO n SELECT 5000000000')).rejects.toMatchObject({ code: 'SQL_INVALID' })
    expect(await rows(lake, 'FROM n')).toEqual([{ id: 5 }])
  })

  it('loses the race against another change of its columns', async () => {
    await using lake = await open()
    await lake.sql('CREATE TABLE t (id INT)')
    const adding = (name: string) => lake.table('t').append({ sql: `SELECT 1 AS id, 2 AS ${name}` }, { schema: 'evolve' })
    const results = await Promise.allSettled([adding('a'), adding('b')])
    const lost = results.filter((one) => one.status === 'rejected')
    expect(lost.every(({ reason }) => (reason as { code: string }).code === 'COMMIT_CONFLICT')).toBe(true)
    expect((await rows(lake)).length).toBe(2 - lost.length)
  })
})
