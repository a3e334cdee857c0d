import type { FastifyInstance } from 'fastify'
import { object } from './schemas.js'

const STATUS = { status: 'ok' }

/** GET /healthz: this process answers. It asks neither storage nor a token. */
export function healthRoute(app: FastifyInstance): void {
  const response = { 200: object({ status: { type: 'string', const: 'ok' } }) }
  const schema = { operationId: 'health', summary: 'Whether the server answers', security: [], response }
  app.get('/healthz', { schema, config: { open: true }, exposeHeadRoute: true }, async () => STATUS)
}
