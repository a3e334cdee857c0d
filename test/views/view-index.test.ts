import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type IndexedRow, type Lakehouse, type LookupKey, openLakehouse } from '../../src/index.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-view-index-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Asks until the view is in memory. */
async function inMemory(lake: Lakehouse, view: string, key: LookupKey): Promise<IndexedRow> {
  for (let tries = 0; tries < 500; tries++) {
    const found = await lake.lookupJson(view, key)
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error(`${view} did not come into memory`)
}

async function bySql(lake: Lakehouse, view: string, key: LookupKey): Promise<unknown> {
  const parts: Uint8Array[] = []
  for await (const part of (await lake.lookup(view, key)).bytes('ndjson')) parts.push(part)
  const text = Buffer.concat(parts).toString().trim()
  return text === '' ? undefined : JSON.parse(text)
}

describe('views in memory', () => {
  it('answer as SQL does, at every version of the source, whatever happens to it', async () => {
    await using lake = await openLakehouse(join(folder, 'lake'), { threads: 2, memoryLimitBytes: 2 ** 29 })
    await lake.sql(
      `CREATE TABLE t (k STRING, day DATE, n INT, x DOUBLE, seen TIMESTAMP) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`,
    )
    await lake.sql(
      `INSERT INTO t SELECT 'k' || i % 9, DATE '2026-11-01' + (i % 2)::INT, i, i / 3, TIMESTAMPTZ '2026-11-01T10:00:00Z' FROM range(60) r(i)`,
    )
    await lake.sql(`INSERT INTO t VALUES (NULL, DATE '2026-11-01', 7, 'nan', NULL)`)
    await lake.sql(
      'CREATE MATERIALIZED VIEW v AS SELECT k, day, count(*) AS rows, avg(x) AS mean, max(n) AS top, min(seen) AS first FROM t GROUP BY k, day',
    )
    await lake.sql('CREATE MATERIALIZED VIEW busy AS SELECT k, count(*) AS rows FROM t GROUP BY k HAVING count(*) > 6')
    await lake.sql(
      `CREATE MATERIALIZED VIEW kinds AS SELECT k, sum(n::DECIMAL(9,2)) AS paid, avg(n) AS mean, count(DISTINCT day) AS days, arg_max(n, n) AS last,
       bool_or(n > 40) AS some, max('a"\\,]' || chr(27) || '1' || chr(30) || chr(31) || k) AS odd, min('') AS empty FROM t GROUP BY k`,
    )
    await lake.sql('CREATE MATERIALIZED VIEW middle AS SELECT k, median(n) AS n FROM t GROUP BY k')
    const days = ['2026-11-01', '2026-11-02']
    const keys: LookupKey[] = ['k0', 'k3', null].flatMap((k) => days.map((day) => ({ k, day })))
    const check = async () => {
      for (const key of keys) {
        const { json } = await inMemory(lake, 'v', key)
        expect([key, json && JSON.parse(Buffer.from(json).toString())]).toEqual([key, await bySql(lake, 'v', key)])
      }
      for (const view of ['busy', 'kinds', 'middle'])
        for (const k of ['k0', 'k8']) {
          const { json } = await inMemory(lake, view, { k })
          expect([view, k, json && JSON.parse(Buffer.from(json).toString())]).toEqual([view, k, await bySql(lake, view, { k })])
        }
    }
    await check()
    for (const statement of [
      "INSERT INTO t VALUES ('k0', DATE '2026-11-02', 100, 1, NULL), ('none', DATE '2026-11-01', 1, 1, NULL)",
      "DELETE FROM t WHERE k = 'k3' AND n < 40",
      'REFRESH MATERIALIZED VIEW v',
      "UPDATE t SET k = 'k8' WHERE k = 'k0'",
      'OPTIMIZE t',
      "DELETE FROM t WHERE k = 'k8'",
      'RESTORE TABLE t TO VERSION AS OF 2',
      'TRUNCATE TABLE t',
    ]) {
      await lake.sql(statement)
      await check()
    }
  })

  it('name the versions they are of, and leave other views and odd keys to SQL', async () => {
    await using lake = await openLakehouse(join(folder, 'other'), { threads: 2, memoryLimitBytes: 2 ** 29 })
    await lake.sql('CREATE TABLE t (k INT, x DOUBLE); INSERT INTO t VALUES (1, 1), (2, 2)')
    await lake.sql('CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS rows FROM t GROUP BY k')
    expect((await inMemory(lake, 'v', { k: 1 })).versions).toEqual({ t: 1 })
    await lake.sql('INSERT INTO t VALUES (1, 3)')
    const [a, b] = await Promise.all([lake.lookupJson('v', { k: 1 }), lake.lookupJson('v', { k: '2' })])
    expect([a?.versions, b?.versions]).toEqual([{ t: 2 }, { t: 2 }])
    expect(Buffer.from(a?.json ?? []).toString()).toBe('{"k":1,"rows":2}')
    for (const key of [{ k: '01' }, { k: 'x' }, { rows: 1 }, { k: 1, rows: 1 }])
      expect(await lake.lookupJson('v', key as LookupKey)).toBeUndefined()
    expect(await lake.lookupJson('t', { k: 1 })).toBeUndefined()
    await lake.sql('CREATE MATERIALIZED VIEW rows_of AS SELECT k, x FROM t WHERE x > 1')
    await lake.sql('CREATE MATERIALIZED VIEW structs AS SELECT k, max({x: x}) AS top FROM t GROUP BY k')
    for (const view of ['rows_of', 'structs']) expect(await lake.lookupJson(view, { k: 1 })).toBeUndefined()
  })

  it('answer keys that a commit touches and keys that it does not as of what was acknowledged, while commits come in', async () => {
    await using lake = await openLakehouse(join(folder, 'busy'), { threads: 2, memoryLimitBytes: 2 ** 29 })
    await lake.sql('CREATE TABLE t (k INT); INSERT INTO t SELECT i::INT FROM range(20) r(i)')
    await lake.sql('CREATE MATERIALIZED VIEW v AS SELECT k, count(*) AS rows FROM t GROUP BY k')
    await inMemory(lake, 'v', { k: 0 })
    // Version n + 1 adds a row of the key n % 5.
    const rowsAt = (k: number, version: number) =>
      1 + Array.from({ length: version - 1 }, (_, nth) => (nth + 1) % 5).filter((touched) => touched === k).length
    let acknowledged = 1
    const answers: (readonly [k: number, from: number, row: IndexedRow | undefined])[] = []
    const ask = async (k: number) => {
      while (acknowledged < 13) {
        const from = acknowledged
        answers.push([k, from, await lake.lookupJson('v', { k })])
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    }
    const asking = Promise.all([0, 1, 2, 3, 4, 9].map(ask))
    for (let version = 2; version <= 13; version++) {
      await lake.sql(`INSERT INTO t VALUES (${(version - 1) % 5})`)
      acknowledged = version
    }
    await asking
    for (const [k, from, row] of answers) {
      const version = row?.versions['t'] ?? 0
      expect(version).toBeGreaterThanOrEqual(from)
      expect(JSON.parse(Buffer.from(row?.json ?? []).toString())).toEqual({ k, rows: rowsAt(k, version) })
    }
  })
})
