import { mergeRows } from '../ops/merge.js'
import type { MergeClause } from '../sql/statements/merge.js'
import { tokenize } from '../sql/tokens.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { type ChangedTable, settled } from './change-rows.js'
import { type MergeParts, type MergePlan, mergePlan, numbered } from './merge-sql.js'
import type { ChangeRowsOptions, MergeOptions, MergeRowsResult } from './options.js'
import { type ReadyQuery, type RunContext, readyQuery } from './query-runner.js'
import { addressedRows } from './row-query.js'

const TARGET = '"__target"'

/** A MERGE as it was written. */
export interface MergeStatement extends Pick<MergeParts, 'source' | 'on' | 'clauses'> {
  readonly sourceAlias: string | undefined
}

/**
 * MERGE INTO: brings rows of a source into a table. The source is computed once.
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
  const { sourceAlias, source, on, clauses } = statement
  const parts = numbered({ source, on, clauses, targetName: name, sourceName: sourceAlias ?? nameOfSource(source) })
  return settled(context, table, signal, async (snapshot) => {
    const columns = await sourceColumns(context, parts, options)
    const plan = mergePlan(snapshot.schema, isLocation ? `delta.${TARGET}` : TARGET, parts, columns)
    const pinned = pinnedTo(context, table, snapshot, isLocation)
    const ready = await readyQuery(pinned.context, { text: plan.text, params, signal })
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
  const { source, on, sourceName = 's', targetName = 't' } = options
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
  const statement = { source: `(${source}\n)`, sourceAlias: sourceName, on, clauses }
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

/** The target is a version of its own table, whose rows have an address. */
function pinnedTo(context: RunContext, table: DeltaTable, snapshot: Snapshot, isLocation: boolean) {
  let readsTable = false
  const pin: RunContext['pin'] = async (wanted, abort) => {
    if (wanted.schema === (isLocation ? 'delta' : '') && wanted.name === '__target') return { table, snapshot, address: true }
    const other = await context.pin(wanted, abort)
    if (other?.table.uri === table.uri) readsTable = true
    return other
  }
  return { context: { ...context, pin }, readsTable: () => readsTable }
}

/** Only `*` asks for the names of the source's columns. */
async function sourceColumns(
  { engines, pin }: RunContext,
  { source, clauses }: MergeParts,
  { params, signal }: ChangeRowsOptions,
): Promise<readonly string[]> {
  if (!clauses.some(({ action }) => action.kind === 'updateAll' || action.kind === 'insertAll')) return []
  const { columns } = await engines.planner.plan(`SELECT * FROM ${source}`, params, (wanted) => pin(wanted, signal), signal)
  return columns.map((column) => column.name)
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
