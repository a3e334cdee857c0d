import { DeltaError } from '../base/errors.js'
import type { AddFile, RemoveFile } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { canonicalFilePath, rootSpellings } from '../protocol/file-path.js'
import { parseSchema } from '../protocol/schema.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
import type { DeltaTable } from '../table/delta-table.js'
import { headOf } from '../table/file-place.js'
import type { FileSource, HeldFiles } from '../table/file-source.js'
import { type ScanFile, scanSql } from '../table/scan-sql.js'
import type { FileSelection, Snapshot, SnapshotFile } from '../table/snapshot.js'
import { unreadableColumn } from './change-schema.js'
import { layers } from './changes-scan.js'
import { type NetFile, netChanges } from './net-changes.js'

/** Rows that came into a table, or left it, between two of its versions. */
export interface RowChanges {
  readonly files: readonly RowChange[]
  /** Sizes of whole files. */
  readonly bytes: number
}

export interface RowChange extends SnapshotFile {
  readonly onlyVector: SnapshotFile['deletionVector']
  /** Set where statistics tell what is in the file. */
  readonly add: AddFile | undefined
}

/** What changed in a table between two of its versions, whether it keeps a change feed or not. */
export interface ChangesBetween {
  readonly plus: RowChanges
  readonly minus: RowChanges
}

const COMMITS_AT_ONCE = 16
const NOTHING: RowChanges = { files: [], bytes: 0 }

/**
 * What changed in a table after a version, up to `end`, net: rows that came and rows that left. What only moved is neither.
 *
 * @param commitOf reads a commit, `undefined` when the log no longer holds it.
 * @returns `undefined` when it cannot be told: the log or files of it are gone, or rows of the range cannot be read under the
 * schema of `end`.
 */
export async function rowChanges(
  table: DeltaTable,
  end: Snapshot,
  after: number,
  commitOf: (version: number) => Promise<Commit | undefined> = (version) => table.commitIfKept(version),
  options: StoreOptions = {},
): Promise<ChangesBetween | undefined> {
  if (after === end.version) return { plus: NOTHING, minus: NOTHING }
  if (after > end.version) return undefined
  const commits: Commit[] = []
  for (let version = after + 1; version <= end.version; version += COMMITS_AT_ONCE) {
    options.signal?.throwIfAborted()
    const last = Math.min(version + COMMITS_AT_ONCE - 1, end.version)
    const some = await Promise.all(Array.from({ length: last - version + 1 }, (_, at) => commitOf(version + at)))
    for (const commit of some) {
      if (!commit || (commit.metaData && !isReadable(commit.metaData, end))) return undefined
      commits.push(commit)
    }
  }
  if (commits.some(({ metaData }) => metaData)) {
    // Metadata of the range is told by its commits; what was before them is of the version it begins with.
    const before = await table.snapshot({ version: after }, options).catch(ifGone)
    if (!before || !isReadable(before.metadata, end)) return undefined
  }
  const net = netChanges(commits, rootSpellings(table.uri))
  const isPartial = (file: NetFile) => end.partitionColumns.length > 0 && !file.action.partitionValues
  const partitions = net.minus.some(isPartial) ? await partitionsAt(table, after, options) : new Map()
  const changes = async (files: readonly NetFile[]): Promise<RowChanges> => {
    const all = await Promise.all(files.map((file) => changeOf(table.deps.store, file, partitions, options)))
    return { files: all, bytes: all.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) }
  }
  const [plus, minus] = [await changes(net.plus), await changes(net.minus)]
  return (await areThere(table, [...plus.files, ...minus.files], commits, options)) ? { plus, minus } : undefined
}

/** Which of the files a condition over the files relation may want; files without statistics stay. */
export async function selectChanges(
  table: DeltaTable,
  end: Snapshot,
  changes: RowChanges,
  condition: string,
): Promise<FileSelection> {
  const adds = changes.files.flatMap(({ add }) => add ?? [])
  const kept = condition === 'TRUE' ? adds : await table.select(end, condition, adds)
  const files = condition === 'TRUE' ? changes.files : changes.files.filter(({ add }) => !add || kept.includes(add))
  const bytesRead = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return {
    files,
    bytesRead,
    filesSkipped: changes.files.length - files.length,
    bytesSkipped: changes.bytes - bytesRead,
    skippedBy: [],
  }
}

/**
 * Makes rows that came or left readable as one relation with the columns of `end`.
 *
 * @param columns by name in lower case: those that will be read; `undefined` for all.
 */
export async function openRowChanges(
  source: FileSource,
  store: ObjectStore,
  end: Snapshot,
  files: readonly RowChange[],
  columns: ReadonlySet<string> | undefined,
  options: StoreOptions = {},
): Promise<HeldFiles & { readonly sql: string }> {
  const held = await source.open(store, files, end, columns, options)
  const { schema, partitionColumns, mapping } = end
  const unread = new Set(partitionColumns.filter((name) => columns !== undefined && !columns.has(name.toLowerCase())))
  const scan = (some: readonly ScanFile[]) => scanSql({ fields: schema.fields, partitionColumns, mapping, unread }, some)
  const scans = layers(held.files).map(scan)
  return { ...held, sql: scans.length > 0 ? scans.join(' UNION ALL ') : scan([]) }
}

function isReadable(
  { schemaString, partitionColumns }: Pick<Snapshot['metadata'], 'schemaString' | 'partitionColumns'>,
  end: Snapshot,
) {
  return (
    unreadableColumn(parseSchema(schemaString), end.schema) === undefined &&
    JSON.stringify(partitionColumns) === JSON.stringify(end.partitionColumns)
  )
}

function ifGone(error: unknown): undefined {
  if (error instanceof DeltaError && ['VERSION_NOT_FOUND', 'LOG_GAP'].includes(error.code)) return undefined
  throw error
}

async function partitionsAt(table: DeltaTable, version: number, options: StoreOptions) {
  const { files } = await (await table.snapshot({ version }, options)).files('TRUE', options)
  return new Map(files.map(({ file, partitionValues }) => [file, partitionValues]))
}

async function changeOf(
  store: ObjectStore,
  { file, action, deletionVector, onlyVector }: NetFile,
  partitions: ReadonlyMap<string, SnapshotFile['partitionValues']>,
  options: StoreOptions,
): Promise<RowChange> {
  const add = isAdd(action) ? action : undefined
  return {
    file,
    path: action.path,
    partitionValues: action.partitionValues ?? partitions.get(file) ?? {},
    sizeBytes: action.size ?? (await headOf(store, file, options))?.sizeBytes ?? 0,
    modifiedAtMs: add?.modificationTime ?? 0,
    deletionVector,
    onlyVector,
    add,
    rows: undefined,
    physicalRows: undefined,
    stats: add?.stats,
    tags: undefined,
    baseRowId: undefined,
    defaultRowCommitVersion: undefined,
    clusteringProvider: undefined,
  }
}

/** Files that left the table may have been vacuumed since. What the commits did to a file last tells those that are live. */
async function areThere(
  { uri, deps: { store } }: DeltaTable,
  files: readonly RowChange[],
  commits: readonly Commit[],
  options: StoreOptions,
): Promise<boolean> {
  const live = new Set<string>()
  const roots = rootSpellings(uri)
  for (const { adds, removes } of commits) {
    for (const { path } of removes) live.delete(canonicalFilePath(path, roots))
    for (const { path } of adds) live.add(canonicalFilePath(path, roots))
  }
  const unsure = files.filter((one) => !live.has(one.file))
  const found = await Promise.all(unsure.map(({ file }) => headOf(store, file, options)))
  return found.every((one) => one !== undefined)
}

function isAdd(action: AddFile | RemoveFile): action is AddFile {
  return 'modificationTime' in action
}
