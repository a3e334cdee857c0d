import { DeltaError } from '../base/errors.js'
import { truncateLog } from '../log/log-cleanup.js'
import { listLog, versionRange } from '../log/log-listing.js'
import type { DomainMetadata, Metadata, Protocol } from '../protocol/actions.js'
import { clusteredBy, isClustering } from '../protocol/clustering.js'
import { MAPPING_MODE, MAX_COLUMN_ID } from '../protocol/column-mapping.js'
import { protocolFor, withoutFeature } from '../protocol/protocol-for.js'
import { parseSchema } from '../protocol/schema.js'
import { featureNamed, isActive, supportedFeatures, TABLE_FEATURES, useOf } from '../protocol/table-features.js'
import type { StoreOptions } from '../storage/store.js'
import { checkpoint } from '../table/checkpoint.js'
import { conflictError, ROW_TRACKING_DOMAIN } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import type { Snapshot } from '../table/snapshot.js'
import { type Alteration, alterTable, refusedAlteration } from './alter.js'
import {
  cleanCheckpointPolicy,
  cleanMapping,
  cleanRowIds,
  cleanTypeChanges,
  cleanVectors,
  hasVectors,
  type TraceCleaner,
  tracedIn,
} from './feature-traces.js'
import { ROW_TRACKING, TRACKED_SINCE } from './track-rows.js'

/** How a feature is taken out of a table. */
interface Removal {
  /** Properties that only turn the feature on or say more of it: they go with it. */
  readonly properties?: readonly string[]
  /** Takes what there is of it out of the newest version first. */
  readonly clean?: TraceCleaner
  /** What people have to do first where they made use of it. */
  readonly inUse?: string
  /** Whether older versions are misread by those who do not know it. */
  readonly isInHistory?: boolean
}

const PROTECTED_BEFORE = 'delta.requireCheckpointProtectionBeforeVersion'
const PROTECTION = 'checkpointProtection'

const REMOVALS: Readonly<Record<string, Removal>> = {
  appendOnly: { properties: ['delta.appendOnly'] },
  invariants: { inUse: 'ALTER TABLE … ALTER COLUMN … DROP NOT NULL for each column that takes no NULL' },
  checkConstraints: { inUse: 'ALTER TABLE … DROP CONSTRAINT for each constraint' },
  changeDataFeed: { properties: ['delta.enableChangeDataFeed'] },
  generatedColumns: { inUse: 'drop the computed columns' },
  identityColumns: { inUse: 'drop the columns that number the rows' },
  allowColumnDefaults: { inUse: 'ALTER TABLE … ALTER COLUMN … DROP DEFAULT for each column that has one' },
  inCommitTimestamp: {
    properties: [
      'delta.enableInCommitTimestamps',
      'delta.inCommitTimestampEnablementTimestamp',
      'delta.inCommitTimestampEnablementVersion',
    ],
  },
  clustering: { inUse: 'ALTER TABLE … CLUSTER BY NONE' },
  domainMetadata: {},
  materializePartitionColumns: {},
  rowTracking: {
    properties: [
      ROW_TRACKING,
      'delta.rowTrackingSuspended',
      'delta.rowTracking.materializedRowIdColumnName',
      'delta.rowTracking.materializedRowCommitVersionColumnName',
      TRACKED_SINCE,
    ],
    clean: cleanRowIds,
  },
  deletionVectors: { properties: ['delta.enableDeletionVectors'], clean: cleanVectors, isInHistory: true },
  columnMapping: { properties: [MAPPING_MODE, MAX_COLUMN_ID], clean: cleanMapping, isInHistory: true },
  typeWidening: { properties: ['delta.enableTypeWidening'], clean: cleanTypeChanges, isInHistory: true },
  v2Checkpoint: { properties: ['delta.checkpointPolicy'], clean: cleanCheckpointPolicy, isInHistory: true },
  timestampNtz: { inUse: 'drop the columns of type TIMESTAMP_NTZ', isInHistory: true },
  variantType: { inUse: 'drop the columns of type VARIANT', isInHistory: true },
  vacuumProtocolCheck: { isInHistory: true },
  [PROTECTION]: { properties: [PROTECTED_BEFORE] },
}

/** Checkpoints between the last use of a feature and its end, for readers who no longer know it: one may turn out damaged. */
const BARRIERS = 3

export interface DropFeature {
  readonly feature: string
  readonly truncateHistory: boolean
}

/**
 * ALTER TABLE … DROP FEATURE: takes a feature out of a table's protocol, with the properties that turn it on, and what there is of
 * it out of the newest version.
 *
 * Where older versions need the feature, checkpoints after its last use let others pass them by, and `checkpointProtection`
 * keeps these. `TRUNCATE HISTORY` deletes such versions instead, once they are older than
 * `delta.dropFeatureTruncateHistory.retentionDuration` (24 hours): it is asked for twice, before and after that time.
 *
 * @returns the version in which the table is so.
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` for a feature that the table does not have, or still uses, with what to do first,
 * and while older versions that use it are kept; `FEATURE_UNSUPPORTED` for one that is not taken out here; `COMMIT_CONFLICT`.
 */
export async function dropFeature(
  table: DeltaTable,
  source: FileSource,
  { feature: given, truncateHistory }: DropFeature,
  options: StoreOptions = {},
): Promise<number> {
  const { protocol } = await table.snapshot({}, options)
  const feature = supportedFeatures(protocol).find((name) => name.toLowerCase() === given.toLowerCase())
  if (feature === undefined)
    throw refusedAlteration('the table does not have this feature', { feature: given, features: supportedFeatures(protocol) })
  const removal = REMOVALS[featureNamed(feature)?.name ?? feature]
  if (!removal)
    throw new DeltaError(
      'FEATURE_UNSUPPORTED',
      'deltaic does not take this feature out of a table, as it cannot rewrite the files that may use it',
      { feature },
      { hint: 'run ALTER TABLE … DROP FEATURE in Spark, or write the rows into a new table without the feature' },
    )
  checkForm(feature, removal, truncateHistory)
  checkNotNeeded(feature, protocol)
  const cleaned = (await removal.clean?.(table, source, options)) ?? false
  checkUnused(feature, withoutProperties((await table.snapshot({}, options)).metadata, removal.properties ?? []))
  if (truncateHistory) await truncate(table, feature, cleaned, options)
  else if (removal.isInHistory) for (let at = 0; at < BARRIERS; at++) await checkpointAnew(table, options)
  const version = await alterTable(
    table,
    source,
    async (snapshot, domains) => dropping(snapshot, domains, feature, removal, truncateHistory, options),
    options,
  )
  if (removal.isInHistory) await checkpoint(table, options)
  return version
}

function checkForm(feature: string, { isInHistory = false }: Removal, truncateHistory: boolean): void {
  if (feature === PROTECTION && !truncateHistory)
    throw refusedAlteration(
      'older versions need features that the table no longer has',
      { feature },
      'ALTER TABLE … DROP FEATURE checkpointProtection TRUNCATE HISTORY deletes them once they are old enough',
    )
  if (truncateHistory && !isInHistory && feature !== PROTECTION)
    throw refusedAlteration('older versions are read without this feature too', { feature }, 'leave TRUNCATE HISTORY out')
}

function checkNotNeeded(feature: string, protocol: Protocol): void {
  const needing = TABLE_FEATURES.find(
    ({ name, dependsOn = [] }) => dependsOn.includes(feature) && supportedFeatures(protocol).includes(name),
  )
  if (needing) throw refusedAlteration('another feature of the table needs this one', { feature, needing: needing.name })
}

/**
 * Deletes the versions that use a feature, as far as they are old enough.
 *
 * @param isFresh whether the newest version but a few used it still.
 */
async function truncate(table: DeltaTable, feature: string, isFresh: boolean, options: StoreOptions): Promise<void> {
  const { deps } = table
  if (isFresh) await checkpointAnew(table, options)
  else await checkpoint(table, options)
  const log = await table.refresh()
  const { properties } = await table.snapshot({}, options)
  const retentionMs = properties.truncateHistoryRetentionMs
  const nowMs = deps.clock.now()
  await truncateLog(deps, log, nowMs - retentionMs, nowMs)
  const traced = await stillTraced(table, feature, properties.checkpointProtectionBeforeVersion, options)
  if (traced === undefined) return
  throw refusedAlteration(
    'the newest version no longer uses the feature, and older ones do',
    { feature, version: traced, retentionMs },
    'run it again when those versions are older than delta.dropFeatureTruncateHistory.retentionDuration, 24 hours unless it is set; without TRUNCATE HISTORY they are kept',
  )
}

async function stillTraced(table: DeltaTable, feature: string, protectedBefore: number, options: StoreOptions) {
  if (feature !== PROTECTION) return tracedIn(table, feature, options)
  const earliest = versionRange(await listLog(table.deps.store, 0, options))?.earliest ?? 0
  return earliest < protectedBefore ? earliest : undefined
}

/** A version that changes nothing, and its checkpoint: whoever begins there sees nothing of the versions before. */
async function checkpointAnew(table: DeltaTable, options: StoreOptions): Promise<void> {
  const transaction = await table.transaction(undefined, options)
  const outcome = await transaction.describe({ name: 'Empty Commit' }).commit(options)
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
  await checkpoint(table, options)
}

async function dropping(
  snapshot: Snapshot,
  domains: readonly DomainMetadata[],
  feature: string,
  { properties = [], isInHistory = false }: Removal,
  truncateHistory: boolean,
  options: StoreOptions,
): Promise<Alteration> {
  const bare = withoutProperties(snapshot.metadata, properties)
  checkUnused(feature, bare)
  if (feature === 'clustering' && clusteredBy(domains, snapshot.schema, snapshot.mapping).length > 0) throw inUse(feature)
  if (feature === 'deletionVectors' && (await hasVectors(snapshot, options))) throw inUse(feature)
  const ended = domains.filter(
    ({ domain }) =>
      feature === 'domainMetadata' ||
      (feature === 'clustering' && isClustering(domain)) ||
      (feature === 'rowTracking' && domain === ROW_TRACKING_DOMAIN),
  )
  const isProtected = isInHistory && !truncateHistory
  const metadata = isProtected
    ? { ...bare, configuration: { ...bare.configuration, [PROTECTED_BEFORE]: String(snapshot.version + 1) } }
    : bare
  const protocol = withoutFeature(snapshot.protocol, feature)
  return {
    metadata,
    protocol: isProtected ? protocolFor(parseSchema(metadata.schemaString), metadata.configuration, {}, protocol) : protocol,
    readsWhole: true,
    domains: ended.map((domain) => ({ ...domain, removed: true })),
    operation: { name: 'DROP FEATURE', parameters: { featureName: feature, truncateHistory } },
  }
}

function withoutProperties(metadata: Metadata, keys: readonly string[]): Metadata {
  const configuration = Object.fromEntries(Object.entries(metadata.configuration).filter(([key]) => !keys.includes(key)))
  return { ...metadata, configuration }
}

function checkUnused(name: string, metadata: Metadata): void {
  const feature = featureNamed(name)
  const use = useOf(metadata)
  const isUsed = name === 'invariants' ? use.fields.some((f) => !f.nullable) : false
  if (isUsed || (feature && isActive(feature, use, false))) throw inUse(name)
}

function inUse(feature: string): DeltaError {
  return refusedAlteration('the table uses this feature', { feature }, REMOVALS[feature]?.inUse)
}
