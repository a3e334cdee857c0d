import { gregorianDate, gregorianInstant } from '../engine/julian-calendar.js'
import type { FieldIds } from '../engine/parquet-write.js'
import { ident, literal } from '../engine/sql-text.js'
import { castSql, duckdbType } from '../engine/types.js'
import { fieldId, isFileOnly, type MappingMode, physicalName, physicalType } from '../protocol/column-mapping.js'
import { charLength, type DataType, isStruct, mentions, type StructField } from '../protocol/schema.js'
import { isFiner, typeChanges } from '../protocol/type-changes.js'
import type { OldCalendar } from './footers.js'

/**
 * A column of data files, read under the type that they have it in, as the table has it: nested names become logical,
 * variants whole, CHAR values as long as their type, days of the Julian calendar those of the same name.
 *
 * Filters still go down to the reader through it, except on old days and on values that were widened into a finer type.
 *
 * @param stored the field's type under the files' names.
 */
export function columnSql(field: StructField, value: string, stored: DataType, calendar?: OldCalendar): string {
  const given = logical(field.type, stored, value, 0, calendar)
  const length = charLength(field)
  if (length !== undefined) return padded(given, length)
  // DuckDB brings the constant of a filter down to the type of the file, which finds 1.4 among whole numbers; it cannot
  // where the column stands inside a function.
  return typeof field.type === 'string' && typeChanges(field).some(isFiner) ? `greatest(${given})` : given
}

/** A column of the table as its files store it: the other way round. */
export function storedSql(field: StructField, value: string, mode: MappingMode): string {
  return binary(physicalType(field.type, mode), field.type, castSql(value, field.type), 0)
}

/**
 * A query whose columns of these types a file of this machine can hold, from which `fromSpool` reads them: the engine writes no variants
 * within other values. What the query has for a variant may still be JSON or another value.
 */
export function spoolable(query: string, columns: ReadonlyMap<string, DataType>): string {
  const given = [...columns].flatMap(([name, type]) => {
    if (!mentions(type, 'variant')) return []
    const value = castSql(ident(name), type)
    return [`${typeof type === 'string' ? value : binary(type, type, value, 0)} AS ${ident(name)}`]
  })
  return given.length === 0 ? query : `SELECT * REPLACE (${given.join(', ')}) FROM (${query}\n)`
}

export function fromSpool(type: DataType, value: string): string {
  return typeof type !== 'string' && mentions(type, 'variant') ? logical(type, type, value, 0, undefined) : value
}

/** The Parquet field ids of columns, at every depth, by physical name; none without column mapping, or for what only files have. */
export function fieldIdsOf(fields: readonly StructField[], mode: MappingMode): FieldIds {
  if (mode === 'none') return {}
  return Object.fromEntries(
    fields
      .filter((f) => !isFileOnly(f))
      .map((f) => [physicalName(f, mode), { id: fieldId(f, mode), below: fieldIdsWithin(f.type, mode) }]),
  )
}

function fieldIdsWithin(type: DataType, mode: MappingMode): FieldIds {
  if (typeof type === 'string') return {}
  if (isStruct(type)) return fieldIdsOf(type.fields, mode)
  const within = parts(type).map(([name, inner]) => [name === 'list' ? 'element' : name, fieldIdsWithin(inner, mode)] as const)
  return Object.fromEntries(within.filter(([, below]) => Object.keys(below).length > 0).map(([name, below]) => [name, { below }]))
}

export function padded(text: string, length: number): string {
  return `CASE WHEN length(${text}) < ${length} THEN rpad(${text}, ${length}, ' ') ELSE ${text} END`
}

function logical(type: DataType, stored: DataType, value: string, depth: number, calendar: OldCalendar | undefined): string {
  const isOld = (calendar?.dates && mentions(type, 'date')) || (calendar?.instants && mentions(type, 'timestamp'))
  if (!isOld && !mentions(type, 'variant') && !mistakesText(type, stored)) return renamed(type, stored, value)
  if (typeof type === 'string' || typeof stored === 'string') return leaf(type, stored, value, calendar)
  return rebuilt(type, stored, value, depth, (...part) => logical(...part, calendar))
}

/** The other way round: the value with variants in their binary parts. */
function binary(type: DataType, given: DataType, value: string, depth: number): string {
  if (type === 'variant') return storedVariant(value)
  if (typeof type === 'string' || typeof given === 'string' || !mentions(type, 'variant')) return renamed(type, given, value)
  return rebuilt(type, given, value, depth, binary)
}

function renamed(type: DataType, given: DataType, value: string): string {
  const names = renames(type, given)
  return names ? `remap_struct(${value}, NULL::${duckdbType(type)}, ${names}, NULL)` : value
}

/** The names of a nested value as `remap_struct` takes them; `undefined` where both types have the same. */
function renames(type: DataType, physical: DataType): string | undefined {
  if (typeof type === 'string' || typeof physical === 'string') return undefined
  const below = parts(type).map(([name, inner], index) => {
    const [physicalName, physicalInner] = parts(physical)[index] ?? [name, inner]
    const nested = renames(inner, physicalInner)
    return {
      isSame: name === physicalName && !nested,
      text: `${literal(name)}: ${nested ? `(${literal(physicalName)}, ${nested})` : literal(physicalName)}`,
    }
  })
  const isSame = below.length === parts(physical).length && below.every((one) => one.isSame)
  return isSame ? undefined : `{${below.map(({ text }) => text).join(', ')}}`
}

/** What a nested type is made of, by the names that DuckDB has for it. */
function parts(type: Nested): readonly (readonly [name: string, type: DataType])[] {
  switch (type.type) {
    case 'struct':
      return type.fields.map((f) => [f.name, f.type])
    case 'array':
      return [['list', type.elementType]]
    case 'map':
      return [
        ['key', type.keyType],
        ['value', type.valueType],
      ]
  }
}

type Nested = Exclude<DataType, string>
/** Gives a value of the type `given` as one of `type`, which has the same parts by other names. */
type PartSql = (type: DataType, given: DataType, value: string, depth: number) => string

/** A nested value, part by part. */
function rebuilt(type: Nested, given: Nested, value: string, depth: number, partSql: PartSql): string {
  if (isStruct(type)) {
    const fields = type.fields.map((f, index) => {
      const [name, inner] = parts(given)[index] ?? [f.name, f.type]
      return `${ident(f.name)} := ${partSql(f.type, inner, `struct_extract(${value}, ${literal(name)})`, depth)}`
    })
    return `CASE WHEN ${value} IS NOT NULL THEN struct_pack(${fields.join(', ')}) END`
  }
  const element = `"__e${depth}"`
  const [first, second] = parts(given).map(([, inner]) => inner)
  const below = (inner: DataType, givenInner: DataType | undefined, text: string) =>
    partSql(inner, givenInner ?? inner, text, depth + 1)
  if (type.type === 'array') return `list_transform(${value}, lambda ${element}: ${below(type.elementType, first, element)})`
  const [key, inner] = [below(type.keyType, first, `${element}.key`), below(type.valueType, second, `${element}.value`)]
  return `map_from_entries(list_transform(map_entries(${value}), lambda ${element}: {'key': ${key}, 'value': ${inner}}))`
}

/** Whether texts are stored as bytes, or bytes as texts, at any depth. */
function mistakesText(type: DataType, stored: DataType): boolean {
  if (typeof type === 'string' || typeof stored === 'string')
    return (type === 'string' && stored === 'binary') || (type === 'binary' && stored === 'string')
  return parts(type).some(([, inner], at) => mistakesText(inner, parts(stored)[at]?.[1] ?? inner))
}

function leaf(type: DataType, stored: DataType, value: string, calendar: OldCalendar | undefined): string {
  if (mistakesText(type, stored)) return type === 'string' ? `decode(${value})` : `encode(${value})`
  if (type === 'variant') return variant(`${value}::VARIANT`)
  if (type === 'date' && calendar?.dates) return gregorianDate(value)
  if (type === 'timestamp' && calendar?.instants) return gregorianInstant(value, calendar.zone)
  return value
}

/**
 * A variant in its two binary parts, unshredded. Readers look fields of objects up by halves, so these are sorted by name; the
 * engine knows one NULL for a missing variant and for a null in it, which is stored as the first.
 *
 * @see https://github.com/apache/parquet-format/blob/master/VariantEncoding.md
 */
function storedVariant(value: string): string {
  return `CASE WHEN ${value} IS NOT NULL THEN variant_to_parquet_variant(variant_normalize(${value}::VARIANT)) END`
}

/**
 * Some writers leave out Parquet's own mark of a variant, whose binary parts then read as an object. Parts with such
 * names, both bytes, the first with the header of the encoding, are a variant's.
 */
function variant(value: string): string {
  const kind = `variant_typeof(${value})`
  const bytes = (name: string) => `variant_extract(${value}, '${name}')`
  const isUnmarked =
    `${kind} IN ('OBJECT(metadata, value)', 'OBJECT(value, metadata)') AND variant_typeof(${bytes('metadata')}) = 'BLOB' ` +
    `AND variant_typeof(${bytes('value')}) = 'BLOB'`
  return (
    `CASE WHEN ${isUnmarked} THEN variant_bytes_to_variant(${bytes('metadata')}::BLOB || ${bytes('value')}::BLOB) ` +
    `WHEN ${kind} IN ('OBJECT(metadata, typed_value, value)', 'OBJECT(metadata, typed_value)') ` +
    `THEN error('a shredded variant lacks the mark of its type')::VARIANT ELSE ${value} END`
  )
}
