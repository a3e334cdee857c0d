import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import fastify from 'fastify'
import { startServer } from '../server/server.js'
import { type Lakehouse, openLakehouse } from '../src/index.js'
import type { BenchContext } from './context.js'
import { load } from './load.js'
import { inTurn, report, seconds } from './report.js'
import { startWatchers } from './watch.js'

const BATCHES = 20
const VIEWS = 10
const ROWS_PER_KEY = 100
const LOOKUPS = 20_000
const AS = 'SELECT url, count(*) AS hits, sum(bytes) AS bytes, max(viewed_at) AS last FROM views GROUP BY url'

/** Views of a source of 100,000,000 rows: refreshed, read, looked up by key; and an undo among as many. `DELTAIC_BENCH_ROWS` is a 200th of them. */
export async function benchViews({ folder, rows, rounds }: BenchContext): Promise<void> {
  const total = rows * 200
  const turns = Math.min(rounds, 3)
  const connection = await (await DuckDBInstance.create(':memory:')).connect()
  const lake = await openLakehouse(join(folder, 'views'))
  await lake.sql('CREATE TABLE views (url STRING, bytes BIGINT, viewed_at TIMESTAMP_NTZ)')
  for (let at = 0; at < BATCHES; at++) await insert(lake, 'views', (total / BATCHES) * at, total / BATCHES, total)
  await lake.sql(`CREATE MATERIALIZED VIEW per_url CLUSTER BY (url) ${MANUAL} AS ${AS}`)
  await refreshes(lake, connection, total, turns)
  await freshReads(lake, connection, total, turns)
  await together(lake, total, turns)
  await lookups(lake, total, rounds)
  await lake.close()
  await undo(join(folder, 'undo'), connection, total, turns)
  connection.closeSync()
}

const MANUAL = "TBLPROPERTIES ('deltaic.view.refresh' = 'manual')"

async function refreshes(lake: Lakehouse, connection: DuckDBConnection, total: number, turns: number): Promise<void> {
  let next = total
  for (const [share, of, aim] of [
    [1000, '0.1 %', 50],
    [100, '1 %', 20],
  ] as const) {
    const [ours, anew] = await inTurn(
      turns,
      async () => {
        await insert(lake, 'views', next, total / share, total)
        next += total / share
        return 1 / (await seconds(() => lake.refreshView('per_url')))
      },
      async () => 1 / (await seconds(async () => await recompute(lake, connection))),
    )
    report({
      title: `A view of ${count(total)} rows refreshed after ${of} new rows`,
      unit: 'refreshes/s',
      ours: { name: 'deltaic REFRESH', runs: ours },
      peer: { name: 'the definition over the whole source, DuckDB', runs: anew },
      aim,
    })
  }
}

async function freshReads(lake: Lakehouse, connection: DuckDBConnection, total: number, turns: number): Promise<void> {
  const behind = total / 100
  await insert(lake, 'views', 2 * total, behind, total)
  const [ours, anew] = await inTurn(
    turns,
    async () =>
      1 /
      (await seconds(
        async () => await (await lake.sql('SELECT count(*), sum(hits), sum(bytes), max(last) FROM per_url')).rows(),
      )),
    async () => 1 / (await seconds(async () => await recompute(lake, connection))),
  )
  report({
    title: `A fresh read of a view that is ${count(behind)} rows behind`,
    unit: 'reads/s',
    ours: { name: 'deltaic, state and changes', runs: ours },
    peer: { name: 'the definition over the whole source, DuckDB', runs: anew },
    aim: 20,
  })
  await lake.refreshView('per_url')
}

async function together(lake: Lakehouse, total: number, turns: number): Promise<void> {
  const names = Array.from({ length: VIEWS }, (_, nth) => `view_${nth}`)
  for (const [nth, name] of names.entries())
    await lake.sql(
      `CREATE MATERIALIZED VIEW ${name} ${MANUAL} AS SELECT url, count(*) AS hits, sum(bytes + ${nth}) AS bytes FROM views GROUP BY url`,
    )
  let next = 3 * total
  const some = (views: readonly string[]) => async () => {
    await insert(lake, 'views', next, total / 1000, total)
    next += total / 1000
    const took = await seconds(() => lake.refreshViews(views))
    // The others catch up outside of what is measured.
    await lake.refreshViews(names)
    return 1 / took
  }
  const [all, one] = await inTurn(turns, some(names), some(names.slice(0, 1)))
  report({
    title: `${VIEWS} views refreshed together after 0.1 % new rows`,
    unit: 'rounds/s',
    ours: { name: `${VIEWS} views`, runs: all },
    peer: { name: 'one view', runs: one },
    aim: 0.33,
  })
  for (const name of names) await lake.view(name).drop()
}

async function lookups(lake: Lakehouse, total: number, rounds: number): Promise<void> {
  const server = await startServer(lake, { port: 0, maintenance: false })
  const keys = total / ROWS_PER_KEY
  const url = (n: number) => `${server.url}/v1/views/per_url/lookup?url=${encodeURIComponent(urlOf((n * 7919) % keys))}`
  while (!(await lake.lookupJson('per_url', { url: urlOf(0) }))) await new Promise((resolve) => setTimeout(resolve, 100))
  const bare = fastify()
  bare.get('/', async () => ({ url: urlOf(0), hits: 100, bytes: 1000 }))
  const bareUrl = await bare.listen({ port: 0, host: '127.0.0.1' })
  let ingesting = true
  let next = 4 * total
  const ingest = (async () => {
    while (ingesting) {
      await insert(lake, 'views', next, 1000, total)
      next += 1000
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })()
  const p50: number[] = []
  const [ours, peer] = await inTurn(
    rounds,
    async () => {
      const { requestsPerSecond, p50Ms } = await load(url, LOOKUPS)
      p50.push(p50Ms)
      return requestsPerSecond
    },
    async () => (await load(() => bareUrl, LOOKUPS)).requestsPerSecond,
  )
  ingesting = false
  await ingest
  report({
    title: `A row of a view of ${count(keys)} keys looked up over HTTP, 16 clients, while rows come in`,
    unit: 'requests/s',
    ours: { name: 'deltaic GET …/lookup', runs: ours },
    peer: { name: 'bare fastify, which answers the same row always', runs: peer },
    aim: 0.7,
  })
  console.log(`  p50 ${p50.map((ms) => ms.toFixed(2)).join(', ')} ms, aim below 1 ms`)
  await bare.close()
  await watched(lake, server.url, keys, rounds)
  await server.close()
}

async function watched(lake: Lakehouse, server: string, keys: number, rounds: number): Promise<void> {
  const step = Math.max(1, Math.floor(keys / 1000))
  const watchers = await startWatchers(
    (n) => `${server}/v1/views/per_url/watch?url=${encodeURIComponent(urlOf((n % keys) * step))}`,
  )
  console.log(`\n1,000 watchers of ${count(keys)} keys, a row for each of theirs in one commit: from the ack until the event`)
  for (let round = 0; round < rounds; round++) {
    const times = await watchers.change(() =>
      lake.sql(
        `INSERT INTO views SELECT '${urlOf(0).slice(0, -1)}' || (i * ${step}), 1::BIGINT, make_timestamp(0) FROM range(1000) AS r(i)`,
      ),
    )
    const [p50, p99, last] = [0.5, 0.99, 1].map(
      (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0,
    )
    console.log(`  p50 ${p50?.toFixed(0)} ms, p99 ${p99?.toFixed(0)} ms, the last ${last?.toFixed(0)} ms, aim 100 ms`)
  }
  watchers.close()
}

async function undo(root: string, connection: DuckDBConnection, total: number, turns: number): Promise<void> {
  const lake = await openLakehouse(root)
  await lake.sql(
    "CREATE TABLE views (url STRING, bytes BIGINT, viewed_at TIMESTAMP_NTZ) TBLPROPERTIES ('delta.enableRowTracking' = 'true', 'delta.enableDeletionVectors' = 'true')",
  )
  for (let at = 0; at < BATCHES; at++) await insert(lake, 'views', (total / BATCHES) * at, total / BATCHES, total)
  const polluted = total / 100
  const table = lake.table('views')
  const [ours, rewrite] = await inTurn(
    turns,
    async () => {
      await insert(lake, 'views', 2 * total, polluted, total)
      const { version } = await table.snapshot()
      await table.optimize()
      return 1 / (await seconds(() => table.undo({ versions: version })))
    },
    async () => {
      const files = await filesOf(lake)
      const kept = `SELECT * FROM read_parquet([${files}]) WHERE viewed_at < make_timestamp(${2 * total}::BIGINT * 1000)`
      return 1 / (await seconds(() => connection.run(`COPY (${kept}) TO '${join(root, 'rewritten.parquet')}' (FORMAT parquet)`)))
    },
  )
  report({
    title: `${count(polluted)} rows taken back among ${count(total)}, after compaction`,
    unit: 'undos/s',
    ours: { name: 'deltaic undo, with proof', runs: ours },
    peer: { name: 'the table rewritten without them, DuckDB', runs: rewrite },
    aim: 5,
  })
  await lake.close()
}

function urlOf(key: number): string {
  return `https://example.org/page/${key}`
}

/** Rows numbered from `from` on, spread over all keys. */
async function insert(lake: Lakehouse, table: string, from: number, rows: number, total: number): Promise<void> {
  const keys = Math.max(1, total / ROWS_PER_KEY)
  await lake.sql(
    `INSERT INTO ${table} SELECT 'https://example.org/page/' || (hash(i) % ${keys}), (i % 5000)::BIGINT, make_timestamp(i::BIGINT * 1000) ` +
      `FROM range(${from}, ${from + rows}) AS r(i)`,
  )
}

async function recompute(lake: Lakehouse, connection: DuckDBConnection): Promise<void> {
  const definition = AS.replace('FROM views', `FROM read_parquet([${await filesOf(lake)}])`)
  await connection.run(`SELECT count(*), sum(hits), sum(bytes), max(last) FROM (${definition})`)
}

async function filesOf(lake: Lakehouse): Promise<string> {
  const table = lake.table('views')
  const files = await (await table.snapshot()).files()
  return files.map(({ file }) => `'${join(fileURLToPath(table.uri), file)}'`).join(', ')
}

function count(rows: number): string {
  return rows.toLocaleString('en-US')
}
