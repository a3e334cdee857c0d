import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-views-'))
let lake: Lakehouse
beforeAll(async () => {
  lake = await openLakehouse(join(folder, 'lake'))
  await lake.sql(
    `CREATE TABLE hits (url STRING, at_ms BIGINT, bytes INT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true');
     INSERT INTO hits VALUES ('/a', 1, 10), ('/a', 2, 20), ('/b', 3, 5)`,
  )
  await lake.sql(
    `CREATE MATERIALIZED VIEW per_url AS SELECT url, count(*) AS hits, sum(bytes) AS bytes, max(at_ms) AS last FROM hits GROUP BY url`,
  )
})
afterAll(async () => {
  await lake.close()
  rmSync(folder, { recursive: true, force: true })
})

const rows = async (text: string) => (await lake.sql(text)).rows()

describe('a materialized view', () => {
  it('is exact behind its state, says from what it was read, and pins one version of everything', async () => {
    await lake.sql(`INSERT INTO hits VALUES ('/a', 4, 1), ('/c', 5, 2)`)
    const result = await lake.sql('SELECT * FROM per_url ORDER BY url')
    expect(result.views).toMatchObject([
      { name: 'per_url', from: 'changes', stale: false, sources: [{ name: 'hits', watermark: 1, version: 2 }] },
    ])
    expect(result.versions).toEqual({ per_url: 0, hits: 2 })
    expect(await result.rows()).toEqual([
      { url: '/a', hits: 3n, bytes: 31, last: 4n },
      { url: '/b', hits: 1n, bytes: 5, last: 3n },
      { url: '/c', hits: 1n, bytes: 2, last: 5n },
    ])
    expect(await rows('SELECT sum(hits)::INT AS a, (SELECT count(*)::INT FROM hits) AS b FROM per_url')).toEqual([{ a: 5, b: 5 }])
  })

  it('answers from its state alone where that is allowed, and says how old it is', async () => {
    const result = await lake.sql('SELECT sum(hits)::INT AS n FROM per_url', { stale: 'ok' })
    expect(result.views).toMatchObject([{ from: 'state', stale: true }])
    expect(result.views[0]?.ageMs).toBeGreaterThanOrEqual(0)
    expect(await result.rows()).toEqual([{ n: 3 }])
  })

  it('is refreshed once: a second refresh finds it current, and versions of the past are as they were stored', async () => {
    expect(await lake.refreshView('per_url')).toMatchObject({
      outcome: 'refreshed',
      how: 'changes',
      rowsAdded: 2,
      rowsRemoved: 1,
    })
    expect(await lake.refreshView('per_url')).toMatchObject({ outcome: 'current' })
    const result = await lake.sql('SELECT sum(hits)::INT AS n FROM per_url')
    expect(result.views).toMatchObject([{ from: 'state', stale: false }])
    expect(await result.rows()).toEqual([{ n: 5 }])
    expect(await rows('SELECT sum(hits)::INT AS n FROM per_url VERSION AS OF 0')).toEqual([{ n: 3 }])
  })

  it('follows rows that leave, and is not moved by compaction', async () => {
    await lake.sql(`DELETE FROM hits WHERE at_ms = 4`)
    await lake.sql('OPTIMIZE hits')
    expect(await rows(`SELECT * FROM per_url WHERE url = '/a'`)).toEqual([{ url: '/a', hits: 2n, bytes: 30, last: 2n }])
    await lake.refreshView('per_url')
    await lake.sql('OPTIMIZE hits; REORG TABLE hits APPLY (PURGE)')
    const result = await lake.sql('SELECT sum(hits)::INT AS n FROM per_url')
    expect(result.views).toMatchObject([{ from: 'state' }])
    expect(await result.rows()).toEqual([{ n: 4 }])
  })

  it('says what it is', async () => {
    expect(await lake.views()).toMatchObject([{ name: 'per_url', sources: ['hits'] }])
    expect(await lake.views({ over: 'hits' })).toMatchObject([{ name: 'per_url' }])
    expect(await lake.views({ over: 'per_url' })).toEqual([])
    expect(await lake.view('PER_URL'.toLowerCase()).detail()).toMatchObject({ key: ['url'], incremental: true, behind: false })
    await expect(lake.view('hits').detail()).rejects.toMatchObject({ code: 'VIEW_NOT_FOUND' })
  })

  it('is described with its lag, and answers by key under its name', async () => {
    await lake.sql(
      `CREATE MATERIALIZED VIEW lazy CLUSTER BY (url) TBLPROPERTIES ('deltaic.view.refresh' = 'manual') AS SELECT url, count(*)::INT AS n FROM hits GROUP BY url`,
    )
    const [before] = await rows('DESCRIBE DETAIL lazy')
    expect(before).toMatchObject({ name: 'lazy', behind: false, lag_ms: 0n, lag_bytes: 0n })
    await lake.sql("INSERT INTO hits SELECT * FROM hits WHERE url = '/a'")
    const [after] = await rows('DESCRIBE DETAIL lazy')
    expect(after).toMatchObject({ behind: true })
    expect(Number(after?.['lag_bytes'])).toBeGreaterThan(0)
    const { watermarks } = await lake.view('lazy').detail()
    expect(
      JSON.stringify(after?.['watermarks'], (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value)),
    ).toContain(`"lag_versions":1`)
    expect(watermarks[0]?.version).toBe((watermarks[0]?.watermark ?? 0) + 1)
    const found = await lake.view('lazy').lookup({ url: '/a' })
    expect(await found.rows()).toEqual(await rows(`SELECT * FROM lazy WHERE url = '/a'`))
    expect(await lake.view('lazy').refresh()).toMatchObject({ outcome: 'refreshed' })
    await lake.view('lazy').rebuild({ as: 'SELECT url, max(at_ms) AS last FROM hits GROUP BY url' })
    expect((await rows('SHOW CREATE TABLE lazy'))[0]?.['createtab_stmt']).toContain('CLUSTER BY (`url`)')
    await lake.view('lazy').drop()
    await lake.sql(`RESTORE TABLE hits TO VERSION AS OF ${watermarks[0]?.watermark ?? 0}`)
  })

  it('goes with its buckets, and loses them where they are no longer its own', async () => {
    const buckets = `TBLPROPERTIES ('deltaic.view.asOf' = 'seen', 'deltaic.view.bucket' = '1 hour')`
    const as = 'AS SELECT k, count(*) AS n FROM times GROUP BY k'
    const names = async () => (await lake.tables()).map(({ name }) => name).filter((name) => name.startsWith('timed'))
    await lake.sql(`CREATE TABLE times (k INT, seen TIMESTAMP); CREATE MATERIALIZED VIEW timed ${buckets} ${as}`)
    expect(await names()).toEqual(['timed', 'timed__buckets'])
    await lake.sql(`CREATE OR REPLACE MATERIALIZED VIEW timed ${as}`)
    expect(await names()).toEqual(['timed'])
    await lake.sql(`CREATE OR REPLACE MATERIALIZED VIEW timed ${buckets} ${as}; DROP MATERIALIZED VIEW timed`)
    expect(await names()).toEqual([])
    expect(await rows('DROP MATERIALIZED VIEW IF EXISTS timed')).toEqual([{ dropped: false }])
    await lake.sql('DROP TABLE times')
  })

  it.each([
    `INSERT INTO per_url VALUES ('/x', 1, 1, 1, 1, 1)`,
    `DELETE FROM per_url`,
    `UPDATE per_url SET hits = 0`,
    `RESTORE TABLE per_url TO VERSION AS OF 0`,
    `ALTER TABLE per_url ADD COLUMN x INT`,
    `CREATE OR REPLACE TABLE per_url AS SELECT 1 AS x`,
    `DROP TABLE per_url`,
  ])('is not written to: %s', async (statement) => {
    await expect(lake.sql(statement)).rejects.toMatchObject({ code: 'VIEW_READ_ONLY' })
  })

  it.each([
    ['SELECT now() AS t, url FROM hits', 'VIEW_INVALID'],
    ['SELECT random() AS t FROM hits', 'VIEW_INVALID'],
    ['SELECT * FROM hits VERSION AS OF 1', 'VIEW_INVALID'],
    ['SELECT 1 AS a', 'VIEW_INVALID'],
    ['SELECT count(*) FROM nothing', 'TABLE_NOT_FOUND'],
    ['SELECT url AS a, bytes AS A FROM hits', 'VIEW_INVALID'],
    ['SELECT x FROM hits', 'SQL_INVALID'],
  ])('is refused: %s', async (as, code) => {
    await expect(lake.createView('refused', { as })).rejects.toMatchObject({ code })
  })

  it('goes with all that it holds', async () => {
    await lake.sql('CREATE MATERIALIZED VIEW gone AS SELECT url FROM hits')
    expect(await rows('SELECT count(*)::INT AS n FROM gone')).toEqual([{ n: 4 }])
    await lake.sql('DROP MATERIALIZED VIEW gone')
    await expect(lake.sql('SELECT * FROM gone')).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
    await expect(lake.sql('DROP MATERIALIZED VIEW gone')).rejects.toMatchObject({ code: 'VIEW_NOT_FOUND' })
    expect(await rows('DROP MATERIALIZED VIEW IF EXISTS gone')).toEqual([{ dropped: false }])
  })
})
