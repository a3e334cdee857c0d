import { mayMatch, negation } from './pruning.js'
import { type SyntaxNode, walk } from './syntax-tree.js'
import { columnOf, type PrunableColumns } from './terms.js'

/** Of no file is it known. */
export const NEVER = 'FALSE'

/**
 * A condition over the files relation which is true only for files each row of which satisfies `predicate`. Pure.
 *
 * That is where no row satisfies its negation and none leaves it unanswered, as only NULL does.
 */
export function alwaysMatches(predicate: SyntaxNode, columns: PrunableColumns): string {
  const negated = negation(predicate) ?? { class: 'OPERATOR', type: 'OPERATOR_NOT', children: [predicate] }
  const fails = mayMatch(negated, columns)
  const answered = withoutNulls(predicate, columns)
  return fails === 'TRUE' || !answered ? NEVER : `(NOT ${fails} AND ${answered})`
}

/** The condition that no column which a predicate names is NULL in a file. */
function withoutNulls(predicate: SyntaxNode, columns: PrunableColumns): string | undefined {
  const conditions = new Set<string>()
  let isKnown = true
  walk(predicate, (node) => {
    if (node['class'] === 'SUBQUERY') isKnown = false
    if (node['class'] !== 'COLUMN_REF') return
    const column = columnOf(node, columns)
    // Writers differ on whether a field of a struct that is NULL counts as NULL.
    if (!column || column.names.length > 1) isKnown = false
    else conditions.add(column.isPartition ? `${column.partition} IS NOT NULL` : `${column.nulls} = 0`)
  })
  return isKnown && conditions.size > 0 ? [...conditions].join(' AND ') : undefined
}
