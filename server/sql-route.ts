import type { FastifyInstance, FastifyRequest } from 'fastify'
import { DeltaError, type SqlParameters } from '../src/index.js'
import { answerQuery } from './answer.js'
import type { ServerContext } from './context.js'
import { ANSWER_FORMATS, type AnswerFormat, negotiate } from './formats.js'
import { object, problems, queryResponse, text } from './schemas.js'

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
}

interface Statement {
  readonly statement: string
  readonly params?: SqlParameters
}

/** GET and POST /v1/sql. */
export function sqlRoute(app: FastifyInstance, context: ServerContext): void {
  const read = object({ q: { ...text, description: 'A query.' }, 'format?': format })
  app.get<{ Querystring: Asked & { readonly q: string } }>(
    '/v1/sql',
    { schema: { operationId: 'read', summary: 'Run a query', querystring: read, response: { 200: queryResponse, ...problems } } },
    async (request, reply) => {
      const { q } = request.query
      return await answerQuery(context, reply, formatOf(request), (signal) =>
        context.lake.sql(q, { readOnly: true, locations: false, signal }),
      )
    },
  )

  const body = { content: { 'application/json': { schema: statement }, 'text/plain': { schema: text } } }
  const querystring = object({ 'format?': format })
  app.post<{ Querystring: Asked; Body: Statement | string | undefined }>(
    '/v1/sql',
    {
      schema: { operationId: 'run', summary: 'Run SQL', body, querystring, response: { 200: queryResponse, ...problems } },
      bodyLimit: Math.min(STATEMENT_BYTES_MAX, context.limits.bodyBytesMax),
    },
    async (request, reply) => {
      const { statement, params } = statementOf(request.body)
      if (params) checkNumbers(params)
      return await answerQuery(context, reply, formatOf(request), (signal) =>
        context.lake.sql(statement, { params, locations: false, signal }),
      )
    },
  )
}

function statementOf(body: Statement | string | undefined): Statement {
  if (body === undefined) throw new DeltaError('ARGUMENT_INVALID', 'there is no statement in the body')
  return typeof body === 'string' ? { statement: body } : body
}

function formatOf(request: FastifyRequest<{ Querystring: Asked }>): AnswerFormat {
  return request.query.format ?? negotiate(request.headers.accept)
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
