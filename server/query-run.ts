import { isDeltaError, type QueryResult } from '../src/index.js'
import type { Caller } from './caller.js'
import type { AnswerFormat } from './formats.js'
import type { Bytes, Query } from './query.js'
import type { QuerySlots, Release } from './query-slots.js'

/** A table for people ends somewhere. */
const TABLE_ROWS_MAX = 1000
/** An Arrow stream begins with its schema, which is there before the query has run. */
const CHUNKS_AHEAD: Readonly<Partial<Record<AnswerFormat, number>>> = { arrow: 2 }
/** What is over in this time, and answers with no more, need not wait behind what takes long. */
const QUICK_MS = 1000
const QUICK_BYTES_MAX = 2 ** 20

/** A query whose first bytes have come. Whoever has it closes it. */
export interface QueryRun {
  readonly result: QueryResult
  /** The rows. */
  readonly bytes: Bytes
  close(): Promise<void>
}

/**
 * Runs a query that somebody waits for. Where others would have to end first, it is tried at once in a slot for quick ones; one that
 * changes something, or proves not to be quick, waits for its turn then, and is run from its beginning.
 */
export async function runSoon(
  slots: QuerySlots,
  caller: Caller,
  who: string,
  format: AnswerFormat,
  query: Query,
): Promise<QueryRun> {
  const free = slots.takeFree()
  if (free) return await start(caller, format, query, free)
  return (await tryQuickly(slots, caller, format, query)) ?? (await runInTurn(slots, caller, who, format, query))
}

/** Runs a query when its turn comes. @throws {DeltaError} `TOO_BUSY` */
export async function runInTurn(
  slots: QuerySlots,
  caller: Caller,
  who: string,
  format: AnswerFormat,
  query: Query,
): Promise<QueryRun> {
  return await start(caller, format, query, await slots.take(who, caller.signal))
}

async function start(caller: Caller, format: AnswerFormat, query: Query, release: Release): Promise<QueryRun> {
  let running: Promise<QueryResult> | undefined
  let rows: Bytes | undefined
  const close = async () => {
    await caller.settled()
    const result = await running?.catch(() => undefined)
    await Promise.allSettled([result?.close(), rows?.return()])
    release()
  }
  try {
    const result = await caller.waitsFor(() => (running = query({ signal: caller.signal })))
    rows = result.bytes(format, { maxRows: TABLE_ROWS_MAX })
    const bytes = await started(rows, CHUNKS_AHEAD[format] ?? 1, caller)
    return { result, bytes, close }
  } catch (error) {
    void close()
    throw error
  }
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

/** The whole answer, in memory, or `undefined` when it takes longer or more. */
async function tryQuickly(slots: QuerySlots, caller: Caller, format: AnswerFormat, query: Query): Promise<QueryRun | undefined> {
  const release = slots.takeQuick()
  if (!release) return undefined
  const over = AbortSignal.timeout(QUICK_MS)
  const signal = AbortSignal.any([caller.signal, over])
  let result: QueryResult | undefined
  try {
    result = await query({ signal, readOnly: true })
    const chunks = await collected(result.bytes(format, { maxRows: TABLE_ROWS_MAX }))
    return chunks && { result, bytes: listed(chunks), close: async () => {} }
  } catch (error) {
    caller.signal.throwIfAborted()
    if (over.aborted || (isDeltaError(error) && error.code === 'SQL_FORBIDDEN')) return undefined
    throw error
  } finally {
    await result?.close()
    release()
  }
}

async function collected(bytes: Bytes): Promise<readonly Uint8Array[] | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    if (size > QUICK_BYTES_MAX) return undefined
    chunks.push(chunk)
  }
  return chunks
}

async function* listed(chunks: readonly Uint8Array[]): Bytes {
  yield* chunks
}
