import { DeltaError } from '../base/errors.js'
import { type DataType, findField, isStruct, type StructField } from '../protocol/schema.js'
import { COMPARISONS } from './comparisons.js'
import type { Connection } from './database.js'
import { isDecimal, isNumeric, isText, isTime, isWhole, SPARK_FUNCTIONS, type TypedSql, wider } from './spark-functions.js'
import { sparkTextInDuckdb } from './spark-text.js'
import { ident, literal } from './sql-text.js'
import { duckdbType } from './types.js'

/** A node of the engine's parsed expression. */
interface Node {
  readonly class: string
  readonly type: string
  readonly value?: unknown
  readonly column_names?: unknown
  readonly child?: unknown
  readonly children?: unknown
  readonly try_cast?: unknown
  readonly cast_type?: unknown
  readonly left?: unknown
  readonly right?: unknown
  readonly input?: unknown
  readonly lower?: unknown
  readonly upper?: unknown
  readonly case_checks?: unknown
  readonly else_expr?: unknown
  readonly function_name?: unknown
  readonly is_operator?: unknown
  readonly distinct?: unknown
  readonly filter?: unknown
  readonly schema?: unknown
  readonly catalog?: unknown
}

/** The parts of a parsed query that an expression alone leaves empty, and the list that holds it. */
interface Select {
  readonly select_list?: readonly Node[]
  readonly from_table?: { readonly type: string }
  readonly where_clause?: unknown
}

/**
 * An expression of Spark SQL, as a table's log holds it, in the engine's SQL: with the same value for every row, or not at
 * all. Columns stand in it by their names in `fields`.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED`, naming the expression, for what is not known to mean the same in both;
 * `ARGUMENT_INVALID` for a column that is not there.
 */
export async function sparkExpression(
  connection: Connection,
  expression: string,
  fields: readonly StructField[],
): Promise<TypedSql> {
  const text = sparkTextInDuckdb(expression)
  const tree = text === undefined ? undefined : await parse(connection, text)
  const found = tree && render(tree, fields)
  if (!found)
    throw new DeltaError(
      'FEATURE_UNSUPPORTED',
      'deltaic does not compute this expression just as Spark does',
      { expression },
      { hint: 'write to this table with Spark, or state the expression in simpler terms' },
    )
  return found
}

async function parse(connection: Connection, text: string): Promise<Node | undefined> {
  const [row] = await connection.rows<{ tree: string }>('SELECT json_serialize_sql($1::VARCHAR)::VARCHAR AS tree', {
    params: [`SELECT (${text})`],
  })
  const parsed = JSON.parse(row?.tree ?? '{}') as { statements?: readonly { node: Select }[] }
  const [statement, ...others] = parsed.statements ?? []
  const { select_list: [only, ...more] = [], from_table: from, where_clause: where } = statement?.node ?? {}
  return from?.type === 'EMPTY' && !where && others.length === 0 && more.length === 0 ? only : undefined
}

function render(node: Node, fields: readonly StructField[]): TypedSql | undefined {
  const child = (one: unknown) => render(one as Node, fields)
  const children = (some: unknown): readonly TypedSql[] | undefined => {
    const found = ((some ?? []) as Node[]).map(child)
    return found.every((one) => one !== undefined) ? found : undefined
  }
  switch (node.class) {
    case 'CONSTANT':
      return constant(node.value as ConstantValue)
    case 'COLUMN_REF':
      return column(node.column_names as readonly string[], fields)
    case 'CAST': {
      const value = child(node.child)
      return value && !node.try_cast ? cast(value, node.cast_type as CastType) : undefined
    }
    case 'COMPARISON':
      return comparison(COMPARISONS[node.type], child(node.left), child(node.right))
    case 'BETWEEN': {
      const input = child(node.input)
      const low = comparison('>=', input, child(node.lower))
      const high = comparison('<=', input, child(node.upper))
      return low && high && { sql: `(${low.sql} AND ${high.sql})`, type: 'boolean' }
    }
    case 'CONJUNCTION':
      return conjunction(node.type === 'CONJUNCTION_AND' ? 'AND' : 'OR', children(node.children))
    case 'OPERATOR':
      return operator(node.type, children(node.children))
    case 'CASE':
      return choice(
        (node.case_checks as { when_expr: Node; then_expr: Node }[]).map(({ when_expr, then_expr }) => [
          child(when_expr),
          child(then_expr),
        ]),
        child(node.else_expr),
      )
    case 'FUNCTION': {
      const args = node.distinct || node.filter ? undefined : children(node.children)
      const name = String(node.function_name).toLowerCase()
      if (!args || (node.schema && node.schema !== 'main') || node.catalog) return undefined
      return node.is_operator ? arithmetic(name, args) : named(name, args)
    }
    default:
      return undefined
  }
}

interface ConstantValue {
  readonly type: CastType
  readonly is_null: boolean
  readonly value?: unknown
}

interface CastType {
  readonly id: string
  readonly type_info: { readonly width?: number; readonly scale?: number; readonly name?: string } | null
}

const CAST_TYPES: Readonly<Record<string, string>> = {
  VARCHAR: 'string',
  BIGINT: 'long',
  INTEGER: 'integer',
  SMALLINT: 'short',
  TINYINT: 'byte',
  FLOAT: 'float',
  DOUBLE: 'double',
  BOOLEAN: 'boolean',
  DATE: 'date',
  TIMESTAMP: 'timestamp',
}

function constant({ type, is_null, value }: ConstantValue): TypedSql | undefined {
  if (is_null) return { sql: 'NULL', type: 'null' }
  switch (type.id) {
    case 'INTEGER':
    case 'BIGINT':
      return { sql: `CAST(${value} AS ${type.id})`, type: CAST_TYPES[type.id] ?? '', constant: Number(value) }
    case 'DECIMAL': {
      const { width = 0, scale = 0 } = type.type_info ?? {}
      const digits = String(Math.abs(Number(value))).padStart(scale + 1, '0')
      const text = `${Number(value) < 0 ? '-' : ''}${digits.slice(0, digits.length - scale)}.${digits.slice(digits.length - scale)}`
      return { sql: `CAST('${text}' AS DECIMAL(${width}, ${scale}))`, type: `decimal(${width},${scale})`, constant: Number(text) }
    }
    case 'DOUBLE':
      return { sql: `CAST(${literal(String(value))} AS DOUBLE)`, type: 'double', constant: Number(value) }
    case 'VARCHAR':
      return { sql: literal(String(value)), type: 'string', constant: String(value) }
    case 'BOOLEAN':
      return { sql: String(value === true), type: 'boolean' }
    default:
      return undefined
  }
}

function column(names: readonly string[], fields: readonly StructField[]): TypedSql | undefined {
  const found: string[] = []
  let type: DataType = { type: 'struct', fields }
  for (const name of names) {
    const inner: StructField | undefined = isStruct(type) ? findField(type, name) : undefined
    if (!inner)
      throw new DeltaError('ARGUMENT_INVALID', 'an expression names a column that the table does not have', {
        column: names.join('.'),
      })
    found.push(ident(inner.name))
    type = inner.type
  }
  return { sql: found.length > 1 ? `(${found.join('.')})` : found.join(''), type }
}

function cast(value: TypedSql, { id, type_info }: CastType): TypedSql | undefined {
  if (id === 'BOOLEAN' && (value.constant === 't' || value.constant === 'f'))
    return { sql: String(value.constant === 't'), type: 'boolean' }
  const to =
    id === 'DECIMAL'
      ? `decimal(${type_info?.width},${type_info?.scale})`
      : (CAST_TYPES[id] ?? (type_info?.name?.toLowerCase() === 'timestamp_ntz' ? 'timestamp_ntz' : undefined))
  if (to === undefined) return undefined
  if (value.type === to || value.type === 'null') return { sql: `CAST(${value.sql} AS ${duckdbType(to)})`, type: to }
  return castSafely(value, to)
}

/** Casts whose values are the same in both; some only where the value is a literal. */
function castSafely(value: TypedSql, to: string): TypedSql | undefined {
  const plain = { sql: `CAST(${value.sql} AS ${duckdbType(to)})`, type: to }
  const target: TypedSql = { sql: '', type: to }
  if (isWhole(value)) return isNumeric(target) && to !== 'float' ? plain : to === 'string' ? plain : undefined
  if (value.type === 'boolean') return isWhole(target) || to === 'string' ? plain : undefined
  // The engine rounds; Spark cuts off.
  if (isNumeric(value) && isWhole(target)) return { ...plain, sql: `CAST(trunc(${value.sql}) AS ${duckdbType(to)})` }
  if (value.type === 'float') return to === 'double' ? plain : undefined
  if (isDecimal(value)) return to === 'double' ? plain : undefined
  if (isTime(value)) return isTime(target) || (value.type === 'date' && to === 'string') ? plain : undefined
  if (isText(value)) return isTime(target) && isPlainTime(value.constant, to) ? plain : undefined
  return undefined
}

/** Text that both read as the same day or instant. */
function isPlainTime(text: unknown, type: string): boolean {
  const day = '\\d{4}-\\d{2}-\\d{2}'
  const pattern = type === 'date' ? `^${day}$` : `^${day}(?:[ T]\\d{2}:\\d{2}:\\d{2}(?:\\.\\d{1,6})?)?$`
  return typeof text === 'string' && new RegExp(pattern).test(text)
}

function comparison(sign: string | undefined, left: TypedSql | undefined, right: TypedSql | undefined): TypedSql | undefined {
  const sides = sign && left && right ? comparable(left, right) : undefined
  return sides && { sql: `(${sides[0]} ${sign} ${sides[1]})`, type: 'boolean' }
}

/** Both sides as the engine compares them in Spark's way. */
function comparable(left: TypedSql, right: TypedSql): readonly [string, string] | undefined {
  const exact = (one: TypedSql) => (one.type === 'float' ? `${one.sql}::DOUBLE` : one.sql)
  if (left.type === 'null' || right.type === 'null') return [left.sql, right.sql]
  if (isNumeric(left) && isNumeric(right)) return [exact(left), exact(right)]
  const [first, second] = [asTime(left, right), asTime(right, left)]
  if (first.type === second.type && typeof first.type === 'string') return [first.sql, second.sql]
  if (isTime(first) && isTime(second) && first.type !== 'timestamp_ntz' && second.type !== 'timestamp_ntz')
    return [`${first.sql}::TIMESTAMPTZ`, `${second.sql}::TIMESTAMPTZ`]
  return undefined
}

/** A text that is compared with a time is one. */
function asTime(one: TypedSql, other: TypedSql): TypedSql {
  return isText(one) && isTime(other) ? (castSafely(one, other.type as string) ?? one) : one
}

function conjunction(word: 'AND' | 'OR', children: readonly TypedSql[] | undefined): TypedSql | undefined {
  if (!children?.every(({ type }) => type === 'boolean' || type === 'null')) return undefined
  return { sql: `(${children.map(({ sql }) => sql).join(` ${word} `)})`, type: 'boolean' }
}

function operator(type: string, children: readonly TypedSql[] | undefined): TypedSql | undefined {
  const [first, ...others] = children ?? []
  if (!children || !first) return undefined
  switch (type) {
    case 'OPERATOR_NOT':
      return first.type === 'boolean' ? { sql: `(NOT ${first.sql})`, type: 'boolean' } : undefined
    case 'OPERATOR_IS_NULL':
      return { sql: `(${first.sql} IS NULL)`, type: 'boolean' }
    case 'OPERATOR_IS_NOT_NULL':
      return { sql: `(${first.sql} IS NOT NULL)`, type: 'boolean' }
    case 'OPERATOR_COALESCE':
      return unified(children, (values) => `coalesce(${values.join(', ')})`)
    case 'COMPARE_IN':
    case 'COMPARE_NOT_IN': {
      const equal = others.map((other) => comparison('=', first, other))
      if (!equal.every((one) => one !== undefined)) return undefined
      const any = `(${equal.map(({ sql }) => sql).join(' OR ')})`
      return { sql: type === 'COMPARE_IN' ? any : `(NOT ${any})`, type: 'boolean' }
    }
    default:
      return undefined
  }
}

function choice(
  checks: readonly (readonly [TypedSql | undefined, TypedSql | undefined])[],
  otherwise: TypedSql | undefined,
): TypedSql | undefined {
  const whens = checks.flatMap(([when]) => (when?.type === 'boolean' ? [when.sql] : []))
  const thens = checks.flatMap(([, then]) => (then ? [then] : []))
  if (whens.length < checks.length || thens.length < checks.length || !otherwise) return undefined
  return unified([...thens, otherwise], (values) => {
    const cases = whens.map((when, index) => `WHEN ${when} THEN ${values[index]}`)
    return `CASE ${cases.join(' ')} ELSE ${values.at(-1)} END`
  })
}

/** Values of which one is chosen: of one type, or whole numbers that widen. */
function unified(values: readonly TypedSql[], sql: (values: readonly string[]) => string): TypedSql | undefined {
  const given = values.filter(({ type }) => type !== 'null')
  const [first, ...others] = given
  if (!first) return { sql: 'NULL', type: 'null' }
  const areSame = typeof first.type === 'string' && others.every(({ type }) => type === first.type)
  if (!areSame && !given.every(isWhole)) return undefined
  const type = areSame ? first.type : given.map((one) => one.type).reduce(wider)
  return { sql: sql(values.map((one) => `${one.sql}::${duckdbType(type)}`)), type }
}

function arithmetic(name: string, [left, right, ...more]: readonly TypedSql[]): TypedSql | undefined {
  if (!left || more.length > 0) return undefined
  if (!right) return name === '-' && isNumeric(left) ? { sql: `(-${left.sql})`, type: left.type } : undefined
  switch (name) {
    case '<=>':
      return comparison('IS NOT DISTINCT FROM', left, right)
    case '~~':
    case '!~~':
      if (!isText(left) || typeof right.constant !== 'string' || right.constant.includes('\\')) return undefined
      return { sql: `(${left.sql} ${name === '~~' ? 'LIKE' : 'NOT LIKE'} ${right.sql})`, type: 'boolean' }
    case '||':
      return isText(left) && isText(right) ? { sql: `(${left.sql} || ${right.sql})`, type: 'string' } : undefined
    case '+':
    case '-':
      if (left.type === 'date' && isWhole(right) && right.type !== 'long')
        return { sql: `(${left.sql} ${name} ${right.sql}::INTEGER)`, type: 'date' }
      return sameKind(left, right, (a, b) => `(${a} ${name} ${b})`)
    case '*':
      return sameKind(left, right, (a, b) => `(${a} * ${b})`)
    // Spark refuses to divide by zero, where the engine answers NULL.
    case '/':
      if (isDecimal(left) || isDecimal(right) || !isNumeric(left) || !isNumeric(right) || !right.constant) return undefined
      return { sql: `(${left.sql}::DOUBLE / ${right.sql}::DOUBLE)`, type: 'double' }
    case '%':
      return right.constant && isWhole(left) && isWhole(right) ? sameKind(left, right, (a, b) => `(${a} % ${b})`) : undefined
    default:
      return undefined
  }
}

function sameKind(left: TypedSql, right: TypedSql, sql: (left: string, right: string) => string): TypedSql | undefined {
  if (isWhole(left) && isWhole(right)) {
    const type = wider(left.type, right.type)
    return { sql: sql(`${left.sql}::${duckdbType(type)}`, `${right.sql}::${duckdbType(type)}`), type }
  }
  const areExact = (isWhole(left) || isDecimal(left)) && (isWhole(right) || isDecimal(right))
  if (areExact) return { sql: sql(left.sql, right.sql), type: 'decimal(38,18)' }
  if (left.type === 'float' && right.type === 'float') return { sql: sql(left.sql, right.sql), type: 'float' }
  const areDoubles = isNumeric(left) && isNumeric(right) && left.type !== 'float' && right.type !== 'float'
  return areDoubles ? { sql: sql(`${left.sql}::DOUBLE`, `${right.sql}::DOUBLE`), type: 'double' } : undefined
}

function named(name: string, args: readonly TypedSql[]): TypedSql | undefined {
  const [first, second, ...more] = args
  switch (name) {
    case 'nvl':
    case 'ifnull':
      return first && second && more.length === 0 ? operator('OPERATOR_COALESCE', args) : undefined
    case 'nullif': {
      const equal = more.length === 0 ? comparison('=', first, second) : undefined
      return first && equal && { sql: `CASE WHEN ${equal.sql} THEN NULL ELSE ${first.sql} END`, type: first.type }
    }
    case 'greatest':
    case 'least':
      return args.length > 1 ? unified(args, (values) => `${name}(${values.join(', ')})`) : undefined
    case 'date_part':
      return typeof first?.constant === 'string' && second && more.length === 0
        ? SPARK_FUNCTIONS[EXTRACTED[first.constant.toLowerCase()] ?? '']?.([second])
        : undefined
    default:
      return SPARK_FUNCTIONS[name]?.(args)
  }
}

/** What EXTRACT takes out, as the function that does it. */
const EXTRACTED: Readonly<Record<string, string>> = {
  year: 'year',
  quarter: 'quarter',
  month: 'month',
  day: 'day',
  hour: 'hour',
  minute: 'minute',
}
