import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { wholeAnswer } from './answer-bytes.js'
import { answerTag, hasTag } from './answer-tag.js'
import { Caller, callerName } from './caller.js'
import type { ServerContext } from './context.js'
import { problemText, toProblem } from './errors.js'
import { type AnswerFormat, contentTypeOf } from './formats.js'
import type { Bytes, Query } from './query.js'
import { runSoon } from './query-run.js'

/** A reader that takes nothing for so long is gone, whatever its socket says. */
const STALLED_MS = 120_000

/**
 * Runs a query and gives its answer, to be sent.
 *
 * The first bytes are there before it resolves, so what can fail early is a problem with a status of its own. What fails
 * later ends so that nobody takes the answer for whole: NDJSON with a line that says why, the others cut without their terminator.
 *
 * Versions never change, so an answer is named by what it was made of: whoever has it already (`If-None-Match`) is told so, and one
 * that is kept here is sent again; neither runs.
 */
export async function answerQuery(
  context: ServerContext,
  request: FastifyRequest,
  reply: FastifyReply,
  format: AnswerFormat,
  query: Query,
): Promise<Readable | Buffer> {
  const caller = Caller.behind(reply, context.limits.queryTimeoutMs)
  let tag: string | undefined
  const tagged: Query = (options) =>
    query({
      ...options,
      onPinned: (pins) => {
        tag = answerTag(pins, format)
        if (tag !== undefined && hasTag(request.headers['if-none-match'], tag)) throw new Known(pins.versions, undefined)
        const kept = tag === undefined ? undefined : context.cache.get(tag)
        if (kept) throw new Known(pins.versions, kept)
      },
    })
  try {
    const run = await runSoon(context.slots, caller, callerName(request), format, tagged)
    tagAnswer(reply, format, run.result.versions, tag)
    const old = run.result.views.filter(({ stale }) => stale)
    if (old.length > 0)
      reply.header('deltaic-view-age', old.map(({ name, ageMs }) => `${encodeURIComponent(name)}:${ageMs}`).join(','))
    reply.raw.setTimeout(STALLED_MS, () => reply.raw.destroy())
    const bytes = context.cache.keeping(tag)(wholeAnswer(run, format))
    const stream = Readable.from(format === 'ndjson' ? withFailure(bytes) : bytes, { objectMode: false })
    stream.once('close', () => void run.close())
    return stream
  } catch (error) {
    if (!(error instanceof Known)) throw error
    tagAnswer(reply, format, error.versions, tag)
    if (error.answer) return error.answer
    reply.code(304)
    return Buffer.alloc(0)
  }
}

/** Ends a query whose answer is somewhere already. */
class Known extends Error {
  readonly versions: Readonly<Record<string, number>>
  /** Absent when the caller has it. */
  readonly answer: Buffer | undefined

  constructor(versions: Readonly<Record<string, number>>, answer: Buffer | undefined) {
    super('the answer is known')
    this.versions = versions
    this.answer = answer
  }
}

/** Lines, of which the last says why there are no more. */
async function* withFailure(lines: Bytes): Bytes {
  let last: number | undefined
  try {
    for await (const chunk of lines) {
      yield chunk
      last = chunk.at(-1) ?? last
    }
  } catch (error) {
    const line = `{"error":${problemText(toProblem(error))}}\n`
    yield Buffer.from(last === undefined || last === 0x0a ? line : `\n${line}`)
  }
}

function tagAnswer(
  reply: FastifyReply,
  format: AnswerFormat,
  versions: Readonly<Record<string, number>>,
  tag: string | undefined,
) {
  reply.header('content-type', contentTypeOf(format)).header('deltaic-versions', versionsHeader(versions))
  if (tag === undefined) return
  // Whoever keeps it has to ask each time whether its versions are still the newest.
  reply.header('etag', tag).header('cache-control', 'private, no-cache').header('vary', 'accept, authorization')
}

/** `views:12,users:3`, as `minVersion` is written; names percent-encoded. */
function versionsHeader(versions: Readonly<Record<string, number>>): string {
  return Object.entries(versions)
    .map(([table, version]) => `${encodeURIComponent(table)}:${version}`)
    .join(',')
}
