import type { FastifyInstance } from 'fastify'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

export const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

declare module 'fastify' {
  interface FastifyRequest {
    tally: RouteTally | undefined
  }
}

/** The requests of a route so far. A labelled metric looks for its labels each time, which costs as much as a small request. */
interface RouteTally {
  readonly method: string
  readonly route: string
  running: number
  readonly byStatus: Map<number, number>
}

/** Counts and times the answers of a server, by route. */
export function countAnswers(app: FastifyInstance, registry: Registry): void {
  const registers = [registry]
  const tallies = new Map<string, RouteTally>()
  const tallyOf = (method: string, route: string) => {
    const name = `${method} ${route}`
    const known = tallies.get(name)
    if (known) return known
    const tally = { method, route, running: 0, byStatus: new Map<number, number>() }
    tallies.set(name, tally)
    return tally
  }
  new Counter({
    name: 'deltaic_http_requests_total',
    help: 'Answers, by route and status.',
    labelNames: ['method', 'route', 'status'],
    registers,
    collect() {
      this.reset()
      for (const { method, route, byStatus } of tallies.values())
        for (const [status, count] of byStatus) this.inc({ method, route, status }, count)
    },
  })
  new Gauge({
    name: 'deltaic_http_requests_running',
    help: 'Requests that are not answered to their end.',
    labelNames: ['method', 'route'],
    registers,
    collect() {
      for (const { method, route, running } of tallies.values()) this.set({ method, route }, running)
    },
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
  app.decorateRequest('tally')
  app.addHook('onRequest', (request, _reply, done) => {
    request.tally = tallyOf(request.method, request.routeOptions.url ?? 'unknown')
    request.tally.running++
    done()
  })
  app.addHook('onResponse', ({ tally, problemCode: code }, reply, done) => {
    if (tally) {
      const { method, route, byStatus } = tally
      const status = reply.raw.writableFinished ? reply.statusCode : 499
      tally.running--
      byStatus.set(status, (byStatus.get(status) ?? 0) + 1)
      elapsed.observe({ method, route }, reply.elapsedTime / 1000)
    }
    if (code !== undefined) errors.inc({ code })
    done()
  })
}
