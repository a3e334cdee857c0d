import { looseStats } from '../protocol/loose-stats.js'
import type { RowBitmap } from '../protocol/row-bitmap.js'
import { readDeletionVector } from '../table/deletion-vectors.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { VectorRebase } from '../table/transaction.js'
import { VectorWriter } from '../table/vector-writer.js'

/**
 * Lets a statement that took rows out of a file by its vector go after others that did the same, so long as no row is of
 * both: whatever the others deleted, the statement found its own rows by looking at each alone. One that looked at more
 * than the row itself must be run again.
 *
 * A file of which no row would be left is for another run too, which takes it out of the table.
 */
export function vectorRebase({ deps }: DeltaTable, signal: AbortSignal | undefined): VectorRebase {
  return async ({ oursBefore, ours, theirs }) => {
    if (!ours.deletionVector || !theirs.deletionVector) return undefined
    const read: RowBitmap[] = []
    const rowsOf = async (vector: typeof ours.deletionVector) => {
      const rows = await readDeletionVector(deps.store, vector)
      read.push(rows)
      return rows
    }
    try {
      const [taken, gone] = [await rowsOf(ours.deletionVector), await rowsOf(theirs.deletionVector)]
      const goneSize = gone.size
      if (oursBefore.deletionVector) {
        const before = await rowsOf(oursBefore.deletionVector)
        gone.union(before)
        // Rows that came back may be wanted.
        if (gone.size !== goneSize) return undefined
        taken.minus(before)
      }
      gone.union(taken)
      if (gone.size !== goneSize + taken.size) return undefined
      const { numRecords } = JSON.parse(theirs.stats ?? '{}') as { numRecords?: number }
      if (numRecords === undefined || gone.size >= numRecords) return undefined
      const writer = new VectorWriter(deps.store, deps.random, { signal })
      const deletionVector = await writer.write(gone)
      await writer.finish()
      return { ...theirs, dataChange: true, stats: looseStats(theirs.stats, numRecords), deletionVector }
    } finally {
      for (const rows of read) rows.dispose()
    }
  }
}
