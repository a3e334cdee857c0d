import type { DataType } from '../protocol/schema.js'
import { literal } from './sql-text.js'

/** An expression in the engine's SQL, with the Delta type that Spark gives it; `null` is the type of NULL alone. */
export interface TypedSql {
  readonly sql: string
  readonly type: DataType
  /** The value of a literal. */
  readonly constant?: string | number | undefined
}

const WHOLE = ['byte', 'short', 'integer', 'long']

export const isWhole = ({ type }: TypedSql) => typeof type === 'string' && WHOLE.includes(type)
export const isDecimal = ({ type }: TypedSql) => typeof type === 'string' && type.startsWith('decimal')
export const isNumeric = (one: TypedSql) => isWhole(one) || isDecimal(one) || one.type === 'float' || one.type === 'double'
export const isText = ({ type }: TypedSql) => type === 'string'
export const isTime = ({ type }: TypedSql) => type === 'date' || type === 'timestamp' || type === 'timestamp_ntz'

/** The wider of two whole types. */
export function wider(a: DataType, b: DataType): DataType {
  return WHOLE.indexOf(a as string) >= WHOLE.indexOf(b as string) ? a : b
}

/**
 * Functions that mean the same in Spark and here, each with the arguments for which that holds: for others it answers
 * `undefined`. Spark's session zone is taken to be UTC.
 */
export const SPARK_FUNCTIONS: Readonly<Record<string, (args: readonly TypedSql[]) => TypedSql | undefined>> = {
  year: part('year'),
  quarter: part('quarter'),
  month: part('month'),
  day: part('day'),
  dayofmonth: part('day'),
  dayofyear: part('dayofyear'),
  weekofyear: part('week'),
  dayofweek: part('dayofweek', ' + 1'),
  weekday: part('isodow', ' - 1'),
  hour: part('hour', '', true),
  minute: part('minute', '', true),
  second: part('second', '', true),
  date_trunc: ([unit, value, ...more]) => {
    const name = UNITS[String(unit?.constant).toLowerCase()]
    if (!name || !value || !isTime(value) || value.type === 'timestamp_ntz' || more.length > 0) return undefined
    return { sql: `date_trunc('${name}', ${value.sql}::TIMESTAMPTZ)`, type: 'timestamp' }
  },
  trunc: ([value, unit, ...more]) => {
    const name = UNITS[String(unit?.constant).toLowerCase()]
    if (!name || !['year', 'quarter', 'month', 'week'].includes(name) || !value || !isTime(value) || more.length > 0)
      return undefined
    return { sql: `date_trunc('${name}', ${value.sql}::DATE)::DATE`, type: 'date' }
  },
  date_format: ([value, pattern, ...more]) => {
    const format = strftimeFormat(pattern?.constant)
    if (format === undefined || !value || !isTime(value) || more.length > 0) return undefined
    return { sql: `strftime(${value.sql}, ${literal(format)})`, type: 'string' }
  },
  date: toDate,
  to_date: toDate,
  date_add: ([date, days, ...more]) => daysLater(date, days, '+', more),
  date_sub: ([date, days, ...more]) => daysLater(date, days, '-', more),
  datediff: ([end, start, ...more]) => {
    if (!end || !start || !isTime(end) || !isTime(start) || more.length > 0) return undefined
    return { sql: `(${end.sql}::DATE - ${start.sql}::DATE)::INTEGER`, type: 'integer' }
  },
  substring,
  substr: substring,
  concat: (args) =>
    args.length > 0 && args.every(isText) ? { sql: `(${args.map(({ sql }) => sql).join(' || ')})`, type: 'string' } : undefined,
  lower: letters('lower'),
  lcase: letters('lower'),
  upper: letters('upper'),
  ucase: letters('upper'),
  trim: ofText((text) => `trim(${text}, ' ')`, 'string'),
  ltrim: ofText((text) => `ltrim(${text}, ' ')`, 'string'),
  rtrim: ofText((text) => `rtrim(${text}, ' ')`, 'string'),
  length: ofText((text) => `length(${text})::INTEGER`, 'integer'),
  char_length: ofText((text) => `length(${text})::INTEGER`, 'integer'),
  character_length: ofText((text) => `length(${text})::INTEGER`, 'integer'),
  startswith: ofTexts('starts_with'),
  endswith: ofTexts('ends_with'),
  contains: ofTexts('contains'),
  md5: ofText((text) => `md5(${text})`, 'string'),
  abs: ([value, ...more]) =>
    value && isNumeric(value) && more.length === 0 ? { sql: `abs(${value.sql})`, type: value.type } : undefined,
  isnull: ([value, ...more]) => (value && more.length === 0 ? { sql: `(${value.sql} IS NULL)`, type: 'boolean' } : undefined),
  isnotnull: ([value, ...more]) =>
    value && more.length === 0 ? { sql: `(${value.sql} IS NOT NULL)`, type: 'boolean' } : undefined,
  isnan: ([value, ...more]) =>
    value && (value.type === 'double' || value.type === 'float') && more.length === 0
      ? { sql: `coalesce(isnan(${value.sql}), false)`, type: 'boolean' }
      : undefined,
}

const UNITS: Readonly<Record<string, string>> = {
  year: 'year',
  yyyy: 'year',
  yy: 'year',
  quarter: 'quarter',
  month: 'month',
  mm: 'month',
  mon: 'month',
  week: 'week',
  day: 'day',
  dd: 'day',
  hour: 'hour',
  minute: 'minute',
  second: 'second',
}

const FORMATS: Readonly<Record<string, string>> = { yyyy: '%Y', MM: '%m', dd: '%d', HH: '%H', mm: '%M', ss: '%S' }

/** A pattern of Java's in the engine's own, where it holds nothing but plain parts and signs between them. */
function strftimeFormat(pattern: unknown): string | undefined {
  if (typeof pattern !== 'string' || !/^(?:yyyy|MM|dd|HH|mm|ss|'[A-Za-z]+'|[-/:., _])+$/.test(pattern)) return undefined
  if (/y{5}|M{3}|d{3}|H{3}|m{3}|s{3}/.test(pattern)) return undefined
  return pattern.replace(/yyyy|MM|dd|HH|mm|ss|'[A-Za-z]+'/g, (word) => FORMATS[word] ?? word.slice(1, -1))
}

function part(name: string, then = '', ofTimesOnly = false) {
  return ([value, ...more]: readonly TypedSql[]): TypedSql | undefined => {
    if (!value || !isTime(value) || more.length > 0 || (ofTimesOnly && value.type === 'date')) return undefined
    return { sql: `(date_part('${name}', ${value.sql})${then})::INTEGER`, type: 'integer' }
  }
}

function toDate([value, ...more]: readonly TypedSql[]): TypedSql | undefined {
  return value && isTime(value) && more.length === 0 ? { sql: `${value.sql}::DATE`, type: 'date' } : undefined
}

function daysLater(date: TypedSql | undefined, days: TypedSql | undefined, sign: '+' | '-', more: readonly TypedSql[]) {
  if (!date || !days || !isTime(date) || !isWhole(days) || days.type === 'long' || more.length > 0) return undefined
  return { sql: `(${date.sql}::DATE ${sign} ${days.sql}::INTEGER)`, type: 'date' }
}

/** Only from a place after the start: Spark and the engine count others in different ways. */
function substring([text, from, count, ...more]: readonly TypedSql[]): TypedSql | undefined {
  const start = from?.constant
  if (!text || !isText(text) || typeof start !== 'number' || start < 1 || more.length > 0) return undefined
  if (count && (typeof count.constant !== 'number' || count.constant < 0)) return undefined
  return { sql: `substring(${text.sql}, ${start}${count ? `, ${count.constant}` : ''})`, type: 'string' }
}

/** Letters beyond ASCII change case by other tables in Spark, so text that has some is refused when it comes. */
function letters(name: 'lower' | 'upper') {
  return ofText(
    (text) =>
      `CASE WHEN strlen(${text}) = length(${text}) THEN ${name}(${text}) WHEN ${text} IS NOT NULL THEN error('${name}() of text beyond ASCII is not computed as Spark does') END`,
    'string',
  )
}

function ofText(sql: (text: string) => string, type: string) {
  return ([text, ...more]: readonly TypedSql[]): TypedSql | undefined =>
    text && isText(text) && more.length === 0 ? { sql: sql(text.sql), type } : undefined
}

function ofTexts(name: string) {
  return ([text, other, ...more]: readonly TypedSql[]): TypedSql | undefined =>
    text && other && isText(text) && isText(other) && more.length === 0
      ? { sql: `${name}(${text.sql}, ${other.sql})`, type: 'boolean' }
      : undefined
}
