import type { AddFile, RemoveFile } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'

/** What of a transaction can collide with somebody else's commit. */
export interface Footprint {
  /** Files that it takes out of the table, or whose rows it read to write others. */
  readonly removedPaths: ReadonlySet<string>
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
  /** The files or producers that collide. */
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
  const files = winner.removes.map((remove) => remove.path).filter((path) => ours.removedPaths.has(path))
  if (files.length > 0) return { version, reason: 'fileRemoved', subjects: files }
  return undefined
}

/** The footprint of staged actions. */
export function footprintOf(staged: {
  readonly adds: readonly AddFile[]
  readonly removes: readonly RemoveFile[]
  readonly appIds: readonly string[]
  readonly changesTable: boolean
}): Footprint {
  return {
    removedPaths: new Set(staged.removes.map((remove) => remove.path)),
    appIds: new Set(staged.appIds),
    changesTable: staged.changesTable,
    changesData: [...staged.adds, ...staged.removes].some((action) => action.dataChange),
  }
}
