import type { FastifyInstance } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Lakehouse, LakehouseStats } from '../src/index.js'
import { countAnswers, SECONDS } from './answer-metrics.js'
import type { ServerContext } from './context.js'
import { measureStreams } from './stream-metrics.js'
import { measureUpkeep } from './upkeep-metrics.js'

/** The metrics of a server and its lakehouse, for Prometheus. `docs/operators.md` says what each means. */
export function serverMetrics(app: FastifyInstance, { lake, slots, jobs, maintenance, streams }: ServerContext): Registry {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  countAnswers(app, registry)
  const registers = [registry]
  const total = (name: string, help: string, value: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(value())
      },
    })
  const now = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value())
      },
    })
  const ingested = (field: keyof LakehouseStats['ingest']) => () => lake.stats.ingest[field]
  const spooled = (field: keyof LakehouseStats['spool']) => () => lake.stats.spool[field]
  total('deltaic_ingest_requests_total', 'Requests whose rows are durable.', ingested('requests'))
  total('deltaic_ingest_replays_total', 'Of these, batches that had been there before.', ingested('replayed'))
  total('deltaic_ingest_rows_total', 'Rows taken in.', ingested('rows'))
  total('deltaic_ingest_rejected_rows_total', 'Lines that went to a table of rejects.', ingested('rowsRejected'))
  total('deltaic_ingest_bytes_total', 'Bytes of bodies, unpacked.', ingested('bytes'))
  total('deltaic_ingest_groups_total', 'Groups of requests that shared a commit.', ingested('groups'))
  now('deltaic_spool_bytes', 'What requests hold that are not committed.', spooled('bytes'))
  now('deltaic_spool_bytes_max', 'What they may hold.', spooled('bytesMax'))
  total('deltaic_spool_refusals_total', 'Requests refused for want of room.', spooled('refusals'))
  total('deltaic_commits_total', 'Commits of this process.', () => lake.stats.commits)
  total('deltaic_commit_attempts_total', 'Tries that they took.', () => lake.stats.commitAttempts)
  total('deltaic_degraded_total', 'Work beside the answers that failed.', () => lake.stats.degraded)
  now('deltaic_queries_running', 'Queries that have a slot.', () => slots.running)
  now('deltaic_queries_waiting', 'Queries that wait for one.', () => slots.waiting)
  now('deltaic_query_jobs_bytes', 'What answers of queries that run on their own take on disk.', () => jobs.bytes)
  now('deltaic_cache_bytes', 'What the cache of remote files holds.', () => lake.storageUse.cache.bytesHeld)
  now('deltaic_cache_bytes_max', 'What it may hold.', () => lake.storageUse.cache.bytesMax)
  now('deltaic_cache_files', 'Files of which it holds something.', () => lake.storageUse.cache.files)
  total('deltaic_cache_requests_total', 'Ranges that it fetched.', () => lake.storageUse.cache.requests)
  total('deltaic_cache_fetched_bytes_total', 'Bytes that came with them.', () => lake.storageUse.cache.bytes)
  total('deltaic_cache_hits_total', 'Files of which all that a query asked for was there.', () => lake.storageUse.cache.hits)
  countStoreRequests(registry, lake)
  countTableRequests(registry, lake)
  timeCommits(app, registry, lake)
  measureUpkeep(registry, maintenance)
  measureStreams(registry, streams)
  new Gauge({
    name: 'deltaic_query_jobs',
    help: 'Queries that run on their own, by state.',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset()
      for (const [state, count] of jobs.counts) this.set({ state }, count)
    },
  })
  return registry
}

function timeCommits(app: FastifyInstance, registry: Registry, lake: Lakehouse): void {
  const elapsed = new Histogram({
    name: 'deltaic_commit_seconds',
    help: 'From when a commit was asked for until it was durable, by operation.',
    labelNames: ['operation'],
    buckets: SECONDS,
    registers: [registry],
  })
  const end = lake.listen((event) => {
    if (event.type === 'committed') elapsed.observe({ operation: event.operation }, event.elapsedMs / 1000)
  })
  app.addHook('onClose', async () => end())
}

function countStoreRequests(registry: Registry, lake: Lakehouse): void {
  const registers = [registry]
  new Counter({
    name: 'deltaic_store_requests_total',
    help: 'Requests to object storage, by kind.',
    labelNames: ['kind'],
    registers,
    collect() {
      this.reset()
      for (const [kind, requests] of Object.entries(lake.storageUse.requests)) this.inc({ kind }, requests)
    },
  })
  new Counter({
    name: 'deltaic_store_bytes_total',
    help: 'Bytes of objects, by direction.',
    labelNames: ['direction'],
    registers,
    collect() {
      this.reset()
      this.inc({ direction: 'read' }, lake.storageUse.bytesRead)
      this.inc({ direction: 'written' }, lake.storageUse.bytesWritten)
    },
  })
}

/** Of the tables that were opened, each on its own. */
function countTableRequests(registry: Registry, lake: Lakehouse): void {
  const registers = [registry]
  new Counter({
    name: 'deltaic_table_store_requests_total',
    help: 'Requests to object storage, by table and kind.',
    labelNames: ['table', 'kind'],
    registers,
    collect() {
      this.reset()
      for (const [table, { requests }] of Object.entries(lake.storageUse.tables))
        for (const [kind, count] of Object.entries(requests)) if (count > 0) this.inc({ table, kind }, count)
    },
  })
  new Counter({
    name: 'deltaic_table_store_bytes_total',
    help: 'Bytes of objects, by table and direction.',
    labelNames: ['table', 'direction'],
    registers,
    collect() {
      this.reset()
      for (const [table, { bytesRead, bytesWritten }] of Object.entries(lake.storageUse.tables)) {
        if (bytesRead > 0) this.inc({ table, direction: 'read' }, bytesRead)
        if (bytesWritten > 0) this.inc({ table, direction: 'written' }, bytesWritten)
      }
    },
  })
}
