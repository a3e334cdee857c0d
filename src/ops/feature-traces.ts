import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { listLog, versionRange } from '../log/log-listing.js'
import type { Metadata } from '../protocol/actions.js'
import { locateDeletionVector } from '../protocol/deletion-vector.js'
import { encodeFilePath } from '../protocol/file-path.js'
import { withoutFieldKeys } from '../protocol/schema-metadata.js'
import { featureNamed, isActive, useOf } from '../protocol/table-features.js'
import type { StoreOptions } from '../storage/store.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import type { Snapshot } from '../table/snapshot.js'
import { alterTable } from './alter.js'
import { filesOfOlderTypes } from './older-types.js'
import { compact } from './optimize.js'
import { takeRowIds } from './track-rows.js'
import { unmapColumns } from './unmap-columns.js'

/** Takes what a table has of a feature out of its newest version; tells whether there was anything. */
export type TraceCleaner = (table: DeltaTable, source: FileSource, options: StoreOptions) => Promise<boolean>

const ROUNDS_MAX = 10
const TYPE_CHANGES = 'delta.typeChanges'

export const cleanVectors: TraceCleaner = async (table, source, options) => {
  const isUnset = await unset(table, source, 'delta.enableDeletionVectors', options)
  let isRewritten = false
  for (let round = 0; await hasVectors(await table.snapshot({}, options), options); round++) {
    if (round === ROUNDS_MAX)
      throw new DeltaError('COMMIT_CONFLICT', 'others keep deleting rows through deletion vectors', { table: table.uri })
    await compact(table, source, { purge: true, signal: options.signal })
    isRewritten = true
  }
  if (isRewritten || isUnset) await buryVectors(table, options)
  return isRewritten || isUnset
}

/** Files of the types that columns had are written anew. */
export const cleanTypeChanges: TraceCleaner = async (table, source, options) => {
  const isUnset = await unset(table, source, 'delta.enableTypeWidening', options)
  const snapshot = await table.snapshot({}, options)
  if (!useOf(snapshot.metadata).fields.some(({ metadata }) => TYPE_CHANGES in metadata)) return isUnset
  const files = await filesOfOlderTypes(table, source, snapshot, options)
  if (files.length > 0) await compact(table, source, { purge: true, chosen: { snapshot, files }, signal: options.signal })
  const there = new Set((await (await table.snapshot({}, options)).files('TRUE', options)).files.map(({ file }) => file))
  if (files.some(({ file }) => there.has(file)))
    throw new DeltaError('COMMIT_CONFLICT', 'others change the files that hold older types', { table: table.uri })
  await alterTable(
    table,
    source,
    async ({ metadata }) => ({
      metadata: withoutFieldKeys(metadata, [TYPE_CHANGES]),
      operation: { name: 'DROP FEATURE', parameters: { columns: TYPE_CHANGES } },
    }),
    options,
  )
  return true
}

export const cleanCheckpointPolicy: TraceCleaner = (table, source, options) =>
  unset(table, source, 'delta.checkpointPolicy', options)

export const cleanMapping: TraceCleaner = unmapColumns

export const cleanRowIds: TraceCleaner = (table, _, options) => takeRowIds(table, options)

/** The newest version that the log still has in which a table used a feature. */
export async function tracedIn(table: DeltaTable, feature: string, options: StoreOptions): Promise<number | undefined> {
  const known = featureNamed(feature)
  const uses = (metadata: Metadata) => known !== undefined && isActive(known, useOf(metadata), false)
  const looksAtFiles = feature === 'deletionVectors'
  const listing = await listLog(table.deps.store, 0, options)
  const earliest = versionRange(listing)?.earliest ?? 0
  for (const version of listing.commits.toReversed().filter((one) => one > earliest)) {
    options.signal?.throwIfAborted()
    const commit = await table.commitIfKept(version)
    if (!commit) continue
    if (commit.metaData && uses(commit.metaData)) return version
    if (looksAtFiles && [...commit.adds, ...commit.removes].some(({ deletionVector }) => deletionVector)) return version
  }
  const oldest = await table.snapshot({ version: earliest }, options)
  return uses(oldest.metadata) || (looksAtFiles && (await hasVectors(oldest, options))) ? earliest : undefined
}

export async function hasVectors(snapshot: Snapshot, options: StoreOptions): Promise<boolean> {
  return (await snapshot.files('dv_id IS NOT NULL', options)).files.length > 0
}

/** Unsets a property, so that nobody makes more of what is to go. */
async function unset(table: DeltaTable, source: FileSource, key: string, options: StoreOptions): Promise<boolean> {
  const before = await table.snapshot({}, options)
  if (!(key in before.metadata.configuration)) return false
  await alterTable(
    table,
    source,
    async ({ metadata }) => {
      const { [key]: value, ...configuration } = metadata.configuration
      if (value === undefined) return undefined
      const parameters = { properties: JSON.stringify([key]), ifExists: true }
      return { metadata: { ...metadata, configuration }, operation: { name: 'UNSET TBLPROPERTIES', parameters } }
    },
    options,
  )
  return true
}

/**
 * Tells the log of the files of deletion vectors as of removed ones: a VACUUM that knows no vectors then keeps them as long as
 * versions that need them are kept.
 */
async function buryVectors(table: DeltaTable, options: StoreOptions): Promise<void> {
  const { name } = await (await table.refresh()).files()
  const found = await table.deps.database.rows<{ kind: 'u'; place: string }>(
    `SELECT DISTINCT "deletionVector"."storageType" AS kind, "deletionVector"."pathOrInlineDv" AS place FROM ${ident(name)} WHERE dv_id IS NOT NULL AND "deletionVector"."storageType" = 'u'`,
    options,
  )
  const paths = found.flatMap(({ kind, place }) => {
    const located = locateDeletionVector({ storageType: kind, pathOrInlineDv: place, sizeInBytes: 0, cardinality: 0 })
    return located.kind === 'file' ? [encodeFilePath(located.path)] : []
  })
  if (paths.length === 0) return
  const transaction = await table.transaction(undefined, options)
  const outcome = await transaction
    .remove(paths.map((path) => ({ path, deletionTimestamp: table.deps.clock.now(), dataChange: false })))
    .describe({ name: 'Deletion Vector Tombstones' })
    .commit(options)
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
}
