import { DeltaError } from '../base/errors.js'
import { TableLog } from '../log/table-log.js'
import { type DomainMetadata, deletionVectorId, type Metadata } from '../protocol/actions.js'
import { locateDeletionVector } from '../protocol/deletion-vector.js'
import { protocolFor } from '../protocol/protocol-for.js'
import { formatSchema, parseSchema, type StructField } from '../protocol/schema.js'
import { supportedFeatures } from '../protocol/table-features.js'
import type { StoreOptions } from '../storage/store.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable, VersionSelector } from '../table/delta-table.js'
import { headOf } from '../table/file-place.js'
import { readdedFile } from '../table/readded-file.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import { tombstoneOf } from '../table/tombstone.js'

export interface RestoreOutcome {
  /** The version that holds the outcome; the newest one when the table was like that already. */
  readonly version: number
  /** The version that the table is like now. */
  readonly restoredVersion: number
  readonly filesAdded: number
  readonly filesRemoved: number
  readonly bytesAdded: number
  readonly bytesRemoved: number
  /** How many commits it took to win; 0 when nothing was to be done. */
  readonly attempts: number
}

const CHECKS_AT_ONCE = 16

/**
 * RESTORE: one commit after which the table has the files, the schema, the properties and the domains of an earlier version. Nothing
 * of its history is lost, and its protocol never goes down.
 *
 * @throws {DeltaError} `VERSION_NOT_FOUND`; `DATA_FILE_MISSING` when a file of that version is gone; `COMMIT_CONFLICT` when
 * somebody else committed meanwhile; `TABLE_APPEND_ONLY`.
 */
export async function restore(table: DeltaTable, target: VersionSelector, options: StoreOptions = {}): Promise<RestoreOutcome> {
  const transaction = await table.transaction(undefined, options)
  const now = transaction.snapshot
  const then = await table.snapshot(target, options)
  const [live, wanted] = [(await now.files()).files, (await then.files()).files]
  const adds = without(wanted, live)
  const removes = without(live, wanted)
  const domains = await domainChanges(table, now, then, options)
  const metadata = restoredMetadata(now, then)
  const restored = {
    restoredVersion: then.version,
    filesAdded: adds.length,
    filesRemoved: removes.length,
    bytesAdded: bytesOf(adds),
    bytesRemoved: bytesOf(removes),
  }
  if (adds.length + removes.length + domains.length === 0 && metadata === undefined)
    return { version: now.version, ...restored, attempts: 0 }
  await checkThere(table, then, adds, options)
  if (metadata) {
    const { schemaString, configuration } = metadata
    transaction.setMetadata(metadata)
    transaction.setProtocol(
      protocolFor(parseSchema(schemaString), configuration, { features: supportedFeatures(then.protocol) }, now.protocol),
    )
  }
  for (const domain of domains) transaction.setDomain(domain)
  const outcome = await transaction
    .readWhole()
    .remove(removes.map((file) => tombstoneOf(file, table.deps.clock.now(), true)))
    .add(adds.map(readdedFile))
    .describe({
      name: 'RESTORE',
      parameters: {
        version: target.version === undefined ? null : then.version,
        timestamp: target.timestampMs === undefined ? null : new Date(target.timestampMs).toISOString(),
      },
      metrics: {
        tableSizeAfterRestore: bytesOf(wanted),
        numOfFilesAfterRestore: wanted.length,
        numRemovedFiles: removes.length,
        numRestoredFiles: adds.length,
        removedFilesSize: restored.bytesRemoved,
        restoredFilesSize: restored.bytesAdded,
      },
    })
    .commit(options)
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
  return { version: outcome.version, ...restored, attempts: outcome.attempts }
}

/** Logical files of `files` that are not among `others`: with another deletion vector it is another one. */
function without(files: readonly SnapshotFile[], others: readonly SnapshotFile[]): readonly SnapshotFile[] {
  const keyOf = ({ file, deletionVector }: SnapshotFile) => JSON.stringify([file, deletionVectorId(deletionVector)])
  const keys = new Set(others.map(keyOf))
  return files.filter((file) => !keys.has(keyOf(file)))
}

/** A vacuum may have been there: what is referred to must exist before the commit says so. */
async function checkThere(
  table: DeltaTable,
  then: Snapshot,
  files: readonly SnapshotFile[],
  options: StoreOptions,
): Promise<void> {
  const paths = new Set(files.map(({ file }) => file))
  for (const { deletionVector } of files) {
    const location = deletionVector && locateDeletionVector(deletionVector)
    if (location?.kind === 'file' && deletionVector?.storageType === 'u') paths.add(location.path)
  }
  const all = [...paths]
  for (let at = 0; at < all.length; at += CHECKS_AT_ONCE) {
    const some = all.slice(at, at + CHECKS_AT_ONCE)
    const found = await Promise.all(some.map((path) => headOf(table.deps.store, path, options)))
    const missing = some.find((_, index) => found[index] === undefined)
    if (missing !== undefined)
      throw new DeltaError(
        'DATA_FILE_MISSING',
        'a file of the version to restore is gone',
        { file: missing, version: then.version },
        { hint: 'it was vacuumed, most likely: restore a newer version' },
      )
  }
}

/** `undefined` when it stays as it is. Numbers that were given away are not given again. */
function restoredMetadata(now: Snapshot, then: Snapshot): Metadata | undefined {
  const fields = then.schema.fields.map((field) => withIdentityOf(field, now.schema.fields))
  const columnIds = [now, then].map(({ metadata }) => Number(metadata.configuration[MAX_COLUMN_ID] ?? Number.NaN))
  const maxColumnId = Math.max(...columnIds.filter((id) => !Number.isNaN(id)))
  const configuration = Number.isFinite(maxColumnId)
    ? { ...then.metadata.configuration, [MAX_COLUMN_ID]: String(maxColumnId) }
    : then.metadata.configuration
  const hasMoved = fields.some((field, index) => field !== then.schema.fields[index])
  const schemaString = hasMoved ? formatSchema({ ...then.schema, fields }) : then.metadata.schemaString
  const restored = { ...then.metadata, schemaString, configuration, id: now.metadata.id }
  return describesSame(restored, now.metadata) ? undefined : restored
}

function describesSame(one: Metadata, other: Metadata): boolean {
  const facts = ({ name, description, schemaString, partitionColumns, configuration }: Metadata) =>
    JSON.stringify([name ?? '', description ?? '', schemaString, partitionColumns, Object.entries(configuration).sort()])
  return facts(one) === facts(other)
}

const MAX_COLUMN_ID = 'delta.columnMapping.maxColumnId'
const HIGH_WATER_MARK = 'delta.identity.highWaterMark'

function withIdentityOf(field: StructField, fieldsNow: readonly StructField[]): StructField {
  const mark = fieldsNow.find(({ name }) => name === field.name)?.metadata[HIGH_WATER_MARK]
  const old = field.metadata[HIGH_WATER_MARK]
  if (mark === undefined || mark === old || !('delta.identity.start' in field.metadata)) return field
  const goesDown = Number(field.metadata['delta.identity.step']) < 0
  const isFurther = old === undefined || (goesDown ? Number(mark) < Number(old) : Number(mark) > Number(old))
  return isFurther ? { ...field, metadata: { ...field.metadata, [HIGH_WATER_MARK]: mark } } : field
}

/** Row ids that were given away are not given again either. */
const KEPT_DOMAIN = 'delta.rowTracking'

async function domainChanges(
  table: DeltaTable,
  now: Snapshot,
  then: Snapshot,
  options: StoreOptions,
): Promise<readonly DomainMetadata[]> {
  const [before, after] = [await domainsAt(table, then.version, options), await domainsAt(table, now.version, options)]
  const gone = [...after.values()].filter(({ domain }) => !before.has(domain)).map((domain) => ({ ...domain, removed: true }))
  const changed = [...before.values()].filter(({ domain, configuration }) => after.get(domain)?.configuration !== configuration)
  return [...gone, ...changed].filter(({ domain }) => domain !== KEPT_DOMAIN)
}

/** A log knows the domains of its newest version only. */
async function domainsAt(
  table: DeltaTable,
  version: number,
  options: StoreOptions,
): Promise<ReadonlyMap<string, DomainMetadata>> {
  const log = await TableLog.load(table.deps, version, options)
  try {
    return new Map([...log.domainMetadata()].map((domain) => [domain.domain, domain]))
  } finally {
    await log.close()
  }
}

function bytesOf(files: readonly SnapshotFile[]): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}
