import { DeltaError } from '../base/errors.js'
import { ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { AddFile, Metadata, PartitionValues, Protocol } from '../protocol/actions.js'
import { physicalName } from '../protocol/column-mapping.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { withMore } from '../table/fresh-files.js'
import { scanSql } from '../table/scan-sql.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import { type StagedFiles, stageFiles } from '../table/stage.js'
import { stagedAsLive } from '../table/staged-file.js'
import { tombstoneOf } from '../table/tombstone.js'

/** The rows whose place new ones take. */
export type OverwriteScope =
  | { readonly kind: 'all' }
  /** Those of the partitions that new rows come with; all of them in a table without partitions. */
  | { readonly kind: 'partitions' }
  /** Those for which a condition is true; it has to be true of the new rows too. */
  | {
      readonly kind: 'where'
      /** As DuckDB's SQL over the table's columns. */
      readonly condition: string
      /** As a condition over the files relation, false only for files without such a row. */
      readonly mayMatch: string
      /** As its author wrote it. */
      readonly text: string
    }

export interface OverwriteOptions {
  readonly signal?: AbortSignal | undefined
  readonly userMetadata?: string | undefined
  /** What the staged files were made for, where the schema changes with the rows. */
  readonly metadata?: Metadata | undefined
  readonly protocol?: Protocol | undefined
}

export interface OverwriteResult {
  readonly version: number
  readonly filesAdded: number
  readonly filesRemoved: number
  readonly rowsAdded: number
  /** Rows that stay, and were written again because they shared a file with some that go. */
  readonly rowsCopied: number
  readonly attempts: number
}

/** What goes, and what has to be written again for it. */
interface Replaced {
  readonly files: readonly SnapshotFile[]
  readonly kept: StagedFiles
  /** What selected the files. */
  readonly mayMatch: string
}

const NOTHING: StagedFiles = { adds: [], rows: 0, bytes: 0 }

/**
 * INSERT OVERWRITE and INSERT … REPLACE WHERE: staged rows take the place of others, in one commit.
 *
 * @param snapshot what the rows that go are taken from.
 * @throws {DeltaError} `ROWS_INVALID` for new rows of which the condition is not true, `COMMIT_CONFLICT` when others changed
 * what goes, `TABLE_APPEND_ONLY`; `FEATURE_UNSUPPORTED` where rows would have to keep their ids in another file.
 */
export async function overwrite(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  staged: StagedFiles,
  scope: OverwriteScope,
  options: OverwriteOptions = {},
): Promise<OverwriteResult> {
  const { signal, userMetadata, metadata, protocol } = options
  if (scope.kind === 'where') await checkInside(table, source, snapshot, staged, scope, signal)
  const { files, kept, mayMatch } = await replaced(table, source, snapshot, staged.adds, scope, signal)
  if (files.length + staged.adds.length === 0 && !metadata)
    return { version: snapshot.version, filesAdded: 0, filesRemoved: 0, rowsAdded: 0, rowsCopied: 0, attempts: 0 }
  const now = table.deps.clock.now()
  const transaction = (await table.transaction(snapshot, { signal }))
    .readWhere(mayMatch)
    .readFiles(files)
    .remove(files.map((file) => tombstoneOf(file, now, true)))
    .add([...staged.adds, ...kept.adds])
    .describe({
      name: 'WRITE',
      parameters: {
        mode: 'Overwrite',
        partitionBy: '[]',
        ...(scope.kind === 'where' ? { predicate: scope.text } : {}),
        ...(scope.kind === 'partitions' ? { isDynamicPartitionOverwrite: true } : {}),
      },
      metrics: {
        numFiles: staged.adds.length + kept.adds.length,
        numOutputRows: staged.rows + kept.rows,
        numOutputBytes: staged.bytes + kept.bytes,
        numRemovedFiles: files.length,
        numRemovedBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
        ...(scope.kind === 'where' ? { numCopiedRows: kept.rows } : {}),
      },
      userMetadata,
    })
  if (metadata) transaction.setMetadata(metadata)
  if (protocol && protocol !== snapshot.protocol) transaction.setProtocol(protocol)
  const outcome = await transaction.commit({ signal })
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
  return {
    version: outcome.version,
    filesAdded: staged.adds.length + kept.adds.length,
    filesRemoved: files.length,
    rowsAdded: staged.rows,
    rowsCopied: kept.rows,
    attempts: outcome.attempts,
  }
}

async function replaced(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  adds: readonly AddFile[],
  scope: OverwriteScope,
  signal: AbortSignal | undefined,
): Promise<Replaced> {
  const isWhole = scope.kind === 'all' || (scope.kind === 'partitions' && snapshot.partitionColumns.length === 0)
  const mayMatch = isWhole ? 'TRUE' : scope.kind === 'where' ? scope.mayMatch : partitionsOf(snapshot, adds)
  const { files } = await snapshot.files(mayMatch, { signal })
  if (scope.kind !== 'where' || files.length === 0) return { files, kept: NOTHING, mayMatch }
  return { ...(await withoutMatches(table, source, snapshot, files, scope.condition, signal)), mayMatch }
}

/** The files that have rows for which the condition is true, and their other rows written again. */
async function withoutMatches(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  files: readonly SnapshotFile[],
  condition: string,
  signal: AbortSignal | undefined,
): Promise<Omit<Replaced, 'mayMatch'>> {
  const shape = { fields: snapshot.schema.fields, partitionColumns: snapshot.partitionColumns, mapping: snapshot.mapping }
  const held = await source.open(table.deps.store, files, snapshot, undefined, { signal })
  try {
    const counts = await table.deps.database.rows<{ file: string; rows: bigint; going: bigint }>(
      `SELECT "__file" AS file, count(*) AS rows, count(*) FILTER (WHERE ${condition}) AS going ` +
        `FROM (${scanSql({ ...shape, address: true }, held.files)}) GROUP BY ALL`,
      { signal },
    )
    const byFile = new Map(counts.map((count) => [count.file, count]))
    const countOf = (at: number) => byFile.get(held.files[at]?.localFile ?? '')
    const touched = files.filter((_, at) => (countOf(at)?.going ?? 0n) > 0n)
    const mixed = held.files.filter((_, at) => {
      const count = countOf(at)
      return count !== undefined && count.going > 0n && count.going < count.rows
    })
    if (mixed.length === 0) return { files: touched, kept: NOTHING }
    if (snapshot.properties.rowTracking) throw rowsWouldMove(table.uri)
    const staying = `SELECT * FROM (${scanSql(shape, mixed)}) WHERE NOT coalesce(${condition}, false)`
    const kept = await table.deps.database.use((connection) =>
      stageFiles(table.deps, connection, staying, snapshot, { signal, dataChange: false }),
    )
    // These rows are the table's already; that others go makes the commit one that changes rows.
    return { files: touched, kept: { ...kept, adds: kept.adds.map((add) => withMore(add, { dataChange: true })) } }
  } finally {
    held.release()
  }
}

/** Reads the condition's truth from the files that will be committed: rules of the table may have completed the rows. */
async function checkInside(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  staged: StagedFiles,
  { condition, text }: OverwriteScope & { kind: 'where' },
  signal: AbortSignal | undefined,
): Promise<void> {
  if (staged.adds.length === 0) return
  const shape = { fields: snapshot.schema.fields, partitionColumns: snapshot.partitionColumns, mapping: snapshot.mapping }
  const held = await source.open(table.deps.store, staged.adds.map(stagedAsLive), snapshot, undefined, { signal })
  try {
    const [found] = await table.deps.database.rows<{ outside: bigint }>(
      `SELECT count(*) FILTER (WHERE NOT coalesce(${condition}, false)) AS outside FROM (${scanSql(shape, held.files)})`,
      { signal },
    )
    const rows = Number(found?.outside ?? 0)
    if (rows > 0)
      throw new DeltaError(
        'ROWS_INVALID',
        'new rows are outside of what they are to replace',
        { rows, condition: text },
        { hint: 'make the condition true of every new row, or leave such rows out' },
      )
  } finally {
    held.release()
  }
}

/** The partitions of these files, as a condition over the files relation. */
function partitionsOf(snapshot: Snapshot, adds: readonly AddFile[]): string {
  const fields = snapshot.partitionColumns.flatMap((name) => snapshot.schema.fields.find((field) => field.name === name) ?? [])
  const one = (values: PartitionValues) =>
    fields
      .map((field) => {
        const column = `part.${ident(field.name)}`
        const text = values[physicalName(field, snapshot.mapping)] ?? null
        if (text === null) return `${column} IS NULL`
        return `${column} = ${field.type === 'binary' ? `encode(${literal(text)})` : `${literal(text)}::${duckdbType(field.type)}`}`
      })
      .join(' AND ')
  const all = [...new Set(adds.map(({ partitionValues }) => one(partitionValues)))]
  return all.length === 0 ? 'FALSE' : all.map((partition) => `(${partition})`).join(' OR ')
}

function rowsWouldMove(table: string): DeltaError {
  return new DeltaError(
    'FEATURE_UNSUPPORTED',
    'deltaic does not move the rows of a table that tracks them',
    { table },
    { hint: 'choose a condition that takes whole files, such as one on partitions' },
  )
}
