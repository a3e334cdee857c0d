import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { IndexedRow, LookupKey } from '../src/index.js'
import { answerQuery } from './answer.js'
import { hasTag } from './answer-tag.js'
import type { ServerContext } from './context.js'
import { contentTypeOf, negotiate } from './formats.js'
import { list, object, problems, queryResponse, text } from './schemas.js'

interface OfView {
  readonly view: string
}

const viewParams = object({ view: { ...text, minLength: 1, description: 'The name of a view.' } })
const response = {
  200: queryResponse,
  304: { description: 'If-None-Match has the answer.', type: 'null' },
  ...problems,
}
const value = { type: ['string', 'number', 'boolean', 'null'] } as const
const key = { type: 'object', additionalProperties: value, description: 'A value for each key column of the view.' } as const

/** GET and POST /v1/views/:view/lookup: rows of a view by key, exact as of now unless `stale=ok`. A key that is not there has no row. */
export function lookupRoute(app: FastifyInstance, context: ServerContext): void {
  const stale = { type: 'string', enum: ['ok'], description: 'The stored state will do, however old.' } as const
  app.get<{ Params: OfView; Querystring: Readonly<Record<string, string>> }>(
    '/v1/views/:view/lookup',
    {
      schema: {
        operationId: 'lookup',
        summary: 'A row of a view by its key: one parameter for each key column',
        params: viewParams,
        querystring: { type: 'object', properties: { stale }, additionalProperties: text },
        response,
      },
    },
    async (request, reply) => {
      const { stale: isStale, ...values } = request.query
      const inMemory =
        isStale === undefined && negotiate(request.headers.accept) === 'json'
          ? await context.lake.lookupJson(request.params.view, values)
          : undefined
      if (inMemory) return jsonOf(request, reply, inMemory)
      return await lookup(context, request, reply, [values], isStale !== undefined)
    },
  )
  app.post<{ Params: OfView; Querystring: { readonly stale?: 'ok' }; Body: { readonly keys: readonly LookupKey[] } }>(
    '/v1/views/:view/lookup',
    {
      config: { reads: true },
      schema: {
        operationId: 'lookupMany',
        summary: 'Rows of a view by their keys',
        params: viewParams,
        querystring: object({ 'stale?': stale }),
        body: object({ keys: { ...list(key), minItems: 1, maxItems: 1000 } }),
        response,
      },
    },
    async (request, reply) => await lookup(context, request, reply, request.body.keys, request.query.stale !== undefined),
  )
}

/** The answer as it would be to a query. */
function jsonOf(request: FastifyRequest, reply: FastifyReply, { columns, versions, json }: IndexedRow): Buffer {
  const names = Object.entries(versions).map(([table, version]) => `${encodeURIComponent(table)}:${version}`)
  reply.header('content-type', contentTypeOf('json')).header('deltaic-versions', names.join(','))
  const head = `{"columns":${JSON.stringify(columns)},"versions":${JSON.stringify(versions)},"rows":[`
  const tail = `],"rowCount":${json ? 1 : 0},"stats":{"filesRead":0,"filesSkipped":0,"bytesRead":0,"bytesSkipped":0},"elapsedMs":0}\n`
  const body = Buffer.concat([Buffer.from(head), json ?? Buffer.alloc(0), Buffer.from(tail)])
  const tag = `"${createHash('sha1').update(body).digest('base64url')}"`
  reply.header('etag', tag).header('cache-control', 'private, no-cache').header('vary', 'accept, authorization')
  if (!hasTag(request.headers['if-none-match'], tag)) return body
  reply.code(304)
  return Buffer.alloc(0)
}

async function lookup(
  context: ServerContext,
  request: FastifyRequest<{ Params: OfView }>,
  reply: FastifyReply,
  keys: readonly LookupKey[],
  isStale: boolean,
) {
  const { answerRowsMax: rowsMax, answerBytesMax: bytesMax } = context.limits
  const format = negotiate(request.headers.accept)
  return await answerQuery(context, request, reply, format, ({ readOnly: _, ...options }) =>
    context.lake.lookup(request.params.view, keys, { ...options, rowsMax, bytesMax, ...(isStale ? { stale: 'ok' } : {}) }),
  )
}
