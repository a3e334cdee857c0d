import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createPool, type RowDataPacket } from 'mysql2/promise'
import { generatePageViews } from '../data/page-views.js'
import { startServer } from '../server/server.js'
import { openLakehouse } from '../src/index.js'
import { MariaDb } from './case-study/mariadb.js'
import type { BenchContext } from './context.js'
import { PRODUCERS, postAll, VIEW_COLUMNS } from './producer.js'
import { inTurn, median, report } from './report.js'

const TITLE = 'A counter for each URL, every view durable before its answer'
const COUNT = 'SELECT url, count(*) AS n FROM'
const ADD = 'INSERT INTO counters (url, n) VALUES (?, 1) ON DUPLICATE KEY UPDATE n = n + 1'

/** How views come in: rows a post, and posts that a connection leaves unanswered. */
const WAYS = [
  { postRows: 1, inFlight: 1, share: 0.01, aim: 1 },
  { postRows: 1, inFlight: 64, share: 0.1, aim: 1 },
  { postRows: 1000, inFlight: 1, share: 1, aim: 50 },
] as const

/** Views as rows, counted by `GROUP BY` when they are asked for, against counters that MariaDB adds to on as many connections. */
export async function benchCounter({ folder, rows, rounds }: BenchContext): Promise<void> {
  const mariadb = new MariaDb()
  const why = mariadb.lacks()
  if (why !== undefined) return console.log(`\n${TITLE}\n  skipped, ${why}`)
  const data = join(folder, 'maria')
  mkdirSync(data)
  await mariadb.open(data, [])
  const pool = createPool({ ...mariadb.login, connectionLimit: PRODUCERS })
  const lake = await openLakehouse(join(folder, 'lake'), { locations: false })
  const server = await startServer(lake, { port: 0 })
  let round = 0
  try {
    await pool.query('CREATE TABLE counters (url VARCHAR(200) PRIMARY KEY, n BIGINT NOT NULL) ENGINE=InnoDB')
    for (const { postRows, inFlight, share, aim } of WAYS) {
      const count = Math.max(postRows, Math.ceil(rows * share))
      const batches = [...generatePageViews({ seed: 5, rows: count, batchRows: postRows })]
      const posts = batches.map(({ ndjson }) => ndjson)
      const truth = sums(batches.flatMap(({ perUrl }) => [...perUrl]))
      // MariaDB takes one view at a time however they come: a part of them tells its speed.
      const urls = [...generatePageViews({ seed: 5, rows: Math.ceil(rows * 0.02), batchRows: 1 })].map(
        ({ perUrl }) => [...perUrl.keys()][0] ?? '',
      )
      const answers: number[] = []
      const ours = async () => {
        const name = `views_${round++}`
        await lake.createTable(name, { columns: VIEW_COLUMNS })
        const took = await postAll(new URL(`${server.url}/v1/tables/${name}/rows`), posts, inFlight)
        const asked = performance.now()
        const found = await (await lake.sql(`${COUNT} ${name} GROUP BY url`)).rows()
        answers.push(performance.now() - asked)
        same(sums(found.map(({ url, n }) => [String(url), Number(n)])), truth)
        return count / took
      }
      const peer = async () => {
        await pool.query('DELETE FROM counters')
        let next = 0
        const add = async () => {
          while (next < urls.length) await pool.execute(ADD, [urls[next++] ?? ''])
        }
        const started = performance.now()
        await Promise.all(Array.from({ length: PRODUCERS }, add))
        const took = (performance.now() - started) / 1000
        const [found] = await pool.query<(RowDataPacket & { url: string; n: number })[]>('SELECT url, n FROM counters')
        same(sums(found.map(({ url, n }) => [url, n])), sums(urls.map((url) => [url, 1])))
        return urls.length / took
      }
      const [left, right] = await inTurn(rounds, ours, peer)
      const said = count.toLocaleString('en-US')
      report({
        title: `${TITLE}: ${said} views, ${PRODUCERS} connections, ${postRows.toLocaleString('en-US')} a post, ${inFlight} in flight each`,
        unit: 'views/s',
        ours: { name: 'deltaic over HTTP', runs: left },
        peer: { name: `${mariadb.version()}, n = n + 1`, runs: right },
        aim,
      })
      console.log(`  all counters asked for at once after it: ${median(answers).toFixed(1)} ms, and equal`)
    }
  } finally {
    await pool.end()
    await server.close()
    await lake.close()
    await mariadb.close()
  }
}

function sums(counts: readonly (readonly [string, number])[]): Map<string, number> {
  const all = new Map<string, number>()
  for (const [url, n] of counts) all.set(url, (all.get(url) ?? 0) + n)
  return all
}

function same(found: ReadonlyMap<string, number>, truth: ReadonlyMap<string, number>): void {
  for (const url of new Set([...found.keys(), ...truth.keys()]))
    if (found.get(url) !== truth.get(url)) throw new Error(`${url} has ${found.get(url)} views, not ${truth.get(url)}`)
}
