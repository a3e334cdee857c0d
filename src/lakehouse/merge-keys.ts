import { isDeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { keyPairs, keyRangesSql, mayHaveKey, readKeyRanges } from '../sql/key-ranges.js'
import { isPrunable } from '../sql/planner.js'
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
 * The condition over the files relation that is false only for files of the target of which no row matches a row of the source: the
 * source's keys are read first. `TRUE` where rows that match nothing are looked for as well, where the condition asks for no
 * equal columns, and where the source may be other rows when it is read again.
 *
 * @param context pins the same versions for the merge itself.
 */
export async function mayMatchSource(
  context: RunContext,
  snapshot: Snapshot,
  { source, sourceName, targetName, on, clauses }: MergeParts,
  { params, signal }: ChangeRowsOptions,
): Promise<string> {
  if (clauses.some(({ when }) => when === 'notMatchedBySource') || !isPrunable(snapshot)) return 'TRUE'
  const { files, bytes } = await snapshot.totals()
  if (files < FILES_MIN) return 'TRUE'
  const tree = await parseQuery(context.engines.binder, `SELECT 1 WHERE (${oneCondition(on)}\n)`)
  const [statement] = tree['statements'] as readonly { readonly node: { readonly where_clause: SyntaxNode } }[]
  const pairs = statement ? keyPairs(statement.node.where_clause, snapshot, targetName, sourceName) : []
  if (pairs.length === 0) return 'TRUE'
  const from = `(SELECT * FROM ${source}) AS ${ident(sourceName)}`
  const keys = [...new Set(pairs.map(({ key }) => key))]
  try {
    const ready = await readyQuery(context, { text: keyRangesSql(keys, from), params, signal })
    try {
      const { plan, session, stats, views } = ready
      if (!plan.isSteady || views.length > 0 || plan.views.length > 0 || stats.bytesRead > bytes) return 'TRUE'
      const [row] = await session.rows<{ found: readonly (string | null)[] }>(plan.text, { params: plan.params, signal })
      const ranges = readKeyRanges(row?.found ?? [])
      const parts = pairs.map(({ column, key }) => mayHaveKey(column, ranges[keys.indexOf(key)] ?? UNKNOWN, snapshot))
      return parts.includes('FALSE') ? 'FALSE' : parts.filter((part) => part !== 'TRUE').join(' AND ') || 'TRUE'
    } finally {
      ready.release(false)
    }
  } catch (error) {
    // What is wrong with the source, the merge itself says better.
    if (isDeltaError(error) && !signal?.aborted) return 'TRUE'
    throw error
  }
}
