import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { DeltaError, IDEMPOTENCY_KEY_PREFIX, type IngestOptions } from '../src/index.js'
import type { ServerContext } from './context.js'
import { ROW_TYPES, rowCompression, rowFormat } from './formats.js'
import { object, problems, rowsAnswer, tableParams, text, whole } from './schemas.js'

/** Keys and producers share one space of names in a table. */
const NAME_LENGTH_MAX = 255
/** How long a body may bring nothing. */
const STALLED_MS = 60_000

interface RowsQuery {
  readonly create?: boolean
  readonly onError?: 'fail' | 'reject'
  readonly schema?: 'strict' | 'evolve'
  readonly gaps?: 'allow' | 'refuse'
}

const headers = {
  type: 'object',
  properties: {
    'content-encoding': { ...text, description: 'gzip, br or zstd.' },
    'producer-id': {
      ...text,
      description: 'Who sends. With Producer-Sequence, a repeat answers as the first time and writes nothing.',
    },
    'producer-sequence': { ...whole, description: 'The number of this batch; each is higher than the one before.' },
    'idempotency-key': { ...text, description: 'Instead of both: a name for this batch alone.' },
  },
} as const

/** POST /v1/tables/:table/rows: answered when the rows are durable and visible. The body goes to the engine as it comes. */
export async function rowsRoute(app: FastifyInstance, { lake, limits }: ServerContext): Promise<void> {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
  const onError = { type: 'string', enum: ['fail', 'reject'], default: 'fail' } as const
  const schema = {
    type: 'string',
    enum: ['strict', 'evolve'],
    default: 'strict',
    description: 'What fields that the table lacks do: fail their line, or become columns.',
  } as const
  const gaps = {
    type: 'string',
    enum: ['allow', 'refuse'],
    default: 'allow',
    description: 'Whether a Producer-Sequence may leave out numbers; the first one is then 0 or 1.',
  } as const
  const content = Object.fromEntries(Object.values(ROW_TYPES).flatMap((types) => types.map((type) => [type, { schema: {} }])))
  app.post<{ Params: { readonly table: string }; Querystring: RowsQuery }>(
    '/v1/tables/:table/rows',
    {
      schema: {
        operationId: 'append',
        summary: 'Append rows',
        params: tableParams,
        querystring: object({
          'create?': { type: 'boolean', default: false },
          'onError?': onError,
          'schema?': schema,
          'gaps?': gaps,
        }),
        headers,
        body: { content },
        response: { 200: rowsAnswer, ...problems },
      },
    },
    async (request) => {
      const { raw } = request
      const options = ingestOptions(request.headers, request.query, limits.bodyBytesMax)
      const table = lake.table(request.params.table)
      // What came with the head is there a moment later.
      await Promise.resolve()
      const whole = wholeBody(raw)
      if (!whole) destroyWhenStalled(raw)
      try {
        const { version, rows, rejected, replayed, rejects } = await table.ingest(whole ?? raw, options)
        return { version, rows, rejected, replayed, rejects: rejected > 0 ? rejects : undefined }
      } catch (cause) {
        const brokeOff = raw.destroyed && !raw.complete
        throw brokeOff ? new DeltaError('CANCELLED', 'the body broke off', {}, { cause }) : cause
      }
    },
  )
}

/** A small body mostly comes with its head, and costs half as much at one go; `undefined` when there is more to come. */
function wholeBody(body: IncomingMessage): Uint8Array | undefined {
  if (body.readableLength !== Number(body.headers['content-length'])) return undefined
  return (body.read() as Uint8Array | null) ?? new Uint8Array()
}

/** A body that stops coming costs a connection: not for long. */
function destroyWhenStalled(body: IncomingMessage): void {
  body.setTimeout(STALLED_MS, () => {
    if (!body.complete) body.destroy()
  })
  body.once('end', () => body.setTimeout(0))
}

function ingestOptions(headers: IncomingHttpHeaders, query: RowsQuery, bytesMax: number): IngestOptions {
  const bytes = Number(headers['content-length'] ?? 0)
  if (bytes > bytesMax)
    throw new DeltaError('BODY_TOO_LARGE', 'the body is too large', { bytes, bytesMax }, { hint: 'send it in several requests' })
  return {
    format: rowFormat(headers['content-type']),
    compression: rowCompression(headers['content-encoding']),
    onError: query.onError,
    create: query.create,
    schema: query.schema,
    txn: batchOf(headers, query),
    bytesMax,
  }
}

function batchOf(headers: IncomingHttpHeaders, { gaps }: RowsQuery): IngestOptions['txn'] {
  const txn = txnOf(headers)
  if (gaps !== 'refuse') return txn
  if (!txn || txn.appId.startsWith(IDEMPOTENCY_KEY_PREFIX))
    throw new DeltaError('ARGUMENT_INVALID', 'gaps are refused for Producer-Id and Producer-Sequence alone')
  return { ...txn, follows: 'closely' }
}

/**
 * What makes the append happen once: a producer and its sequence number, or a key.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for half of a pair, for both, and for names that mean something else.
 */
function txnOf(headers: IncomingHttpHeaders): IngestOptions['txn'] {
  const producer = headers['producer-id']
  const sequence = headers['producer-sequence']
  const key = headers['idempotency-key']
  if (producer === undefined && sequence === undefined && key === undefined) return undefined
  if (key !== undefined && (producer !== undefined || sequence !== undefined))
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'Idempotency-Key takes the place of Producer-Id and Producer-Sequence; send one or the others',
    )
  if (key !== undefined) return { appId: `${IDEMPOTENCY_KEY_PREFIX}${nameOf('Idempotency-Key', key)}`, version: 0 }
  if (producer === undefined || sequence === undefined)
    throw new DeltaError('ARGUMENT_INVALID', 'Producer-Id and Producer-Sequence belong together')
  const appId = nameOf('Producer-Id', producer)
  if (appId.startsWith(IDEMPOTENCY_KEY_PREFIX))
    throw new DeltaError('ARGUMENT_INVALID', `Producer-Id does not begin with ${IDEMPOTENCY_KEY_PREFIX}`)
  const version = Number(sequence)
  if (!Number.isSafeInteger(version) || version < 0)
    throw new DeltaError('ARGUMENT_INVALID', 'Producer-Sequence is a whole number from 0', { sequence })
  return { appId, version }
}

function nameOf(header: string, value: string | string[]): string {
  const name = String(value)
  if (name.length > 0 && name.length <= NAME_LENGTH_MAX) return name
  throw new DeltaError('ARGUMENT_INVALID', `${header} has 1 to ${NAME_LENGTH_MAX} characters`, { length: name.length })
}
