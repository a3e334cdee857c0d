import { DeltaError } from '../base/errors.js'
import { globLiteral } from '../engine/sql-text.js'
import type { AddFile, RemoveFile } from '../protocol/actions.js'
import { canonicalFilePath, rootSpellings } from '../protocol/file-path.js'
import { headOf } from '../table/file-place.js'
import type { SourceFile } from '../table/file-source.js'
import { scanSql } from '../table/scan-sql.js'
import type { SnapshotFile } from '../table/snapshot.js'
import { type AddedRows, idsWithin } from './added-rows.js'
import type { BornRowsContext } from './born-rows.js'
import { keptRowIds } from './kept-row-ids.js'
import { digestFiles, hashSql, hashText, isSame, minus, NO_ROWS, plus, type RowDigest, toDigest } from './row-digest.js'

/**
 * What shows that a table without some rows is its history without them. Hashes are sums over rows, in 16 hexadecimal digits,
 * so that the order of rows does not matter and parts can be taken off.
 */
export interface UndoProof {
  /** Whether the rows that go are the rows that were written; `undefined` where that cannot be read any more. */
  readonly holds: true | undefined
  /** Rows that go, as the new version's files and deletion vectors have it. */
  readonly rowsTaken: number
  readonly hashTaken: string
  /** The same rows in the files in which they first came; `undefined` when `missing` says which is gone. */
  readonly rowsWritten: number | undefined
  readonly hashWritten: string | undefined
  /** A file in which the rows came that was vacuumed since. */
  readonly missing: string | undefined
  /** Every row of the table, before and after, where that was asked for: before without the rows written is after. */
  readonly table:
    | { readonly rowsBefore: number; readonly hashBefore: string; readonly rowsAfter: number; readonly hashAfter: string }
    | undefined
}

/** What some commits wrote, as their own files have it. */
export interface Written {
  /** All rows that they added. */
  readonly rows: number
  /** Those of them that were asked about. */
  readonly asked: RowDigest
}

const CHECKS_AT_ONCE = 16

/** A file that is no longer there, if any. */
export async function missingFile(
  { table, snapshot, signal }: BornRowsContext,
  files: readonly SourceFile[],
): Promise<string | undefined> {
  const live = new Set((await snapshot.files('TRUE', { signal })).files.map(({ file }) => file))
  const unsure = files.filter((one) => !live.has(one.file))
  for (let at = 0; at < unsure.length; at += CHECKS_AT_ONCE) {
    const some = unsure.slice(at, at + CHECKS_AT_ONCE)
    const found = await Promise.all(some.map(({ file }) => headOf(table.deps.store, file, { signal })))
    const missing = some.find((_, index) => found[index] === undefined)
    if (missing) return missing.file
  }
  return undefined
}

/**
 * Reads what commits wrote from their own files, whatever became of the rows since.
 *
 * @param asked a query for `__id`, the rows to sum up.
 */
export async function writtenRows(context: BornRowsContext, added: AddedRows, asked: string): Promise<Written> {
  const { table, source, snapshot, signal } = context
  if (added.files.length === 0) return { rows: 0, asked: NO_ROWS }
  const files = added.files.map((add) => ({ ...fileOf(context, add), deletionVector: undefined }))
  const held = await source.open(table.deps.store, files, snapshot, undefined, { signal })
  try {
    const { shape } = keptRowIds(snapshot)
    // Of a row that came in one of the commits and was changed by another, the last state counts.
    const hash = added.takesOut ? `arg_max(${hashSql(shape.fields)}, "__row_commit_version")` : hashSql(shape.fields)
    const written =
      `SELECT "__row_id" AS "__id", ${hash} AS "__hash" FROM (${scanSql(shape, held.files)}) ` +
      `WHERE ${idsWithin('"__row_id"', added.ids)}${added.takesOut ? ' GROUP BY "__row_id"' : ''}`
    const engine = table.deps.engineFor(files.reduce((sum, file) => sum + file.sizeBytes, 0))
    const [found] = await engine.rows<{ all_rows: bigint; rows: bigint; sum: bigint | null }>(
      `SELECT count(*) AS all_rows, count("__asked"."__id") AS rows, sum("__hash") FILTER ("__asked"."__id" IS NOT NULL) AS sum ` +
        `FROM (${written}) AS "__written" LEFT JOIN (${asked}) AS "__asked" USING ("__id")`,
      { signal },
    )
    return { rows: Number(found?.all_rows ?? 0), asked: toDigest(found ? [found] : []) }
  } finally {
    held.release()
  }
}

/** Rows of a version at known places: a query for `__file` and `__row` of these files. */
export async function digestPlaces(context: BornRowsContext, files: readonly SnapshotFile[], path: string): Promise<RowDigest> {
  const { table, source, snapshot, signal } = context
  if (files.length === 0) return NO_ROWS
  const { schema, partitionColumns, mapping } = snapshot
  const held = await source.open(table.deps.store, files, snapshot, undefined, { signal })
  try {
    const scan = scanSql({ fields: schema.fields, partitionColumns, mapping, address: true }, held.files)
    const rows = `SELECT * FROM (${scan}) SEMI JOIN (${path}) AS "__places" USING ("__file", "__row")`
    return toDigest(
      await table.deps.database.rows(`SELECT count(*) AS rows, sum(${hashSql(schema.fields)}) AS sum FROM (${rows})`, { signal }),
    )
  } finally {
    held.release()
  }
}

/** What actions take out of a table, rows that they only write anew taken off: read from the files and vectors they name. */
export async function takenRows(
  context: BornRowsContext,
  removes: readonly RemoveFile[],
  adds: readonly AddFile[],
): Promise<RowDigest> {
  const staged = new Map(adds.map((add) => [add.path, add]))
  const removed = new Set(removes.map(({ path }) => path))
  const before = removes.map((remove): SourceFile => {
    const onlyVector = staged.get(remove.path)?.deletionVector
    return { ...fileOf(context, remove), onlyVector }
  })
  const after = adds.filter(({ path }) => !removed.has(path)).map((add) => fileOf(context, add))
  return minus(await digestFiles(context, before), await digestFiles(context, after))
}

/** The file of an action, as one reads it. @throws {DeltaError} `LOG_INCOMPLETE` when the log does not tell enough. */
export function fileOf({ table }: Pick<BornRowsContext, 'table'>, action: AddFile | RemoveFile): SourceFile {
  const { path, partitionValues, size, stats, deletionVector, baseRowId, defaultRowCommitVersion } = action
  if (partitionValues === undefined || size === undefined)
    throw new DeltaError('LOG_INCOMPLETE', 'a commit does not tell enough of a file that it took out', { file: path })
  const file = canonicalFilePath(path, rootSpellings(table.uri))
  return { file, sizeBytes: size, partitionValues, stats, deletionVector, baseRowId, defaultRowCommitVersion }
}

/**
 * Proves that actions take out exactly the rows that some commits wrote, before they are committed. What goes is read from the
 * staged actions, what was written from the first files of the rows: neither knows of the other.
 *
 * @param written `undefined` when that cannot be read any more; `missing` names a file.
 * @throws {DeltaError} `PROOF_FAILED` when the two differ: nothing may be committed.
 */
export async function prove(
  context: BornRowsContext,
  { removes, adds }: { readonly removes: readonly RemoveFile[]; readonly adds: readonly AddFile[] },
  written: RowDigest | undefined,
  missing: string | undefined,
  wholeTable: boolean,
): Promise<UndoProof> {
  const taken = await takenRows(context, removes, adds)
  if (written && !isSame(taken, written)) throw notTheSame(taken, written)
  return {
    holds: written && true,
    rowsTaken: taken.rows,
    hashTaken: hashText(taken),
    rowsWritten: written?.rows,
    hashWritten: written && hashText(written),
    missing,
    table: wholeTable ? await wholeTables(context, removes, adds, written) : undefined,
  }
}

async function wholeTables(
  context: BornRowsContext,
  removes: readonly RemoveFile[],
  adds: readonly AddFile[],
  written: RowDigest | undefined,
): Promise<NonNullable<UndoProof['table']>> {
  const { files } = await context.snapshot.files('TRUE', { signal: context.signal })
  const removed = new Set(removes.map(({ path }) => path))
  const stay = await digestFiles(
    context,
    files.filter(({ path }) => !removed.has(path)),
  )
  const before = plus(
    stay,
    await digestFiles(
      context,
      files.filter(({ path }) => removed.has(path)),
    ),
  )
  const after = plus(
    stay,
    await digestFiles(
      context,
      adds.map((add) => fileOf(context, add)),
    ),
  )
  if (written && !isSame(minus(before, written), after)) throw notTheSame(minus(before, after), written)
  return { rowsBefore: before.rows, hashBefore: hashText(before), rowsAfter: after.rows, hashAfter: hashText(after) }
}

export function notTheSame(taken: RowDigest, written: RowDigest): DeltaError {
  return new DeltaError(
    'PROOF_FAILED',
    'the rows that would go are not the rows that were written',
    { rowsTaken: taken.rows, rowsWritten: written.rows, hashTaken: hashText(taken), hashWritten: hashText(written) },
    {
      hint: 'nothing was changed; fsck tells whether files are damaged, and another engine may have moved rows without their ids',
    },
  )
}

/** Found rows that were not changed after these commits, by their ids. */
export function unchangedIds(path: string, to: number): string {
  return `SELECT "__id" FROM read_parquet(${globLiteral(path)}) WHERE "__version" <= ${to}`
}
