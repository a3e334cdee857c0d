import type { TransactionOutcome } from '../table/transaction.js'
import type { Tally } from './take-out.js'

/** What a statement did to the rows of a table. Counts that statistics do not tell are `undefined`. */
export interface ChangeResult {
  /** The version that holds the outcome; the one that was read when there was nothing to do. */
  readonly version: number
  readonly rowsDeleted: number | undefined
  readonly rowsUpdated: number
  readonly filesAdded: number
  readonly filesRemoved: number
  /** Files whose deleted rows are listed beside them from now on. */
  readonly filesMarked: number
  readonly bytesAdded: number
  readonly attempts: number
}

/** What became of a statement; after a conflict it can be run again on the newest version. */
export type ChangeOutcome = ChangeResult | Extract<TransactionOutcome, { readonly kind: 'conflict' }>

/** A result but for its version. */
export function changeResult(tally: Tally, rows: Pick<ChangeResult, 'rowsDeleted' | 'rowsUpdated'>) {
  return {
    ...rows,
    filesAdded: tally.filesAdded,
    filesRemoved: tally.filesRemoved,
    filesMarked: tally.vectorsAdded,
    bytesAdded: tally.bytesAdded,
  }
}

/** What history counts, by Spark's names. */
export function metricsOf(tally: Tally, changeFiles: number, elapsedMs: number): Readonly<Record<string, number>> {
  return {
    numRemovedFiles: tally.filesRemoved,
    numRemovedBytes: tally.bytesRemoved,
    numAddedFiles: tally.filesAdded,
    numAddedBytes: tally.bytesAdded,
    numAddedChangeFiles: changeFiles,
    numCopiedRows: tally.rowsCopied,
    numDeletionVectorsAdded: tally.vectorsAdded,
    numDeletionVectorsRemoved: tally.vectorsRemoved,
    numDeletionVectorsUpdated: tally.vectorsUpdated,
    executionTimeMs: elapsedMs,
  }
}
