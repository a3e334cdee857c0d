import { DeltaError } from '../base/errors.js'
import { Timeline } from '../log/timeline.js'
import { type AddCDCFile, type AddFile, deletionVectorId, type Metadata, type RemoveFile } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { canonicalFilePath, rootSpellings } from '../protocol/file-path.js'
import { tableProperties } from '../protocol/properties.js'
import { parseSchema } from '../protocol/schema.js'
import type { StoreOptions } from '../storage/store.js'
import type { DeltaTable, VersionSelector } from '../table/delta-table.js'
import { headOf } from '../table/file-place.js'
import type { SourceFile } from '../table/file-source.js'
import { versionFrom } from '../table/history.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import { unreadableColumn } from './change-schema.js'

/** A file with changed rows of one commit. */
export interface ChangedFile extends SnapshotFile, Pick<SourceFile, 'onlyVector'> {
  /** `undefined` for a change file: each of its rows says so itself. */
  readonly changeType: 'insert' | 'delete' | undefined
  readonly commitVersion: number
  /** Milliseconds since 1970-01-01 UTC. */
  readonly commitTimeMs: number
}

const COMMITS_AT_ONCE = 16

/**
 * The files that tell what changed in a table since a version, or a time (its first version from then on), up to `end`,
 * both included, in the order of commits.
 *
 * @throws {DeltaError} `VERSION_NOT_FOUND` when the log does not reach from there to there, `ARGUMENT_INVALID` when the
 * range ends before it begins, `CHANGES_NOT_RECORDED` with the first version at which the table had no change feed,
 * `SCHEMA_MISMATCH` when a version's rows cannot be read under the schema of `end`.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#reader-requirements-for-addcdcfile
 */
export async function changedFiles(
  table: DeltaTable,
  end: Snapshot,
  since: VersionSelector,
  options: StoreOptions = {},
): Promise<readonly ChangedFile[]> {
  const { store } = table.deps
  const log = await table.known()
  const timeline = await Timeline.load(store, log, options)
  const from = since.timestampMs === undefined ? (since.version ?? 0) : await versionFrom(timeline, since.timestampMs, options)
  if (from > log.version)
    throw new DeltaError('VERSION_NOT_FOUND', 'version is not in the log', { version: from, latest: log.version })
  if (from > end.version)
    throw new DeltaError('ARGUMENT_INVALID', 'the range of changes ends before it begins', { from, to: end.version })
  checkMetadata(from, (await table.snapshot({ version: from }, options)).metadata, end)
  const resolve = resolver(table, end, options)
  const files: ChangedFile[] = []
  for (let version = from; version <= end.version; version += COMMITS_AT_ONCE) {
    const last = Math.min(version + COMMITS_AT_ONCE - 1, end.version)
    const some = Array.from({ length: last - version + 1 }, (_, index) => version + index)
    options.signal?.throwIfAborted()
    const commits = await Promise.all(some.map(async (one) => [one, await table.commitIfKept(one)] as const))
    for (const [one, commit] of commits) {
      if (!commit)
        throw new DeltaError('VERSION_NOT_FOUND', 'the log no longer holds a commit of the range', {
          version: one,
          earliest: timeline.rebuildable[0],
          latest: end.version,
        })
      if (commit.metaData) checkMetadata(one, commit.metaData, end)
      const commitTimeMs = timeline.timeSaid(one, commit.commitInfo?.inCommitTimestamp)
      for (const change of changesOf(commit, rootSpellings(table.uri))) files.push(await resolve(change, one, commitTimeMs))
    }
  }
  return files
}

/** Changed rows of one commit, as its actions tell. */
export interface Change {
  readonly changeType: ChangedFile['changeType']
  readonly file: string
  readonly action: AddFile | RemoveFile | AddCDCFile
  readonly deletionVector: SnapshotFile['deletionVector']
  readonly onlyVector: SnapshotFile['deletionVector']
}

/**
 * What a commit changes. Pure.
 *
 * Change files tell everything where there are any. Otherwise added files are inserted rows and removed ones deleted rows;
 * of a file whose deletion vector was swapped, those rows count that one vector lists and the other does not.
 */
export function changesOf({ cdc, adds, removes }: Commit, roots: readonly string[]): readonly Change[] {
  const changed = (changeType: Change['changeType'], action: Change['action'], vectors: Partial<Change> = {}): Change => {
    const deletionVector = 'deletionVector' in action ? (action.deletionVector ?? undefined) : undefined
    return { changeType, action, file: canonicalFilePath(action.path, roots), deletionVector, onlyVector: undefined, ...vectors }
  }
  if (cdc.length > 0) return cdc.map((action) => changed(undefined, action))
  const added = new Map(adds.map((add) => [canonicalFilePath(add.path, roots), add]))
  const swapped = new Set<string>()
  const deletes = removes
    .filter(({ dataChange }) => dataChange)
    .flatMap((remove): Change[] => {
      const add = added.get(canonicalFilePath(remove.path, roots))
      if (!add) return [changed('delete', remove)]
      swapped.add(canonicalFilePath(add.path, roots))
      const [before, after] = [remove.deletionVector ?? undefined, add.deletionVector ?? undefined]
      if (deletionVectorId(before) === deletionVectorId(after)) return []
      return [
        ...(after ? [changed('delete', add, { deletionVector: before, onlyVector: after })] : []),
        ...(before ? [changed('insert', add, { deletionVector: after, onlyVector: before })] : []),
      ]
    })
  const inserts = adds.filter((add) => add.dataChange && !swapped.has(canonicalFilePath(add.path, roots)))
  return [...inserts.map((add) => changed('insert', add)), ...deletes]
}

function checkMetadata(version: number, metadata: Metadata, end: Snapshot): void {
  if (!tableProperties(metadata.configuration).changeDataFeed)
    throw new DeltaError(
      'CHANGES_NOT_RECORDED',
      'the table kept no change feed at a version of the range',
      { version },
      { hint: 'begin after the version that set delta.enableChangeDataFeed: the history shows it' },
    )
  const column = unreadableColumn(parseSchema(metadata.schemaString), end.schema)
  if (column !== undefined)
    throw new DeltaError(
      'SCHEMA_MISMATCH',
      'a column changed within the range, so its changes cannot be read as one table',
      { version, column },
      { hint: 'ask for the versions before and after that change one after the other' },
    )
  if (JSON.stringify(metadata.partitionColumns) !== JSON.stringify(end.partitionColumns))
    throw new DeltaError(
      'SCHEMA_MISMATCH',
      'the table was partitioned anew within the range, so its changes cannot be read as one table',
      { version },
      { hint: 'ask for the versions before and after that change one after the other' },
    )
}

/** Removals may leave out what the log told when the file was added. */
function resolver(table: DeltaTable, end: Snapshot, options: StoreOptions) {
  const partitionValuesOf = async (file: string, version: number) => {
    if (end.partitionColumns.length === 0) return {}
    const { files } = await (await table.snapshot({ version }, options)).files('TRUE', options)
    return files.find((one) => one.file === file)?.partitionValues ?? {}
  }
  return async (change: Change, commitVersion: number, commitTimeMs: number): Promise<ChangedFile> => {
    const { action, ...rest } = change
    return {
      ...rest,
      commitVersion,
      commitTimeMs,
      path: action.path,
      partitionValues: action.partitionValues ?? (await partitionValuesOf(change.file, commitVersion - 1)),
      sizeBytes: action.size ?? (await headOf(table.deps.store, change.file, options))?.sizeBytes ?? 0,
      modifiedAtMs: commitTimeMs,
      rows: undefined,
      physicalRows: undefined,
      stats: undefined,
      tags: undefined,
      baseRowId: undefined,
      defaultRowCommitVersion: undefined,
      clusteringProvider: undefined,
    }
  }
}
