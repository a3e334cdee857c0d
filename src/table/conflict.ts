import type { AddFile, RemoveFile } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { canonicalFilePath } from '../protocol/file-path.js'

/** What of a transaction can collide with somebody else's commit. */
export interface Footprint {
  /** The table's own location in every spelling: two writers may name one file differently. */
  readonly roots: readonly string[]
  /** Canonical paths of files that it takes out of the table, or whose rows it read to write others. */
  readonly removedFiles: ReadonlySet<string>
  /** Producers whose transactions it sets. */
  readonly appIds: ReadonlySet<string>
  /** Whether it changes protocol or metadata. */
  readonly changesTable: boolean
  /** Whether it adds or removes rows; false for a commit that only rearranges them. */
  readonly changesData: boolean
}

/** Why a transaction cannot be rebased onto a commit that won. */
export interface Conflict {
  /** The version that won. */
  readonly version: number
  readonly reason: 'protocolChanged' | 'metadataChanged' | 'fileRemoved' | 'sameProducer'
  /** The files (canonical paths) or producers that collide. */
  readonly subjects: readonly string[]
}

/**
 * Whether a commit that won the race forbids ours at a later version. Pure.
 *
 * Appends read nothing, so they pass every append and every compaction; a compaction passes every append. Two commits
 * that remove one file collide, whatever their deletion vectors.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#writer-requirements
 */
export function findConflict(ours: Footprint, winner: Commit): Conflict | undefined {
  const { version } = winner
  if (winner.protocol) return { version, reason: 'protocolChanged', subjects: [] }
  if (winner.metaData) return { version, reason: 'metadataChanged', subjects: [] }
  const producers = winner.txns.map((txn) => txn.appId).filter((appId) => ours.appIds.has(appId))
  if (producers.length > 0) return { version, reason: 'sameProducer', subjects: producers }
  const files = winner.removes
    .map((remove) => canonicalFilePath(remove.path, ours.roots))
    .filter((file) => ours.removedFiles.has(file))
  if (files.length > 0) return { version, reason: 'fileRemoved', subjects: files }
  return undefined
}

/** The footprint of staged actions. */
export function footprintOf(staged: {
  readonly roots: readonly string[]
  readonly adds: readonly AddFile[]
  readonly removes: readonly RemoveFile[]
  readonly appIds: readonly string[]
  readonly changesTable: boolean
}): Footprint {
  return {
    roots: staged.roots,
    removedFiles: new Set(staged.removes.map((remove) => canonicalFilePath(remove.path, staged.roots))),
    appIds: new Set(staged.appIds),
    changesTable: staged.changesTable,
    changesData: [...staged.adds, ...staged.removes].some((action) => action.dataChange),
  }
}
