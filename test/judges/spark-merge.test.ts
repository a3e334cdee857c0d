// The same MERGE by Spark and by us, each on a table that Spark made: rows, changes and history agree, as Spark reads them.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'
import { describeWhen } from '../support/needs.js'
import { peers, sharedSpark } from '../support/peers.js'
import { done } from './engines.js'

const folder = await mkdtemp(join(tmpdir(), 'deltaic-merge-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

const SOURCE = '(VALUES (2, 20, 1), (3, 30, 1), (9, 90, 1), (10, 1, 2)) AS r(k, v, p)'
const MERGES: readonly (readonly [string, string])[] = [
  ['an upsert', 'WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *'],
  [
    'every kind of clause',
    'WHEN MATCHED AND s.v > 25 THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v + t.v ' +
      'WHEN NOT MATCHED AND s.v > 50 THEN INSERT (k, v) VALUES (s.k, s.v) ' +
      'WHEN NOT MATCHED BY SOURCE AND t.v = 1 THEN UPDATE SET v = 0 WHEN NOT MATCHED BY SOURCE AND t.k = 5 THEN DELETE',
  ],
  ['inserts alone', 'WHEN NOT MATCHED THEN INSERT *'],
]
const ROWS = '(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 4, 2), (5, 5, 2), (NULL, 6, 2)'
/** Counts of rows; those of files and bytes follow from how a writer lays them out. */
const COUNTS = ['numSourceRows', 'numTargetRowsInserted', 'numTargetRowsUpdated', 'numTargetRowsDeleted'] as const

type Pairs = readonly (readonly [string, string])[]
interface Entry {
  readonly operation: string
  readonly operationParameters: Pairs
  readonly operationMetrics: Pairs
}

describeWhen(peers.available('spark'), peers.reason('spark'), 'MERGE beside Spark’s', () => {
  const spark = sharedSpark()
  const sql = async (text: string) => done(await (await spark()).run({ sql: text }))['rows'] as Record<string, unknown>[]

  async function told(table: string) {
    const [newest] = (await sql(`DESCRIBE HISTORY ${table} LIMIT 1`)) as unknown as [Entry]
    const metrics = Object.fromEntries(newest.operationMetrics)
    const { predicate = '', ...clauses } = Object.fromEntries(newest.operationParameters)
    const path = table.slice('delta.`'.length, -1)
    const changes = `SELECT k, v, p, _change_type FROM table_changes_by_path('${path}', 2) ORDER BY k, v, p, _change_type`
    return {
      metricNames: Object.keys(metrics),
      seen: {
        rows: await sql(`SELECT k, v, p FROM ${table} ORDER BY k, v, p`),
        changes: await sql(changes),
        operation: newest.operation,
        parameters: newest.operationParameters.map(([name]) => name).toSorted(),
        predicates: (JSON.parse(predicate) as unknown[]).length,
        kinds: Object.fromEntries(
          Object.entries(clauses).map(([name, text]) => [
            name,
            (JSON.parse(text) as { actionType: string; predicate?: string }[]).map(({ actionType, predicate: and }) => [
              actionType,
              and !== undefined,
            ]),
          ]),
        ),
        counts: COUNTS.map((name) => [name, metrics[name]]),
      },
    }
  }

  it.each(MERGES.flatMap(([what, clauses]) => [true, false].map((vectors) => ({ what, clauses, vectors }))))(
    'gives the same rows, changes and history: $what (deletion vectors: $vectors)',
    { timeout: 240_000 },
    async ({ what, clauses, vectors }) => {
      const kept = join(folder, `${what}-${vectors}`.replaceAll(' ', '-'))
      const [theirs, ours] = [`delta.\`${kept}-theirs\``, `delta.\`${kept}-ours\``]
      const properties = `'delta.enableChangeDataFeed' = 'true', 'delta.enableDeletionVectors' = '${vectors}'`
      for (const table of [theirs, ours]) {
        await sql(`CREATE TABLE ${table} (k INT, v INT, p INT) USING delta PARTITIONED BY (p) TBLPROPERTIES (${properties})`)
        await sql(`INSERT INTO ${table} VALUES ${ROWS}`)
      }
      const merge = (table: string) => `MERGE INTO ${table} AS t USING (SELECT * FROM ${SOURCE}) AS s ON t.k = s.k ${clauses}`
      await sql(merge(theirs))
      await using lake = await openLakehouse(join(folder, 'lake'), { threads: 2, memoryLimitBytes: 2 ** 29 })
      await lake.sql(merge(ours))
      const [one, other] = [await told(theirs), await told(ours)]
      expect(other.seen).toEqual(one.seen)
      expect(one.metricNames).toEqual(expect.arrayContaining(other.metricNames))
    },
  )
})
