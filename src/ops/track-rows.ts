import { assert } from '../base/errors.js'
import type { Random } from '../base/random.js'
import { globLiteral } from '../engine/sql-text.js'
import type { AddFile } from '../protocol/actions.js'
import { protocolFor } from '../protocol/protocol-for.js'
import { isTrue, supportedFeatures } from '../protocol/table-features.js'
import type { StoreOptions } from '../storage/store.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { readdedFile } from '../table/readded-file.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'

export const ROW_TRACKING = 'delta.enableRowTracking'
/** Says since when row ids of a table can be relied on, where that is not its beginning. */
export const TRACKED_SINCE = 'deltaic.rowTrackedSince'

const FILES_AT_ONCE = 10_000
const LOST_MAX = 10

/** Whether properties turn row tracking on. */
export function startsTracking({ properties }: Snapshot, configuration: Readonly<Record<string, string>>): boolean {
  return !properties.rowTracking && isTrue(configuration[ROW_TRACKING])
}

/** Names for the columns in which moved rows keep their ids. */
export function materializedColumns(random: Random): Readonly<Record<string, string>> {
  return {
    'delta.rowTracking.materializedRowIdColumnName': `_row-id-col-${random.uuid()}`,
    'delta.rowTracking.materializedRowCommitVersionColumnName': `_row-commit-version-col-${random.uuid()}`,
  }
}

/**
 * Makes a table ready to track its rows: its protocol asks every writer for row ids, and each of its files gets some. Rows
 * stay as and where they are; others write meanwhile. The property that promises stable ids is set after it.
 *
 * @throws {DeltaError} `COMMIT_CONFLICT` when others kept taking out the files that were to get ids.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#row-tracking
 */
export async function giveRowIds(table: DeltaTable, source: FileSource, options: StoreOptions = {}): Promise<void> {
  await supportRowIds(table, options)
  for (let lost = 0; ; ) {
    const transaction = await table.transaction(undefined, options)
    const { snapshot } = transaction
    const files = (await snapshot.files('"baseRowId" IS NULL', options)).files.slice(0, FILES_AT_ONCE)
    if (files.length === 0) return
    const counted = await withRowCounts(table, source, snapshot, files, options)
    const outcome = await transaction
      .add(counted.map((file) => ({ ...readdedFile(file), dataChange: false })))
      .hold(files)
      .describe({ name: 'ROW TRACKING BACKFILL', metrics: { numFiles: files.length } })
      .commit(options)
    if (outcome.kind === 'conflict' && ++lost === LOST_MAX) throw conflictError(table.uri, outcome.conflict)
  }
}

/**
 * Takes the row ids of a table's files away again, in commits that change no row. New files get none from the first of them on.
 *
 * @returns whether there was anything to do.
 * @throws {DeltaError} `COMMIT_CONFLICT` when others kept taking out the files that were to lose their ids.
 */
export async function takeRowIds(table: DeltaTable, options: StoreOptions = {}): Promise<boolean> {
  let isChanged = false
  for (let lost = 0; ; ) {
    const transaction = await table.transaction(undefined, options)
    const { snapshot } = transaction
    const { metadata, properties } = snapshot
    const files = (await snapshot.files('"baseRowId" IS NOT NULL', options)).files.slice(0, FILES_AT_ONCE)
    const isSuspended = properties.rowTrackingSuspended && !properties.rowTracking
    if (isSuspended && files.length === 0) return isChanged
    isChanged = true
    if (!isSuspended) {
      const set = { [ROW_TRACKING]: 'false', 'delta.rowTrackingSuspended': 'true' }
      transaction
        .setMetadata({ ...metadata, configuration: { ...metadata.configuration, ...set } })
        .describe({ name: 'SET TBLPROPERTIES', parameters: { properties: JSON.stringify(set) } })
    } else
      transaction
        .add(files.map((file) => withoutIds(file)))
        .hold(files)
        .describe({ name: 'ROW TRACKING UNBACKFILL', metrics: { numFiles: files.length } })
    const outcome = await transaction.commit(options)
    if (outcome.kind === 'conflict' && ++lost === LOST_MAX) throw conflictError(table.uri, outcome.conflict)
  }
}

function withoutIds(file: SnapshotFile): AddFile {
  const { baseRowId: _id, defaultRowCommitVersion: _version, ...add } = readdedFile(file)
  return { ...add, dataChange: false }
}

/** From here on every file that comes has ids. */
async function supportRowIds(table: DeltaTable, options: StoreOptions): Promise<void> {
  const transaction = await table.transaction(undefined, options)
  const { schema, metadata, protocol } = transaction.snapshot
  if (supportedFeatures(protocol).includes('rowTracking')) return
  const wanted = protocolFor(schema, metadata.configuration, { features: ['rowTracking'] }, protocol)
  const outcome = await transaction
    .setProtocol(wanted)
    .describe({ name: 'UPGRADE PROTOCOL', parameters: { newProtocol: JSON.stringify(wanted) } })
    .commit(options)
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
}

/** Statistics of files that do not tell how many rows they have, from their footers. */
async function withRowCounts(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  files: readonly SnapshotFile[],
  options: StoreOptions,
): Promise<readonly SnapshotFile[]> {
  const unknown = files.filter(({ physicalRows }) => physicalRows === undefined)
  if (unknown.length === 0) return files
  const held = await source.open(table.deps.store, unknown, snapshot, new Set(), options)
  try {
    const names = held.files.map(({ localFile }) => globLiteral(localFile))
    const read = await table.deps.database.rows<{ file_name: string; num_rows: bigint }>(
      `SELECT file_name, num_rows FROM parquet_file_metadata([${names.join(', ')}])`,
      options,
    )
    const byName = new Map(read.map(({ file_name, num_rows }) => [file_name, Number(num_rows)]))
    const counts = new Map(unknown.map((file, at) => [file, byName.get(held.files[at]?.localFile ?? '')]))
    return files.map((file) => {
      if (!counts.has(file)) return file
      const numRecords = counts.get(file)
      assert(numRecords !== undefined, `the footer of ${file.file} is read`)
      return { ...file, stats: JSON.stringify({ ...(JSON.parse(file.stats ?? '{}') as object), numRecords }) }
    })
  } finally {
    held.release()
  }
}
