import { hash } from 'node:crypto'
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
const JSON_TYPE = contentTypeOf('json')
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

/** What answers of the same versions begin with. */
const heads = new WeakMap<IndexedRow['versions'], { readonly versions: string; readonly text: Buffer }>()
const NO_ROW = Buffer.alloc(0)
const [ONE_ROW_TAIL, NO_ROW_TAIL] = [1, 0].map((rows) =>
  Buffer.from(`],"rowCount":${rows},"stats":{"filesRead":0,"filesSkipped":0,"bytesRead":0,"bytesSkipped":0},"elapsedMs":0}\n`),
) as [Buffer, Buffer]

/** The answer as it would be to a query. */
function jsonOf(request: FastifyRequest, reply: FastifyReply, row: IndexedRow): Buffer {
  const head = headOf(row)
  const body = Buffer.concat([head.text, row.json ?? NO_ROW, row.json ? ONE_ROW_TAIL : NO_ROW_TAIL])
  const tag = `"${hash('sha1', body, 'base64url')}"`
  reply.headers({
    'content-type': JSON_TYPE,
    'deltaic-versions': head.versions,
    etag: tag,
    'cache-control': 'private, no-cache',
    vary: 'accept, authorization',
  })
  if (!hasTag(request.headers['if-none-match'], tag)) return body
  reply.code(304)
  return NO_ROW
}

function headOf({ columns, versions }: IndexedRow) {
  const known = heads.get(versions)
  if (known) return known
  const names = Object.entries(versions).map(([table, version]) => `${encodeURIComponent(table)}:${version}`)
  const text = `{"columns":${JSON.stringify(columns)},"versions":${JSON.stringify(versions)},"rows":[`
  const head = { versions: names.join(','), text: Buffer.from(text) }
  heads.set(versions, head)
  return head
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
