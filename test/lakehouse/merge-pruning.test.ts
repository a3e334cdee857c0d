// MERGE, DELETE and UPDATE leave out files in which no row has a key of their source; what they do stays the same.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { FaultyStore } from '../support/faulty-store.js'
import { openLake, rowsOf } from '../support/world.js'

const FILES = 6
const PER_FILE = 10
const DATA = /^get t\/[^_].*\.parquet/

/** A table `t` of `k`, a key that each file has a range of, with what the store was asked for since. */
async function rangedTable(columns = 'k BIGINT, p INT, name STRING, since TIMESTAMP') {
  const store = new FaultyStore(new MemoryStore())
  const lake = await openLake(store)
  await lake.sql(`CREATE TABLE t (${columns}) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`)
  for (let file = 0; file < FILES; file++)
    await lake.sql(
      `INSERT INTO t SELECT i, i % 3, 'n' || lpad(i::VARCHAR, 3, '0'), TIMESTAMP '2026-01-01' + INTERVAL (i) HOUR FROM range(${file * PER_FILE}, ${(file + 1) * PER_FILE}) AS r(i)`,
    )
  await lake.sql('CREATE TABLE s (k INT, name STRING)')
  const from = store.journal.length
  const filesRead = () => new Set(store.journal.slice(from).filter((call) => DATA.test(call))).size
  return { lake, filesRead, journal: () => store.journal.slice(from), [Symbol.asyncDispose]: () => lake.close() }
}

describe('a source that has few keys', () => {
  it.each([
    ['MERGE INTO t USING (SELECT unnest([12, 15]) AS k, 1 AS v) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET p = s.v', 1],
    ['MERGE INTO t USING (SELECT unnest([12, 1000]) AS k) AS s ON s.k = t.k WHEN NOT MATCHED THEN INSERT (k) VALUES (s.k)', 1],
    ["MERGE INTO t USING (SELECT unnest(['n055', 'n001']) AS name) AS s ON t.name = s.name WHEN MATCHED THEN DELETE", 2],
    [
      "MERGE INTO t USING (SELECT unnest([TIMESTAMPTZ '2026-01-01 12:00:00+00']) AS x) AS s ON since = x AND p >= 0 WHEN MATCHED THEN DELETE",
      1,
    ],
    ['MERGE INTO t USING (SELECT 5 AS k WHERE false) AS s ON t.k = s.k WHEN MATCHED THEN DELETE', 0],
    ['MERGE INTO t USING (SELECT unnest([12.0::DOUBLE]) AS k) AS s ON t.k = s.k WHEN MATCHED THEN DELETE', FILES],
    ['MERGE INTO t USING (SELECT unnest([12]) AS k) AS s ON t.k = s.k WHEN NOT MATCHED BY SOURCE THEN DELETE', FILES],
    [
      'MERGE INTO t USING (SELECT unnest([12]) AS k) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET p = 9 WHEN NOT MATCHED BY SOURCE AND t.k < 5 THEN DELETE',
      2,
    ],
    [
      "MERGE INTO t USING (SELECT unnest([12]) AS k) AS s ON t.k = s.k WHEN NOT MATCHED BY SOURCE AND t.k < 5 THEN DELETE WHEN NOT MATCHED BY SOURCE AND name = 'n058' THEN UPDATE SET p = 9",
      3,
    ],
    [
      "MERGE WITH SCHEMA EVOLUTION INTO t USING (SELECT unnest([12]) AS k, 'x' AS added) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET added = s.added",
      1,
    ],
    ['MERGE INTO t USING (SELECT unnest([12]) AS k) AS s ON t.k = s.k OR t.k = 50 WHEN MATCHED THEN DELETE', FILES],
    ['MERGE INTO t USING (SELECT (random() * 0)::INT + 12 AS k) AS s ON t.k = s.k WHEN MATCHED THEN DELETE', FILES],
    ['MERGE INTO t USING s ON t.k = s.k WHEN MATCHED THEN DELETE', 1],
    ['DELETE FROM t WHERE k IN (SELECT k FROM s)', 1],
    ['UPDATE t SET p = 9 WHERE k IN (SELECT k FROM s)', 1],
  ])('%s reads %i of 6 files', async (statement, files) => {
    await using made = await rangedTable()
    await made.lake.sql("INSERT INTO s VALUES (33, 'x'), (NULL, 'y')")
    await made.lake.sql(statement)
    expect(made.filesRead(), JSON.stringify(made.journal())).toBe(files)
  })

  it('does not make others conflict that write where none of its keys are', async () => {
    await using made = await rangedTable()
    const { lake } = made
    const merging = lake.sql('MERGE INTO t USING (SELECT unnest([12]) AS k) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET p = 7')
    await Promise.all([merging, lake.sql('DELETE FROM t WHERE k >= 50'), lake.sql('INSERT INTO t (k) VALUES (400)')])
    expect(await rowsOf(lake, 'SELECT count(*)::INT AS n, (max(p))::INT AS p FROM t')).toEqual([{ n: 51, p: 7 }])
  })

  const key = fc.option(fc.integer({ min: -2, max: 34 }), { nil: null, freq: 8 })

  it('changes the rows that it would change if all files were read', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(key, { minLength: 1, maxLength: 5 }), { minLength: 2, maxLength: 4 }),
        fc.array(key, { maxLength: 6 }).map((keys) => [...new Set(keys)]),
        fc.constantFrom('INT', 'BIGINT', 'DECIMAL(9,2)', 'VARCHAR', 'DATE'),
        async (files, keys, type) => {
          await using lake = await openLake()
          const value = (k: number | null) => (k === null ? 'NULL' : type === 'DATE' ? `(DATE '2026-01-01' + ${k})` : `(${k})`)
          const list = (all: readonly (number | null)[]) =>
            `(VALUES ${all.map((k) => `(${value(k)}::${type})`).join(', ')}) AS r(k)`
          for (const name of ['pruned', 'whole']) {
            await lake.sql(`CREATE TABLE ${name} (k ${type}, hit BOOLEAN)`)
            for (const rows of files) await lake.sql(`INSERT INTO ${name} SELECT k, false FROM ${list(rows)}`)
            const source = keys.length > 0 ? `(SELECT k FROM ${list(keys)})` : `(SELECT NULL::${type} AS k WHERE false)`
            const on = name === 'pruned' ? 't.k = s.k' : '(t.k = s.k OR false)'
            const merge = `MERGE INTO ${name} AS t USING ${source} AS s ON ${on} WHEN MATCHED THEN UPDATE SET hit = true`
            const alone = type === 'VARCHAR' ? "k > '2'" : `k < ${value(7)}`
            await lake.sql(
              `${merge} WHEN NOT MATCHED THEN INSERT (k, hit) VALUES (s.k, NULL) WHEN NOT MATCHED BY SOURCE AND ${alone} THEN DELETE`,
            )
          }
          const rows = (name: string) => rowsOf(lake, `SELECT k::VARCHAR AS k, hit FROM ${name} ORDER BY ALL`)
          expect(await rows('pruned')).toEqual(await rows('whole'))
        },
      ),
      { numRuns: Number(process.env['DELTAIC_PROPERTY_RUNS'] ?? 6) },
    )
  })
})
