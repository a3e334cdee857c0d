import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { DeltaError, type IndexedRow } from '../src/index.js'
import { Caller } from './caller.js'
import type { ServerContext } from './context.js'
import { HttpError, problemText, toProblem } from './errors.js'
import { object, problems, text } from './schemas.js'

interface OfView {
  readonly view: string
}

const TYPE = 'text/event-stream'
/** One who takes nothing for so long is gone, whatever his socket says. */
const STALLED_MS = 120_000
/** When the server closes, one who does not read is not waited for. */
const FAREWELL_MS = 250
/** Before one whose connection broke comes again, in milliseconds. */
const RETRY = 'retry: 1000\n\n'
const HEARTBEAT = ': still here\n\n'
const RETRY_AFTER_MS = 1000

/**
 * GET /v1/views/:view/watch: the row of a key, and again whenever it is another one, as server-sent events. Whoever reads slower
 * than it changes gets the newest.
 */
export function watchRoute(app: FastifyInstance, { lake, limits }: ServerContext): void {
  const callers = new Map<Caller, ServerResponse>()
  let draining = false
  const beat = setInterval(() => {
    for (const response of callers.values()) if (response.headersSent && !response.writableNeedDrain) response.write(HEARTBEAT)
  }, limits.heartbeatMs).unref()
  app.addHook('preClose', async () => {
    draining = true
    clearInterval(beat)
    for (const caller of callers.keys()) caller.leave('the server is shutting down')
  })
  const events = {
    description:
      'An event for each value: `data` is {"versions": {…}, "row": {…}}, with the version of each table that it is of, and null for a key ' +
      'that is not there. Its `id` goes into Last-Event-ID. A `problem` event comes before an end that is an error.',
    content: { [TYPE]: { schema: {} } },
  }
  app.get<{ Params: OfView; Querystring: Readonly<Record<string, string>> }>(
    '/v1/views/:view/watch',
    {
      schema: {
        operationId: 'watch',
        summary: 'A row of a view by its key, and each new value of it, as server-sent events',
        params: object({ view: { ...text, minLength: 1, description: 'The name of a view.' } }),
        querystring: { type: 'object', additionalProperties: text },
        headers: {
          type: 'object',
          properties: { 'last-event-id': { ...text, description: 'Of the last event that came: its value is not sent again.' } },
        },
        response: { 200: events, ...problems },
      },
    },
    async (request, reply) => {
      if (!accepts(request.headers.accept))
        throw new HttpError('NOT_ACCEPTABLE', 'events have one type', { accept: request.headers.accept }, `ask for ${TYPE}`)
      if (draining) throw new DeltaError('CLOSED', 'the server is shutting down')
      if (callers.size >= limits.watchersMax) throw tooMany(limits.watchersMax)
      const caller = Caller.behind(reply)
      callers.set(caller, reply.raw)
      reply.raw.once('close', () => callers.delete(caller))
      const { signal } = caller
      const rows = await lake.watchJson(request.params.view, request.query, { signal, pollMs: limits.watchPollMs })
      signal.addEventListener('abort', () => setTimeout(() => reply.raw.destroy(), FAREWELL_MS).unref(), { once: true })
      reply.raw.setTimeout(STALLED_MS, () => reply.raw.destroy())
      // The connection serves nothing after it, so that nothing waits for it when the server closes.
      reply.headers({ 'content-type': TYPE, 'cache-control': 'no-store', 'x-accel-buffering': 'no', connection: 'close' })
      const last = request.headers['last-event-id']
      return Readable.from(eventsOf(rows, String(last ?? '')), { objectMode: false, highWaterMark: 1 })
    },
  )
}

/** Asks for a row when there is room for it, so that what waits for a slow reader is one event. */
async function* eventsOf(rows: AsyncGenerator<IndexedRow, void>, last: string): AsyncGenerator<Buffer | string> {
  yield RETRY
  let known = stateOf(last)
  try {
    for await (const row of rows) {
      const { id, frame } = eventOf(row)
      if (stateOf(id) !== known) yield frame
      known = undefined
    }
  } catch (error) {
    yield `event: problem\ndata: ${problemText(toProblem(error))}\n\n`
  }
}

/** Of all who watch a key. */
const made = new WeakMap<IndexedRow, { readonly id: string; readonly frame: Buffer }>()

function eventOf(row: IndexedRow): { readonly id: string; readonly frame: Buffer } {
  const known = made.get(row)
  if (known) return known
  const versions = Object.entries(row.versions).map(([table, version]) => `${encodeURIComponent(table)}:${version}`)
  const state = createHash('sha1')
    .update(row.json ?? 'null')
    .digest('base64url')
  const id = `${versions.join(',')};${state}`
  const head = `id: ${id}\ndata: {"versions":${JSON.stringify(row.versions)},"row":`
  const frame = Buffer.concat([Buffer.from(head), row.json ?? Buffer.from('null'), Buffer.from('}\n\n')])
  made.set(row, { id, frame })
  return { id, frame }
}

/** What an event's id says of the row; `undefined` for what is no such id. */
function stateOf(id: string): string | undefined {
  return id.split(';')[1]
}

function accepts(header = '*/*'): boolean {
  return header.split(',').some((range) => /^\s*(text\/(event-stream|\*)|\*\/\*)\s*(;(?!\s*q=0(\.0*)?\s*$).*)?$/i.test(range))
}

function tooMany(watchersMax: number): DeltaError {
  const details = { watchersMax, retryAfterMs: RETRY_AFTER_MS }
  return new DeltaError('TOO_BUSY', 'too many watch views', details, { hint: 'try again when one has gone, or raise the limit' })
}
