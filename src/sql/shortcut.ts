import { literal } from '../engine/sql-text.js'
import { hasBounds, LIVE_ROWS } from '../log/files-relation.js'
import { physicalName } from '../protocol/column-mapping.js'
import { findField } from '../protocol/schema.js'
import { notNull, type RowsWanted } from '../table/enough-files.js'
import type { Aggregate, AnswerShape, ColumnName, RowCount } from './answer-shape.js'
import { alwaysMatches } from './certainty.js'
import type { BoundValues } from './parameters.js'
import type { TableScan } from './plan-node.js'
import type { SyntaxNode } from './syntax-tree.js'
import { type ColumnPath, columnOf, decimalPrecision, EXACT_DIGITS, isFloating, type PrunableColumns, termOf } from './terms.js'

/** How a query over one table is answered from fewer files than hold its rows. */
export type Shortcut =
  | {
      readonly kind: 'summary'
      /** A condition over the files relation, true only for files whose statistics tell all that is asked. */
      readonly answered: string
      readonly figures: readonly Figure[]
    }
  | { readonly kind: 'first'; readonly wanted: RowsWanted }

/** An aggregate over the rows of files, from their statistics alone. */
export interface Figure {
  readonly sql: string
  /** What makes one of two. */
  readonly joined: 'sum' | 'min' | 'max'
}

interface Known extends Figure {
  /** Where the statistics of a file tell it. */
  readonly known: string
}

/**
 * The shortcut for a query of this shape; `undefined` where its plan is not as plain as its text, or the table does not tell.
 *
 * @param scan the only one of its plan.
 * @param filters those of the scan, read; `undefined` for each that is not understood.
 */
export function shortcutFor(
  shape: AnswerShape,
  scan: TableScan,
  filters: readonly (SyntaxNode | undefined)[],
  columns: PrunableColumns,
  params: BoundValues,
): Shortcut | undefined {
  if (!scan.isWhole || !isPlain(shape, scan.above)) return undefined
  const conditions = filters.map((tree) => (tree ? alwaysMatches(tree, columns) : 'FALSE'))
  const always = conditions.includes('FALSE') ? 'FALSE' : conditions.join(' AND ') || 'TRUE'
  if (shape.kind === 'summary') {
    const figures = shape.aggregates.map((aggregate) => figureOf(aggregate, shape.of, columns))
    if (always === 'FALSE' || !figures.every((figure) => figure !== undefined)) return undefined
    const known = [...new Set([always, ...figures.map((figure) => figure.known)])].filter((one) => one !== 'TRUE')
    return { kind: 'summary', figures, answered: `coalesce(${[...known, `${LIVE_ROWS} >= 0`].join(' AND ')}, FALSE)` }
  }
  const [limit, offset] = [countOf(shape.limit, params), countOf(shape.offset, params)]
  if (limit === undefined || offset === undefined) return undefined
  const count = limit + offset
  if (!shape.order) return always === 'FALSE' ? undefined : { kind: 'first', wanted: { count, always, order: undefined } }
  const { isDescending, nullsFirst } = shape.order
  const column = named(shape.order.column, shape.of, columns)
  const term = column && termOf({ class: 'COLUMN_REF', column_names: column.names }, columns)
  // NaN is greater than everything, and bounds do not tell of it.
  if (!column || !term || isFloating(column.leaf.type)) return undefined
  const nulls = column.isPartition ? `CASE WHEN ${column.partition} IS NOT NULL THEN 0 END` : column.nulls
  return {
    kind: 'first',
    wanted: { count, always, order: { low: term.low, high: term.high, nulls, isDescending, nullsFirst } },
  }
}

const PLAIN = {
  summary: new Set(['PROJECTION', 'UNGROUPED_AGGREGATE']),
  first: new Set(['PROJECTION', 'TOP_N', 'ORDER_BY', 'LIMIT', 'STREAMING_LIMIT']),
}

/** Whether each row that the scan gives is one of those that are summed up, or of which the first are taken. */
function isPlain({ kind }: AnswerShape, above: readonly string[]): boolean {
  const operators = above[0] === 'FILTER' ? above.slice(1) : above
  return operators.every((name) => PLAIN[kind].has(name)) && operators.filter((name) => name !== 'PROJECTION').length <= 2
}

function countOf(count: RowCount, params: BoundValues): number | undefined {
  const value = 'rows' in count ? count.rows : params[count.parameter - 1]
  const found = typeof value === 'bigint' ? Number(value) : value
  return typeof found === 'number' && Number.isSafeInteger(found) && found >= 0 ? found : undefined
}

function named(name: ColumnName, of: string, columns: PrunableColumns): ColumnPath | undefined {
  const [first = '', second] = name
  const isQualified = second !== undefined
  if (name.length > 2 || (isQualified && (first.toLowerCase() !== of.toLowerCase() || findField(columns.schema, first)))) return
  return columnOf({ class: 'COLUMN_REF', column_names: [second ?? first] }, columns)
}

function figureOf({ call, column: name }: Aggregate, of: string, columns: PrunableColumns): Known | undefined {
  if (!name) return { sql: `coalesce(sum(${LIVE_ROWS}), 0)`, joined: 'sum', known: 'TRUE' }
  const column = named(name, of, columns)
  if (!column || column.leaf.type === 'binary' || typeof column.leaf.type !== 'string') return undefined
  return column.isPartition ? ofPartition(call, column, columns) : ofStatistics(call, column)
}

function ofPartition(call: Aggregate['call'], { leaf, partition }: ColumnPath, columns: PrunableColumns): Known {
  const text = `"partitionValues"[${literal(physicalName(leaf, columns.mapping))}]`
  // Text that could not be read is no NULL: reading the file says so.
  const known = `(${partition} IS NOT NULL OR coalesce(${text}, '') = '')`
  const sql =
    call === 'count'
      ? `coalesce(sum(${LIVE_ROWS}) FILTER (${partition} IS NOT NULL), 0)`
      : `${call}(${partition}) FILTER (${LIVE_ROWS} > 0)`
  return { sql, joined: call === 'count' ? 'sum' : call, known }
}

function ofStatistics(call: Aggregate['call'], column: ColumnPath): Known | undefined {
  const { leaf, nulls, min, max } = column
  if (call === 'count') {
    const count = notNull(nulls)
    return { sql: `coalesce(sum(${count}), 0)`, joined: 'sum', known: `(${count}) >= 0` }
  }
  if (!isExact(leaf.type)) return undefined
  const bound = call === 'min' ? min : max
  // A file whose rows went is met by none; bounds that a deletion left behind may be met by none.
  const isTight = 'coalesce(stat."tightBounds", dv_id IS NULL)'
  return {
    sql: `${call}(${bound}) FILTER (${LIVE_ROWS} > 0)`,
    joined: call,
    known: `(${nulls} = stat."numRecords" OR ${LIVE_ROWS} = 0 OR (${isTight} AND ${bound} IS NOT NULL))`,
  }
}

/** Whether the bounds of a type are values of rows: text is cut, instants are to the millisecond, NaN is left out. */
function isExact(type: ColumnPath['leaf']['type']): boolean {
  if (typeof type !== 'string' || !hasBounds(type)) return false
  if (type.startsWith('decimal')) return decimalPrecision(type) <= EXACT_DIGITS
  return EXACT.has(type)
}

const EXACT: ReadonlySet<string> = new Set(['byte', 'short', 'integer', 'long', 'date'])
