import { inlineDeletionVector } from '../protocol/deletion-vector.js'
import { readDeletionVector } from '../table/deletion-vectors.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import type { FoundRows } from './found-rows.js'
import type { RowChange, RowChanges } from './row-changes.js'

/** A version of a table as it would be without some rows, of which nothing is written. */
export interface LeftWithout {
  readonly uri: string
  /** The rows that stay, and those that would go. */
  readonly left: RowChanges
  readonly gone: RowChanges
}

/** The rows of a version without those found. */
export async function leftWithout(
  table: DeltaTable,
  snapshot: Snapshot,
  found: FoundRows,
  signal: AbortSignal | undefined,
): Promise<LeftWithout> {
  const { files } = await snapshot.files('TRUE', { signal })
  const live = new Map(files.map((file): [string, RowChange] => [file.file, { ...file, onlyVector: undefined, add: undefined }]))
  const left = new Map(live)
  const gone: RowChange[] = []
  for (const { file, rows } of found.files) {
    const whole = live.get(file.file)
    if (rows !== undefined || !whole) continue
    gone.push(whole)
    left.delete(file.file)
  }
  for await (const { found: one, bitmap } of found.bitmaps(signal)) {
    try {
      const file = live.get(one.file.file)
      if (!file) continue
      gone.push({ ...file, onlyVector: inlineDeletionVector(bitmap.serialize(), bitmap.size) })
      if (file.deletionVector) {
        const before = await readDeletionVector(table.deps.store, file.deletionVector)
        bitmap.union(before)
        before.dispose()
      }
      left.set(file.file, { ...file, deletionVector: inlineDeletionVector(bitmap.serialize(), bitmap.size) })
    } finally {
      bitmap.dispose()
    }
  }
  const all = (some: readonly RowChange[]) => ({ files: some, bytes: some.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) })
  return { uri: table.uri, left: all([...left.values()]), gone: all(gone) }
}
