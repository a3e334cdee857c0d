import { fsck } from '../ops/fsck.js'
import { vacuum } from '../ops/vacuum.js'
import type { Fsck, Vacuum } from '../sql/statements/maintenance.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FsckOptions, FsckResult } from './maintenance-options.js'
import type { SqlOptions, VacuumOptions, VacuumResult } from './options.js'
import { commandResult } from './query-runner.js'
import { one, text } from './relations.js'
import type { QueryResult } from './result.js'
import type { TableHost } from './table-host.js'

const HOUR_MS = 3_600_000

export async function vacuumTable(table: DeltaTable, options: VacuumOptions): Promise<VacuumResult> {
  const { clock } = table.deps
  const startedAtMs = clock.now()
  const result = await vacuum(table, {
    ...options,
    onProgress: (done, total) => options.onProgress?.({ phase: 'vacuum', done, total, unit: 'files' }),
  })
  return { ...result, elapsedMs: clock.now() - startedAtMs }
}

/** VACUUM as a statement: of a dry run, the first 1,000 files that would go. */
export async function vacuumStatement(
  host: TableHost,
  table: DeltaTable,
  { mode, retainHours, dryRun }: Vacuum,
  { signal, onProgress }: SqlOptions,
): Promise<QueryResult> {
  const retentionMs = retainHours === undefined ? undefined : retainHours * HOUR_MS
  const result = await vacuumTable(table, { mode, retentionMs, dryRun, signal, onProgress })
  if (dryRun)
    return commandResult(
      host,
      [text('path')],
      result.files.map((path) => ({ path })),
    )
  const { filesDeleted, bytesDeleted, foldersDeleted } = result
  return one(host, {
    files_deleted: ['BIGINT', filesDeleted],
    bytes_deleted: ['BIGINT', bytesDeleted],
    folders_deleted: ['BIGINT', foldersDeleted],
  })
}

export async function checkTable(host: TableHost, table: DeltaTable, options: FsckOptions): Promise<FsckResult> {
  const { clock } = table.deps
  const startedAtMs = clock.now()
  const result = await fsck(table, host.engines.source, {
    ...options,
    onProgress: (done, total) => options.onProgress?.({ phase: 'fsck', done, total, unit: 'files' }),
  })
  return { ...result, elapsedMs: clock.now() - startedAtMs }
}

/** FSCK REPAIR TABLE as a statement: the problems, of which missing files and wrong checksums are repaired unless it is a dry run. */
export async function fsckStatement(
  host: TableHost,
  table: DeltaTable,
  { dryRun }: Fsck,
  { signal, onProgress }: SqlOptions,
): Promise<QueryResult> {
  const { problems } = await checkTable(host, table, { repair: !dryRun, signal, onProgress })
  return commandResult(
    host,
    [text('check'), text('file'), text('detail')],
    problems.map((problem) => ({ ...problem })),
  )
}
