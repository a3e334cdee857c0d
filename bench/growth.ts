import { join } from 'node:path'
import { generatePageViews, pagePath } from '../data/page-views.js'
import { startServer } from '../server/server.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { postAll, VIEW_COLUMNS } from './producer.js'
import { report, seconds } from './report.js'

const POST_ROWS = 1000
const MEASURED_POSTS = 64
const TIMES = [1, 10, 100] as const
const QUERY = `SELECT count(*) AS n, sum(bytes) AS bytes FROM views WHERE url = '${pagePath(3)}' AND viewed_at >= `
const HOUR_MS = 3_600_000

/** Rows in and a query of the newest hour, of a table that grows by posts to 100 times its rows, with upkeep beside it. */
export async function benchGrowth({ folder, rows, rounds }: BenchContext): Promise<void> {
  const lake = await openLakehouse(join(folder, 'growth'), { locations: false })
  const server = await startServer(lake, { port: 0 })
  const url = new URL(`${server.url}/v1/tables/views/rows`)
  await lake.createTable('views', { columns: VIEW_COLUMNS })
  const base = Math.ceil(rows / 25 / POST_ROWS) * POST_ROWS
  let startMs = Date.UTC(2026, 0, 1)
  let there = 0
  const stream = async (count: number) => {
    const posts = [...generatePageViews({ seed: there, rows: count, batchRows: POST_ROWS, startMs })].map(({ ndjson }) => ndjson)
    // 20 views a second, and half of an hour before the next.
    startMs += count * 50 + HOUR_MS / 2
    there += count
    return count / (await postAll(url, posts))
  }
  const ingested: number[][] = []
  const queried: number[][] = []
  const files: number[] = []
  for (const times of TIMES) {
    while (there < base * times) await stream(Math.min(base * times - there, 200 * POST_ROWS))
    const [ingest, query]: [number[], number[]] = [[], []]
    for (let round = 0; round <= rounds; round++) {
      ingest.push(await stream(MEASURED_POSTS * POST_ROWS))
      const since = `TIMESTAMP '${new Date(startMs - HOUR_MS).toISOString()}'`
      query.push(1 / (await seconds(async () => await (await lake.sql(`${QUERY}${since}`)).rows())))
    }
    ingested.push(ingest.slice(1))
    queried.push(query.slice(1))
    files.push((await lake.table('views').detail()).files)
  }
  const said = (at: number) => `${(base * (TIMES[at] ?? 1)).toLocaleString('en-US')} rows before it, ${files[at]} files`
  for (const at of [1, 2] as const)
    for (const [title, unit, runs] of [
      ['Ingest by posts', 'rows/s', ingested],
      ['A query of the newest hour', 'queries/s', queried],
    ] as const)
      report({
        title: `${title}, the table grown ${TIMES[at]} times`,
        unit,
        ours: { name: said(at), runs: runs[at] ?? [] },
        peer: { name: said(0), runs: runs[0] ?? [] },
        aim: 0.8,
      })
  await server.close()
  await lake.close()
}
