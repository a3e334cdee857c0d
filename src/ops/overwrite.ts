import { ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { AddCDCFile, AddFile, Metadata, PartitionValues, Protocol } from '../protocol/actions.js'
import { physicalName } from '../protocol/column-mapping.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { scanSql } from '../table/scan-sql.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import type { StagedFiles } from '../table/stage.js'
import { stagedAsLive } from '../table/staged-file.js'
import { stageChanges } from './change-files.js'
import { FoundRows, type RowQuery } from './found-rows.js'
import { marksRows, type TakenOut, type TakeOutContext, takeOut, takeOutFiles } from './take-out.js'

/** The rows whose place new ones take. */
export type OverwriteScope =
  | { readonly kind: 'all' }
  /** Those of the partitions that new rows come with; all of them in a table without partitions. */
  | { readonly kind: 'partitions' }
  /** Those that a query finds by a condition. That it is true of the new rows too, their staging has seen to (`rules`). */
  | {
      readonly kind: 'where'
      readonly query: RowQuery
      /** The condition as its author wrote it. */
      readonly text: string
    }

export interface OverwriteOptions {
  readonly signal?: AbortSignal | undefined
  readonly userMetadata?: string | undefined
  /** What the new rows were made from, where that is the table itself. */
  readonly reads?: TableReads | undefined
  /** What the staged files were made for, where the schema changes with the rows. */
  readonly metadata?: Metadata | undefined
  readonly protocol?: Protocol | undefined
}

/** What of a version of a table went into a commit. */
export interface TableReads {
  /** Over the files relation, each false only for files that were not read. */
  readonly conditions: readonly string[]
  readonly files: readonly SnapshotFile[]
}

export interface OverwriteResult {
  readonly version: number
  readonly filesAdded: number
  readonly filesRemoved: number
  /** Files whose rows that went are listed beside them from now on. */
  readonly filesMarked: number
  readonly bytesAdded: number
  readonly rowsAdded: number
  /** Rows that stay, and were written again because they shared a file with some that go. */
  readonly rowsCopied: number
  readonly attempts: number
}

/** What goes, what is told of it, and what selected it. */
interface Replaced {
  readonly taken: TakenOut
  readonly changes: readonly AddCDCFile[]
  readonly files: readonly SnapshotFile[]
  readonly mayMatch: string
}

/**
 * INSERT OVERWRITE and INSERT … REPLACE WHERE: staged rows take the place of others, in one commit.
 *
 * @param snapshot what the rows that go are taken from.
 * @throws {DeltaError} `COMMIT_CONFLICT` when others changed what goes, `TABLE_APPEND_ONLY`.
 */
export async function overwrite(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  staged: StagedFiles,
  scope: OverwriteScope,
  options: OverwriteOptions = {},
): Promise<OverwriteResult> {
  const { signal, userMetadata, reads, metadata, protocol } = options
  const { taken, changes, files, mayMatch } = await replaced({ table, source, snapshot, signal }, staged.adds, scope)
  const { tally } = taken
  const result = {
    filesAdded: staged.adds.length + tally.filesAdded,
    filesRemoved: tally.filesRemoved,
    filesMarked: tally.vectorsAdded,
    bytesAdded: staged.bytes + tally.bytesAdded,
    rowsAdded: staged.rows,
    rowsCopied: tally.rowsCopied,
  }
  const isNothing = taken.removes.length + staged.adds.length === 0 && !metadata && !snapshot.evolvedFrom
  if (isNothing) return { ...result, version: snapshot.version, attempts: 0 }
  const transaction = (await table.transaction(snapshot, { signal }))
    .readWhere(mayMatch)
    .readFiles(files)
    .remove(taken.removes)
    .add([...staged.adds, ...taken.adds])
    .addChangeFiles(changes)
    .describe({
      name: 'WRITE',
      parameters: {
        mode: 'Overwrite',
        partitionBy: '[]',
        ...(scope.kind === 'where' ? { predicate: scope.text } : {}),
        ...(scope.kind === 'partitions' ? { isDynamicPartitionOverwrite: true } : {}),
      },
      metrics: {
        numFiles: result.filesAdded,
        numOutputRows: staged.rows + tally.rowsCopied,
        numOutputBytes: result.bytesAdded,
        numRemovedFiles: tally.filesRemoved,
        numRemovedBytes: tally.bytesRemoved,
        ...(tally.rowsTaken === undefined ? {} : { numDeletedRows: tally.rowsTaken }),
        ...(scope.kind === 'where' ? { numCopiedRows: tally.rowsCopied, numAddedChangeFiles: changes.length } : {}),
      },
      userMetadata,
      keepsRowIds: scope.kind === 'where' && snapshot.properties.rowTracking ? true : undefined,
    })
  for (const condition of reads?.conditions ?? []) transaction.readWhere(condition)
  if (reads) transaction.readFiles(reads.files)
  if (metadata) transaction.setMetadata(metadata)
  if (protocol && protocol !== snapshot.protocol) transaction.setProtocol(protocol)
  const outcome = await transaction.commit({ signal })
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
  return { ...result, version: outcome.version, attempts: outcome.attempts }
}

async function replaced(context: TakeOutContext, adds: readonly AddFile[], scope: OverwriteScope): Promise<Replaced> {
  const { table, snapshot, signal } = context
  if (scope.kind === 'where') return replacedRows(context, adds, scope.query)
  const isWhole = scope.kind === 'all' || snapshot.partitionColumns.length === 0
  const mayMatch = isWhole ? 'TRUE' : partitionsOf(snapshot, adds)
  const { files } = await snapshot.files(mayMatch, { signal })
  return { taken: takeOutFiles(files, table.deps.clock.now()), changes: [], files, mayMatch }
}

async function replacedRows(context: TakeOutContext, adds: readonly AddFile[], query: RowQuery): Promise<Replaced> {
  const { table, snapshot, signal } = context
  const found = await FoundRows.find(query, table.deps.spool, signal)
  try {
    const taken = await takeOut(context, found)
    // The log alone tells of whole files and of vectors. Where files were rewritten, all that changes has to be told.
    const isTold = snapshot.properties.changeDataFeed && !marksRows(snapshot) && taken.adds.length > 0
    const changes = isTold ? await toldChanges(context, found, adds) : []
    return { taken, changes, files: found.files.map(({ file }) => file), mayMatch: query.condition }
  } finally {
    await found.remove()
  }
}

/** The rows that went, and the ones that came, read from the files that will be committed. */
async function toldChanges(context: TakeOutContext, found: FoundRows, adds: readonly AddFile[]): Promise<readonly AddCDCFile[]> {
  const { table, source, snapshot, signal } = context
  const { schema, partitionColumns, mapping } = snapshot
  const held = await source.open(table.deps.store, adds.map(stagedAsLive), snapshot, undefined, { signal })
  try {
    const inserted = scanSql({ fields: schema.fields, partitionColumns, mapping }, held.files)
    return await stageChanges(context, found, (rows) => [
      { kind: 'delete', rows },
      { kind: 'insert', rows: inserted },
    ])
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
        const name = physicalName(field, snapshot.mapping)
        const column = `part.${ident(name)}`
        const text = values[name] ?? null
        if (text === null) return `${column} IS NULL`
        return `${column} = ${field.type === 'binary' ? `encode(${literal(text)})` : `${literal(text)}::${duckdbType(field.type)}`}`
      })
      .join(' AND ')
  const all = [...new Set(adds.map(({ partitionValues }) => one(partitionValues)))]
  return all.length === 0 ? 'FALSE' : all.map((partition) => `(${partition})`).join(' OR ')
}
