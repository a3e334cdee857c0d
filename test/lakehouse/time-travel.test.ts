import { mkdtemp, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

const START = Date.UTC(2026, 0, 1)
const HOUR = 3_600_000

describe('time travel', () => {
  let root: string
  let lake: Lakehouse

  /** Version v holds v rows and came v hours after the first. */
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'deltaic-travel-'))
    const writer = await openLakehouse(root)
    await writer.sql("CREATE TABLE t (id INT) TBLPROPERTIES ('delta.checkpointInterval' = '3'); CREATE TABLE version (v INT)")
    for (let id = 1; id <= 7; id++) await writer.sql(`INSERT INTO t VALUES (${id})`)
    await writer.close()
    for (let version = 0; version <= 7; version++) {
      const at = new Date(START + version * HOUR)
      await utimes(join(root, 't/_delta_log', `${String(version).padStart(20, '0')}.json`), at, at)
    }
    lake = await openLakehouse(root)
  })
  afterAll(async () => {
    await lake?.close()
    await rm(root, { recursive: true, force: true })
  })

  const rowsOf = async (query: string, params?: Parameters<Lakehouse['sql']>[1]) => await (await lake.sql(query, params)).rows()
  const count = async (reference: string, params?: Parameters<Lakehouse['sql']>[1]) =>
    Number((await rowsOf(`SELECT count(*) AS n FROM ${reference}`, params))[0]?.['n'])

  it.each([
    ['t', 7],
    ['T', 7],
    ['t VERSION AS OF 2', 2],
    ["T VERSION AS OF '2'", 2],
    ['t FOR VERSION AS OF 2 AS a', 2],
    ['t@v5 a', 5],
    ['main.t@v0', 0],
    ['`t` AT (VERSION => 1 + 2)', 3],
    ["t TIMESTAMP AS OF '2026-01-01 02:30:00'", 2],
    ["t TIMESTAMP AS OF '2026-01-01T04:30:00+02:00'", 2],
    ["t TIMESTAMP AS OF TIMESTAMP '2026-01-01 02:00:00'", 2],
    ["t TIMESTAMP AS OF DATE '2026-01-01'", 0],
    ["t AT (TIMESTAMP => TIMESTAMP '2026-01-01' + INTERVAL 5 HOUR)", 5],
    ['t@20260101035959999', 3],
  ])('%s has %i rows', async (reference, rows) => {
    expect(await count(reference)).toBe(rows)
  })

  it('takes parameters of any kind, in their own order', async () => {
    expect(await count('t VERSION AS OF ? WHERE id >= ?', { params: [3, 2] })).toBe(2)
    expect(await count('t VERSION AS OF $v WHERE id > $v - 1', { params: { v: 4n } })).toBe(1)
    expect(await count('t TIMESTAMP AS OF $at', { params: { at: new Date(START + 2.5 * HOUR) } })).toBe(2)
    expect(await count('t TIMESTAMP AS OF $1', { params: ['2026-01-01 06:00'] })).toBe(6)
  })

  it('reads several versions of one table in one query, whatever they are called', async () => {
    const query =
      'SELECT a.id AS a, b.id AS b, t.id AS t FROM t VERSION AS OF 2 a RIGHT JOIN t@v3 AS b USING (id) JOIN t ON t.id = b.id ORDER BY t'
    const result = await lake.sql(query)
    expect(result.versions).toEqual({ t: 2, 't@v3': 3, 't@v7': 7 })
    expect(await result.rows()).toEqual([
      { a: 1, b: 1, t: 1 },
      { a: 2, b: 2, t: 2 },
      { a: null, b: 3, t: 3 },
    ])
    expect(await rowsOf('SELECT (SELECT count(*) FROM t@v1) AS x, (SELECT count(*) FROM t@v6) AS y')).toEqual([{ x: 1n, y: 6n }])
    expect(await rowsOf('SELECT id FROM t EXCEPT SELECT id FROM t@v6')).toEqual([{ id: 7 }])
  })

  it('leaves names to WITH clauses where they are defined', async () => {
    expect(await rowsOf('WITH t AS (SELECT id FROM t WHERE id = 7) SELECT * FROM t')).toEqual([{ id: 7 }])
    expect(await rowsOf('WITH t AS (SELECT 1 AS id) SELECT count(*) AS n FROM main.t')).toEqual([{ n: 7n }])
    expect(await rowsOf('WITH c AS (SELECT * FROM t@v2) SELECT count(*) AS n FROM c, c AS d')).toEqual([{ n: 4n }])
    const shadowed = await lake.sql('WITH t AS (SELECT 1 AS id) SELECT * FROM t')
    expect([shadowed.versions, shadowed.stats.filesRead, await shadowed.rows()]).toEqual([{}, 0, [{ id: 1 }]])
    await expect(lake.sql('WITH c AS (SELECT 1) SELECT * FROM c VERSION AS OF 1')).rejects.toMatchObject({
      code: 'TABLE_NOT_FOUND',
    })
  })

  it('qualifies columns by the table\u2019s own name', async () => {
    expect(await rowsOf('SELECT t.id FROM t VERSION AS OF 1')).toEqual([{ id: 1 }])
    expect(await rowsOf('SELECT version.v FROM version VERSION AS OF 0')).toEqual([])
  })

  it.each([
    ['t a VERSION AS OF 1', 'SQL_INVALID'],
    ['t AS a VERSION AS OF 1', 'SQL_INVALID'],
    ['t VERSION AS OF 1.5', 'SQL_INVALID'],
    ["t VERSION AS OF 'one'", 'SQL_INVALID'],
    ['t AT (VERSION => NULL)', 'SQL_INVALID'],
    ['t AT (VERSION => (SELECT max(id) FROM t))', 'SQL_INVALID'],
    ['t AT (VERSION => -1)', 'ARGUMENT_INVALID'],
    ['t VERSION AS OF 8', 'VERSION_NOT_FOUND'],
    ["t TIMESTAMP AS OF '2026-99-99'", 'SQL_INVALID'],
    ['t VERSION AS OF $missing', 'PARAMETER_MISSING'],
  ])('refuses %s', async (reference, code) => {
    await expect(lake.sql(`SELECT * FROM ${reference}`)).rejects.toMatchObject({ code })
  })

  it('says from when to when there is something to see', async () => {
    const facts = { earliest: '2026-01-01T00:00:00.000Z', latest: '2026-01-01T07:00:00.000Z' }
    for (const at of ['2025-12-31', '2026-01-02'])
      await expect(lake.sql(`SELECT * FROM t TIMESTAMP AS OF '${at}'`)).rejects.toMatchObject({
        code: 'VERSION_NOT_FOUND',
        details: facts,
      })
    await expect(lake.table('t').snapshot({ version: 8 })).rejects.toMatchObject({
      code: 'VERSION_NOT_FOUND',
      details: { version: 8, latest: 7 },
    })
  })

  it.each([
    ['a text', '2026-01-01 02:30:00'],
    ['a text with an offset', '2026-01-01T03:30:00+01'],
    ['a Date', new Date(START + 2.5 * HOUR)],
    ['milliseconds', START + 2 * HOUR],
  ])('of the library takes %s', async (_, timestamp) => {
    expect((await lake.table('t').snapshot({ timestamp })).version).toBe(2)
  })

  it.each([
    { timestamp: 'yesterday' },
    { timestamp: new Date(Number.NaN) },
    { timestamp: Number.NaN },
    { timestamp: 0, version: 1 },
    { version: 1.5 },
    { version: -1 },
  ])('of the library refuses %j', async (asOf) => {
    await expect(lake.table('t').snapshot(asOf)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('reads versions older than the checkpoint that was loaded, and details of then', async () => {
    const table = lake.table('t')
    expect((await table.detail({ version: 2 })).rows).toBe(2)
    expect(await count('t@v1')).toBe(1)
    expect((await (await table.snapshot({ version: 4 })).files()).length).toBe(4)
    expect((await (await table.snapshot({ version: 2 })).scan().toArrow()).numRows).toBe(2)
  })

  it('has a history, newest first, no longer than asked', async () => {
    const history = await lake.table('t').history({ limit: 3 })
    expect(history.map(({ version, timestampMs }) => [version, timestampMs])).toEqual([7, 6, 5].map((v) => [v, START + v * HOUR]))
    expect((await rowsOf('DESCRIBE HISTORY t LIMIT 2')).map(({ version }) => version)).toEqual([7n, 6n])
    await expect(lake.table('t').history({ limit: 0 })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await expect(lake.sql('DESCRIBE HISTORY t LIMIT x')).rejects.toMatchObject({ code: 'SQL_INVALID' })
  })
})
