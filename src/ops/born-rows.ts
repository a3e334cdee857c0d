import { globLiteral, ident, literal } from '../engine/sql-text.js'
import { fileOnlyField } from '../protocol/column-mapping.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { type ScanFile, scanSql } from '../table/scan-sql.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import { type AddedRows, type IdRange, idsOf, idsWithin } from './added-rows.js'
import type { RowQuery } from './found-rows.js'
import { keptRowIds } from './kept-row-ids.js'

/** Rows of a version that some commits added, in a Parquet file of this machine, for as long as their files are held. */
export interface BornRows {
  /** Columns `__file`, `__row`, `__id`, and `__version`, the last one that changed the row; all but the first are BIGINT. */
  readonly path: string
  /** The files that were looked at, by the names that `__file` has for them. */
  readonly files: ReadonlyMap<string, SnapshotFile>
  release(): Promise<void>
}

export interface BornRowsContext {
  readonly table: DeltaTable
  readonly source: FileSource
  readonly snapshot: Snapshot
  readonly signal: AbortSignal | undefined
}

/**
 * Finds the rows that some commits added and that are still there, wherever they have moved since. Only ids are read, and no
 * file that was written before those commits.
 *
 * @param where rows that are wanted; all without it.
 * @throws {DeltaError} `FEATURE_UNSUPPORTED`, as `keptRowIds`.
 */
export async function bornRows(
  { table, source, snapshot, signal }: BornRowsContext,
  { from, ids }: Pick<AddedRows, 'from' | 'ids'>,
  where: RowQuery | undefined,
): Promise<BornRows> {
  const { spool, store } = table.deps
  const { rowIds } = keptRowIds(snapshot).shape
  const [idField, versionField] = [rowIds?.materializedId ?? '', rowIds?.materializedVersion ?? ''].map((name) =>
    fileOnlyField(name, 'long'),
  ) as [ReturnType<typeof fileOnlyField>, ReturnType<typeof fileOnlyField>]
  const columns = [idField, versionField]
  const { files } = ids.length === 0 ? { files: [] } : await snapshot.files(`"defaultRowCommitVersion" >= ${from}`, { signal })
  const reading = { schema: { type: 'struct' as const, fields: columns }, partitionColumns: [], mapping: 'none' as const }
  const held = await source.open(store, files, reading, new Set(columns.map(({ name }) => name.toLowerCase())), { signal })
  const path = spool.file('parquet')
  const release = async () => {
    held.release()
    await spool.remove(path)
  }
  try {
    const holdsOwn = files.map((file) => mayMeet(file, ids))
    const own = held.files.filter((_, at) => holdsOwn[at])
    const moved = held.files.filter((_, at) => !holdsOwn[at])
    const shape = { fields: [], partitionColumns: [], address: true, rowIds }
    const parts = [
      `SELECT "__file", "__row", "__row_id" AS "__id", "__row_commit_version" AS "__version" FROM (${scanSql(shape, own)}) ` +
        `WHERE ${idsWithin('"__row_id"', ids)}`,
    ]
    if (moved.length > 0) parts.push(movedRows(moved, idField.name, versionField.name, ids))
    const all = parts.join(' UNION ALL ')
    const wanted = where && `SELECT * FROM (${all}) SEMI JOIN (${where.text}\n) AS "__where" USING ("__file", "__row")`
    const copy = `COPY (${wanted ?? all}) TO ${literal(path)} (FORMAT parquet, COMPRESSION snappy)`
    if (where) await where.session.run(copy, { params: where.params, signal })
    else await table.deps.database.use((connection) => connection.run(copy, { signal }))
    return { path, files: new Map(files.map((file, at) => [held.files[at]?.localFile ?? '', file])), release }
  } catch (error) {
    await release()
    throw error
  }
}

/** Of found rows: a query over them. */
export function bornQuery(born: BornRows, condition = 'TRUE'): string {
  return `SELECT * FROM read_parquet(${globLiteral(born.path)}) WHERE ${condition}`
}

/** Rows whose ids came along with them: the condition goes down to the reader, which skips what it can. */
function movedRows(files: readonly ScanFile[], id: string, version: string, ids: readonly IdRange[]): string {
  const fields = [fileOnlyField(id, 'long'), fileOnlyField(version, 'long')]
  const scan = scanSql({ fields, partitionColumns: [], address: true }, files)
  const versions = files.map((file) => `(${literal(file.localFile)}, ${file.defaultRowCommitVersion ?? 'NULL'}::BIGINT)`)
  return (
    `SELECT "__file", "__row", ${ident(id)} AS "__id", coalesce(${ident(version)}, "__default"."__written") AS "__version" ` +
    `FROM (SELECT * FROM (${scan}) WHERE ${idsWithin(ident(id), ids)}) ` +
    `JOIN (VALUES ${versions.join(', ')}) AS "__default"("__file", "__written") USING ("__file")`
  )
}

/** Whether rows of a file may have ids of the ranges by their places in it. */
function mayMeet({ baseRowId, stats, physicalRows }: SnapshotFile, ranges: readonly IdRange[]): boolean {
  if (physicalRows === undefined) return true
  const { first, last } = idsOf({ baseRowId, stats })
  return ranges.some((range) => range.first <= last && first <= range.last)
}
