import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { DELTAIC_VERSION } from '../src/index.js'

/** Describes every route that is registered after it, at `/openapi.json`. */
export async function describeRoutes(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'deltaic',
        description:
          'Delta Lake tables: rows stream in, SQL reads out. Errors are `application/problem+json` with a stable `code`.',
        version: DELTAIC_VERSION,
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{}, { token: [] }],
    },
  })
  const schema = {
    operationId: 'openapi',
    summary: 'This description',
    response: { 200: { type: 'object', additionalProperties: true } },
  }
  app.get('/openapi.json', { schema }, async () => app.swagger())
}
