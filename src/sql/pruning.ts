import { ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { hasBounds } from '../log/files-relation.js'
import { type MappingMode, physicalName } from '../protocol/column-mapping.js'
import { charLength, type DataType, findField, isStruct, type StructType } from '../protocol/schema.js'
import { wasFloat } from '../protocol/type-changes.js'
import { digitsOf, type SyntaxNode } from './syntax-tree.js'

/** The columns that a condition may be about, by logical name. */
export interface PrunableColumns {
  readonly schema: StructType
  readonly partitionColumns: readonly string[]
  readonly mapping: MappingMode
}

/** Keeps the file. */
const MAY = 'TRUE'

/**
 * A condition over the files relation which is false only for files that hold no row satisfying `predicate`. Pure.
 *
 * False is a proof, true is not: whatever is not understood keeps the file, so skipping changes what is read and never
 * what is returned.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics
 */
export function mayMatch(predicate: SyntaxNode, columns: PrunableColumns): string {
  const children = (predicate['children'] ?? []) as readonly SyntaxNode[]
  switch (predicate['type']) {
    case 'CONJUNCTION_AND':
      return `(${children.map((child) => mayMatch(child, columns)).join(' AND ')})`
    case 'CONJUNCTION_OR':
      return `(${children.map((child) => mayMatch(child, columns)).join(' OR ')})`
    case 'COMPARE_EQUAL':
    case 'COMPARE_LESSTHAN':
    case 'COMPARE_LESSTHANOREQUALTO':
    case 'COMPARE_GREATERTHAN':
    case 'COMPARE_GREATERTHANOREQUALTO':
      return comparison(String(predicate['type']), predicate['left'] as SyntaxNode, predicate['right'] as SyntaxNode, columns)
    case 'COMPARE_BETWEEN': {
      const [input, lower, upper] = ['input', 'lower', 'upper'].map((name) => predicate[name] as SyntaxNode) as [
        SyntaxNode,
        SyntaxNode,
        SyntaxNode,
      ]
      const above = comparison('COMPARE_GREATERTHANOREQUALTO', input, lower, columns)
      return `(${above} AND ${comparison('COMPARE_LESSTHANOREQUALTO', input, upper, columns)})`
    }
    case 'COMPARE_IN': {
      const [column, ...values] = children
      return column && values.length > 0
        ? `(${values.map((value) => comparison('COMPARE_EQUAL', column, value, columns)).join(' OR ')})`
        : MAY
    }
    case 'OPERATOR_IS_NULL':
      return nullness(children[0], columns, (nulls) => `${nulls} > 0`)
    case 'OPERATOR_IS_NOT_NULL':
      return nullness(children[0], columns, (nulls) => `${nulls} < stat."numRecords"`)
    default:
      return MAY
  }
}

const FLIPPED: Readonly<Record<string, string>> = {
  COMPARE_LESSTHAN: 'COMPARE_GREATERTHAN',
  COMPARE_LESSTHANOREQUALTO: 'COMPARE_GREATERTHANOREQUALTO',
  COMPARE_GREATERTHAN: 'COMPARE_LESSTHAN',
  COMPARE_GREATERTHANOREQUALTO: 'COMPARE_LESSTHANOREQUALTO',
  COMPARE_EQUAL: 'COMPARE_EQUAL',
}

function comparison(operator: string, left: SyntaxNode, right: SyntaxNode, columns: PrunableColumns): string {
  const column = columnOf(left, columns)
  const value = column && constantOf(right, column)
  if (column && value) return bounds(operator, column, value)
  const mirrored = columnOf(right, columns)
  const constant = mirrored && constantOf(left, mirrored)
  return mirrored && constant ? bounds(FLIPPED[operator] ?? '', mirrored, constant) : MAY
}

interface Column {
  readonly type: DataType
  /** Its value in this file, for a partition column. */
  readonly partition: string | undefined
  readonly min: string
  readonly max: string
  readonly nulls: string
  /** Whether a bound may be the shortest decimal of a float, which lies beside the float itself. */
  readonly wasFloat: boolean
}

/** NULL (no statistics, or text that could not be read) is no proof. */
function proof(condition: string): string {
  return `coalesce(${condition}, TRUE)`
}

const OPERATORS: Readonly<Record<string, string>> = {
  COMPARE_EQUAL: '=',
  COMPARE_LESSTHAN: '<',
  COMPARE_LESSTHANOREQUALTO: '<=',
  COMPARE_GREATERTHAN: '>',
  COMPARE_GREATERTHANOREQUALTO: '>=',
}

function bounds(operator: string, column: Column, value: string): string {
  const sign = OPERATORS[operator]
  if (!sign) return MAY
  if (column.partition) return proof(`${column.partition} ${sign} ${value}`)
  if (!hasBounds(column.type)) return MAY
  // NaN is greater than everything, and writers differ on whether bounds tell of it.
  const floating = isFloating(column.type)
  const [min, max] = outerBounds(column)
  const below = proof(`${min} ${sign === '<' ? '<' : '<='} ${value}`)
  const above = floating ? MAY : proof(`${max} ${sign === '>' ? '>' : '>='} ${value}`)
  if (sign === '=') return `(${below} AND ${floating ? proof(`${max} >= ${value}`) : above})`
  return sign.startsWith('<') ? below : above
}

/** What the rows of a file lie between, whatever was lost on the way into the relation. */
function outerBounds({ type, min, max, wasFloat }: Column): readonly [min: string, max: string] {
  // Instants are kept to the millisecond, rounded down.
  if (type === 'timestamp' || type === 'timestamp_ntz') return [min, `${max} + INTERVAL 1 MILLISECOND`]
  if (wasFloat) return [`least(${min}, ${min}::FLOAT::DOUBLE)`, `greatest(${max}, ${max}::FLOAT::DOUBLE)`]
  // Numbers in JSON are read as doubles, which hold some 15 digits.
  if (decimalPrecision(type) > EXACT_DIGITS)
    return [`(${min}::DOUBLE - abs(${min}::DOUBLE) * 1e-14)`, `(${max}::DOUBLE + abs(${max}::DOUBLE) * 1e-14)`]
  return [min, max]
}

const EXACT_DIGITS = 15

function decimalPrecision(type: DataType): number {
  return typeof type === 'string' ? Number(/^decimal\((\d+)/.exec(type)?.[1] ?? 0) : 0
}

function isFloating(type: DataType): boolean {
  return type === 'float' || type === 'double'
}

/** A partition value that reads as NULL may be text that could not be read, so partitions are kept. */
function nullness(node: SyntaxNode | undefined, columns: PrunableColumns, condition: (nulls: string) => string): string {
  const column = node && columnOf(node, columns)
  return column && !column.partition ? proof(condition(column.nulls)) : MAY
}

function columnOf(node: SyntaxNode, columns: PrunableColumns): Column | undefined {
  if (node['class'] !== 'COLUMN_REF') return undefined
  const [head, ...rest] = node['column_names'] as readonly string[]
  const top = head === undefined ? undefined : findField(columns.schema, head)
  if (!top) return undefined
  const { mapping } = columns
  const path = [physicalName(top, mapping)]
  let leaf = top
  for (const name of rest) {
    const inner = isStruct(leaf.type) ? findField(leaf.type, name) : undefined
    if (!inner) return undefined
    path.push(physicalName(inner, mapping))
    leaf = inner
  }
  const { type } = leaf
  // Scans pad CHAR values, statistics and partition values are not padded.
  if (isStruct(type) || charLength(leaf) !== undefined) return undefined
  const reference = path.map(ident).join('.')
  return {
    type,
    partition: columns.partitionColumns.includes(top.name) ? `part.${reference}` : undefined,
    min: `stat."minValues".${reference}`,
    max: `stat."maxValues".${reference}`,
    nulls: `stat."nullCount".${reference}`,
    wasFloat: type === 'double' && wasFloat(leaf),
  }
}

const INTEGERS = new Set(['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UTINYINT', 'USMALLINT', 'UINTEGER', 'UBIGINT'])
const NUMERIC = new Set(['byte', 'short', 'integer', 'long', 'float', 'double'])

/** A constant as SQL, when it has the column's own type: comparing across types may round. */
function constantOf(node: SyntaxNode, { type, partition }: Column): string | undefined {
  if (typeof type !== 'string') return undefined
  if (node['type'] === 'OPERATOR_CAST') {
    const child = node['child'] as SyntaxNode
    const inner = constant(child)
    const castType = (node['cast_type'] as { readonly id?: string } | undefined)?.id
    if (inner?.id !== 'VARCHAR' || typeof inner.value !== 'string' || castType !== duckdbType(type).replace(/\(.*/, ''))
      return undefined
    // Bytes in partition values are written in more than one way.
    if (type === 'binary' || /^[-+]?(nan|inf)/i.test(inner.value)) return undefined
    return `${literal(inner.value)}::${duckdbType(type)}`
  }
  const found = constant(node)
  if (!found || found.isNull) return undefined
  if (found.id === 'VARCHAR') return type === 'string' && typeof found.value === 'string' ? literal(found.value) : undefined
  if (!NUMERIC.has(type) && !type.startsWith('decimal')) return undefined
  const digits = numberText(found)
  // From its text, a number becomes the nearest double; from a DECIMAL it may become the one beside it.
  if (digits !== undefined && isFloating(type)) return `${literal(digits)}::${duckdbType(type)}`
  const isInexact = partition === undefined && decimalPrecision(type) > EXACT_DIGITS
  return digits !== undefined && isInexact ? `${literal(digits)}::DOUBLE` : digits
}

function numberText({ id, value, scale }: NonNullable<ReturnType<typeof constant>>): string | undefined {
  if (INTEGERS.has(id)) return digitsOf(value)
  if (id === 'DECIMAL') return decimalText(digitsOf(value), scale)
  return (id === 'DOUBLE' || id === 'FLOAT') && typeof value === 'number' ? String(value) : undefined
}

function constant(node: SyntaxNode) {
  if (node['class'] !== 'CONSTANT') return undefined
  const { type, is_null, value } = node['value'] as {
    readonly type: { readonly id: string; readonly type_info: { readonly scale?: number } | null }
    readonly is_null: boolean
    readonly value: unknown
  }
  return { id: type.id, scale: type.type_info?.scale ?? 0, isNull: is_null, value }
}

function decimalText(digits: string | undefined, scale: number): string | undefined {
  if (digits === undefined) return undefined
  const sign = digits.startsWith('-') ? '-' : ''
  const padded = digits.replace('-', '').padStart(scale + 1, '0')
  return scale === 0 ? `${sign}${padded}` : `${sign}${padded.slice(0, -scale)}.${padded.slice(-scale)}`
}
