import { join } from 'node:path'
import { generatePageViews } from '../data/page-views.js'
import { type Lakehouse, openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { timeQueries } from './python.js'
import { report, seconds } from './report.js'

const FILES = 2_000
/** A peer may wait for itself without end. */
const TIMEOUT_MS = 20_000
const QUERIES = [
  'SELECT url, count(*) AS views, sum(bytes) AS bytes FROM views GROUP BY url ORDER BY views DESC LIMIT 10',
  'SELECT count(*) AS views FROM views WHERE status = 404',
]
const PEERS = [
  ['deltalake', 'delta-rs QueryBuilder'],
  ['duckdb', "DuckDB's delta extension"],
] as const

/** A table as many small commits leave it, before anybody compacted it; then with deletion vectors. */
export async function benchSmallFiles({ folder, rows, rounds }: BenchContext): Promise<void> {
  const root = join(folder, 'small-files')
  const lake = await openLakehouse(root)
  const table = lake.table('views')
  const batchRows = Math.ceil((rows * 4) / FILES)
  for (const { ndjson } of generatePageViews({ seed: 5, rows: batchRows * FILES, batchRows }))
    await table.append(ndjson, { create: true })
  await timeAll(lake, root, 'small files', rounds)
  await lake.sql("ALTER TABLE views SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
  await lake.sql('DELETE FROM views WHERE status = 500 AND bytes % 2 = 0')
  await timeAll(lake, root, 'small files with deletion vectors', rounds)
  await lake.close()
}

async function timeAll(lake: Lakehouse, root: string, what: string, rounds: number): Promise<void> {
  const peers = PEERS.map(([engine, name]) => ({ name, answer: timeQueries(engine, root, QUERIES, rounds, TIMEOUT_MS) }))
  for (const [at, text] of QUERIES.entries()) {
    const runs: number[] = []
    for (let round = 0; round <= rounds; round++) {
      const taken = await seconds(async () => (await lake.sql(text)).rows())
      if (round > 0) runs.push(1 / taken)
    }
    for (const { name, answer } of peers) {
      const theirs = typeof answer === 'string' ? undefined : answer.seconds[at]
      report({
        title: `${text}, over ${FILES.toLocaleString('en-US')} ${what}`,
        unit: 'queries/s',
        ours: { name: 'deltaic', runs },
        peer:
          theirs && typeof answer !== 'string'
            ? { name: `${name} ${answer.version}`, runs: theirs.map((taken) => 1 / taken) }
            : { name, why: typeof answer === 'string' ? answer : 'it refuses the query' },
        aim: 1,
      })
    }
  }
}
