import type { SyntaxNode } from '../sql/syntax-tree.js'
import { some } from './expressions.js'
import type { PlanSource } from './plan.js'

/** Where a definition names a table, and what follows from a change there. */
export interface Place {
  readonly at: number
  readonly change: PlanSource['change']
  /** The LEFT JOIN of which it is the other side. */
  readonly join: SyntaxNode | undefined
  readonly apart: readonly number[]
}

/** What keeps a part of a query from following its sources row by row. */
export class NotLinear extends Error {}

type PlaceOf = (table: SyntaxNode) => number | undefined

/**
 * The places of a query whose rows follow the rows of its tables one by one: filters, projections, joins, UNION ALL.
 *
 * @param placeOf numbers the tables of the query.
 * @param isAggregate tells whether an expression aggregates.
 * @throws {NotLinear} with the part that does not.
 */
export function linearPlaces(node: SyntaxNode, placeOf: PlaceOf, isAggregate: (node: SyntaxNode) => boolean): readonly Place[] {
  return ofQuery(node)

  function ofQuery(query: SyntaxNode): readonly Place[] {
    if (hasEntries((query['cte_map'] as SyntaxNode | undefined)?.['map'])) throw new NotLinear('WITH')
    for (const { type } of (query['modifiers'] ?? []) as readonly SyntaxNode[])
      if (type !== 'ORDER_MODIFIER') throw new NotLinear(type === 'LIMIT_MODIFIER' ? 'LIMIT' : 'DISTINCT')
    if (query['type'] === 'SET_OPERATION_NODE') return ofUnion(query)
    if (query['type'] !== 'SELECT_NODE') throw new NotLinear('recursion')
    if (hasEntries(query['group_expressions']) || query['aggregate_handling'] !== 'STANDARD_HANDLING' || query['having'])
      throw new NotLinear('GROUP BY below another query')
    if (query['qualify'] || query['sample']) throw new NotLinear(query['qualify'] ? 'QUALIFY' : 'TABLESAMPLE')
    return ofSelect(query)
  }

  function ofSelect(query: SyntaxNode): readonly Place[] {
    const expressions = [query['select_list'], query['where_clause']]
    return [...ofSource(query['from_table'] as SyntaxNode), ...ofExpressions(expressions)]
  }

  function ofUnion(query: SyntaxNode): readonly Place[] {
    if (query['setop_type'] !== 'UNION' || query['setop_all'] !== true)
      throw new NotLinear(query['setop_type'] === 'UNION' ? 'UNION without ALL' : String(query['setop_type']))
    const sides = [query['left'], query['right']].map((side) => ofQuery(side as SyntaxNode))
    const [left = [], right = []] = sides
    if (left.length === 0 || right.length === 0) throw new NotLinear('rows that come from no table')
    const apartFrom = (places: readonly Place[], others: readonly Place[]) =>
      places.map((place) => ({ ...place, apart: [...place.apart, ...others.map(({ at }) => at)] }))
    return [...apartFrom(left, right), ...apartFrom(right, left)]
  }

  /** A query inside of an expression answers for all of its table. */
  function ofExpressions(expressions: unknown): readonly Place[] {
    if (some(expressions, (one) => one['class'] === 'WINDOW')) throw new NotLinear('window functions')
    const places: Place[] = []
    some(expressions, (one) => {
      if (one['type'] === 'BASE_TABLE') places.push(placed(one, 'all'))
      return false
    })
    if (places.length === 0 && some(expressions, isAggregate)) throw new NotLinear('aggregates below another query')
    return places
  }

  function ofSource(source: SyntaxNode): readonly Place[] {
    if (source['sample']) throw new NotLinear('TABLESAMPLE')
    switch (source['type']) {
      case 'EMPTY':
      case 'EXPRESSION_LIST':
        return []
      case 'TABLE_FUNCTION':
        return ofExpressions(source['function'])
      case 'BASE_TABLE':
        return [placed(source, 'rows')]
      case 'SUBQUERY':
        return ofQuery((source['subquery'] as { readonly node: SyntaxNode }).node)
      case 'JOIN':
        return ofJoin(source)
      default:
        throw new NotLinear(String(source['type']))
    }
  }

  function ofJoin(join: SyntaxNode): readonly Place[] {
    const [left, right] = [ofSource(join['left'] as SyntaxNode), ofSource(join['right'] as SyntaxNode)]
    const condition = ofExpressions(join['condition'])
    const kind = String(join['join_type'])
    const isPlain = ['REGULAR', 'CROSS', 'NATURAL', 'DEPENDENT'].includes(String(join['ref_type']))
    if (kind === 'INNER' && isPlain) return [...left, ...right, ...condition]
    if (!['LEFT', 'SEMI', 'ANTI'].includes(kind) || !isPlain) throw new NotLinear(`a ${kind} join`)
    const other = right.map((place): Place => {
      const isTable = (join['right'] as SyntaxNode)['type'] === 'BASE_TABLE'
      const isMatched = kind === 'LEFT' && isTable && join['condition'] && condition.length === 0
      return { ...place, change: isMatched ? 'matches' : 'all', join: isMatched ? join : undefined }
    })
    return [...left, ...other, ...condition]
  }

  function placed(table: SyntaxNode, change: Place['change']): Place {
    const at = placeOf(table)
    if (at === undefined) throw new NotLinear('WITH')
    return { at, change, join: undefined, apart: [] }
  }
}

function hasEntries(list: unknown): boolean {
  return Array.isArray(list) && list.length > 0
}
