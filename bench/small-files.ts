import { join } from 'node:path'
import { generatePageViews } from '../data/page-views.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { timeQueries } from './python.js'
import { report, seconds } from './report.js'

const FILES = 2_000
const QUERIES = [
  'SELECT url, count(*) AS views, sum(bytes) AS bytes FROM views GROUP BY url ORDER BY views DESC LIMIT 10',
  'SELECT count(*) AS views FROM views WHERE status = 404',
]
const PEERS = [
  ['deltalake', 'delta-rs QueryBuilder'],
  ['duckdb', "DuckDB's delta extension"],
] as const

/** A table as many small commits leave it, with deletion vectors, before anybody compacted it. */
export async function benchSmallFiles({ folder, rows, rounds }: BenchContext): Promise<void> {
  const root = join(folder, 'small-files')
  const lake = await openLakehouse(root)
  const table = lake.table('views')
  const batchRows = Math.ceil((rows * 4) / FILES)
  for (const { ndjson } of generatePageViews({ seed: 5, rows: batchRows * FILES, batchRows }))
    await table.append(ndjson, { create: true })
  await lake.sql("ALTER TABLE views SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
  await lake.sql('DELETE FROM views WHERE status = 500 AND bytes % 2 = 0')
  const { stats } = await lake.sql('SELECT * FROM views LIMIT 0')
  const peers = PEERS.map(([engine, name]) => ({ name, answer: timeQueries(engine, root, QUERIES, rounds) }))
  for (const [at, text] of QUERIES.entries()) {
    const runs: number[] = []
    for (let round = 0; round <= rounds; round++) {
      const taken = await seconds(async () => (await lake.sql(text)).rows())
      if (round > 0) runs.push(1 / taken)
    }
    for (const { name, answer } of peers) {
      const theirs = answer?.seconds[at]
      report({
        title: `${text}, over ${(stats.filesRead + stats.filesSkipped).toLocaleString('en-US')} files`,
        unit: 'queries/s',
        ours: { name: 'deltaic', runs },
        peer: theirs
          ? { name: `${name} ${answer.version}`, runs: theirs.map((taken) => 1 / taken) }
          : { name, why: 'it is not there or refuses' },
        aim: 1,
      })
    }
  }
  await lake.close()
}
