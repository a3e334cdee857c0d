import { constantOf } from './constants.js'
import { digitsOf, type SyntaxNode } from './syntax-tree.js'

/** A column as a query names it: with the name of its table, or without. */
export type ColumnName = readonly string[]

/** A call that sums up a column, or all rows. */
export interface Aggregate {
  readonly call: 'count' | 'min' | 'max'
  /** `undefined` for `count(*)`. */
  readonly column: ColumnName | undefined
}

export interface RowOrder {
  readonly column: ColumnName
  readonly isDescending: boolean
  readonly nullsFirst: boolean
}

/** A number of rows: a constant, or the number of a parameter, from 1. */
export type RowCount = { readonly rows: number } | { readonly parameter: number }

/** What a query over one table gives, where that may be had of fewer files than hold its rows. */
export type AnswerShape =
  | { readonly kind: 'summary'; readonly of: string; readonly aggregates: readonly Aggregate[] }
  | {
      readonly kind: 'first'
      /** What the query calls its table. */
      readonly of: string
      readonly order: RowOrder | undefined
      readonly limit: RowCount
      readonly offset: RowCount
    }

/** The shape of a parsed query; `undefined` for any other. Whether its plan is as plain must be looked at beside. */
export function answerShape(tree: SyntaxNode): AnswerShape | undefined {
  const [statement] = tree['statements'] as readonly { readonly node: SyntaxNode }[]
  const node = statement?.node
  const from = node?.['from_table'] as SyntaxNode | undefined
  if (node?.['type'] !== 'SELECT_NODE' || from?.['type'] !== 'BASE_TABLE') return undefined
  if (listOf((node['cte_map'] as SyntaxNode | undefined)?.['map']).length > 0) return undefined
  if (listOf(from['column_name_alias']).length > 0 || from['sample'] || node['sample']) return undefined
  const of = String(from['alias'] || from['table_name'])
  const selected = listOf(node['select_list'])
  const modifiers = listOf(node['modifiers'])
  return modifiers.length > 0 ? firstRows(of, selected, modifiers) : summary(of, selected, node)
}

function summary(of: string, selected: readonly SyntaxNode[], node: SyntaxNode): AnswerShape | undefined {
  if (node['having'] || node['qualify'] || listOf(node['group_expressions']).length > 0) return undefined
  const aggregates = selected.map(aggregateOf)
  return aggregates.length > 0 && aggregates.every((one) => one !== undefined) ? { kind: 'summary', of, aggregates } : undefined
}

function aggregateOf(node: SyntaxNode): Aggregate | undefined {
  if (node['class'] !== 'FUNCTION' || node['schema'] || node['catalog']) return undefined
  const children = listOf(node['children'])
  if (node['filter'] || node['distinct'] || listOf((node['order_bys'] as SyntaxNode | undefined)?.['orders']).length > 0)
    return undefined
  const call = String(node['function_name'])
  if (call === 'count_star' && children.length === 0) return { call: 'count', column: undefined }
  const column = children[0] && columnName(children[0])
  const isKnown = call === 'count' || call === 'min' || call === 'max'
  return isKnown && column && children.length === 1 ? { call, column } : undefined
}

function firstRows(of: string, selected: readonly SyntaxNode[], modifiers: readonly SyntaxNode[]): AnswerShape | undefined {
  const limits = modifiers.filter(({ type }) => type === 'LIMIT_MODIFIER')
  const orders = modifiers.filter(({ type }) => type === 'ORDER_MODIFIER')
  if (limits.length !== 1 || orders.length > 1 || limits.length + orders.length !== modifiers.length) return undefined
  const [limit, offset] = ['limit', 'offset'].map((name) => rowCount(limits[0]?.[name] as SyntaxNode | null | undefined))
  if (!limit || !offset || !limits[0]?.['limit']) return undefined
  const first = listOf(orders[0]?.['orders'])[0]
  const order = first && orderOf(first, selected, of)
  return first && !order ? undefined : { kind: 'first', of, order, limit, offset }
}

/** The leading term of an order: ties are kept, so that those after it do not matter. */
function orderOf(first: SyntaxNode, selected: readonly SyntaxNode[], of: string): RowOrder | undefined {
  const expression = first['expression'] as SyntaxNode
  const place = digitsOf(constantOf(expression)?.value)
  const isByPlace = place !== undefined && !selected.slice(0, Number(place)).some((item) => item['class'] === 'STAR')
  const named = isByPlace ? selected[Number(place) - 1] : expression
  const column = named && columnName(named)
  if (!column || (!isByPlace && column.length === 1 && selected.some((item) => renames(item, String(column[0]), of))))
    return undefined
  return {
    column,
    isDescending: first['type'] === 'DESCENDING',
    nullsFirst: first['null_order'] === 'NULLS FIRST' || first['null_order'] === 'ORDER_NULLS_FIRST',
  }
}

/** Whether an order by this name may mean what is selected rather than the column. */
function renames(item: SyntaxNode, name: string, of: string): boolean {
  if (item['class'] === 'STAR')
    return item['columns'] === true || listOf(item['replace_list']).length > 0 || listOf(item['rename_list']).length > 0
  const path = columnName(item) ?? []
  if (path.length > 1 && !(path.length === 2 && path[0] === of) && path.at(-1)?.toLowerCase() === name.toLowerCase()) return true
  return String(item['alias']).toLowerCase() === name.toLowerCase()
}

function rowCount(node: SyntaxNode | null | undefined): RowCount | undefined {
  if (!node) return { rows: 0 }
  if (node['class'] === 'PARAMETER') return { parameter: Number(node['identifier']) }
  const digits = digitsOf(constantOf(node)?.value)
  return digits === undefined || constantOf(node)?.isNull ? undefined : { rows: Number(digits) }
}

function columnName(node: SyntaxNode): ColumnName | undefined {
  return node['class'] === 'COLUMN_REF' ? (node['column_names'] as readonly string[]) : undefined
}

function listOf(value: unknown): readonly SyntaxNode[] {
  return Array.isArray(value) ? (value as readonly SyntaxNode[]) : []
}
