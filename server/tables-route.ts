import type { FastifyInstance } from 'fastify'
import { answerQuery } from './answer.js'
import type { ServerContext } from './context.js'
import { ANSWER_FORMATS, type AnswerFormat, negotiate } from './formats.js'
import {
  object,
  problems,
  queryResponse,
  tableDetail,
  tableFiles,
  tableHistory,
  tableList,
  tableParams,
  text,
  whole,
} from './schemas.js'

interface OfTable {
  readonly table: string
}

/** GET /v1/tables and what hangs below: what there is, and what happened to it. */
export function tablesRoute(app: FastifyInstance, context: ServerContext): void {
  const { lake } = context
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

  const moment = { ...text, description: 'A version, or a time: ISO 8601, UTC unless it says otherwise. Included.' } as const
  const format = { type: 'string', enum: ANSWER_FORMATS, description: 'Overrules Accept.' } as const
  app.get<{
    Params: OfTable
    Querystring: { readonly from: string; readonly to?: string; readonly format?: AnswerFormat }
  }>(
    '/v1/tables/:table/changes',
    {
      schema: {
        operationId: 'changes',
        summary: 'The rows that commits brought in and took out',
        params: tableParams,
        querystring: object({ from: moment, 'to?': moment, 'format?': format }),
        response: { 200: queryResponse, ...problems },
      },
    },
    async (request, reply) => {
      const { from, to, format: asked } = request.query
      return await answerQuery(context, request, reply, asked ?? negotiate(request.headers.accept), ({ signal }) =>
        lake.table(request.params.table).changes({ from: momentOf(from), to: to === undefined ? to : momentOf(to), signal }),
      )
    },
  )
}

function momentOf(text: string): number | string {
  return /^\d+$/.test(text) ? Number(text) : text
}
