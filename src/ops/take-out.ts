import { assert } from '../base/errors.js'
import { rowsParquet } from '../engine/rows-parquet.js'
import { globLiteral, literal } from '../engine/sql-text.js'
import type { AddFile, RemoveFile } from '../protocol/actions.js'
import { looseStats } from '../protocol/loose-stats.js'
import type { RowBitmap } from '../protocol/row-bitmap.js'
import { supportedFeatures } from '../protocol/table-features.js'
import { readDeletionVector } from '../table/deletion-vectors.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { withMore } from '../table/fresh-files.js'
import { type ScanFile, scanSql } from '../table/scan-sql.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import { stageFiles } from '../table/stage.js'
import { tombstoneOf } from '../table/tombstone.js'
import { VectorWriter } from '../table/vector-writer.js'
import type { FileRows, FoundRows } from './found-rows.js'
import { keptRowIds } from './kept-row-ids.js'

/** What a commit does to the files of rows that go, and what there is to say about it. */
export interface TakenOut {
  readonly adds: readonly AddFile[]
  readonly removes: readonly RemoveFile[]
  readonly tally: Tally
}

/** As history counts: swaps of a file's deletion vector are no files added or removed. */
export interface Tally {
  filesRemoved: number
  bytesRemoved: number
  filesAdded: number
  bytesAdded: number
  /** Rows that went; `undefined` where statistics do not tell. */
  rowsTaken: number | undefined
  rowsCopied: number
  vectorsAdded: number
  vectorsRemoved: number
  vectorsUpdated: number
}

export interface TakeOutContext {
  readonly table: DeltaTable
  readonly source: FileSource
  readonly snapshot: Snapshot
  readonly signal: AbortSignal | undefined
  /** Called after each file, with files done and files in all. */
  readonly onFile?: ((done: number, total: number) => void) | undefined
}

/**
 * Takes rows out of their files: a file that loses every row is removed; others get a deletion vector where the table has
 * them, and are rewritten with the rows that stay where it has not. New files are durable when this resolves.
 */
export async function takeOut(context: TakeOutContext, found: FoundRows): Promise<TakenOut> {
  const { table, snapshot } = context
  const physical = await physicalRows(context, found.files)
  const isWhole = ({ file, rows }: FileRows) =>
    rows === undefined || rows + (file.deletionVector?.cardinality ?? 0) >= (physical.get(file) ?? Number.POSITIVE_INFINITY)
  const whole = found.files.filter(isWhole)
  const some = new Set(found.files.filter((one) => !isWhole(one)))
  const done = new Changes(table.deps.clock.now())
  for (const { file } of whole) done.remove(file, file.rows)
  if (some.size === 0) return done
  if (marksRows(snapshot)) await mark(context, found, some, physical, done)
  else await rewrite(context, found, some, done)
  return done
}

/** Whether rows are deleted by listing them, and not by rewriting their file. */
export function marksRows({ protocol, properties }: Snapshot): boolean {
  return properties.deletionVectors && supportedFeatures(protocol).includes('deletionVectors')
}

/** Every row of some files. */
export function takeOutFiles(files: readonly SnapshotFile[], nowMs: number): TakenOut {
  const done = new Changes(nowMs)
  for (const file of files) done.remove(file, file.rows)
  return done
}

class Changes implements TakenOut {
  readonly adds: AddFile[] = []
  readonly removes: RemoveFile[] = []
  readonly tally: Tally = {
    filesRemoved: 0,
    bytesRemoved: 0,
    filesAdded: 0,
    bytesAdded: 0,
    rowsTaken: 0,
    rowsCopied: 0,
    vectorsAdded: 0,
    vectorsRemoved: 0,
    vectorsUpdated: 0,
  }
  private readonly nowMs: number

  constructor(nowMs: number) {
    this.nowMs = nowMs
  }

  remove(file: SnapshotFile, rowsTaken: number | undefined): void {
    this.removes.push(tombstoneOf(file, this.nowMs, true))
    this.tally.filesRemoved++
    this.tally.bytesRemoved += file.sizeBytes
    if (file.deletionVector) this.tally.vectorsRemoved++
    this.count(rowsTaken)
  }

  swap(file: SnapshotFile, add: AddFile, rowsTaken: number): void {
    this.removes.push(tombstoneOf(file, this.nowMs, true))
    this.adds.push(add)
    this.tally.vectorsAdded++
    if (file.deletionVector) {
      this.tally.vectorsUpdated++
      this.tally.vectorsRemoved++
    }
    this.count(rowsTaken)
  }

  private count(rows: number | undefined): void {
    const { rowsTaken } = this.tally
    this.tally.rowsTaken = rows === undefined || rowsTaken === undefined ? undefined : rowsTaken + rows
  }
}

async function mark(
  context: TakeOutContext,
  found: FoundRows,
  some: ReadonlySet<FileRows>,
  physical: ReadonlyMap<SnapshotFile, number>,
  done: Changes,
): Promise<void> {
  const { store, random } = context.table.deps
  const writer = new VectorWriter(store, random, { signal: context.signal })
  await forEachBitmap(context, found, some, async ({ file, rows }, bitmap) => {
    const {
      path,
      partitionValues,
      sizeBytes,
      modifiedAtMs,
      stats,
      tags,
      baseRowId,
      defaultRowCommitVersion,
      clusteringProvider,
    } = file
    const deletionVector = await writer.write(bitmap)
    const add = {
      path,
      partitionValues,
      size: sizeBytes,
      modificationTime: modifiedAtMs,
      dataChange: true,
      stats: looseStats(stats, physical.get(file) ?? 0),
      tags,
      deletionVector,
      baseRowId,
      defaultRowCommitVersion,
      clusteringProvider,
    }
    done.swap(file, add, rows ?? 0)
  })
  await writer.finish()
}

async function rewrite(context: TakeOutContext, found: FoundRows, some: ReadonlySet<FileRows>, done: Changes): Promise<void> {
  const { table, source, snapshot, signal } = context
  const { spool, store } = table.deps
  const kept = keptRowIds(snapshot)
  const files = [...some].map(({ file }) => file)
  const held = await source.open(store, files, snapshot, undefined, { signal })
  const scans = new Map(files.map((file, at) => [file, held.files[at] as ScanFile]))
  const gone: string[] = []
  try {
    const left = new Map<SnapshotFile, ScanFile>()
    await forEachBitmap(context, found, some, async ({ file, rows }, bitmap) => {
      const deletedRows = { path: spool.file('parquet'), list: gone.length }
      gone.push(deletedRows.path)
      await spool.write(deletedRows.path, rowsParquet(new Map([[deletedRows.list, bitmap.rows()]])))
      left.set(file, { ...(scans.get(file) as ScanFile), deletedRows })
      done.remove(file, rows)
    })
    for (const group of groupsOf(files, snapshot.properties.targetFileSizeBytes)) {
      signal?.throwIfAborted()
      const scan = scanSql(
        kept.shape,
        group.map((file) => left.get(file) as ScanFile),
      )
      const query = `SELECT ${['*', ...kept.columns(true)].join(', ')} FROM (${scan})`
      // The rows that stay have kept the table's rules already.
      const staged = await table.deps.database.use((connection) =>
        stageFiles(table.deps, connection, query, kept.target, { signal, dataChange: false }),
      )
      done.adds.push(...staged.adds.map((add) => withMore(add, { dataChange: true })))
      done.tally.rowsCopied += staged.rows
      done.tally.filesAdded += staged.adds.length
      done.tally.bytesAdded += staged.bytes
    }
  } finally {
    held.release()
    for (const path of gone) await spool.remove(path)
  }
}

/** The positions of a file that are gone once the found ones are: with those that were gone before. */
async function forEachBitmap(
  { table, signal, onFile }: TakeOutContext,
  found: FoundRows,
  some: ReadonlySet<FileRows>,
  work: (rows: FileRows, bitmap: RowBitmap) => Promise<void>,
): Promise<void> {
  let filesDone = 0
  for await (const { found: one, bitmap } of found.bitmaps(signal)) {
    try {
      if (!some.has(one)) continue
      const before = one.file.deletionVector
      if (before) {
        const rows = await readDeletionVector(table.deps.store, before)
        bitmap.union(rows)
        rows.dispose()
      }
      const size = (before?.cardinality ?? 0) + (one.rows ?? 0)
      assert(bitmap.size === size, `a row is deleted once: ${bitmap.size} rows are gone, and ${size} should be`)
      await work(one, bitmap)
      onFile?.(++filesDone, some.size)
    } finally {
      bitmap.dispose()
    }
  }
}

/** Neighbours of one partition, together about as large as a file should be. */
function groupsOf(files: readonly SnapshotFile[], bytesMax: number): SnapshotFile[][] {
  const groups: SnapshotFile[][] = []
  const open = new Map<string, { readonly files: SnapshotFile[]; bytes: number }>()
  for (const file of files) {
    const key = JSON.stringify(Object.entries(file.partitionValues).sort(([a], [b]) => (a < b ? -1 : 1)))
    let group = open.get(key)
    if (!group || group.bytes + file.sizeBytes > bytesMax) {
      group = { files: [], bytes: 0 }
      open.set(key, group)
      groups.push(group.files)
    }
    group.files.push(file)
    group.bytes += file.sizeBytes
  }
  return groups
}

/** From the footer, where statistics do not tell. */
async function physicalRows(
  { table, signal }: TakeOutContext,
  found: readonly FileRows[],
): Promise<ReadonlyMap<SnapshotFile, number>> {
  const rows = new Map(found.flatMap(({ file }) => (file.physicalRows === undefined ? [] : [[file, file.physicalRows] as const])))
  const unknown = found.filter(({ file, rows: some }) => some !== undefined && !rows.has(file))
  if (unknown.length === 0) return rows
  const list = unknown.map(({ name }) => globLiteral(name)).join(', ')
  const counted = await table.deps.database.rows<{ file_name: string; num_rows: bigint }>(
    `SELECT file_name, num_rows FROM parquet_file_metadata([${list}])`,
    { signal },
  )
  const byName = new Map(counted.map(({ file_name, num_rows }) => [file_name, Number(num_rows)]))
  for (const { name, file } of unknown) {
    const count = byName.get(name)
    assert(count !== undefined, `the footer of ${literal(name)} is read`)
    rows.set(file, count)
  }
  return rows
}
