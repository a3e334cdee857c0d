import { globLiteral, ident } from '../engine/sql-text.js'
import type { StructField } from '../protocol/schema.js'
import { fromSpool, spoolable } from '../table/column-sql.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { completeRows } from '../table/row-columns.js'
import { generationOf } from '../table/row-rules.js'
import type { Snapshot } from '../table/snapshot.js'
import { stageFiles } from '../table/stage.js'
import { type RowReader, stageChanges, withFoundRows } from './change-files.js'
import { type ChangeOutcome, changeResult, metricsOf } from './change-result.js'
import type { DeleteRequest } from './delete.js'
import { FoundRows, type RowQuery } from './found-rows.js'
import { keptRowIds } from './kept-row-ids.js'
import { takeOut } from './take-out.js'
import { vectorRebase } from './vector-rebase.js'

export interface UpdateRequest extends Omit<DeleteRequest, 'query'> {
  /** Selects the rows, and gives their new values. */
  readonly query: RowQuery
  /** The query's column for each column of the table that is set. */
  readonly values: ReadonlyMap<string, string>
  /**
   * The query's column for each column of the table as it was: those that are not set, and all of them where there is a change feed.
   * Where the query does not give them the rows are read once more.
   */
  readonly old?: ReadonlyMap<string, string> | undefined
  /** Columns that get their default. */
  readonly defaults: ReadonlySet<string>
}

/**
 * UPDATE: writes the rows for which the condition is true anew, with some columns changed, and takes out the old ones, in
 * one commit. New values are those of the row as it was. Where there are no such rows nothing is committed.
 *
 * @returns a conflict when somebody else's commit came between: run it again on the newest version.
 * @throws {DeltaError} `VALUE_NULL`, `FEATURE_UNSUPPORTED`, and what the table's rules ask of new rows.
 */
export async function updateRows(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  request: UpdateRequest,
): Promise<ChangeOutcome> {
  const { query, values, signal } = request
  const startedAtMs = table.deps.clock.now()
  const transaction = await table.transaction(snapshot, { signal })
  const { changeDataFeed, rowTracking } = snapshot.properties
  const { fields } = snapshot.schema
  const kept = keptRowIds(snapshot)
  // Generated columns follow from the others.
  const given = fields.filter((f) => !request.defaults.has(f.name) && (values.has(f.name) || !isGenerated(f))).map((f) => f.name)
  const types = new Map(fields.map(({ name, type }) => [name, type]))
  const told = [...values, ...(request.old ?? [])].map(([column, name]) => [name, types.get(column) ?? 'void'] as const)
  const spooled = { ...query, text: spoolable(query.text, new Map(told)) }
  const found = await FoundRows.find(spooled, table.deps.spool, signal)
  try {
    const context = { table, source, snapshot, signal, onFile: request.onProgress }
    const columns = fields.map((f) => {
      const value = values.get(f.name)
      return `${value === undefined ? ident(f.name) : fromSpool(f.type, ident(value))} AS ${ident(f.name)}`
    })
    const updated = (rows: string) => `SELECT ${[...columns, ...kept.columns(false)].join(', ')} FROM (${rows})`
    const ids = kept.target.schema.fields.slice(fields.length).map((f) => f.name)
    const read = request.old ? foundAlready(fields, request.old, values) : withFoundRows
    const staged = await read(context, found, async (rows) =>
      table.deps.database.use((connection) =>
        stageFiles(table.deps, connection, updated(rows), kept.target, { signal, given: [...given, ...ids] }),
      ),
    )
    const taken = await takeOut(context, found)
    const changes = changeDataFeed
      ? await stageChanges(
          context,
          found,
          async (rows) => [
            { kind: 'update_preimage', rows },
            { kind: 'update_postimage', rows: await completed(table, updated(rows), snapshot, given) },
          ],
          read,
        )
      : []
    const result = {
      ...changeResult(taken.tally, { rowsDeleted: 0, rowsUpdated: staged.rows }),
      filesAdded: taken.tally.filesAdded + staged.adds.length,
      bytesAdded: taken.tally.bytesAdded + staged.bytes,
    }
    if (taken.removes.length === 0) return { ...result, version: snapshot.version, attempts: 0 }
    if (!request.readsWhole) transaction.rebaseVectors(vectorRebase(table, signal))
    const outcome = await transaction
      .remove(taken.removes)
      .add([...taken.adds, ...staged.adds])
      .addChangeFiles(changes)
      .readWhere(request.readsWhole ? 'TRUE' : query.condition)
      .readFiles(found.files.map(({ file }) => file))
      .describe({
        name: 'UPDATE',
        parameters: { predicate: JSON.stringify(request.predicate === undefined ? [] : [request.predicate]) },
        metrics: {
          ...metricsOf(taken.tally, changes.length, table.deps.clock.now() - startedAtMs),
          numAddedFiles: result.filesAdded,
          numAddedBytes: result.bytesAdded,
          numUpdatedRows: staged.rows,
        },
        keepsRowIds: rowTracking ? true : undefined,
      })
      .commit({ signal })
    return outcome.kind === 'committed' ? { ...result, version: outcome.version, attempts: outcome.attempts } : outcome
  } finally {
    await found.remove()
  }
}

/** Rows of which the query gave everything. */
function foundAlready(
  fields: readonly StructField[],
  old: ReadonlyMap<string, string>,
  values: ReadonlyMap<string, string>,
): RowReader {
  const columns = [
    ...fields.flatMap(({ name, type }) => {
      const given = old.get(name)
      return given === undefined ? [] : [`${fromSpool(type, ident(given))} AS ${ident(name)}`]
    }),
    ...[...values.values()].map((name) => ident(name)),
  ]
  return (_, found, work) => work(`SELECT ${columns.join(', ')} FROM read_parquet(${globLiteral(found.path)})`)
}

async function completed(table: DeltaTable, rows: string, { schema }: Snapshot, given: readonly string[]): Promise<string> {
  return table.deps.database.use((connection) => completeRows(connection, rows, schema, given))
}

function isGenerated({ metadata }: StructField): boolean {
  return generationOf(metadata) !== undefined
}
