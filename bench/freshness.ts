import { join } from 'node:path'
import { generatePageViews } from '../data/page-views.js'
import { startServer } from '../server/server.js'
import { openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { percentiles } from './latency.js'
import { VIEW_COLUMNS } from './producer.js'

const POST_ROWS = 100

/** What an acknowledgement says: the version that has its rows, and how many there are. */
interface Acknowledged {
  readonly version: number
  readonly rows: number
}

const NODES = [
  { name: 'the node that took them', aimMs: 10 },
  { name: 'another node', aimMs: 1000 },
] as const

/**
 * How long after their acknowledgement rows are visible to whoever asks, and how long until a query that began then has told them: at
 * the node that took them, and at another one. The second figure is the query's own time too.
 */
export async function benchFreshness({ folder, rows, rounds }: BenchContext): Promise<void> {
  const root = join(folder, 'freshness')
  const lakes = await Promise.all(NODES.map(() => openLakehouse(root)))
  await lakes[0]?.createTable('views', { columns: VIEW_COLUMNS })
  const servers = await Promise.all(lakes.map((lake) => startServer(lake, { port: 0 })))
  const query = `/v1/sql?format=csv&q=${encodeURIComponent('SELECT count(*) AS n FROM views')}`
  const ways = {
    visible: async (node: number, { version }: Acknowledged) =>
      ((await lakes[node]?.table('views').snapshot())?.version ?? 0) >= version,
    answered: async (node: number, { rows: there }: Acknowledged) =>
      Number((await (await fetch(`${servers[node]?.url}${query}`)).text()).split('\n')[1]) >= there,
  }
  const post = { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } }
  const times = NODES.map(() => ({ visible: [] as number[], answered: [] as number[] }))
  let there = 0
  const posts = Math.ceil((rows * rounds) / 5000)
  for (const { ndjson } of generatePageViews({ seed: 7, rows: posts * POST_ROWS, batchRows: POST_ROWS })) {
    // One node is asked at a time, in one way, so that none is in the way of another.
    const nth = there / POST_ROWS
    const node = nth % NODES.length
    const way = Math.floor(nth / NODES.length) % 2 === 0 ? 'visible' : 'answered'
    there += POST_ROWS
    const answer = await fetch(`${servers[0]?.url}/v1/tables/views/rows`, { ...post, body: ndjson })
    const { version } = (await answer.json()) as { readonly version: number }
    const acknowledged = performance.now()
    while (!(await ways[way](node, { version, rows: there })));
    times[node]?.[way].push(performance.now() - acknowledged)
  }
  for (const server of servers) await server.close()
  for (const lake of lakes) await lake.close()
  console.log(`\nFrom an acknowledgement until its rows are there, ${posts} posts of ${POST_ROWS} rows`)
  for (const [node, { name, aimMs }] of NODES.entries()) {
    const [visible, answered] = [percentiles(times[node]?.visible ?? []), percentiles(times[node]?.answered ?? [])]
    const reached = visible.p99 <= aimMs ? 'reached' : 'not reached'
    console.log(
      `  ${name}: visible p50 ${visible.p50.toFixed(1)} ms, p99 ${visible.p99.toFixed(1)} ms, aim ${aimMs} ms: ${reached}`,
    )
    console.log(`    with the time of a query over HTTP: p50 ${answered.p50.toFixed(1)} ms, p99 ${answered.p99.toFixed(1)} ms`)
  }
}
