import { join } from 'node:path'
import { generatePageViews } from '../data/page-views.js'
import { startServer } from '../server/server.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { percentiles } from './latency.js'
import { Producer, VIEW_COLUMNS } from './producer.js'

const POST_ROWS = 100

/** How long after their acknowledgement rows are in the answer of a query: at the node that took them, and at another one. */
export async function benchFreshness({ folder, rows, rounds }: BenchContext): Promise<void> {
  const root = join(folder, 'freshness')
  const lakes = [await openLakehouse(root), await openLakehouse(root)]
  await lakes[0]?.createTable('views', { columns: VIEW_COLUMNS })
  const servers = await Promise.all(lakes.map((lake) => startServer(lake, { port: 0 })))
  const [own = '', other = ''] = servers.map(
    ({ url }) => `${url}/v1/sql?format=csv&q=${encodeURIComponent('SELECT count(*) AS n FROM views')}`,
  )
  const seen = async (url: string) => Number((await (await fetch(url)).text()).split('\n')[1])
  const urls = { own, other }
  const producer = await Producer.connect(new URL(`${servers[0]?.url}/v1/tables/views/rows`))
  const times = { own: [] as number[], other: [] as number[] }
  let there = 0
  const posts = Math.ceil((rows * rounds) / 5000)
  for (const { ndjson } of generatePageViews({ seed: 7, rows: posts * POST_ROWS, batchRows: POST_ROWS })) {
    await producer.post(ndjson)
    const acknowledged = performance.now()
    // One of them is asked at a time, so that neither is in the way of the other.
    const node = (there / POST_ROWS) % 2 === 0 ? 'own' : 'other'
    there += POST_ROWS
    while ((await seen(urls[node])) < there);
    times[node].push(performance.now() - acknowledged)
  }
  producer.close()
  for (const server of servers) await server.close()
  for (const lake of lakes) await lake.close()
  console.log(
    `\nFrom an acknowledgement to the end of the first answer of a query that has the rows, ${posts} posts of ${POST_ROWS} rows`,
  )
  for (const [node, aimMs] of [
    ['own', 10],
    ['other', 1000],
  ] as const) {
    const { p50, p99 } = percentiles(times[node])
    const name = node === 'own' ? 'the node that took them' : 'another node'
    const reached = p99 <= aimMs ? 'reached' : 'not reached'
    console.log(`  ${name}: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, aim ${aimMs} ms: ${reached}`)
  }
}
