import { type DuckDBDataChunk, type DuckDBResult, ResultReturnType } from '@duckdb/node-api'
import { DeltaError } from '../base/errors.js'
import { INTERRUPT_EVERY_MS } from './database.js'

export interface ReadingOptions {
  readonly signal?: AbortSignal | undefined
  /** Interrupts the connection that the result comes from; without it, a fetch under way is waited for, however long it takes. */
  readonly interrupt?: (() => void) | undefined
}

/**
 * The chunks of `result` that were not yet fetched, in order; none is empty. While one is looked at, DuckDB makes the next: that one
 * fetch has ended when the generator has, however it ends.
 *
 * @throws the reason of `signal` when it is aborted
 * @throws {DeltaError} `ENGINE_FAILED` when a streaming query fails on the way
 */
export async function* dataChunks(
  result: DuckDBResult,
  { signal, interrupt = () => {} }: ReadingOptions,
): AsyncGenerator<DuckDBDataChunk> {
  signal?.throwIfAborted()
  let repeat: NodeJS.Timeout | undefined
  const stop = () => {
    interrupt()
    repeat ??= setInterval(interrupt, INTERRUPT_EVERY_MS)
  }
  signal?.addEventListener('abort', stop, { once: true })
  let fetching = fetch(result)
  let isOver = false
  try {
    for (;;) {
      const chunk = await fetching.catch((error: unknown) => {
        signal?.throwIfAborted()
        throw error
      })
      signal?.throwIfAborted()
      isOver = !chunk || chunk.rowCount === 0
      if (!chunk || isOver) return assertWhole(result)
      fetching = fetch(result)
      yield chunk
    }
  } finally {
    if (!isOver) stop()
    await fetching.catch(() => {}) // Its failure was thrown above, or belongs to rows that nobody waits for.
    clearInterval(repeat)
    signal?.removeEventListener('abort', stop)
  }
}

/**
 * A streaming query that fails, or is interrupted, after its first rows gives no error: its chunks just end. All that tells is the
 * kind of its result, which is no longer that of a query.
 */
function assertWhole(result: DuckDBResult): void {
  if (result.returnType !== ResultReturnType.INVALID) return
  throw new DeltaError(
    'ENGINE_FAILED',
    'a query failed or was interrupted after its first rows',
    {},
    {
      hint: 'a value far down may not fit a CAST: TRY_CAST and LIMIT help to find it',
    },
  )
}

function fetch(result: DuckDBResult): Promise<DuckDBDataChunk | null> {
  const fetching = result.fetchChunk()
  fetching.catch(() => {}) // Whoever awaits it sees the failure; until then it must not count as unhandled.
  return fetching
}
