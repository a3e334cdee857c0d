import { ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { physicalName } from '../protocol/column-mapping.js'
import { type DataType, findField, isStruct, type StructField, type StructType } from '../protocol/schema.js'
import { isTemporal, type PrunableColumns, type Term } from './terms.js'

/** What the rows that satisfy a comparison lie between, in a column that others are made from. */
interface SourceRange {
  readonly names: readonly string[]
  readonly type: DataType
  readonly low: string | undefined
  readonly high: string | undefined
}

/**
 * A condition over the partition columns that are generated from the column of a comparison, false only for files without a row that
 * satisfies it; `undefined` where no such column is known.
 *
 * Casts of instants depend on the zone of the writer, so what is made from an instant is looked for a zone's width around it.
 *
 * @param operator `=`, `<`, `<=`, `>` or `>=`, and `value` to its right.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#generated-columns
 */
export function onGenerated(operator: string, term: Term, value: string, columns: PrunableColumns): string | undefined {
  const range = rangeOf(operator, term, value)
  const made = range && generatedFrom(range, columns)
  if (!range || !made) return undefined
  const side = (end: string | undefined, sign: '>=' | '<=') => {
    if (end === undefined) return []
    const at = moved(end, range.type, sign)
    const alone = made.flatMap(({ partition, rises, type, of }) =>
      rises ? [proof(`${partition} ${sign} (${of(at)})::${duckdbType(type)}`)] : [],
    )
    const parts = PARTS.map((part) => made.find((generated) => generated.part === part))
    const chain = parts.slice(0, parts.includes(undefined) ? parts.indexOf(undefined) : undefined) as Generated[]
    return chain.length > 1 ? [...alone, proof(lexicographic(chain, at, sign))] : alone
  }
  const conditions = [...side(range.low, '>='), ...side(range.high, '<=')]
  return conditions.length > 0 ? `(${conditions.join(' AND ')})` : undefined
}

function rangeOf(operator: string, { column, calls, type }: Term, value: string): SourceRange | undefined {
  const { names, leaf } = column
  const [low, high] = [operator !== '<' && operator !== '<=', operator !== '>' && operator !== '>=']
  const range = (first: string, last: string) => ({
    names,
    type: leaf.type,
    low: low ? first : undefined,
    high: high ? last : undefined,
  })
  if (calls.length === 0) return range(value, value)
  if (calls.length > 1 || !isTemporal(leaf.type)) return undefined
  if (calls[0] === 'CAST date' && type === 'date') return range(value, `(${value} + INTERVAL 1 DAY)`)
  // Of a constant out of range nothing is known.
  return calls[0] === 'year' ? range(`TRY(make_date(${value}, 1, 1))`, `TRY(make_date(${value} + 1, 1, 1))`) : undefined
}

/** A partition column that is made from another column. */
interface Generated {
  readonly partition: string
  readonly type: DataType
  /** Whether it never falls while its source rises. */
  readonly rises: boolean
  readonly part: string | undefined
  readonly of: (source: string) => string
}

const PARTS = ['year', 'month', 'day', 'hour']

function generatedFrom(range: SourceRange, { schema, partitionColumns, mapping }: PrunableColumns): Generated[] | undefined {
  const made = schema.fields.flatMap((f) => {
    const text = f.metadata?.['delta.generationExpression']
    if (typeof text !== 'string' || !partitionColumns.includes(f.name)) return []
    const form = formOf(text, f, range, schema)
    return form ? [{ partition: `part.${ident(physicalName(f, mapping))}`, type: f.type, ...form }] : []
  })
  return made.length > 0 ? made : undefined
}

const NAME = '((?:`[^`]+`|[\\p{L}_][\\p{L}\\p{N}_]*)(?:\\.(?:`[^`]+`|[\\p{L}_][\\p{L}\\p{N}_]*))*)'
const FORMATS: Readonly<Record<string, string>> = {
  yyyy: '%Y',
  'yyyy-MM': '%Y-%m',
  'yyyy-MM-dd': '%Y-%m-%d',
  'yyyy-MM-dd-HH': '%Y-%m-%d-%H',
}

/** The forms that Delta documents. */
function formOf(
  text: string,
  field: StructField,
  range: SourceRange,
  schema: StructType,
): Omit<Generated, 'partition' | 'type'> | undefined {
  const match = (pattern: string) => {
    const found = new RegExp(`^\\s*${pattern}\\s*$`, 'iu').exec(text)?.slice(1)
    return found && samePath(found.find((part) => part !== undefined && isPath(part, range.names, schema)) ?? '', range.names)
      ? found
      : undefined
  }
  const rising = (of: Generated['of'], part?: string) => ({ rises: true, part, of })
  const isMoment = isTemporal(range.type)
  if (match(NAME)) return rising((x) => x)
  if (isMoment && (match(`CAST\\s*\\(\\s*${NAME}\\s+AS\\s+DATE\\s*\\)`) ?? match(`(?:DATE|TO_DATE)\\s*\\(\\s*${NAME}\\s*\\)`)))
    return rising((x) => `CAST(${x} AS DATE)`)
  for (const part of PARTS)
    if (isMoment && match(`${part}\\s*\\(\\s*${NAME}\\s*\\)`)) return { rises: part === 'year', part, of: (x) => `${part}(${x})` }
  const format = isMoment ? match(`DATE_FORMAT\\s*\\(\\s*${NAME}\\s*,\\s*'([^']*)'\\s*\\)`)?.[1] : undefined
  if (format !== undefined) {
    const known = FORMATS[format]
    return known && field.type === 'string' ? rising((x) => `strftime(${x}, '${known}')`) : undefined
  }
  const unit = isMoment
    ? (match(`DATE_TRUNC\\s*\\(\\s*'(\\w+)'\\s*,\\s*${NAME}\\s*\\)`)?.[0] ??
      match(`TRUNC\\s*\\(\\s*${NAME}\\s*,\\s*'(\\w+)'\\s*\\)`)?.[1])
    : undefined
  if (unit !== undefined)
    return UNITS.has(unit.toLowerCase()) ? rising((x) => `date_trunc(${literal(unit.toLowerCase())}, ${x})`) : undefined
  const length =
    range.type === 'string' ? match(`SUBSTR(?:ING)?\\s*\\(\\s*${NAME}\\s*,\\s*[01]\\s*,\\s*(\\d+)\\s*\\)`)?.[1] : undefined
  return length === undefined ? undefined : rising((x) => `left(${x}, ${length})`)
}

const UNITS = new Set(['year', 'quarter', 'month', 'week', 'day', 'hour', 'minute', 'second'])

function partsOf(path: string): string[] {
  return [...path.matchAll(/`([^`]+)`|([^.`]+)/g)].map(([, quoted, plain]) => (quoted ?? plain ?? '').toLowerCase())
}

function samePath(path: string, names: readonly string[]): boolean {
  return partsOf(path).join('\n') === names.map((name) => name.toLowerCase()).join('\n')
}

function isPath(text: string, names: readonly string[], schema: StructType): boolean {
  const [head] = partsOf(text)
  const top = head === undefined ? undefined : findField(schema, head)
  return top !== undefined && samePath(text, names) && (names.length === 1 || isStruct(top.type))
}

/** An end of the range as the source's type, a zone's width further out where the zone counts. */
function moved(end: string, type: DataType, sign: '>=' | '<='): string {
  const typed = `(${end})::${duckdbType(type)}`
  return type === 'timestamp' ? `(${typed} ${sign === '>=' ? '-' : '+'} INTERVAL 16 HOURS)` : typed
}

/** (year, month, …) compared as one. */
function lexicographic([first, ...others]: readonly Generated[], at: string, sign: '>=' | '<='): string {
  if (!first) return 'TRUE'
  const value = `(${first.of(at)})::${duckdbType(first.type)}`
  if (others.length === 0) return `${first.partition} ${sign} ${value}`
  return `(${first.partition} ${sign[0]} ${value} OR (${first.partition} = ${value} AND ${lexicographic(others, at, sign)}))`
}

function proof(condition: string): string {
  return `coalesce(${condition}, TRUE)`
}
