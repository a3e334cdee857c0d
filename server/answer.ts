import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { QueryResult } from '../src/index.js'
import { Caller } from './caller.js'
import type { ServerContext } from './context.js'
import { problemText, toProblem } from './errors.js'
import { type AnswerFormat, contentTypeOf } from './formats.js'

/** A table for people ends somewhere. */
const TABLE_ROWS_MAX = 1000
/** An Arrow stream begins with its schema, which is there before the query has run. */
const CHUNKS_AHEAD: Readonly<Partial<Record<AnswerFormat, number>>> = { arrow: 2 }
/** A reader that takes nothing for so long is gone, whatever its socket says. */
const STALLED_MS = 120_000

/**
 * Runs a query and gives its answer, to be sent.
 *
 * The first bytes are there before it resolves, so what can fail early is a problem with a status of its own. What fails
 * later ends so that nobody takes the answer for whole: NDJSON with a line that says why, the others cut without their terminator.
 */
export async function answerQuery(
  context: ServerContext,
  reply: FastifyReply,
  format: AnswerFormat,
  query: (signal: AbortSignal) => Promise<QueryResult>,
): Promise<Readable> {
  const release = context.slots.take()
  const caller = new Caller(reply, context.limits.queryTimeoutMs)
  let result: QueryResult | undefined
  try {
    result = await caller.waitsFor(() => query(caller.signal))
    const bytes = result.bytes(format, { maxRows: TABLE_ROWS_MAX })
    const rows = await started(bytes, CHUNKS_AHEAD[format] ?? 1, caller)
    const stream = Readable.from(RENDER[format]?.(result, rows) ?? rows, { objectMode: false })
    stream.once('close', () => void Promise.allSettled([result?.close(), bytes.return()]).then(release))
    reply.raw.setTimeout(STALLED_MS, () => reply.raw.destroy())
    reply.header('content-type', contentTypeOf(format)).header('deltaic-versions', versionsHeader(result.versions))
    return stream
  } catch (error) {
    await result?.close()
    release()
    throw error
  }
}

type Bytes = AsyncGenerator<Uint8Array, void, undefined>

const RENDER: Readonly<Partial<Record<AnswerFormat, (result: QueryResult, rows: Bytes) => Bytes>>> = {
  json: jsonAnswer,
  ndjson: (_result, rows) => ndjsonAnswer(rows),
}

/** The same bytes, the first of which have come. */
async function started(bytes: Bytes, ahead: number, caller: Caller): Promise<Bytes> {
  const first: Uint8Array[] = []
  let next = await caller.waitsFor(() => bytes.next())
  while (!next.done && first.push(next.value) < ahead) next = await caller.waitsFor(() => bytes.next())
  return (async function* () {
    yield* first
    while (!next.done) {
      next = await caller.waitsFor(() => bytes.next())
      if (!next.done) yield next.value
    }
  })()
}

/** The rows are text already; only what is around them is written here. */
async function* jsonAnswer(result: QueryResult, rows: Bytes): Bytes {
  const { columns, versions } = result
  yield Buffer.from(`{"columns":${JSON.stringify(columns)},"versions":${JSON.stringify(versions)},"rows":`)
  yield* rows
  const { rowCount, stats, elapsedMs } = result
  yield Buffer.from(`,"rowCount":${rowCount ?? null},"stats":${JSON.stringify(stats)},"elapsedMs":${elapsedMs}}\n`)
}

async function* ndjsonAnswer(rows: Bytes): Bytes {
  let last: number | undefined
  try {
    for await (const chunk of rows) {
      yield chunk
      last = chunk.at(-1) ?? last
    }
  } catch (error) {
    const line = `{"error":${problemText(toProblem(error))}}\n`
    yield Buffer.from(last === undefined || last === 0x0a ? line : `\n${line}`)
  }
}

/** `views:12,users:3`, as `minVersion` is written; names percent-encoded. */
function versionsHeader(versions: Readonly<Record<string, number>>): string {
  return Object.entries(versions)
    .map(([table, version]) => `${encodeURIComponent(table)}:${version}`)
    .join(',')
}
