import { isDeltaError } from '../base/errors.js'
import type { DeltaicEvent } from '../base/events.js'
import { globLiteral, ident, literal } from '../engine/sql-text.js'
import { FilesRelation } from '../log/files-relation.js'
import { listLog } from '../log/log-listing.js'
import { TableLog } from '../log/table-log.js'
import { physicalName } from '../protocol/column-mapping.js'
import { LOG_FOLDER, logFilePath } from '../protocol/log-path.js'
import type { StoreOptions } from '../storage/store.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import { headOf } from '../table/file-place.js'
import type { FileSource } from '../table/file-source.js'
import { Snapshot, type SnapshotFile } from '../table/snapshot.js'
import { tombstoneOf } from '../table/tombstone.js'
import { type FsckProblem, rowProblems } from './fsck-rows.js'

export interface FsckRequest {
  /** Look at sizes and footers alone, and read no rows. @defaultValue false */
  readonly quick?: boolean | undefined
  /** Take files that are missing out of the table, and checksums that are wrong out of the log. @defaultValue false */
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
  /** Version checksums that differed from a log which all else bears out; that of the newest version is written anew. */
  readonly checksumsRemoved: number
}

const PROBLEMS_TOLD = 10_000
const GROUP_FILES = 128

/**
 * FSCK: holds the newest version to what its log says: files are there and as long as they should be, footers and
 * deletion vectors can be read and count as many rows as the log does, values lie within the statistics, partition
 * values and statistics can be read, and the log loads from its checkpoint, says the same from as far back as it goes, and agrees
 * with its checksums.
 *
 * What it finds it reports; it fails only where the log cannot be loaded. With `repair`, references to data files that
 * are not there are removed in one commit, and checksums that differ from the log are deleted where neither checkpoints nor
 * data files say anything else than the log.
 *
 * @throws {DeltaError} what opening the table throws; `COMMIT_CONFLICT` when somebody else removed a missing file too.
 */
export async function fsck(table: DeltaTable, source: FileSource, request: FsckRequest = {}): Promise<FsckResult> {
  const { signal, quick = false, repair = false } = request
  const problems: FsckProblem[] = []
  let problemsFound = 0
  const tell = (found: readonly FsckProblem[]) => {
    problemsFound += found.length
    problems.push(...found.slice(0, PROBLEMS_TOLD - problems.length))
  }
  const { log, ...checked } = await checkLog(table, quick, signal)
  try {
    tell(checked.problems)
    let isDoubted = checked.isDoubted
    const snapshot = new Snapshot(table.deps, log, log.version)
    tell(await textProblems(table, log, snapshot, signal))
    const { files } = await snapshot.files('TRUE', { signal })
    const missing: SnapshotFile[] = []
    for (let start = 0; start < files.length; start += GROUP_FILES) {
      signal?.throwIfAborted()
      const group = files.slice(start, start + GROUP_FILES)
      const found = await Promise.all(group.map((file) => presence(table, file, { signal })))
      const there = group.filter((_, at) => found[at]?.check !== 'missing')
      missing.push(...group.filter((file) => !there.includes(file)))
      const wrong = found.flatMap((problem) => problem ?? [])
      for (const file of there) wrong.push(...(await fileProblems({ table, log, source, snapshot }, file, quick, signal)))
      tell(wrong)
      isDoubted ||= wrong.some(({ check }) => DOUBTS.has(check))
      request.onProgress?.(start + group.length, files.length)
    }
    const wrongChecksums = repair && !isDoubted ? checked.wrongChecksums : []
    if (wrongChecksums.length > 0) await putRight(table, log, wrongChecksums)
    if (repair && missing.length > 0) await removeMissing(table, snapshot, missing, signal)
    return {
      version: snapshot.version,
      filesChecked: files.length,
      problems,
      problemsFound,
      filesRemoved: repair ? missing.length : 0,
      checksumsRemoved: wrongChecksums.length,
    }
  } finally {
    await log.close()
  }
}

/** What files say against the log itself: it is not to be believed then where a checksum differs. */
const DOUBTS: ReadonlySet<FsckProblem['check']> = new Set(['size', 'rows', 'footer', 'deletionVector'])

interface CheckedLog {
  /** Loaded anew, as a process that begins does. Close it. */
  readonly log: TableLog
  readonly problems: readonly FsckProblem[]
  /** Versions whose checksum differs from the log, or cannot be read. */
  readonly wrongChecksums: readonly number[]
  /** Whether the log says one thing with its newest checkpoint, and another without it. */
  readonly isDoubted: boolean
}

/** Loads the log from its newest checkpoint, and unless `isQuick` from as far back as it goes too, and holds the checksums against it. */
async function checkLog(table: DeltaTable, isQuick: boolean, signal: AbortSignal | undefined): Promise<CheckedLog> {
  const problems: FsckProblem[] = []
  const events = (event: DeltaicEvent) => {
    if (event.type === 'degraded')
      problems.push({ check: 'checkpoint', file: LOG_FOLDER, detail: `${event.what}: ${(event.error as Error).message}` })
  }
  const log = await TableLog.load({ ...table.deps, events }, undefined, { signal, checksums: false })
  let whole: TableLog | undefined
  try {
    const quiet = { ...table.deps, events: () => undefined }
    whole = isQuick ? undefined : await TableLog.load(quiet, log.version, { signal, checksums: false, whole: true })
    const isDoubted = whole !== undefined && (await totalsOf(whole)) !== (await totalsOf(log))
    if (isDoubted)
      problems.push({
        check: 'checkpoint',
        file: LOG_FOLDER,
        detail: 'the files of the newest version are not the same with its newest checkpoint and without it',
      })
    const oldest = whole ?? log
    const wrongChecksums: number[] = []
    const { checksums } = await listLog(table.deps.store, 0, { signal })
    for (const version of checksums.filter((one) => one >= oldest.firstVersion && one <= log.version)) {
      const held = await oldest.heldAgainst(version, { signal })
      if (held && !held.mismatch) continue
      wrongChecksums.push(version)
      const detail = held?.mismatch?.message ?? 'it cannot be read, or does not add up itself'
      problems.push({ check: 'checksum', file: logFilePath({ kind: 'checksum', version }), detail })
    }
    return { log, problems, wrongChecksums, isDoubted }
  } catch (error) {
    await log.close()
    throw error
  } finally {
    await whole?.close()
  }
}

async function totalsOf(log: TableLog): Promise<string> {
  await log.countTotals()
  return JSON.stringify(log.totals.now)
}

/** Takes checksums away that are wrong, and writes that of the newest version anew. */
async function putRight(table: DeltaTable, log: TableLog, wrong: readonly number[]): Promise<void> {
  await table.deps.store.delete(wrong.map((version) => logFilePath({ kind: 'checksum', version })))
  if (wrong.includes(log.version)) await table.checksums.request(log, true)
}

/** Partition values and statistics that cannot be read. */
async function textProblems(
  table: DeltaTable,
  log: TableLog,
  snapshot: Snapshot,
  signal: AbortSignal | undefined,
): Promise<FsckProblem[]> {
  const { name } = await log.files()
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

async function presence(table: DeltaTable, file: SnapshotFile, options: StoreOptions): Promise<FsckProblem | undefined> {
  const sizeBytes = (await headOf(table.deps.store, file.file, options))?.sizeBytes
  if (sizeBytes === undefined) return { check: 'missing', file: file.file, detail: 'the file is not there' }
  if (sizeBytes === file.sizeBytes) return undefined
  return { check: 'size', file: file.file, detail: `it has ${sizeBytes} bytes, and ${file.sizeBytes} by the log` }
}

interface Checked {
  readonly table: DeltaTable
  readonly log: TableLog
  readonly source: FileSource
  readonly snapshot: Snapshot
}

/** What is wrong with a file that is there: its vector, its footer, its rows. */
async function fileProblems(
  { table, log, source, snapshot }: Checked,
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
      return await rowProblems(table.deps.database, log, snapshot, file, local, rows, signal)
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
