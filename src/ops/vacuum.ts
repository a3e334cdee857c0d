import { DeltaError } from '../base/errors.js'
import { listLog, versionRange } from '../log/log-listing.js'
import { TableLog } from '../log/table-log.js'
import { Timeline } from '../log/timeline.js'
import { rootSpellings } from '../protocol/file-path.js'
import { LOG_FOLDER } from '../protocol/log-path.js'
import type { StoreOptions } from '../storage/store.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { VacuumSets, visibleTo } from './vacuum-sets.js'

export interface VacuumRequest {
  /** `full` looks at every file of the folder, `lite` at what the log says was removed. @defaultValue 'full' */
  readonly mode?: 'full' | 'lite' | undefined
  /** Files of versions up to this old are kept, in milliseconds. @defaultValue the table's `delta.deletedFileRetentionDuration` */
  readonly retentionMs?: number | undefined
  /** Whether a retention below the table's own is allowed: writers and readers that are at work may lose their files. @defaultValue false */
  readonly force?: boolean | undefined
  /** Delete nothing, and tell what would be. @defaultValue false */
  readonly dryRun?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  /** Called for each batch of files, with no total while the folder is listed. */
  readonly onProgress?: ((filesDone: number, filesTotal: number | undefined) => void) | undefined
}

export interface VacuumResult {
  /** Of a dry run, the files that would be. */
  readonly filesDeleted: number
  readonly bytesDeleted: number
  /** On disk, folders that held nothing any more. */
  readonly foldersDeleted: number
  /** The first 1,000 of the files, relative to the table. */
  readonly files: readonly string[]
}

const FILES_TOLD = 1000
const DELETE_BATCH = 1000
const LAST_VACUUM_PATH = `${LOG_FOLDER}/_last_vacuum_info`

/**
 * VACUUM: deletes files that no version within the retention needs.
 *
 * A version within it keeps all of its files, so that it may be read and restored; so does whatever was written within
 * it, which others may be about to commit. Files outside of the table, its log, hidden files and what links lead to are not touched.
 * Change files go by their age alone. What is deleted is told in the history before and after.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for a retention below the table's own; `FEATURE_UNSUPPORTED`; `LOG_INCOMPLETE`
 * for a lite vacuum of a table whose log no longer holds all that it needs.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-data-files
 */
export async function vacuum(table: DeltaTable, request: VacuumRequest = {}): Promise<VacuumResult> {
  const { signal } = request
  const before = await table.snapshot({}, { signal })
  await table.transaction(before, { signal })
  const retentionMs = request.retentionMs ?? before.properties.deletedFileRetentionMs
  checkRetention(retentionMs, before.properties.deletedFileRetentionMs, request.force ?? false)
  const cutoffMs = table.deps.clock.now() - retentionMs
  const session = await table.deps.database.session()
  try {
    const sets = await VacuumSets.create(session, rootSpellings(table.uri))
    const oldest = await oldestKept(table, cutoffMs, { signal })
    if (request.mode === 'lite') await findByLog(table, sets, oldest.version, signal)
    else
      await sets.findInFolder(table.deps.store, visibleTo(before.partitionColumns, hiddenFolders(before)), cutoffMs, {
        signal,
        onListed: (files) => request.onProgress?.(files, undefined),
      })
    // Whoever committed while the folder was listed is looked at afterwards, so that what they named is kept.
    const snapshot = await table.snapshot({}, { signal })
    await keepNeeded(table, sets, snapshot, oldest.version, cutoffMs, retentionMs, signal)
    const doomed = await sets.decide()
    const told = (await sets.doomed(0, FILES_TOLD)).map(({ path }) => path)
    const result = { filesDeleted: doomed.files, bytesDeleted: doomed.bytes, foldersDeleted: 0, files: told }
    if (request.dryRun) return result
    if (doomed.files > 0) {
      await tell(table, 'VACUUM START', startParameters(request, before), {
        numFilesToDelete: doomed.files,
        sizeOfDataToDelete: doomed.bytes,
      })
      const foldersDeleted = await deleteAll(table, sets, doomed.files, request)
      await tell(
        table,
        'VACUUM END',
        { status: 'COMPLETED' },
        { numDeletedFiles: doomed.files, numVacuumedDirectories: foldersDeleted },
      )
      Object.assign(result, { foldersDeleted })
    }
    if (oldest.isPast) await writeLastVacuum(table, oldest.version)
    return result
  } finally {
    session.close()
  }
}

function checkRetention(retentionMs: number, ownMs: number, isForced: boolean): void {
  if (!(retentionMs >= 0)) throw new DeltaError('ARGUMENT_INVALID', 'a retention is a time from 0', { retentionMs })
  if (retentionMs >= ownMs || isForced) return
  throw new DeltaError(
    'ARGUMENT_INVALID',
    'a vacuum this short may delete files that running writers and readers need',
    { retentionMs, tableRetentionMs: ownMs },
    {
      hint: 'keep at least delta.deletedFileRetentionDuration; where nothing else is at work on the table, lower that property, or force it',
    },
  )
}

/** The newest version that was there at a time already, or else the oldest one that there is: nothing older is kept. */
async function oldestKept(table: DeltaTable, cutoffMs: number, options: StoreOptions) {
  const timeline = await Timeline.load(table.deps.store, await table.refresh(), options)
  const found = await timeline.newestAt(cutoffMs, options)
  return { version: found ?? timeline.rebuildable[0] ?? 0, isPast: found !== undefined }
}

/**
 * What versions from `oldest` on need: tombstones tell, as far as checkpoints keep them. A retention longer than the
 * table's own reaches back to those that checkpoints left out, and asks the old log itself.
 */
async function keepNeeded(
  table: DeltaTable,
  sets: VacuumSets,
  snapshot: Snapshot,
  oldest: number,
  cutoffMs: number,
  retentionMs: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const log = await table.refresh()
  await sets.need(await log.files(), `removed_at IS NULL OR removed_at > ${oldest} OR "deletionTimestamp" >= ${cutoffMs}`)
  if (oldest >= log.firstVersion || retentionMs <= snapshot.properties.deletedFileRetentionMs) return
  const then = await TableLog.load(table.deps, oldest, { signal })
  try {
    await sets.need(await then.files(), 'removed_at IS NULL')
  } finally {
    await then.close()
  }
  await sets.needAdded(table, oldest + 1, log.firstVersion, signal)
}

/** What was removed since the last vacuum and up to a version. */
async function findByLog(table: DeltaTable, sets: VacuumSets, to: number, signal: AbortSignal | undefined): Promise<void> {
  const from = (await lastVacuum(table, { signal })) + 1
  const commits = (await listLog(table.deps.store, from, { signal })).commits
  const first = commits[0] ?? versionRange(await listLog(table.deps.store, 0, { signal }))?.latest ?? 0
  if (first > from && from <= to)
    throw new DeltaError(
      'LOG_INCOMPLETE',
      'the log no longer tells all that was removed since the last vacuum',
      { from, first },
      { hint: 'run a full vacuum once; later ones may be lite' },
    )
  await sets.findInLog(table, from, to, signal)
}

/** The last version whose removals were vacuumed, -1 for none. */
async function lastVacuum(table: DeltaTable, options: StoreOptions): Promise<number> {
  const bytes = await table.deps.store.get(LAST_VACUUM_PATH, options)
  if (!bytes) return -1
  try {
    const { latestCommitVersionOutsideOfRetentionWindow: version } = JSON.parse(Buffer.from(bytes).toString()) as Record<
      string,
      unknown
    >
    return Number.isSafeInteger(version) ? (version as number) : -1
  } catch {
    return -1
  }
}

async function writeLastVacuum(table: DeltaTable, version: number): Promise<void> {
  if ((await lastVacuum(table, {})) >= version) return
  const info = { latestCommitVersionOutsideOfRetentionWindow: version }
  await table.deps.store.put(LAST_VACUUM_PATH, Buffer.from(JSON.stringify(info)))
}

async function deleteAll(table: DeltaTable, sets: VacuumSets, total: number, request: VacuumRequest): Promise<number> {
  const { store } = table.deps
  const folders = new Set<string>()
  for (let start = 0; start < total; start += DELETE_BATCH) {
    const paths = (await sets.doomed(start, DELETE_BATCH)).map(({ path }) => path)
    await store.delete(paths, { signal: request.signal })
    for (const path of paths) for (const folder of foldersAbove(path)) folders.add(folder)
    request.onProgress?.(start + paths.length, total)
  }
  const deepestFirst = [...folders].sort((a, b) => b.split('/').length - a.split('/').length)
  return store.removeEmptyFolders(deepestFirst, { signal: request.signal })
}

function* foldersAbove(path: string): Generator<string> {
  for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) yield path.slice(0, at)
}

async function tell(
  table: DeltaTable,
  name: string,
  parameters: Readonly<Record<string, string | number | boolean>>,
  metrics: Readonly<Record<string, number>>,
): Promise<void> {
  // It is about no version, so it may come after any.
  for (;;) {
    const outcome = await (await table.transaction()).describe({ name, parameters, metrics }).commit()
    if (outcome.kind === 'committed') return
  }
}

function startParameters({ retentionMs, force }: VacuumRequest, { properties }: Snapshot) {
  return {
    retentionCheckEnabled: !force,
    ...(retentionMs === undefined ? {} : { specifiedRetentionMillis: retentionMs }),
    defaultRetentionMillis: properties.deletedFileRetentionMs,
  }
}

/** Where Iceberg metadata of the same table lies. */
function hiddenFolders({ metadata }: Snapshot): readonly string[] {
  return /iceberg/i.test(metadata.configuration['delta.universalFormat.enabledFormats'] ?? '') ? ['metadata'] : []
}
