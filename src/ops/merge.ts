import { assert, DeltaError } from '../base/errors.js'
import { globLiteral, ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { type IdentityMarks, identityColumns } from '../protocol/identity.js'
import { mentions, type StructField } from '../protocol/schema.js'
import { fromSpool, spoolable } from '../table/column-sql.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { completeRows } from '../table/row-columns.js'
import { rowNumbers, withMarks } from '../table/row-numbers.js'
import type { Snapshot } from '../table/snapshot.js'
import { stageFiles } from '../table/stage.js'
import type { TransactionOutcome } from '../table/transaction.js'
import { stageChanges, withFoundRows } from './change-files.js'
import { type ChangeResult, changeResult } from './change-result.js'
import { FoundRows, type RowQuery } from './found-rows.js'
import { keptRowIds } from './kept-row-ids.js'
import { type TakenOut, takeOut } from './take-out.js'

/** What happens to rows that a clause applies to. */
export interface MergeAction {
  readonly when: 'matched' | 'notMatched' | 'notMatchedBySource'
  readonly kind: 'update' | 'delete' | 'insert'
  /** As it was written, for the table's history. */
  readonly condition: string | undefined
  /** The columns that it gives values; others get their default, or are computed. */
  readonly given: readonly string[]
}

export interface MergeRequest {
  /**
   * Gives a row for each row that an action applies to: `"__file"` and `"__row"`, NULL for new rows, `"__clause"`, the action's
   * index, and `"__new_0"`, …, the values of the table's columns; of one that holds variants, `"__new_0_1"` is what the action with index 1 gives. A row with `"__clause"` -1 has in `"__row"` the number of
   * rows of the source.
   */
  readonly query: RowQuery
  readonly actions: readonly MergeAction[]
  /** The condition on which rows match, as it was written. */
  readonly predicate: string
  /** Whether conditions read more of the table than the row that they are about, or rows that no source row matches. */
  readonly readsWhole: boolean
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((filesDone: number, filesTotal: number) => void) | undefined
}

export interface MergeResult extends ChangeResult {
  readonly rowsInserted: number
}

export type MergeOutcome = MergeResult | Extract<TransactionOutcome, { readonly kind: 'conflict' }>

const EXAMPLES_MAX = 3

/**
 * MERGE: updates and deletes rows of a table and inserts new ones, in one commit, as the first action says whose condition
 * holds. Where no action applies to any row nothing is committed. A merge that only inserts rewrites no file.
 *
 * @returns a conflict when somebody else's commit came between: run it again on the newest version.
 * @throws {DeltaError} `MERGE_AMBIGUOUS` when several rows of the source change one row, `VALUE_NULL`, and what the table's rules ask
 * of new rows.
 */
export async function mergeRows(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  request: MergeRequest,
): Promise<MergeOutcome> {
  const { query, actions, signal } = request
  const { spool, clock } = table.deps
  const startedAtMs = clock.now()
  const transaction = await table.transaction(snapshot, { signal })
  const { fields } = snapshot.schema
  const merged = spool.file('parquet')
  let found: FoundRows | undefined
  try {
    const types = new Map(
      actions.flatMap((action, at) =>
        newNames(fields, at, action).flatMap(({ name, field }) => (name === undefined ? [] : [[name, field.type] as const])),
      ),
    )
    await query.session.run(
      `COPY (${spoolable(query.text, types)}\n) TO ${literal(merged)} (FORMAT parquet, COMPRESSION snappy)`,
      {
        params: query.params,
        signal,
      },
    )
    const told = `read_parquet(${globLiteral(merged)})`
    const rows = await countRows(query, told, actions, signal)
    const existing = `SELECT * FROM ${told} WHERE "__file" IS NOT NULL`
    const repeated = await countRepeated(query, existing, signal)
    const matched = actions.filter(({ when }) => when === 'matched')
    const onlyDeletes = matched.length === 1 && matched[0]?.kind === 'delete' && matched[0].condition === undefined
    if (repeated > 0 && !onlyDeletes) throw await ambiguous(table, source, snapshot, query, existing, repeated, signal)
    const once = repeated > 0 ? `${existing} QUALIFY row_number() OVER (PARTITION BY "__file", "__row") = 1` : existing
    found = await FoundRows.find({ ...query, text: once, params: undefined }, spool, signal)
    const context = { table, source, snapshot, signal, onFile: request.onProgress }
    const kept = keptRowIds(snapshot)
    const ids = kept.target.schema.fields.slice(fields.length).map((f) => f.name)
    const { inserted, marks } = await numberedRows(table, snapshot, `SELECT * FROM ${told} WHERE "__file" IS NULL`, rows.inserted)
    const numbering = [...marks.keys()]
    /** The rows that actions of a kind make, whole; `from` has the old rows of those that there are. */
    const made = async (kind: 'update' | 'insert', from: string, withIds: boolean): Promise<string[]> => {
      const parts: string[] = []
      for (const [at, action] of actions.entries()) {
        if (action.kind !== kind) continue
        const idColumns = !withIds
          ? []
          : kind === 'update'
            ? kept.columns(false)
            : ids.map((id) => `NULL::BIGINT AS ${ident(id)}`)
        const values = newNames(fields, at, action).map(({ name, field }) => {
          const value = name === undefined ? `NULL::${duckdbType(field.type)}` : fromSpool(field.type, ident(name))
          return `${value} AS ${ident(field.name)}`
        })
        const rowsOf = `SELECT ${[...values, ...idColumns].join(', ')} FROM (${from}) WHERE "__clause" = ${at}`
        const schema = withIds ? kept.target.schema : snapshot.schema
        const given = [...action.given, ...numbering, ...(withIds ? ids : [])]
        parts.push(await table.deps.database.use((connection) => completeRows(connection, rowsOf, schema, given)))
      }
      return parts
    }
    const staged = await withFoundRows(context, found, async (old) => {
      const updates = rows.updated > 0 ? await made('update', ids.length > 0 ? old : existing, true) : []
      const inserts = rows.inserted > 0 ? await made('insert', inserted, true) : []
      const parts = [...updates, ...inserts]
      if (parts.length === 0) return { adds: [], rows: 0, bytes: 0 }
      return table.deps.database.use((connection) =>
        stageFiles(table.deps, connection, parts.join(' UNION ALL '), kept.target, { signal }),
      )
    })
    const taken = await takeOut(context, found)
    const isTold = snapshot.properties.changeDataFeed && taken.removes.length > 0
    const changes = isTold
      ? await stageChanges(context, found, async (old) => [
          ...of(actions, 'delete').map((at) => ({
            kind: 'delete' as const,
            rows: `SELECT * FROM (${old}) WHERE "__clause" = ${at}`,
          })),
          ...of(actions, 'update').map((at) => ({
            kind: 'update_preimage' as const,
            rows: `SELECT * FROM (${old}) WHERE "__clause" = ${at}`,
          })),
          ...(await made('update', existing, false)).map((one) => ({ kind: 'update_postimage' as const, rows: one })),
          ...(await made('insert', inserted, false)).map((one) => ({ kind: 'insert' as const, rows: one })),
        ])
      : []
    const deleted = rows.deleted - (onlyDeletes ? await extraMatches(query, existing, signal) : 0)
    const result = {
      ...changeResult(taken.tally, { rowsDeleted: deleted, rowsUpdated: rows.updated }),
      rowsInserted: rows.inserted,
      filesAdded: taken.tally.filesAdded + staged.adds.length,
      bytesAdded: taken.tally.bytesAdded + staged.bytes,
    }
    if (taken.removes.length === 0 && staged.adds.length === 0) return { ...result, version: snapshot.version, attempts: 0 }
    if (marks.size > 0) transaction.setMetadata(withMarks(snapshot.metadata, marks))
    const outcome = await transaction
      .remove(taken.removes)
      .add([...taken.adds, ...staged.adds])
      .addChangeFiles(changes)
      .readWhere(request.readsWhole ? 'TRUE' : query.condition)
      .readFiles(found.files.map(({ file }) => file))
      .describe({
        name: 'MERGE',
        parameters: parametersOf(request),
        metrics: { ...metricsOf(rows, deleted, taken, result, changes.length), executionTimeMs: clock.now() - startedAtMs },
        keepsRowIds: snapshot.properties.rowTracking ? true : undefined,
      })
      .commit({ signal })
    return outcome.kind === 'committed' ? { ...result, version: outcome.version, attempts: outcome.attempts } : outcome
  } finally {
    await found?.remove()
    await spool.remove(merged)
  }
}

/** New rows with their numbers, the same each time they are read, and how far the table's columns are numbered then. */
async function numberedRows(
  { deps }: DeltaTable,
  { schema }: Snapshot,
  inserted: string,
  rows: number,
): Promise<{ readonly inserted: string; readonly marks: IdentityMarks }> {
  if (rows === 0 || identityColumns(schema).length === 0) return { inserted, marks: new Map() }
  const numbers = await deps.database.use((connection) =>
    rowNumbers(connection, inserted, schema, { given: [], identityMarks: new Map() }),
  )
  const values = schema.fields.flatMap((f, at) =>
    numbers.values.has(f.name) ? [`${numbers.values.get(f.name)} AS "__new_${at}"`] : [],
  )
  return { inserted: `SELECT * REPLACE (${values.join(', ')}) FROM (${inserted})`, marks: numbers.marksAfter(rows) }
}

/** The columns of the answer that hold what an action makes of the table's; none of a variant that it does not give. */
function newNames(fields: readonly StructField[], at: number, { kind, given }: MergeAction) {
  if (kind === 'delete') return []
  return fields.map((field, column) => {
    const isVariant = mentions(field.type, 'variant')
    const name = !isVariant ? `__new_${column}` : given.includes(field.name) ? `__new_${column}_${at}` : undefined
    return { field, name }
  })
}

interface Counts {
  readonly source: number
  readonly updated: number
  readonly deleted: number
  readonly inserted: number
  /** By action. */
  readonly byAction: readonly number[]
}

function of(actions: readonly MergeAction[], kind: MergeAction['kind']): number[] {
  return actions.flatMap((action, at) => (action.kind === kind ? [at] : []))
}

async function countRows(
  { session }: RowQuery,
  told: string,
  actions: readonly MergeAction[],
  signal: AbortSignal | undefined,
): Promise<Counts> {
  const counted = await session.rows<{ clause: number; rows: bigint; first: bigint | null }>(
    `SELECT "__clause" AS clause, count(*) AS rows, min("__row") AS first FROM ${told} GROUP BY 1`,
    { signal },
  )
  const told1 = counted.find(({ clause }) => clause === -1)
  assert(told1, 'a merge counts its source')
  const byAction = actions.map((_, at) => Number(counted.find(({ clause }) => clause === at)?.rows ?? 0))
  const sum = (kind: MergeAction['kind']) => of(actions, kind).reduce((total, at) => total + (byAction[at] ?? 0), 0)
  return { source: Number(told1.first ?? 0), updated: sum('update'), deleted: sum('delete'), inserted: sum('insert'), byAction }
}

async function countRepeated({ session }: RowQuery, existing: string, signal: AbortSignal | undefined): Promise<number> {
  const [found] = await session.rows<{ rows: bigint }>(
    `SELECT count(*) AS rows FROM (SELECT 1 FROM (${existing}) GROUP BY "__file", "__row" HAVING count(*) > 1)`,
    { signal },
  )
  return Number(found?.rows ?? 0)
}

/** How many matches are beyond the first of their row. */
async function extraMatches({ session }: RowQuery, existing: string, signal: AbortSignal | undefined): Promise<number> {
  const [found] = await session.rows<{ rows: bigint | null }>(
    `SELECT sum(matches - 1)::BIGINT AS rows FROM (SELECT count(*) AS matches FROM (${existing}) GROUP BY "__file", "__row")`,
    { signal },
  )
  return Number(found?.rows ?? 0)
}

async function ambiguous(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  query: RowQuery,
  existing: string,
  rows: number,
  signal: AbortSignal | undefined,
): Promise<DeltaError> {
  const repeated = `SELECT "__file", "__row" FROM (${existing}) GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT ${EXAMPLES_MAX}`
  const found = await FoundRows.find({ ...query, text: repeated, params: undefined }, table.deps.spool, signal)
  try {
    const examples = await withFoundRows({ table, source, snapshot, signal }, found, async (old) => {
      const columns = snapshot.schema.fields.map((f) => ident(f.name)).join(', ')
      return table.deps.database.rows<{ row: string }>(
        `SELECT to_json(r)::VARCHAR AS row FROM (SELECT ${columns} FROM (${old})) AS r`,
      )
    })
    return new DeltaError(
      'MERGE_AMBIGUOUS',
      'several rows of the source change one row of the table',
      { table: table.uri, rows, examples: examples.map(({ row }) => row) },
      { hint: 'let the source have one row for each, such as the newest one' },
    )
  } finally {
    await found.remove()
  }
}

function parametersOf({ predicate, actions }: MergeRequest): Record<string, string> {
  const clauses = (when: MergeAction['when']) =>
    JSON.stringify(
      actions
        .filter((action) => action.when === when)
        .map(({ condition, kind }) => ({ ...(condition === undefined ? {} : { predicate: condition }), actionType: kind })),
    )
  return {
    predicate: JSON.stringify([predicate]),
    matchedPredicates: clauses('matched'),
    notMatchedPredicates: clauses('notMatched'),
    notMatchedBySourcePredicates: clauses('notMatchedBySource'),
  }
}

/** What history counts, by Spark's names. */
function metricsOf(
  rows: Counts,
  deleted: number,
  { tally }: TakenOut,
  result: Pick<ChangeResult, 'filesAdded' | 'bytesAdded'>,
  changeFiles: number,
): Record<string, number> {
  return {
    numSourceRows: rows.source,
    numTargetRowsInserted: rows.inserted,
    numTargetRowsUpdated: rows.updated,
    numTargetRowsDeleted: deleted,
    numTargetRowsCopied: tally.rowsCopied,
    numOutputRows: rows.inserted + rows.updated + tally.rowsCopied,
    numTargetFilesAdded: result.filesAdded,
    numTargetFilesRemoved: tally.filesRemoved,
    numTargetBytesAdded: result.bytesAdded,
    numTargetBytesRemoved: tally.bytesRemoved,
    numTargetChangeFilesAdded: changeFiles,
    numTargetDeletionVectorsAdded: tally.vectorsAdded,
    numTargetDeletionVectorsRemoved: tally.vectorsRemoved,
    numTargetDeletionVectorsUpdated: tally.vectorsUpdated,
  }
}
