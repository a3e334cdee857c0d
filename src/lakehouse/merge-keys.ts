import { isDeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { keyPairs, keyRangesSql, mayHaveKey, readKeyRanges } from '../sql/key-ranges.js'
import { prunableColumns } from '../sql/planner.js'
import { parseQuery, type SyntaxNode } from '../sql/syntax-tree.js'
import type { Snapshot } from '../table/snapshot.js'
import type { MergeParts } from './merge-sql.js'
import type { ChangeRowsOptions } from './options.js'
import { type RunContext, readyQuery } from './query-runner.js'
import { oneCondition } from './table-snapshot.js'

/** Fewer files are not worth looking at the source first. */
const FILES_MIN = 2
const UNKNOWN = { type: '', ranges: [{ low: '', high: '' }] }

/**
 * The condition over the files relation that is false only for files of the target of which a merge changes no row: none matches
 * a row of the source, whose keys are read first, and what is asked of rows that the source lacks is true of none. `TRUE` where
 * the merge asks for no equal columns, and where the source may be other rows when it is read again.
 *
 * @param context pins the same versions for the merge itself.
 * @param target how a query names the table.
 */
export async function mayBeMerged(
  context: RunContext,
  snapshot: Snapshot,
  target: string,
  parts: MergeParts,
  options: ChangeRowsOptions,
): Promise<string> {
  const { files, bytes } = await snapshot.totals()
  if (files < FILES_MIN) return 'TRUE'
  const alone = await mayChangeAlone(context, target, parts, options)
  if (alone === 'TRUE') return 'TRUE'
  const matched = await mayMatchSource(context, snapshot, bytes, parts, options)
  return matched === 'TRUE' ? 'TRUE' : `(${matched}) OR (${alone})`
}

/** The same for what is done with rows that the source lacks. */
async function mayChangeAlone(
  context: RunContext,
  target: string,
  { targetName, clauses }: MergeParts,
  { params, signal }: ChangeRowsOptions,
): Promise<string> {
  const own = clauses.filter(({ when }) => when === 'notMatchedBySource')
  if (own.length === 0) return 'FALSE'
  const conditions = own.map(({ condition }) => (condition === undefined ? 'TRUE' : `(${oneCondition(condition)}\n)`))
  const text = `SELECT 1 FROM ${target} AS ${ident(targetName)} WHERE ${conditions.join(' OR ')}`
  return orTrue(signal, async () => {
    const plan = await context.engines.planner.plan(text, params, (wanted) => context.pin(wanted, signal), signal)
    return (plan.isSteady && plan.tables.find(({ address }) => address)?.condition) || 'TRUE'
  })
}

/** What is wrong with a part of a merge, the merge itself says better. */
async function orTrue(signal: AbortSignal | undefined, condition: () => Promise<string>): Promise<string> {
  try {
    return await condition()
  } catch (error) {
    if (isDeltaError(error) && !signal?.aborted) return 'TRUE'
    throw error
  }
}

/** The same for rows that match. */
async function mayMatchSource(
  context: RunContext,
  snapshot: Snapshot,
  bytes: number,
  { source, sourceName, targetName, on }: MergeParts,
  { params, signal }: ChangeRowsOptions,
): Promise<string> {
  const tree = await parseQuery(context.engines.binder, `SELECT 1 WHERE (${oneCondition(on)}\n)`)
  const [statement] = tree['statements'] as readonly { readonly node: { readonly where_clause: SyntaxNode } }[]
  const pairs = statement ? keyPairs(statement.node.where_clause, snapshot, targetName, sourceName) : []
  if (pairs.length === 0) return 'TRUE'
  const from = `(SELECT * FROM ${source}) AS ${ident(sourceName)}`
  const keys = [...new Set(pairs.map(({ key }) => key))]
  return orTrue(signal, async () => {
    const ready = await readyQuery(context, { text: keyRangesSql(keys, from), params, signal })
    try {
      const { plan, session, stats, views } = ready
      if (!plan.isSteady || views.length > 0 || plan.views.length > 0 || stats.bytesRead > bytes) return 'TRUE'
      const [row] = await session.rows<{ found: readonly (string | null)[] }>(plan.text, { params: plan.params, signal })
      const ranges = readKeyRanges(row?.found ?? [])
      const prunable = prunableColumns(snapshot)
      const parts = pairs.map(({ column, key }) => mayHaveKey(column, ranges[keys.indexOf(key)] ?? UNKNOWN, prunable))
      return parts.includes('FALSE') ? 'FALSE' : parts.filter((part) => part !== 'TRUE').join(' AND ') || 'TRUE'
    } finally {
      ready.release(false)
    }
  })
}
