import { DeltaError } from '../base/errors.js'
import { tokenize } from './tokens.js'

/** Tables and functions that a query may name, each as often as it is read. */
const COPIES_MAX = 10_000

interface Definition {
  readonly key: string
  readonly value: unknown
}

/**
 * A WITH clause that is NOT MATERIALIZED is copied to wherever it is named, and its copies copy others: thirty short lines can come
 * to a plan of a billion parts, which is made before anything can be interrupted.
 *
 * The tree does not tell which clauses are meant: where one is, all count.
 *
 * @throws {DeltaError} `SQL_FORBIDDEN`
 */
export function checkCopies(text: string, tree: unknown): void {
  if (!/materialized/i.test(text)) return
  const words = tokenize(text)
  const isCopied = words.some(({ value }, at) => value === 'materialized' && words[at - 1]?.value === 'not')
  if (isCopied) copiesIn(tree, new Map())
}

/** How many sources of rows a part of a query comes to. @param defined what names of WITH clauses come to. */
function copiesIn(part: unknown, defined: ReadonlyMap<string, number>): number {
  if (Array.isArray(part)) return part.reduce((sum: number, child) => checked(sum + copiesIn(child, defined)), 0)
  if (typeof part !== 'object' || part === null) return 0
  const node = part as Readonly<Record<string, unknown>>
  if (node['type'] === 'BASE_TABLE') return defined.get(String(node['table_name']).toLowerCase()) ?? 1
  const clause = node['cte_map'] as { readonly map: readonly Definition[] } | undefined
  const names = clause?.map.length ? new Map(defined) : defined
  let copies = node['type'] === 'TABLE_FUNCTION' ? 1 : 0
  for (const { key, value } of clause?.map ?? []) {
    ;(names as Map<string, number>).set(key.toLowerCase(), Math.max(1, copiesIn(value, names)))
  }
  for (const [key, child] of Object.entries(node)) if (key !== 'cte_map') copies = checked(copies + copiesIn(child, names))
  return copies
}

function checked(copies: number): number {
  if (copies <= COPIES_MAX) return copies
  const hint = 'leave NOT MATERIALIZED out'
  throw new DeltaError('SQL_FORBIDDEN', 'WITH clauses that are copied come to too much', { copiesMax: COPIES_MAX }, { hint })
}
