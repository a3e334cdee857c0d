import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DuckDBInstance } from '@duckdb/node-api'
import { generatePageViews } from '../data/page-views.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { inTurn, report, seconds } from './report.js'

const FILES = 10
const REPEATS = 10

/** A warm scan and group-by, plan and all, against DuckDB over the very same files. */
export async function benchScan({ folder, rows, rounds }: BenchContext): Promise<void> {
  const lake = await openLakehouse(join(folder, 'scan'))
  const table = lake.table('views')
  for (const { ndjson } of generatePageViews({ seed: 3, rows: rows * 2, batchRows: Math.ceil((rows * 2) / FILES) }))
    await table.append(ndjson, { create: true })
  const snapshot = await table.snapshot()
  const paths = (await snapshot.files()).map(({ file }) => join(fileURLToPath(table.uri), file))
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  await connection.run("SET TimeZone = 'UTC'")
  const query = (from: string) =>
    `SELECT url, count(*) AS views, sum(bytes) AS bytes, max(viewed_at) AS last_seen FROM ${from} WHERE status = 200 GROUP BY url ORDER BY views DESC LIMIT 10`
  const raw = query(`read_parquet([${paths.map((path) => `'${path}'`).join(', ')}])`)

  const ours = async () =>
    REPEATS /
    (await seconds(async () => {
      for (let i = 0; i < REPEATS; i++) await (await lake.sql(query('views'))).rows()
    }))
  const peer = async () =>
    REPEATS /
    (await seconds(async () => {
      for (let i = 0; i < REPEATS; i++) await (await connection.runAndReadAll(raw)).getRowObjectsJS()
    }))
  const [left, right] = await inTurn(rounds, ours, peer)
  await lake.close()
  connection.closeSync()
  report({
    title: `Warm scan and group-by over ${(rows * 2).toLocaleString('en-US')} page views in ${FILES} files (time at most 1.15x is a rate of 0.87x)`,
    unit: 'queries/s',
    ours: { name: 'deltaic sql', runs: left },
    peer: { name: 'DuckDB read_parquet of the same files', runs: right },
    aim: 1 / 1.15,
  })
}
