import type { FastifyInstance } from 'fastify'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Lakehouse, LakehouseStats } from '../src/index.js'

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** The metrics of a server and its lakehouse, for Prometheus. `docs/operators.md` says what each means. */
export function serverMetrics(app: FastifyInstance, lake: Lakehouse): Registry {
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
  countStoreRequests(registry, lake)
  return registry
}

function countAnswers(app: FastifyInstance, registry: Registry): void {
  const registers = [registry]
  const requests = new Counter({
    name: 'deltaic_http_requests_total',
    help: 'Answers, by route and status.',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const elapsed = new Histogram({
    name: 'deltaic_http_request_seconds',
    help: 'From a request to the end of its answer.',
    labelNames: ['method', 'route'],
    buckets: SECONDS,
    registers,
  })
  const errors = new Counter({
    name: 'deltaic_errors_total',
    help: 'Problems that were answered, by code.',
    labelNames: ['code'],
    registers,
  })
  app.addHook('onResponse', async (request, reply) => {
    const { method, problemCode: code } = request
    const route = request.routeOptions.url ?? 'unknown'
    requests.inc({ method, route, status: reply.raw.writableFinished ? reply.statusCode : 499 })
    elapsed.observe({ method, route }, reply.elapsedTime / 1000)
    if (code !== undefined) errors.inc({ code })
  })
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
