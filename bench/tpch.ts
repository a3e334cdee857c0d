import { mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { type Lakehouse, openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { python, timeQueries } from './python.js'
import { median } from './report.js'

const SCALE = process.env['DELTAIC_TPC_SCALE'] ?? '1'
const PEERS = [
  ['deltalake', 'delta-rs QueryBuilder'],
  ['duckdb', "DuckDB's delta extension"],
  ['polars', 'Polars scan_delta, SQL'],
] as const

/** TPC-H's 22 queries, warm, one at a time, over Delta tables made of the very files that raw DuckDB reads. */
export async function benchTpch({ folder, rounds }: BenchContext): Promise<void> {
  if (python('tpc.py', ['tpch', SCALE, folder]) === undefined) {
    console.log('\nTPC-H: skipped, DELTAIC_PEERS names no folder with tpchgen-cli')
    return
  }
  const queries = JSON.parse(readFileSync(join(folder, 'queries.json'), 'utf8')) as readonly string[]
  const root = join(folder, 'lake')
  const tables = readdirSync(folder).flatMap((file) => (file.endsWith('.parquet') ? [file.replace('.parquet', '')] : []))
  const lake = await openLakehouse(root)
  const instance = await DuckDBInstance.create(':memory:')
  const raw = await instance.connect()
  for (const table of tables) {
    mkdirSync(join(root, table), { recursive: true })
    const file = join(root, table, 'part-0.parquet')
    renameSync(join(folder, `${table}.parquet`), file)
    await lake.convert(join(root, table))
    await raw.run(`CREATE VIEW ${table} AS FROM read_parquet('${file}')`)
  }
  const ours: Taken[] = queries.map(() => ({ wall: [], processor: [] }))
  const theirs: Taken[] = queries.map(() => ({ wall: [], processor: [] }))
  for (let round = 0; round <= rounds; round++)
    for (const [at, text] of queries.entries()) {
      const runs = [
        [ours[at], () => answer(lake, text)],
        [theirs[at], async () => (await raw.runAndReadAll(text)).getRowObjectsJS()],
      ] as const
      // Whoever comes second finds the processor's caches warm.
      for (const [taken, work] of round % 2 === 0 ? runs : runs.toReversed()) await measure(taken, work, round > 0)
    }
  await lake.close()
  raw.closeSync()

  console.log(`\nTPC-H at scale ${SCALE}, ${queries.length} queries, warm, medians of ${rounds} rounds in turn`)
  for (const [at] of queries.entries()) {
    const [us, them] = [ours[at] as Taken, theirs[at] as Taken]
    const ms = (values: readonly number[]) => median(values).toFixed(0).padStart(5)
    const times = `deltaic ${ms(us.wall)} ms (processor ${ms(us.processor)}), DuckDB ${ms(them.wall)} ms (${ms(them.processor)})`
    console.log(`  query ${String(at + 1).padStart(2)}: ${times}, ${(median(us.wall) / median(them.wall)).toFixed(2)}x`)
  }
  const ratio = (side: keyof Taken) => geometricMean(ours.map((us, at) => median(us[side]) / median((theirs[at] as Taken)[side])))
  const worst = Math.max(...ours.map((us, at) => median(us.wall) / median((theirs[at] as Taken).wall)))
  console.log(
    `  time over raw DuckDB's: geometric mean ${ratio('wall').toFixed(3)}x (processor ${ratio('processor').toFixed(3)}x), worst ${worst.toFixed(2)}x; aim 1.05x and 1.3x`,
  )
  for (const [engine, name] of PEERS) comparePeer(engine, name, root, queries, ours, rounds)
}

interface Taken {
  /** Milliseconds of each round. */
  readonly wall: number[]
  readonly processor: number[]
}

function comparePeer(
  engine: string,
  name: string,
  root: string,
  queries: readonly string[],
  ours: readonly Taken[],
  rounds: number,
): void {
  const peer = timeQueries(engine, root, queries, rounds)
  if (typeof peer === 'string') return void console.log(`  ${name}: skipped, ${peer}`)
  const ratios = peer.seconds.flatMap((seconds, at) =>
    seconds ? [median((ours[at] as Taken).wall) / 1000 / median(seconds)] : [],
  )
  const told = ratios.length > 0 ? `geometric mean ${geometricMean(ratios).toFixed(2)}x of its time` : 'none'
  console.log(`  ${name} ${peer.version}: over the ${ratios.length} queries that it runs, ${told}`)
}

async function answer(lake: Lakehouse, text: string): Promise<unknown> {
  return (await lake.sql(text)).rows()
}

async function measure(taken: Taken | undefined, work: () => Promise<unknown>, counts: boolean): Promise<void> {
  const [started, cpu] = [performance.now(), process.cpuUsage()]
  await work()
  const { user, system } = process.cpuUsage(cpu)
  if (!counts) return
  taken?.wall.push(performance.now() - started)
  taken?.processor.push((user + system) / 1000)
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
}
