import { mergeRows } from '../ops/merge.js'
import { field, findField, type StructType } from '../protocol/schema.js'
import { parseType } from '../protocol/type-text.js'
import type { MergeClause } from '../sql/statements/merge.js'
import { tokenize } from '../sql/tokens.js'
import type { DeltaTable } from '../table/delta-table.js'
import { evolvedFor } from '../table/evolve.js'
import type { Snapshot } from '../table/snapshot.js'
import { type ChangedTable, settled } from './change-rows.js'
import { mayBeMerged } from './merge-keys.js'
import { type MergeParts, type MergePlan, mergePlan, numbered } from './merge-sql.js'
import type { ChangeRowsOptions, MergeOptions, MergeRowsResult, ResultColumn } from './options.js'
import { type ReadyQuery, type RunContext, readyQuery } from './query-runner.js'
import { addressedRows } from './row-query.js'

const TARGET = '"__target"'

/** A MERGE as it was written. */
export interface MergeStatement extends Pick<MergeParts, 'source' | 'on' | 'clauses'> {
  readonly sourceAlias: string | undefined
  /** Whether the table gets columns of the source that it lacks. */
  readonly withSchemaEvolution?: boolean | undefined
}

/**
 * MERGE INTO: brings rows of a source into a table. The source is computed once, and its keys before that where they can leave files out.
 *
 * @throws {DeltaError} `SQL_INVALID`, `SCHEMA_MISMATCH`, `MERGE_AMBIGUOUS` when several rows of the source change one row,
 * `VALUE_NULL`, `CONSTRAINT_VIOLATED`, `COMMIT_CONFLICT` when others kept changing the same rows.
 */
export async function mergeInto(
  context: RunContext,
  { table, name, isLocation = false }: ChangedTable,
  statement: MergeStatement,
  options: ChangeRowsOptions = {},
): Promise<MergeRowsResult> {
  const { params, signal, onProgress } = options
  const { sourceAlias, source, on, clauses, withSchemaEvolution = false } = statement
  const parts = numbered({ source, on, clauses, targetName: name, sourceName: sourceAlias ?? nameOfSource(source) })
  return settled(context, table, signal, async (newest) => {
    const columns = await sourceColumns(context, parts, options, withSchemaEvolution)
    const snapshot = withSchemaEvolution ? evolvedFor(table, newest, incoming(newest.schema, parts, columns), 'merge') : newest
    const target = isLocation ? `delta.${TARGET}` : TARGET
    const plan = mergePlan(snapshot.schema, target, parts, columns, withSchemaEvolution)
    const pinned = pinnedTo(context, table, snapshot, isLocation)
    const addressed = await mayBeMerged(pinned.context, snapshot, target, parts, { params, signal })
    const ready = await readyQuery(pinned.context, { text: plan.text, params, signal, addressed })
    try {
      return await run(context, table, snapshot, plan, parts, ready, pinned.readsTable(), {
        signal,
        onProgress: (done, total) => onProgress?.({ phase: 'merge', done, total, unit: 'files' }),
      })
    } finally {
      ready.release(false)
    }
  })
}

/** The same by the library's words. */
export async function mergeByOptions(context: RunContext, table: ChangedTable, options: MergeOptions): Promise<MergeRowsResult> {
  const { source, on, sourceName = 's', targetName = 't', withSchemaEvolution } = options
  const set = (values: Readonly<Record<string, string>>) =>
    Object.entries(values).map(([column, value]) => ({ column: [column], value }))
  const clauses: MergeClause[] = []
  for (const when of ['matched', 'notMatchedBySource'] as const)
    for (const clause of (when === 'matched' ? options.whenMatched : options.whenNotMatchedBySource) ?? [])
      if ('delete' in clause) clauses.push({ when, condition: clause.and, action: { kind: 'delete' } })
      else if (clause.update === '*') clauses.push({ when, condition: clause.and, action: { kind: 'updateAll' } })
      else clauses.push({ when, condition: clause.and, action: { kind: 'update', set: set(clause.update) } })
  for (const { and, insert } of options.whenNotMatched ?? [])
    if (insert === '*') clauses.push({ when: 'notMatched', condition: and, action: { kind: 'insertAll' } })
    else clauses.push({ when: 'notMatched', condition: and, action: { kind: 'insert', values: set(insert) } })
  const statement = { source: `(${source}\n)`, sourceAlias: sourceName, on, clauses, withSchemaEvolution }
  return mergeInto(context, { ...table, name: targetName }, statement, options)
}

function run(
  { engines }: RunContext,
  table: DeltaTable,
  snapshot: Snapshot,
  plan: MergePlan,
  { on }: MergeParts,
  ready: ReadyQuery,
  readsWhole: boolean,
  options: Pick<Parameters<typeof mergeRows>[3], 'signal' | 'onProgress'>,
) {
  const request = { query: addressedRows(ready, snapshot), actions: plan.clauses, predicate: on, readsWhole, ...options }
  return mergeRows(table, engines.source, snapshot, request)
}

/** The target is a version of its own table, whose rows have an address. The same version answers each time that a name is asked for. */
function pinnedTo(context: RunContext, table: DeltaTable, snapshot: Snapshot, isLocation: boolean) {
  let readsTable = false
  const pinned = new Map<string, ReturnType<RunContext['pin']>>()
  const pin: RunContext['pin'] = async (wanted, abort) => {
    if (wanted.schema === (isLocation ? 'delta' : '') && wanted.name === '__target') return { table, snapshot, address: true }
    const key = JSON.stringify(wanted)
    const pinning = pinned.get(key) ?? context.pin(wanted, abort)
    pinned.set(key, pinning)
    const other = await pinning
    if (other?.table.uri === table.uri) readsTable = true
    return other
  }
  return { context: { ...context, pin }, readsTable: () => readsTable }
}

/** Only `*`, and a table that takes columns of the source, ask for what the source has. */
async function sourceColumns(
  { engines, pin }: RunContext,
  { source, clauses }: MergeParts,
  { params, signal }: ChangeRowsOptions,
  isAlways: boolean,
): Promise<readonly ResultColumn[]> {
  if (!isAlways && !clauses.some(({ action }) => isWhole(action))) return []
  return (await engines.planner.plan(`SELECT * FROM ${source}`, params, (wanted) => pin(wanted, signal), signal)).columns
}

/** The columns of the source that clauses bring to the table: all by `*`, else those that they name and it lacks. */
function incoming(schema: StructType, { clauses, targetName }: MergeParts, columns: readonly ResultColumn[]): StructType {
  const isTaken = ({ name }: ResultColumn) =>
    clauses.some(({ action }) => {
      if (action.kind === 'updateAll' || action.kind === 'insertAll') return true
      if (action.kind === 'delete') return false
      return (action.kind === 'update' ? action.set : action.values).some(({ column }) => {
        const path = column.length > 1 && column[0]?.toLowerCase() === targetName.toLowerCase() ? column.slice(1) : column
        return path.length === 1 && path[0]?.toLowerCase() === name.toLowerCase() && !findField(schema, name)
      })
    })
  const typed = ({ name, type }: ResultColumn) => field(name, type === '"NULL"' ? 'void' : parseType(type, 'duckdb'))
  return { type: 'struct', fields: columns.filter(isTaken).map(typed) }
}

function isWhole({ kind }: MergeClause['action']): boolean {
  return kind === 'updateAll' || kind === 'insertAll'
}

/** What a source is called that has no alias: as its table. */
function nameOfSource(source: string): string {
  const tokens = tokenize(source)
  const isName = (at: number) => tokens[at]?.kind === 'word' || tokens[at]?.kind === 'quoted'
  let at = 0
  while (isName(at) && tokens[at + 1]?.value === '.' && isName(at + 2)) at += 2
  const name = tokens[at]
  if (!name || !isName(at)) return '__source'
  return name.kind === 'word' ? name.text : name.value
}
