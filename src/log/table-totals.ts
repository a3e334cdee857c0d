import type { AddFile, RemoveFile } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'

/** What a version checksum adds up over the live files of a version. */
export interface TableTotals {
  readonly files: number
  readonly bytes: number
  /** Deletion vectors, and the rows that they delete. */
  readonly vectors: number
  readonly deletedRows: number
  /** How many files, and of how many bytes in all, fall into each bin of `SIZE_BINS`. */
  readonly sizeCounts: readonly number[]
  readonly sizeBytes: readonly number[]
  /** How many files have so many deleted rows: 0, 1-9, 10-99, and so on by tens up to 10^7, and from 2^31-1 on. */
  readonly deletedCounts: readonly number[]
}

const KIB = 2 ** 10
const MIB = 2 ** 20
const steps = (first: number, last: number, step: number) =>
  Array.from({ length: (last - first) / step + 1 }, (_, index) => first + index * step)

/** Lower bounds of the bins by which files are counted, in bytes, ascending: Spark's, which compares the lists as they are. */
export const SIZE_BINS: readonly number[] = [
  ...[0, 8, 16, 32, 64, 128, 256, 512].map((kib) => kib * KIB),
  ...[1, 2, 4].map((mib) => mib * MIB),
  ...steps(8, 40, 4).map((mib) => mib * MIB),
  ...steps(48, 120, 8).map((mib) => mib * MIB),
  ...steps(124, 144, 4).map((mib) => mib * MIB),
  ...steps(160, 576, 16).map((mib) => mib * MIB),
  ...steps(640, 1408, 64).map((mib) => mib * MIB),
  ...steps(1536, 2048, 128).map((mib) => mib * MIB),
  ...steps(2304, 4096, 256).map((mib) => mib * MIB),
  ...[8, 16, 32, 64, 128, 256].map((gib) => gib * KIB * MIB),
]
const DELETED_BINS = 10

export const NO_FILES: TableTotals = {
  files: 0,
  bytes: 0,
  vectors: 0,
  deletedRows: 0,
  sizeCounts: SIZE_BINS.map(() => 0),
  sizeBytes: SIZE_BINS.map(() => 0),
  deletedCounts: Array.from({ length: DELETED_BINS }, () => 0),
}

/** Files of one bin that are counted together; a negative number takes them away. */
export interface CountedFiles {
  readonly files: number
  /** Of any one of them. */
  readonly size: number
  /** Of any one of them. */
  readonly deleted: number
  readonly bytes: number
  readonly vectors: number
  readonly deletedRows: number
}

export function addCounted(totals: TableTotals, counted: Iterable<CountedFiles>): TableTotals {
  let { files, bytes, vectors, deletedRows } = totals
  const [sizeCounts, sizeBytes, deletedCounts] = [[...totals.sizeCounts], [...totals.sizeBytes], [...totals.deletedCounts]]
  const add = (bins: number[], bin: number, much: number) => {
    bins[bin] = (bins[bin] ?? 0) + much
  }
  for (const some of counted) {
    files += some.files
    bytes += some.bytes
    vectors += some.vectors
    deletedRows += some.deletedRows
    add(sizeCounts, sizeBin(some.size), some.files)
    add(sizeBytes, sizeBin(some.size), some.bytes)
    add(deletedCounts, deletedBin(some.deleted), some.files)
  }
  return { files, bytes, vectors, deletedRows, sizeCounts, sizeBytes, deletedCounts }
}

/**
 * The totals after a commit whose removes are all of live files.
 *
 * @param mayBeLive the paths of those added files that may have been in the table before.
 * @returns `undefined` where the commit does not tell: a remove without size, or an add of a file that may be live already.
 */
export function totalsAfter(totals: TableTotals, commit: Commit, mayBeLive: ReadonlySet<string>): TableTotals | undefined {
  const { adds, removes } = commit
  if (adds.length === 0 && removes.length === 0) return totals
  if (removes.some(({ size }) => typeof size !== 'number')) return undefined
  // A file whose deletion vector is swapped leaves as one logical file and comes as another.
  const left = new Set(removes.map(({ path }) => path))
  if (adds.some(({ path }) => mayBeLive.has(path) && !left.has(path))) return undefined
  return addCounted(totals, [...adds.map((add) => counted(add, 1)), ...removes.map((remove) => counted(remove, -1))])
}

function counted({ size = 0, deletionVector }: AddFile | RemoveFile, files: 1 | -1): CountedFiles {
  const deleted = deletionVector?.cardinality ?? 0
  return { files, size, deleted, bytes: files * size, vectors: deletionVector ? files : 0, deletedRows: files * deleted }
}

function sizeBin(size: number): number {
  let [low, high] = [0, SIZE_BINS.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((SIZE_BINS[middle] ?? 0) <= size) low = middle
    else high = middle - 1
  }
  return low
}

function deletedBin(rows: number): number {
  if (rows <= 0) return 0
  return rows >= 2 ** 31 - 1 ? DELETED_BINS - 1 : Math.min(String(rows).length, DELETED_BINS - 2)
}
