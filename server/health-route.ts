import type { FastifyInstance } from 'fastify'
import type { Registry } from 'prom-client'
import { DeltaError, type Lakehouse } from '../src/index.js'
import { object, problems } from './schemas.js'

const STATUS = { status: 'ok' }
const PING_MS = 5000

/**
 * GET /healthz: this process answers; it asks neither storage nor a token. GET /readyz: it takes requests, and its storage
 * answers. GET /metrics: numbers for Prometheus.
 */
export function healthRoutes(app: FastifyInstance, lake: Lakehouse, metrics: Registry): void {
  let draining = false
  app.addHook('preClose', async () => {
    draining = true
  })
  const response = { 200: object({ status: { type: 'string', const: 'ok' } }) }
  const health = { operationId: 'health', summary: 'Whether the server answers', security: [], response }
  app.get('/healthz', { schema: health, config: { open: true }, exposeHeadRoute: true }, async () => STATUS)
  const ready = {
    operationId: 'ready',
    summary: 'Whether the server takes requests and its storage answers',
    security: [],
    response: { ...response, ...problems },
  }
  app.get('/readyz', { schema: ready, config: { open: true }, exposeHeadRoute: true }, async () => {
    if (draining) throw new DeltaError('CLOSED', 'the server is shutting down')
    await lake.ping({ signal: AbortSignal.timeout(PING_MS) })
    return STATUS
  })
  const numbers = {
    operationId: 'metrics',
    summary: 'Metrics, for Prometheus',
    response: { 200: { description: 'Metrics.', content: { 'text/plain': { schema: { type: 'string' } } } }, ...problems },
  }
  app.get('/metrics', { schema: numbers }, async (_request, reply) => {
    reply.header('content-type', metrics.contentType)
    return metrics.metrics()
  })
}
