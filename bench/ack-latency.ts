import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { generatePageViews } from '../data/page-views.js'
import { startServer } from '../server/server.js'
import { type Lakehouse, openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { percentiles } from './latency.js'
import { PRODUCERS, Producer, postAll, VIEW_COLUMNS } from './producer.js'
import { inTurn, report } from './report.js'

const POST_ROWS = 100
const CAPACITY_POSTS = 1500
const SECONDS = Number(process.env['DELTAIC_BENCH_SECONDS'] ?? 4)

/** How long acknowledgements take at half of what a table can take in, with upkeep beside it and without. `DELTAIC_BENCH_SECONDS` is a slice's length. */
export async function benchAckLatency({ folder, rounds }: BenchContext): Promise<void> {
  const rows = CAPACITY_POSTS * POST_ROWS
  const posts = [...generatePageViews({ seed: 6, rows, batchRows: POST_ROWS })].map(({ ndjson }) => ndjson)
  const lakes = await Promise.all(['on', 'off'].map((name) => openLakehouse(join(folder, name), { locations: false })))
  const [on, off] = lakes as [Lakehouse, Lakehouse]
  for (const lake of lakes) await lake.createTable('views', { columns: VIEW_COLUMNS })
  const perSecond = await capacity(off, posts)
  const all: Record<'on' | 'off', number[]> = { on: [], off: [] }
  const slice = async (lake: Lakehouse, upkeep: 'on' | 'off') => {
    const server = await startServer(lake, { port: 0, maintenance: upkeep === 'on' })
    const times = await paced(new URL(`${server.url}/v1/tables/views/rows`), posts, perSecond / 2)
    await server.close()
    all[upkeep].push(...times)
    return percentiles(times).p99
  }
  const [withUpkeep, without] = await inTurn(
    rounds,
    () => slice(on, 'on'),
    () => slice(off, 'off'),
  )
  report({
    title: `p99 of acknowledgements at half load: ${PRODUCERS} producers, ${Math.round(perSecond / 2)} posts/s of ${POST_ROWS} rows, ${SECONDS} s a run`,
    unit: 'ms',
    isLessBetter: true,
    ours: { name: 'with compaction beside it', runs: withUpkeep },
    peer: { name: 'without', runs: without },
    aim: 1.2,
  })
  for (const upkeep of ['on', 'off'] as const) {
    const { p50, p99 } = percentiles(all[upkeep])
    console.log(
      `  all runs, compaction ${upkeep}: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${all[upkeep].length} posts`,
    )
  }
  const compactions = (await on.table('views').history()).filter(({ operation }) => operation === 'OPTIMIZE').length
  const [few, many] = await Promise.all(lakes.map(async (lake) => (await lake.table('views').detail()).files))
  console.log(`  ${compactions} compactions; ${few} files with, ${many} without`)
  for (const lake of lakes) await lake.close()
}

async function capacity(lake: Lakehouse, posts: readonly Uint8Array[]): Promise<number> {
  await lake.createTable('capacity', { columns: VIEW_COLUMNS })
  const server = await startServer(lake, { port: 0, maintenance: false })
  const url = new URL(`${server.url}/v1/tables/capacity/rows`)
  await postAll(url, posts.slice(0, posts.length / 10))
  const took = await postAll(url, posts)
  await server.close()
  return posts.length / took
}

/** Posts at moments that are fixed beforehand, whether those before are answered or not. @returns milliseconds from each moment to its answer. */
async function paced(url: URL, posts: readonly Uint8Array[], perSecond: number): Promise<number[]> {
  const producers = await Promise.all(Array.from({ length: PRODUCERS }, () => Producer.connect(url)))
  const count = Math.ceil(perSecond * SECONDS)
  const times: number[] = []
  const answers: Promise<void>[] = []
  const started = performance.now()
  for (let nth = 0; nth < count; nth++) {
    const due = started + (nth * 1000) / perSecond
    if (due > performance.now()) await sleep(due - performance.now())
    const producer = producers[nth % PRODUCERS] as Producer
    const post = producer.post(posts[nth % posts.length] as Uint8Array)
    answers.push(post.then(() => void times.push(performance.now() - due)))
  }
  await Promise.all(answers)
  for (const producer of producers) producer.close()
  return times
}
