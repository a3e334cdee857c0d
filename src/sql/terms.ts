import { ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { hasBounds } from '../log/files-relation.js'
import { type MappingMode, physicalName } from '../protocol/column-mapping.js'
import { charLength, type DataType, findField, isStruct, type StructField, type StructType } from '../protocol/schema.js'
import { wasFloat } from '../protocol/type-changes.js'
import { type Constant, constantOf } from './constants.js'
import { digitsOf, type SyntaxNode } from './syntax-tree.js'

/** The columns that a condition may be about, by logical name. */
export interface PrunableColumns {
  readonly schema: StructType
  readonly partitionColumns: readonly string[]
  readonly mapping: MappingMode
}

/** A column, or what never falls while a column rises, as the files relation knows it. */
export interface Term {
  readonly column: ColumnPath
  /** The calls on the column, outermost last: none, `CAST DATE`, `year`, …. */
  readonly calls: readonly string[]
  readonly type: DataType
  /** What every value in the file lies between, both included. */
  readonly low: string
  readonly high: string
  /** Whether a value may be NaN, of which bounds do not tell: it is greater than everything. */
  readonly isFloating: boolean
}

export interface ColumnPath {
  readonly leaf: StructField
  /** Logical names, as the schema has them. */
  readonly names: readonly string[]
  readonly isPartition: boolean
  /** Its value in the file, for a partition column. */
  readonly partition: string
  readonly nulls: string
  readonly min: string
  readonly max: string
}

/** The column that a node names, at any depth; `undefined` for anything else. */
export function columnOf(node: SyntaxNode, columns: PrunableColumns): ColumnPath | undefined {
  const names = pathOf(node)
  const [head, ...rest] = names ?? []
  const top = head === undefined ? undefined : findField(columns.schema, head)
  if (!top) return undefined
  const fields = [top]
  for (const name of rest) {
    const { type } = fields.at(-1) as StructField
    const inner = isStruct(type) ? findField(type, name) : undefined
    if (!inner) return undefined
    fields.push(inner)
  }
  const leaf = fields.at(-1) as StructField
  // Scans pad CHAR values, statistics and partition values are not padded.
  if (isStruct(leaf.type) || charLength(leaf) !== undefined) return undefined
  const reference = fields.map((f) => ident(physicalName(f, columns.mapping))).join('.')
  return {
    leaf,
    names: fields.map(({ name }) => name),
    isPartition: columns.partitionColumns.includes(top.name),
    partition: `part.${reference}`,
    nulls: `stat."nullCount".${reference}`,
    min: `stat."minValues".${reference}`,
    max: `stat."maxValues".${reference}`,
  }
}

/** A column's path: `a.b`, or `struct_extract(a, 'b')`. */
function pathOf(node: SyntaxNode): readonly string[] | undefined {
  if (node['class'] === 'COLUMN_REF') return node['column_names'] as readonly string[]
  const isExtract = node['type'] === 'STRUCT_EXTRACT' || node['function_name'] === 'struct_extract'
  const [value, name] = isExtract ? (node['children'] as readonly SyntaxNode[]) : []
  const [path, last] = [value && pathOf(value), name && constantOf(name)]
  return path && typeof last?.value === 'string' ? [...path, last.value] : undefined
}

/** What a node says of one column, where its bounds follow from the column's. */
export function termOf(node: SyntaxNode, columns: PrunableColumns): Term | undefined {
  const column = columnOf(node, columns)
  if (column) return ofColumn(column)
  if (node['type'] === 'OPERATOR_CAST') {
    const inner = termOf(node['child'] as SyntaxNode, columns)
    const type = inner && castType(node)
    return type && isMonotone(inner.type, type)
      ? called(inner, `CAST ${type}`, type, (x) => `TRY_CAST(${x} AS ${duckdbType(type)})`)
      : undefined
  }
  if (node['class'] !== 'FUNCTION') return undefined
  const [first, second, third] = node['children'] as readonly SyntaxNode[]
  const name = String(node['function_name'])
  if (name === 'date_trunc' && first && second) {
    const [unit, inner] = [constantOf(first), termOf(second, columns)]
    if (typeof unit?.value !== 'string' || !inner || !isTemporal(inner.type)) return undefined
    const text = literal(unit.value)
    return called(inner, `date_trunc ${unit.value}`, inner.type, (x) => `TRY(date_trunc(${text}, ${x}))`)
  }
  const inner = first && termOf(first, columns)
  if (!inner) return undefined
  if (name === 'year' && isTemporal(inner.type)) return called(inner, 'year', 'long', (x) => `year(${x})`)
  if ((name === 'floor' || name === 'ceil') && decimalPrecision(inner.type) === 0 && isNumeric(inner.type))
    return called(inner, name, 'double', (x) => `${name}(${x}::DOUBLE)`)
  const start = name === 'left' ? 1 : whole(second)
  const length = whole(name === 'left' ? second : third)
  if (
    ['substring', 'substr', 'left'].includes(name) &&
    inner.type === 'string' &&
    start === 1 &&
    length !== undefined &&
    length >= 0
  )
    return called(inner, `left ${length}`, 'string', (x) => `left(${x}, ${length})`)
  return undefined
}

function called(inner: Term, call: string, type: DataType, apply: (sql: string) => string): Term {
  return { ...inner, calls: [...inner.calls, call], type, low: apply(inner.low), high: apply(inner.high) }
}

function whole(node: SyntaxNode | undefined): number | undefined {
  const digits = node && digitsOf(constantOf(node)?.value)
  return digits === undefined ? undefined : Number(digits)
}

function ofColumn(column: ColumnPath): Term | undefined {
  const { leaf, isPartition, partition } = column
  if (!isPartition && !hasBounds(leaf.type)) return undefined
  const [low, high] = isPartition ? [partition, partition] : outerBounds(column)
  return { column, calls: [], type: leaf.type, low, high, isFloating: !isPartition && isFloating(leaf.type) }
}

/** What the rows of a file lie between, whatever was lost on the way into the relation. */
function outerBounds({ leaf, min, max }: ColumnPath): readonly [low: string, high: string] {
  const { type } = leaf
  // Instants are kept to the millisecond, rounded down.
  if (type === 'timestamp' || type === 'timestamp_ntz') return [min, `(${max} + INTERVAL 1 MILLISECOND)`]
  // A bound may be the shortest decimal of a float, which lies beside the float itself.
  if (type === 'double' && wasFloat(leaf))
    return [`least(${min}, ${min}::FLOAT::DOUBLE)`, `greatest(${max}, ${max}::FLOAT::DOUBLE)`]
  // Numbers in JSON are read as doubles, which hold some 15 digits.
  if (decimalPrecision(type) > EXACT_DIGITS)
    return [`(${min}::DOUBLE - abs(${min}::DOUBLE) * 1e-14)`, `(${max}::DOUBLE + abs(${max}::DOUBLE) * 1e-14)`]
  return [min, max]
}

export const EXACT_DIGITS = 15
const NUMERIC = new Set(['byte', 'short', 'integer', 'long', 'float', 'double'])

export function decimalPrecision(type: DataType): number {
  return typeof type === 'string' ? Number(/^decimal\((\d+)/.exec(type)?.[1] ?? 0) : 0
}

export function isFloating(type: DataType): boolean {
  return type === 'float' || type === 'double'
}

function isNumeric(type: DataType): boolean {
  return typeof type === 'string' && (NUMERIC.has(type) || type.startsWith('decimal'))
}

export function isTemporal(type: DataType): boolean {
  return type === 'date' || type === 'timestamp' || type === 'timestamp_ntz'
}

/** Casts between numbers round and never swap two of them; so do those between moments, in one zone. */
function isMonotone(from: DataType, to: DataType): boolean {
  return (isNumeric(from) && isNumeric(to)) || (isTemporal(from) && isTemporal(to))
}

const CAST_TYPES: Readonly<Record<string, DataType>> = {
  TINYINT: 'byte',
  SMALLINT: 'short',
  INTEGER: 'integer',
  BIGINT: 'long',
  HUGEINT: 'decimal(38,0)',
  FLOAT: 'float',
  DOUBLE: 'double',
  DATE: 'date',
  TIMESTAMP: 'timestamp_ntz',
  'TIMESTAMP WITH TIME ZONE': 'timestamp',
}

function castType(node: SyntaxNode): DataType | undefined {
  const { id, type_info } = node['cast_type'] as { readonly id: string; readonly type_info: Record<string, unknown> | null }
  return id === 'DECIMAL' ? `decimal(${type_info?.['width']},${type_info?.['scale']})` : CAST_TYPES[id]
}

/** A constant as SQL, where comparing with it is as exact as the query's own comparison. */
export function constantFor(node: SyntaxNode, { type, column, calls }: Term): string | undefined {
  if (typeof type !== 'string') return undefined
  if (node['type'] === 'OPERATOR_CAST') return castConstant(node, type)
  const found = constantOf(node)
  if (!found || found.isNull) return undefined
  if (found.id === 'VARCHAR') return type === 'string' && typeof found.value === 'string' ? literal(found.value) : undefined
  if (!isNumeric(type)) return undefined
  const digits = numberText(found)
  // From its text, a number becomes the nearest double; from a DECIMAL it may become the one beside it.
  if (digits !== undefined && isFloating(type)) return `${literal(digits)}::${duckdbType(type)}`
  const isInexact = !column.isPartition && calls.length === 0 && decimalPrecision(type) > EXACT_DIGITS
  return digits !== undefined && isInexact ? `${literal(digits)}::DOUBLE` : digits
}

function castConstant(node: SyntaxNode, type: DataType): string | undefined {
  const inner = constantOf(node['child'] as SyntaxNode)
  const id = (node['cast_type'] as { readonly id?: string } | undefined)?.id ?? ''
  if (inner?.id !== 'VARCHAR' || typeof inner.value !== 'string' || /^[-+]?(nan|inf)/i.test(inner.value)) return undefined
  if (isTemporal(type)) return isTemporal(CAST_TYPES[id] ?? '') ? `${literal(inner.value)}::${id}` : undefined
  // Bytes in partition values are written in more than one way.
  if (type === 'binary' || id !== duckdbType(type).replace(/\(.*/, '')) return undefined
  return `${literal(inner.value)}::${duckdbType(type)}`
}

const INTEGERS = new Set(['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT'])

function numberText({ id, value, scale }: Constant): string | undefined {
  if (INTEGERS.has(id)) return digitsOf(value)
  if (id === 'DECIMAL') return decimalText(digitsOf(value), scale)
  return (id === 'DOUBLE' || id === 'FLOAT') && typeof value === 'number' ? String(value) : undefined
}

export function decimalText(digits: string | undefined, scale: number): string | undefined {
  if (digits === undefined) return undefined
  const sign = digits.startsWith('-') ? '-' : ''
  const padded = digits.replace('-', '').padStart(scale + 1, '0')
  return scale === 0 ? `${sign}${padded}` : `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`
}
