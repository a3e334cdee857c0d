import { assert } from '../base/errors.js'
import type { PartitionValues } from '../protocol/actions.js'

/** What planning needs of a file. */
export interface CompactionCandidate {
  readonly sizeBytes: number
  /** The part of its rows that is deleted, from 0 to 1. @defaultValue 0 */
  readonly deletedShare?: number | undefined
  readonly partitionValues: PartitionValues
}

/**
 * Chooses which files to rewrite together: neighbours of one partition in the order given, filled up to `outputBytesMax`.
 *
 * A file that is large enough is left alone; so is a file that has no small neighbour to go with. A file of which many
 * rows are deleted is rewritten in any case. Pure.
 */
export function planCompaction<T extends CompactionCandidate>(files: readonly T[], outputBytesMax: number): T[][] {
  assert(outputBytesMax > 0, 'compaction aims at files with bytes')
  const isLeft = (file: T) => file.sizeBytes >= outputBytesMax * FULL && !isWorn(file)
  return byPartition(files)
    .flatMap((group) =>
      bins(
        group.filter((file) => !isLeft(file)),
        outputBytesMax,
      ),
    )
    .filter((bin) => bin.length > 1 || bin.some(isWorn))
}

/** Groups all files for rewriting as `planCompaction` does some. Pure. */
export function planRewrite<T extends CompactionCandidate>(files: readonly T[], outputBytesMax: number): T[][] {
  return byPartition(files).flatMap((group) => bins(group, outputBytesMax))
}

/** The files of each partition, in the order given. */
export function byPartition<T extends CompactionCandidate>(files: readonly T[]): T[][] {
  const partitions = new Map<string, T[]>()
  for (const file of files) {
    const key = JSON.stringify(Object.entries(file.partitionValues).sort(([a], [b]) => (a < b ? -1 : 1)))
    const group = partitions.get(key)
    if (group) group.push(file)
    else partitions.set(key, [file])
  }
  return [...partitions.values()]
}

/** Files at three quarters of the aim are as good as full: rewriting them gains little. */
const FULL = 0.75
/** Rows that are read only to be left out cost more than rewriting the others once. */
const DELETED_SHARE_MAX = 0.05

export function isWorn(file: CompactionCandidate): boolean {
  return (file.deletedShare ?? 0) > DELETED_SHARE_MAX
}

function bins<T extends CompactionCandidate>(files: readonly T[], outputBytesMax: number): T[][] {
  const found: T[][] = []
  let bin: T[] = []
  let bytes = 0
  for (const file of files) {
    const left = file.sizeBytes * (1 - (file.deletedShare ?? 0))
    if (bytes + left > outputBytesMax && bin.length > 0) {
      found.push(bin)
      bin = []
      bytes = 0
    }
    bin.push(file)
    bytes += left
  }
  if (bin.length > 0) found.push(bin)
  return found
}
