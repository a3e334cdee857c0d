import { DeltaError } from '../base/errors.js'
import type { AddFile, Metadata, Protocol } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { canonicalFilePath } from '../protocol/file-path.js'
import { isTrue, supportedFeatures } from '../protocol/table-features.js'

/** How far a commit must look at what others added. @see https://docs.delta.io/latest/concurrency-control.html */
export type IsolationLevel = 'Serializable' | 'WriteSerializable' | 'SnapshotIsolation'

/** What of a transaction can collide with somebody else's commit. */
export interface Footprint {
  /** The table's own location in every spelling: two writers may name one file differently. */
  readonly roots: readonly string[]
  readonly isolation: IsolationLevel
  /** What it read: all of the table, or these files (canonical paths) and whatever some conditions select. */
  readonly readsWhole: boolean
  readonly readsSome: boolean
  readonly readFiles: ReadonlySet<string>
  /** Canonical paths of files that it takes out of the table. */
  readonly removedFiles: ReadonlySet<string>
  /** Files whose deletion vectors were brought together with those of the winner at hand. */
  readonly settledFiles: ReadonlySet<string>
  /** Producers whose transactions it sets. */
  readonly appIds: ReadonlySet<string>
  readonly domains: ReadonlySet<string>
  readonly changesProtocol: boolean
  readonly changesMetadata: boolean
}

/** The state of the table just before a winner's commit. */
export interface StateBefore {
  readonly protocol: Protocol
  readonly metadata: Metadata
}

export type ConflictReason =
  | 'protocolChanged'
  | 'metadataChanged'
  | 'domainChanged'
  | 'sameProducer'
  | 'concurrentAppend'
  | 'concurrentDeleteRead'
  | 'concurrentDeleteDelete'

/** Why a transaction cannot be rebased onto a commit that won. */
export interface Conflict {
  /** The version that won. */
  readonly version: number
  readonly reason: ConflictReason
  /** The files (canonical paths), domains or producers that collide. */
  readonly subjects: readonly string[]
  /** What the winner did, by its own account. */
  readonly operation: string | undefined
}

export const ROW_TRACKING_DOMAIN = 'delta.rowTracking'

/**
 * Whether a commit that won the race forbids ours at a later version. Pure.
 *
 * The checks are the protocol's and Spark's, in Spark's order. Two differ on the safe side of what they protect: a winner
 * that only rearranges rows disturbs nobody who merely read them, and a file whose deletion vector the winner swapped
 * counts as that file, not as a new one.
 *
 * @param appended those of `addsThatCount` that our reads would have selected.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#writer-requirements
 */
export function findConflict(
  ours: Footprint,
  before: StateBefore,
  winner: Commit,
  appended: readonly AddFile[],
): Conflict | undefined {
  const found = (reason: ConflictReason, subjects: readonly string[] = []): Conflict => ({
    version: winner.version,
    reason,
    subjects,
    operation: winner.commitInfo?.operation,
  })
  const canonical = ({ path }: { readonly path: string }) => canonicalFilePath(path, ours.roots)
  if (winner.protocol && (ours.changesProtocol || !isUpgrade(before.protocol, winner.protocol))) return found('protocolChanged')
  if (winner.metaData && !passesMetadata(ours, before.metadata, winner.metaData)) return found('metadataChanged')
  const domains = winner.domains.map(({ domain }) => domain).filter((domain) => ours.domains.has(domain))
  if (domains.length > 0) return found('domainChanged', domains)
  const producers = winner.txns.map(({ appId }) => appId).filter((appId) => ours.appIds.has(appId))
  if (producers.length > 0) return found('sameProducer', producers)
  if (appended.length > 0) return found('concurrentAppend', appended.map(canonical))
  if (ours.readsWhole || ours.readFiles.size > 0) {
    const gone = winner.removes.filter(({ dataChange }) => dataChange).map(canonical)
    const read = gone.filter((file) => (ours.readsWhole || ours.readFiles.has(file)) && !ours.settledFiles.has(file))
    if (read.length > 0) return found('concurrentDeleteRead', read)
  }
  if (ours.removedFiles.size > 0) {
    const both = winner.removes.map(canonical).filter((file) => ours.removedFiles.has(file) && !ours.settledFiles.has(file))
    if (both.length > 0) return found('concurrentDeleteDelete', both)
  }
  return undefined
}

/**
 * The winner's adds that our reads might have missed: those with new rows, without blind appends where the isolation
 * level lets them go before us. Pure.
 */
export function addsThatCount(ours: Footprint, winner: Commit): readonly AddFile[] {
  if (ours.isolation === 'SnapshotIsolation' || !(ours.readsWhole || ours.readsSome)) return []
  const blindAppendsPass = ours.isolation === 'WriteSerializable' && !ours.changesMetadata
  if (blindAppendsPass && isBlindAppend(winner)) return []
  const swapped = new Set(winner.removes.map(({ path }) => canonicalFilePath(path, ours.roots)))
  const isOurs = (file: string) => ours.readFiles.has(file) || ours.removedFiles.has(file)
  return winner.adds.filter((add) => {
    if (!add.dataChange) return false
    const file = canonicalFilePath(add.path, ours.roots)
    return !(swapped.has(file) && isOurs(file))
  })
}

/** The error that a conflict is for somebody who cannot resolve it, with what to do. */
export function conflictError(table: string, conflict: Conflict): DeltaError {
  const { reason, version, operation, subjects } = conflict
  return new DeltaError(
    'COMMIT_CONFLICT',
    `another commit won, and this one does not go after it: ${WHAT[reason]}`,
    { table, reason, version, ...(operation === undefined ? {} : { operation }), subjects },
    { hint: HINT[reason] },
  )
}

const WHAT: Readonly<Record<ConflictReason, string>> = {
  protocolChanged: 'it changed the protocol of the table',
  metadataChanged: 'it changed the schema or the properties of the table',
  domainChanged: 'it changed the same domain metadata',
  sameProducer: 'it holds a batch of the same producer',
  concurrentAppend: 'it added rows that this one should have seen',
  concurrentDeleteRead: 'it took out rows that this one has read',
  concurrentDeleteDelete: 'it took out a file that this one takes out too',
}

const AGAIN = 'run the statement again: it will see the new version'
const HINT: Readonly<Record<ConflictReason, string>> = {
  protocolChanged: AGAIN,
  metadataChanged: `${AGAIN}; staged rows are made for the old schema`,
  domainChanged: AGAIN,
  sameProducer: 'send the batch again: if it is in the table already, it is answered with the first result',
  concurrentAppend: `${AGAIN}; a condition on a partition column keeps such statements apart`,
  concurrentDeleteRead: `${AGAIN}; a condition on a partition column keeps such statements apart`,
  concurrentDeleteDelete: `${AGAIN}; let one writer at a time rewrite a part of the table`,
}

/** By its own account, or else by its looks: a commit without one that took nothing out may still have read. */
function isBlindAppend({ commitInfo }: Commit): boolean {
  return commitInfo?.isBlindAppend === true
}

/** Whether a protocol asks for all that another one asks for. */
function isUpgrade(before: Protocol, after: Protocol): boolean {
  const listed = supportedFeatures(after)
  return (
    after.minReaderVersion >= before.minReaderVersion &&
    after.minWriterVersion >= before.minWriterVersion &&
    supportedFeatures(before).every((feature) => listed.includes(feature))
  )
}

/** Properties that commits made under their old values still live up to. */
const HARMLESS: ReadonlySet<string> = new Set([
  'delta.checkpointPolicy',
  'delta.enableInCommitTimestamps',
  'delta.inCommitTimestampEnablementTimestamp',
  'delta.inCommitTimestampEnablementVersion',
  'delta.requireCheckpointProtectionBeforeVersion',
])

/** Properties that those live up to which copy no row: new row ids are given out at the commit. */
const HARMLESS_TO_APPENDS: ReadonlySet<string> = new Set([
  'delta.enableRowTracking',
  'delta.rowTracking.materializedRowCommitVersionColumnName',
  'delta.rowTracking.materializedRowIdColumnName',
])

function passesMetadata(ours: Footprint, before: Metadata, after: Metadata): boolean {
  if (ours.changesMetadata) return false
  const { configuration: was, ...rest } = before
  const { configuration: is, ...restAfter } = after
  if (canonicalMetadata(rest) !== canonicalMetadata(restAfter)) return false
  const changed = [...new Set([...Object.keys(was), ...Object.keys(is)])].filter((key) => was[key] !== is[key])
  const onlyAdds = ours.removedFiles.size === 0
  const hasTurnedOn = (key: string) => isTrue(is[key])
  return changed.every(
    (key) =>
      HARMLESS.has(key) ||
      (key === 'delta.enableDeletionVectors' && hasTurnedOn(key)) ||
      (onlyAdds && HARMLESS_TO_APPENDS.has(key) && hasTurnedOn('delta.enableRowTracking')),
  )
}

/** Whether two states of a table differ at most in how far its rows are numbered. */
export function differOnlyInMarks(a: StateBefore, b: StateBefore): boolean {
  const facts = ({ protocol, metadata: { configuration, ...rest } }: StateBefore) =>
    JSON.stringify([protocol, canonicalMetadata(rest), Object.entries(configuration).sort()])
  return (a.metadata === b.metadata && a.protocol === b.protocol) || facts(a) === facts(b)
}

/** Metadata without the marks up to which identity values were given out: those are of other columns' writers. */
function canonicalMetadata({ schemaString, ...rest }: Omit<Metadata, 'configuration'>): string {
  const schema: unknown = JSON.parse(schemaString, (key, value: unknown) =>
    key === 'delta.identity.highWaterMark' ? undefined : value,
  )
  const fields = Object.entries(rest).filter(([, value]) => value !== undefined && value !== null)
  return JSON.stringify([schema, fields.toSorted(([a], [b]) => (a < b ? -1 : 1))])
}
