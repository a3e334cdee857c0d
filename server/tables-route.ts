import type { FastifyInstance } from 'fastify'
import type { ServerContext } from './context.js'
import { object, problems, tableDetail, tableFiles, tableHistory, tableList, tableParams, whole } from './schemas.js'

interface OfTable {
  readonly table: string
}

/** GET /v1/tables and what hangs below: what there is, and what happened to it. */
export function tablesRoute(app: FastifyInstance, { lake }: ServerContext): void {
  app.get(
    '/v1/tables',
    { schema: { operationId: 'tables', summary: 'List the tables', response: { 200: tableList, ...problems } } },
    async () => ({ tables: await lake.tables() }),
  )

  app.get<{ Params: OfTable }>(
    '/v1/tables/:table',
    {
      schema: {
        operationId: 'detail',
        summary: 'Describe a table',
        params: tableParams,
        response: { 200: tableDetail, ...problems },
      },
    },
    async (request) => await lake.table(request.params.table).detail(),
  )

  const limit = { type: 'integer', minimum: 1, maximum: 1000, default: 100 } as const
  app.get<{ Params: OfTable; Querystring: { readonly limit: number } }>(
    '/v1/tables/:table/history',
    {
      schema: {
        operationId: 'history',
        summary: 'What each version did, newest first',
        params: tableParams,
        querystring: object({ 'limit?': limit }),
        response: { 200: tableHistory, ...problems },
      },
    },
    async (request) => ({ commits: await lake.table(request.params.table).history({ limit: request.query.limit }) }),
  )

  app.get<{ Params: OfTable; Querystring: { readonly version?: number } }>(
    '/v1/tables/:table/files',
    {
      schema: {
        operationId: 'files',
        summary: 'The data files of a version',
        params: tableParams,
        querystring: object({ 'version?': { ...whole, description: 'The newest by default.' } }),
        response: { 200: tableFiles, ...problems },
      },
    },
    async (request) => {
      const snapshot = await lake.table(request.params.table).snapshot({ version: request.query.version })
      return { version: snapshot.version, files: await snapshot.files() }
    },
  )
}
