import { isDeltaError } from '../base/errors.js'
import type { DeltaicEvent } from '../base/events.js'
import { globLiteral, ident, literal } from '../engine/sql-text.js'
import { FilesRelation } from '../log/files-relation.js'
import { TableLog } from '../log/table-log.js'
import { physicalName } from '../protocol/column-mapping.js'
import { logFilePath } from '../protocol/log-path.js'
import type { StoreOptions } from '../storage/store.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import { tombstoneOf } from '../table/tombstone.js'
import { type FsckProblem, rowProblems } from './fsck-rows.js'

export interface FsckRequest {
  /** Look at sizes and footers alone, and read no rows. @defaultValue false */
  readonly quick?: boolean | undefined
  /** Take files that are missing out of the table. @defaultValue false */
  readonly repair?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((filesDone: number, filesTotal: number) => void) | undefined
}

export interface FsckResult {
  /** The version that was checked. */
  readonly version: number
  readonly filesChecked: number
  /** The first 10,000. */
  readonly problems: readonly FsckProblem[]
  readonly problemsFound: number
  /** Files taken out of the table; the rows in them are lost. */
  readonly filesRemoved: number
}

const PROBLEMS_TOLD = 10_000
const GROUP_FILES = 128

/**
 * FSCK: holds the newest version to what its log says: files are there and as long as they should be, footers and
 * deletion vectors can be read and count as many rows as the log does, values lie within the statistics, partition
 * values and statistics can be read, and the log loads from its checkpoint and agrees with its checksum.
 *
 * What it finds it reports; it fails only where the table cannot be opened. With `repair`, references to data files that
 * are not there are removed in one commit.
 *
 * @throws {DeltaError} what opening the table throws; `COMMIT_CONFLICT` when somebody else removed a missing file too.
 */
export async function fsck(table: DeltaTable, source: FileSource, request: FsckRequest = {}): Promise<FsckResult> {
  const { signal } = request
  const snapshot = await table.snapshot({}, { signal })
  const problems: FsckProblem[] = []
  let problemsFound = 0
  const tell = (found: readonly FsckProblem[]) => {
    problemsFound += found.length
    problems.push(...found.slice(0, PROBLEMS_TOLD - problems.length))
  }
  tell(await logProblems(table, snapshot, { signal }))
  tell(await textProblems(table, snapshot, signal))
  const { files } = await snapshot.files('TRUE', { signal })
  const missing: SnapshotFile[] = []
  for (let start = 0; start < files.length; start += GROUP_FILES) {
    signal?.throwIfAborted()
    const group = files.slice(start, start + GROUP_FILES)
    const checked = await Promise.all(group.map((file) => presence(table, snapshot, file, { signal })))
    const there = group.filter((_, at) => checked[at]?.check !== 'missing')
    missing.push(...group.filter((file) => !there.includes(file)))
    tell(checked.flatMap((problem) => problem ?? []))
    for (const file of there) tell(await fileProblems(table, source, snapshot, file, request.quick ?? false, signal))
    request.onProgress?.(start + group.length, files.length)
  }
  if (request.repair && missing.length > 0) await removeMissing(table, snapshot, missing, signal)
  const filesRemoved = request.repair ? missing.length : 0
  return { version: snapshot.version, filesChecked: files.length, problems, problemsFound, filesRemoved }
}

/** Loads the log anew, as a process that begins does, and compares it with the checksum of its version. */
async function logProblems(table: DeltaTable, snapshot: Snapshot, options: StoreOptions): Promise<FsckProblem[]> {
  const problems: FsckProblem[] = []
  const events = (event: DeltaicEvent) => {
    if (event.type === 'degraded' && !isMismatch(event.error))
      problems.push({ check: 'checkpoint', file: '_delta_log', detail: `${event.what}: ${(event.error as Error).message}` })
  }
  try {
    const log = await TableLog.load({ ...table.deps, events }, snapshot.version, options)
    await log.close()
  } catch (error) {
    if (!isMismatch(error)) throw error
  }
  const path = logFilePath({ kind: 'checksum', version: snapshot.version })
  const bytes = await table.deps.store.get(path, options)
  if (!bytes) return problems
  const { files, bytes: size } = await snapshot.totals()
  try {
    const said = JSON.parse(Buffer.from(bytes).toString()) as Record<string, unknown>
    if (Number(said['numFiles'] ?? files) !== files || Number(said['tableSizeBytes'] ?? size) !== size)
      problems.push({
        check: 'checksum',
        file: path,
        detail: `it counts ${String(said['numFiles'])} files of ${String(said['tableSizeBytes'])} bytes, and the log ${files} of ${size}`,
      })
  } catch (error) {
    problems.push({ check: 'checksum', file: path, detail: (error as Error).message })
  }
  return problems
}

/** What does not add up is told once, with both counts. */
function isMismatch(error: unknown): boolean {
  return isDeltaError(error) && error.code === 'CHECKSUM_MISMATCH'
}

/** Partition values and statistics that cannot be read. */
async function textProblems(table: DeltaTable, snapshot: Snapshot, signal: AbortSignal | undefined): Promise<FsckProblem[]> {
  const { name } = await (await table.refresh()).files()
  const live = `FROM ${ident(name)} WHERE ${FilesRelation.liveAt(snapshot.version)}`
  const queries = [
    `SELECT 'statistics' AS "check", file, 'they are no JSON object' AS detail ${live} AND stats IS NOT NULL AND coalesce(TRY(json_type(stats)), '') <> 'OBJECT'`,
    ...snapshot.schema.fields
      .filter(({ name: logical }) => snapshot.partitionColumns.includes(logical))
      .map((field) => physicalName(field, snapshot.mapping))
      .map(
        (column) =>
          `SELECT 'partitionValue' AS "check", file, ${literal(column)} || ' cannot be ' || "partitionValues"[${literal(column)}] AS detail ${live} ` +
          `AND part.${ident(column)} IS NULL AND "partitionValues"[${literal(column)}] <> ''`,
      ),
  ]
  return table.deps.database.rows<FsckProblem>(`${queries.join(' UNION ALL ')} LIMIT ${PROBLEMS_TOLD}`, { signal })
}

async function presence(
  table: DeltaTable,
  snapshot: Snapshot,
  file: SnapshotFile,
  options: StoreOptions,
): Promise<FsckProblem | undefined> {
  const sizeBytes = await sizeOf(table, snapshot, file, options)
  if (sizeBytes === undefined) return { check: 'missing', file: file.file, detail: 'the file is not there' }
  if (sizeBytes === file.sizeBytes) return undefined
  return { check: 'size', file: file.file, detail: `it has ${sizeBytes} bytes, and ${file.sizeBytes} by the log` }
}

async function sizeOf(table: DeltaTable, snapshot: Snapshot, file: SnapshotFile, options: StoreOptions) {
  if (!snapshot.isOutside(file)) return (await table.deps.store.head(file.file, options))?.sizeBytes
  const path = globLiteral(snapshot.localPath(file) ?? '')
  const [found] = await table.deps.database.rows<{ size: bigint }>(`SELECT size FROM read_blob(${path})`, options).catch(() => [])
  return found && Number(found.size)
}

/** What is wrong with a file that is there: its vector, its footer, its rows. */
async function fileProblems(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  file: SnapshotFile,
  isQuick: boolean,
  signal: AbortSignal | undefined,
): Promise<readonly FsckProblem[]> {
  try {
    const held = await source.open(table.deps.store, [file], snapshot, isQuick ? new Set() : undefined, { signal })
    try {
      const [local] = held.files
      const [footer] = await table.deps.database.rows<{ rows: bigint }>(
        `SELECT num_rows AS rows FROM parquet_file_metadata(${globLiteral(local?.localFile ?? '')})`,
        { signal },
      )
      const rows = Number(footer?.rows ?? 0)
      if (file.physicalRows !== undefined && file.physicalRows !== rows)
        return [{ check: 'rows', file: file.file, detail: `it has ${rows} rows, and ${file.physicalRows} by the log` }]
      if (isQuick || !local) return []
      return await rowProblems(table, snapshot, file, local, rows, signal)
    } finally {
      held.release()
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (!isDeltaError(error) || ['unavailable', 'cancelled', 'limit'].includes(error.kind)) throw error
    const check = error.code === 'DELETION_VECTOR_DAMAGED' || isVectorMissing(error.details['file']) ? 'deletionVector' : 'footer'
    return [{ check, file: file.file, detail: error.message }]
  }
}

function isVectorMissing(file: unknown): boolean {
  return typeof file === 'string' && /deletion_vector_[^/]*\.bin$/.test(file)
}

async function removeMissing(
  table: DeltaTable,
  snapshot: Snapshot,
  missing: readonly SnapshotFile[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const transaction = await table.transaction(snapshot, { signal })
  const outcome = await transaction
    .remove(missing.map((file) => tombstoneOf(file, table.deps.clock.now(), true)))
    .describe({
      name: 'FSCK',
      parameters: { dryRun: 'false' },
      metrics: { numRemovedFiles: missing.length },
    })
    .commit({ signal })
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
}
