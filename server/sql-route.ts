import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { DeltaError, type SqlParameters } from '../src/index.js'
import { answerQuery } from './answer.js'
import { callerName } from './caller.js'
import type { ServerContext } from './context.js'
import { ANSWER_FORMATS, type AnswerFormat, negotiate } from './formats.js'
import { jobFacts } from './queries-route.js'
import type { Query } from './query.js'
import { object, problems, queryJob, queryResponse, text, truth } from './schemas.js'

/** More than anybody types; rows in bulk go to `/rows`. */
const STATEMENT_BYTES_MAX = 8 * 2 ** 20

const format = { type: 'string', enum: ANSWER_FORMATS, description: 'Overrules Accept.' } as const
const value = { type: ['string', 'number', 'boolean', 'null'] } as const
const statement = object({
  statement: { ...text, description: 'One or more statements; the answer is the last one’s.' },
  'params?': {
    description: 'By position ($1) or by name ($name).',
    anyOf: [
      { type: 'array', items: value },
      { type: 'object', additionalProperties: value },
    ],
  },
})

interface Asked {
  readonly format?: AnswerFormat
  readonly minVersion?: string
  readonly stale?: 'ok'
  readonly async?: boolean
}

interface Statement {
  readonly statement: string
  readonly params?: SqlParameters
}

const asked = {
  'format?': format,
  'minVersion?': {
    ...text,
    description: 'Answer from no older versions: `views:12,users:3`, names percent-encoded, as `deltaic-versions` tells them.',
  },
  'stale?': {
    type: 'string',
    enum: ['ok'],
    description: 'Answer from the stored state of views, however old: `deltaic-view-age` tells how old, in milliseconds.',
  },
  'async?': { ...truth, description: 'Run it without this connection: 202, and `Location` names the query.' },
} as const

const response = {
  200: queryResponse,
  202: queryJob,
  304: { description: 'If-None-Match has the answer.', type: 'null' },
  ...problems,
}

/** GET and POST /v1/sql. */
export function sqlRoute(app: FastifyInstance, context: ServerContext): void {
  const read = object({ q: { ...text, description: 'A query.' }, ...asked })
  app.get<{ Querystring: Asked & { readonly q: string } }>(
    '/v1/sql',
    { schema: { operationId: 'read', summary: 'Run a query', querystring: read, response } },
    async (request, reply) => await answerSql(context, request, reply, { statement: request.query.q }, true),
  )

  const body = { content: { 'application/json': { schema: statement }, 'text/plain': { schema: text } } }
  app.post<{ Querystring: Asked; Body: Statement | string | undefined }>(
    '/v1/sql',
    {
      config: { reads: true },
      schema: { operationId: 'run', summary: 'Run SQL', body, querystring: object(asked), response },
      bodyLimit: Math.min(STATEMENT_BYTES_MAX, context.limits.bodyBytesMax),
    },
    async (request, reply) => {
      const asked = statementOf(request.body)
      if (asked.params) checkNumbers(asked.params)
      return await answerSql(context, request, reply, asked, request.role === 'read')
    },
  )
}

async function answerSql(
  context: ServerContext,
  request: FastifyRequest<{ Querystring: Asked }>,
  reply: FastifyReply,
  { statement, params }: Statement,
  readOnly: boolean,
) {
  const { async: isAsync = false, minVersion, stale } = request.query
  const format = request.query.format ?? negotiate(request.headers.accept)
  const { answerRowsMax: rowsMax, answerBytesMax: bytesMax } = context.limits
  const minVersions = minVersion === undefined ? undefined : readVersions(minVersion)
  const query: Query = (options) =>
    context.lake.sql(statement, {
      params,
      rowsMax,
      bytesMax,
      minVersions,
      stale,
      locations: false,
      ...options,
      readOnly: readOnly || options.readOnly,
    })
  if (!isAsync) return await answerQuery(context, request, reply, format, query)
  const job = context.jobs.start(context.slots, { statement, format, role: request.role, who: callerName(request), query })
  reply.code(202).header('location', `/v1/queries/${job.id}`)
  return jobFacts(job)
}

/** `views:12,users:3`. @throws {DeltaError} `ARGUMENT_INVALID` */
function readVersions(text: string): Readonly<Record<string, number>> {
  const pairs = text.split(',').map((pair) => {
    const [, name = '', version = ''] = /^(.+):(\d+)$/.exec(pair.trim()) ?? []
    if (version === '' || !Number.isSafeInteger(Number(version)))
      throw new DeltaError('ARGUMENT_INVALID', 'not a table and its version', { minVersion: pair }, { hint: 'write views:12' })
    return [decoded(name), Number(version)] as const
  })
  return Object.fromEntries(pairs)
}

function decoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

function statementOf(body: Statement | string | undefined): Statement {
  if (body === undefined) throw new DeltaError('ARGUMENT_INVALID', 'there is no statement in the body')
  return typeof body === 'string' ? { statement: body } : body
}

/** JSON has let go of the last digits of such a number: the query would ask for another one than the caller does. */
function checkNumbers(params: SqlParameters): void {
  for (const [name, value] of Object.entries(params))
    if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value))
      throw new DeltaError(
        'ARGUMENT_INVALID',
        'a number is too large to be exact in JSON',
        { parameter: name },
        {
          hint: 'send it as text, and cast it in the statement: CAST($1 AS BIGINT)',
        },
      )
}
