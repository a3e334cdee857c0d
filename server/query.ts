import type { Progress, QueryPins, QueryResult } from '../src/index.js'

/** A query to be run, perhaps more than once. */
export type Query = (options: {
  readonly signal: AbortSignal
  readonly onPinned?: ((pins: QueryPins) => void) | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Whether it has to be refused unless it only reads. */
  readonly readOnly?: boolean | undefined
}) => Promise<QueryResult>

/** An answer as it comes. */
export type Bytes = AsyncGenerator<Uint8Array, void, undefined>
