import { type ClusteringCandidate, clusterUnits } from './clustering-plan.js'
import { byPartition, type CompactionCandidate } from './compaction-plan.js'

export interface CompactionPolicy {
  /** The size that compaction aims at, in bytes. */
  readonly targetBytes: number
  /** As many files of about one size as are worth one rewriting. */
  readonly filesMin: number
}

/** Files to rewrite together. */
export interface CompactionChoice<T> {
  readonly files: readonly T[]
  readonly bytes: number
  /** Files that a reader of all of them need not open any more. */
  readonly filesSaved: number
}

/** Files from this share of the aim on are as good as full. */
const FULL = 0.75
/** Files are of about one size whose sizes differ by less than this factor. */
const TIER_FACTOR = 8
const TIER_BYTES_MIN = 16 * 1024
/** What one piece of work may rewrite: more of it comes in the next. */
const FILES_MAX = 2000

/** Files that were clustered together are let be once they are so many full ones. */
const CLUSTER_FULL_FILES = 8

/** The size below which a file is for the policy to look at. */
export function smallBytes(targetBytes: number): number {
  return Math.floor(targetBytes * FULL)
}

/**
 * Chooses the files of which rewriting saves a reader most files for each byte written, or none where nothing is worth it yet.
 *
 * Files of a partition are taken together that are of about one size, and only once there are `filesMin` of them. So a byte is
 * rewritten at most once for each tier of sizes on its way to a full file, and at most `filesMin` files of each tier are
 * left for readers: both grow with the logarithm of what streams in. Pure.
 */
export function chooseCompaction<T extends CompactionCandidate>(
  files: readonly T[],
  { targetBytes, filesMin }: CompactionPolicy,
): CompactionChoice<T> | undefined {
  const small = files.filter(({ sizeBytes }) => sizeBytes < smallBytes(targetBytes))
  const choices = byPartition(small)
    .flatMap((partition) => [...tiersOf(partition).values()])
    .filter((tier) => tier.length >= filesMin)
    .map((tier) => choiceOf(tier.slice(0, FILES_MAX), targetBytes))
  return choices.toSorted((one, other) => worth(other) - worth(one))[0]
}

/**
 * The same for a table that is clustered by columns: what was clustered together counts as one file of all its bytes, so clusters
 * grow as files do elsewhere, until each is several full files. The largest that are due come first. Pure.
 */
export function chooseClustering<T extends ClusteringCandidate>(
  files: readonly T[],
  columns: readonly string[],
  { targetBytes, filesMin }: CompactionPolicy,
): readonly T[] | undefined {
  const fullBytes = CLUSTER_FULL_FILES * targetBytes
  const units = clusterUnits(files, columns).map((unit) => ({
    unit,
    sizeBytes: unit.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  }))
  const due = [...tiersOf(units.filter(({ sizeBytes }) => sizeBytes < fullBytes))]
    .filter(([, tier]) => tier.length >= filesMin)
    .toSorted(([one], [other]) => other - one)
  const [first] = due
  if (!first) return undefined
  const chosen: T[] = []
  let bytes = 0
  for (const { unit, sizeBytes } of first[1].slice(0, FILES_MAX)) {
    if (bytes >= fullBytes) break
    chosen.push(...unit)
    bytes += sizeBytes
  }
  return chosen
}

function tiersOf<T extends Pick<CompactionCandidate, 'sizeBytes'>>(files: readonly T[]): Map<number, T[]> {
  const tiers = new Map<number, T[]>()
  for (const file of files) {
    const tier = Math.floor(Math.log(Math.max(1, file.sizeBytes / TIER_BYTES_MIN)) / Math.log(TIER_FACTOR))
    tiers.set(tier, [...(tiers.get(tier) ?? []), file])
  }
  return tiers
}

function choiceOf<T extends CompactionCandidate>(files: readonly T[], targetBytes: number): CompactionChoice<T> {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return { files, bytes, filesSaved: files.length - Math.max(1, Math.ceil(bytes / targetBytes)) }
}

function worth({ filesSaved, bytes }: CompactionChoice<unknown>): number {
  return filesSaved / Math.max(1, bytes)
}
