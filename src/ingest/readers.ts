import { DeltaError } from '../base/errors.js'
import { globLiteral, ident, literal } from '../engine/sql-text.js'
import { duckdbType, jsonStructure } from '../engine/types.js'
import type { DataType, StructField } from '../protocol/schema.js'
import type { InputField } from '../table/row-columns.js'
import { type CsvDialect, csvLineOf, csvLinesOf } from './csv-text.js'
import type { InputFormat } from './formats.js'

/** How the lines of a file become rows. A row without a value that the table must have is no row. */
export interface RowReader {
  /** A query with `r`, a row as a struct of all the table's columns, NULL for a line that is no row; and `raw`, that line. */
  readonly sql: string
  /**
   * A query with `place`, `r` and `raw`, over one with `place` and `raw`: reads rows with fewer fields than the others.
   * `r` is NULL for a line that is no row.
   */
  readonly secondChance?: ((lines: string) => string) | undefined
  /** The number of the first row's line. */
  readonly firstLine: number
  /** The lines of rows at some places, from 0, where a row may be longer than a line. */
  readonly linesOf?: ((places: ReadonlySet<number>) => Promise<ReadonlyMap<number, number>>) | undefined
  /** The line of the record that the engine counts as its `nth`. */
  readonly lineOf?: ((nth: number) => Promise<number>) | undefined
}

export const LINE_BYTES_MAX = 16 * 1024 * 1024

/** What a line does not hold: the engine wants to know what parts one, and would cut it there. */
const NO_DELIMITER = '\x01\x02\x03\x04'

/** The lines of a text file as they come, blank ones as NULL. */
export function lines(file: string): string {
  return (
    `read_csv(${globLiteral(file)}, columns = {'line': 'VARCHAR'}, delim = '${NO_DELIMITER}', quote = '', escape = '', header = false, ` +
    `auto_detect = false, max_line_size = ${LINE_BYTES_MAX}, strict_mode = false)`
  )
}

/**
 * JSON objects, one a line. A row has exactly the fields of the first line, or, at the second chance, any of the table's:
 * so the common case is strict and costs one parse, and a field that is missing is NULL.
 *
 * @param firstFields the first line's fields, all of them the table's.
 */
export function ndjsonReader(file: string, fields: readonly InputField[], firstFields: readonly string[]): RowReader {
  return jsonReader(`SELECT line FROM ${lines(file)}`, fields, firstFields)
}

/** One JSON array of objects, or one object. */
export function jsonArrayReader(file: string, fields: readonly InputField[], firstFields: readonly string[]): RowReader {
  const objects = `SELECT json::VARCHAR AS line FROM read_json_objects(${globLiteral(file)}, maximum_object_size = ${LINE_BYTES_MAX})`
  return jsonReader(objects, fields, firstFields)
}

function jsonReader(linesQuery: string, fields: readonly InputField[], firstFields: readonly string[]): RowReader {
  const present = fields.filter((f) => firstFields.includes(f.name))
  const names = literal(JSON.stringify(fields.map((f) => f.name)))
  const strict = (line: string, some: readonly StructField[]) =>
    `TRY(CASE WHEN ${nestedAreKnown(line, fields)} THEN json_transform_strict(${line}, ${literal(jsonStructure(some.map(asText)))}) END)`
  const s = `CASE WHEN TRY(len(json_keys(line))) = ${present.length} THEN ${strict('line', present)} END`
  const first = present.length === 0 ? `NULL::${rowType(fields)}` : rowOf(fields, (f) => (present.includes(f) ? 'true' : 'false'))
  const isNamed = (f: InputField) => (f.missing === undefined ? 'true' : `list_contains(keys, ${literal(f.name)})`)
  // What a line does not mention is read as NULL.
  const missing = `array_to_string(list_transform(list_filter(${names}::JSON::VARCHAR[], lambda name: NOT list_contains(keys, name)), lambda name: to_json(name)::VARCHAR || ':null'), ',')`
  const rest = "substr(ltrim(raw, ' ' || chr(9) || chr(10) || chr(13)), 2)"
  const filled = `CASE WHEN keys IS NULL THEN NULL WHEN len(keys) = 0 THEN '{' || ${missing} || '}' WHEN ${missing} = '' THEN raw ELSE '{' || ${missing} || ',' || ${rest} END`
  return {
    sql: `SELECT r, CASE WHEN r IS NULL THEN line END AS raw FROM (SELECT line, ${first} AS r FROM (SELECT line, ${present.length === 0 ? 'NULL' : s} AS s FROM (${linesQuery})))`,
    secondChance: (lines) =>
      `SELECT place, raw, ${rowOf(fields, isNamed)} AS r FROM (SELECT place, raw, keys, ${strict('filled', fields)} AS s FROM (SELECT place, raw, keys, ${filled} AS filled FROM (` +
      `SELECT place, raw, CASE WHEN type = 'OBJECT' AND list_has_all(${names}::JSON::VARCHAR[], keys) THEN keys END AS keys FROM (` +
      // One thing inside each TRY: what stands in it twice, the engine works out before and outside of it.
      `SELECT place, raw, TRY(json_type(raw)) AS type, TRY(json_keys(raw)) AS keys FROM (${lines})))))`,
    firstLine: 1,
  }
}

/**
 * A row out of `s`, a struct of the fields that are present. NULL where a value does not fit, or one that must be there is not.
 *
 * @param isPresent the condition that a line has the field: `true`, `false`, or one to look at for each line.
 */
function rowOf(fields: readonly InputField[], isPresent: (f: InputField) => string): string {
  const members: string[] = []
  const conditions = ['s IS NOT NULL']
  for (const f of fields) {
    const present = isPresent(f)
    const value = `s.${ident(f.name)}`
    const given = present === 'false' ? missingOf(f) : textOrValue(f, value)
    members.push(
      `${ident(f.name)} := ${present === 'true' || present === 'false' ? given : `CASE WHEN ${present} THEN ${given} ELSE ${missingOf(f)} END`}`,
    )
    if (present !== 'false' && isWhole(f)) conditions.push(fitsWhole(value, f))
    if (f.nullable) continue
    if (present === 'true') conditions.push(`${value} IS NOT NULL`)
    else if (f.missing === undefined) conditions.push('false')
    else if (present !== 'false') conditions.push(`(NOT ${present} OR ${value} IS NOT NULL)`)
  }
  return `CASE WHEN ${conditions.join(' AND ')} THEN struct_pack(${members.join(', ')}) END`
}

export function missingOf(f: InputField): string {
  return f.missing ?? `NULL::${duckdbType(f.type)}`
}

/** Columns that must be there, and have no default. */
export function required(fields: readonly InputField[], present: readonly string[]): readonly InputField[] {
  return fields.filter((f) => !f.nullable && (present.includes(f.name) || f.missing === undefined))
}

/** The engine rounds 1.5 to a whole number, and takes true for 1. So whole numbers come as text, and are looked at. */
function asText(f: StructField): StructField {
  return isWhole(f) ? { ...f, type: 'string' } : f
}

function textOrValue(f: StructField, value: string): string {
  return isWhole(f) ? `TRY_CAST(${value} AS ${duckdbType(f.type)})` : value
}

function isWhole({ type }: StructField): boolean {
  return type === 'long' || type === 'integer' || type === 'short' || type === 'byte'
}

/** Whether a text is NULL or a whole number of the column's range, however it is written. */
function fitsWhole(text: string, f: StructField): string {
  const value = `TRY_CAST(${text} AS ${duckdbType(f.type)})`
  const plain = `NOT (contains(${text}, '.') OR contains(lower(${text}), 'e'))`
  return `(${text} IS NULL OR (${value} IS NOT NULL AND (${plain} OR ${value} = TRY_CAST(${text} AS DOUBLE))))`
}

/** Whether structs hold no field that the table does not have: the engine would drop it quietly. */
function nestedAreKnown(line: string, fields: readonly StructField[]): string {
  const conditions = fields
    .flatMap((f) => structsIn(f.type, `$.${JSON.stringify(f.name)}`))
    .map(({ path, names, isMany }) => {
      const keys = `json_keys(${line}, ${literal(path)})`
      return `coalesce(list_has_all([${names.map(literal).join(', ')}], ${isMany ? `flatten(${keys})` : keys}), true)`
    })
  return conditions.join(' AND ') || 'true'
}

function structsIn(type: DataType, path: string): { path: string; names: readonly string[]; isMany: boolean }[] {
  if (typeof type === 'string') return []
  switch (type.type) {
    case 'struct':
      return [
        { path, names: type.fields.map((f) => f.name), isMany: path.includes('*') },
        ...type.fields.flatMap((f) => structsIn(f.type, `${path}.${JSON.stringify(f.name)}`)),
      ]
    case 'array':
      return structsIn(type.elementType, `${path}[*]`)
    case 'map':
      return structsIn(type.valueType, `${path}.*`)
  }
}

/** Comma-separated values with a header. Empty is NULL. */
export function csvReader(file: string, fields: readonly InputField[], dialect: CsvDialect): RowReader {
  const { header } = dialect
  if (header.length === 0) return { sql: `SELECT NULL::${rowType(fields)} AS r, NULL::VARCHAR AS raw WHERE false`, firstLine: 1 }
  const members = fields.map((f) => {
    const type = duckdbType(f.type)
    return `${ident(f.name)} := ${header.includes(f.name) ? `TRY_CAST(${ident(f.name)} AS ${type})` : missingOf(f)}`
  })
  const given = fields.filter((f) => header.includes(f.name) && f.type !== 'string')
  const misfits = given.map((f) =>
    isWhole(f)
      ? `NOT ${fitsWhole(ident(f.name), f)}`
      : `(${ident(f.name)} IS NOT NULL AND TRY_CAST(${ident(f.name)} AS ${duckdbType(f.type)}) IS NULL)`,
  )
  const missing = required(fields, header).map((f) => (header.includes(f.name) ? `${ident(f.name)} IS NULL` : 'true'))
  const bad = [...misfits, ...missing].join(' OR ') || 'false'
  const raw = `array_to_string([${header.map((name) => `coalesce(${ident(name)}, '')`).join(', ')}], ${literal(dialect.delimiter)})`
  return {
    // A row of empty values is a row all the same: its text must not be taken for a blank line.
    sql: `SELECT CASE WHEN NOT "__bad" THEN struct_pack(${members.join(', ')}) END AS r, CASE WHEN "__bad" THEN ${raw} || CASE WHEN ${raw} = '' THEN '""' ELSE '' END END AS raw FROM (SELECT *, (${bad}) AS "__bad" FROM ${csvScan(file, dialect)})`,
    firstLine: 2 + dialect.blankLines,
    linesOf: (places) => csvLinesOf(file, dialect, places),
    lineOf: (nth) => csvLineOf(file, nth),
  }
}

export function csvScan(file: string, dialect: CsvDialect): string {
  const columns = dialect.header.map((name) => `${literal(name)}: 'VARCHAR'`)
  return (
    `read_csv(${globLiteral(file)}, auto_detect = false, header = true, columns = {${columns.join(', ')}}, ` +
    `${csvOptions(dialect)}, strict_mode = true, max_line_size = ${LINE_BYTES_MAX})`
  )
}

/** Nothing is left to guessing: a guessed comment or preamble would drop rows without a word. */
export function csvOptions({ delimiter, blankLines }: CsvDialect): string {
  return `delim = ${literal(delimiter)}, quote = '"', escape = '"', comment = '', skip = ${blankLines}`
}

/** Parquet files; types are cast where that loses nothing. */
export function parquetReader(files: readonly string[], fields: readonly InputField[], present: readonly string[]): RowReader {
  const given = fields.filter((f) => present.includes(f.name))
  const members = fields.map(
    (f) => `${ident(f.name)} := ${given.includes(f) ? ident(f.name) : missingOf(f)}::${duckdbType(f.type)}`,
  )
  const misfits = given.filter(isWhole).map((f) => `${ident(f.name)}::${duckdbType(f.type)} <> ${ident(f.name)}`)
  const missing = required(fields, present).map((f) => (given.includes(f) ? `${ident(f.name)} IS NULL` : 'true'))
  const conditions = [...misfits, ...missing].map((condition) => `coalesce(${condition}, false)`).join(' OR ')
  const row = `struct_pack(${members.join(', ')})`
  const sql =
    conditions === ''
      ? `SELECT ${row} AS r, NULL::VARCHAR AS raw FROM ${parquetScan(files)}`
      : `SELECT CASE WHEN NOT "__bad" THEN ${row} END AS r, CASE WHEN "__bad" THEN to_json("__row")::VARCHAR END AS raw FROM (SELECT *, (${conditions}) AS "__bad", "__row" FROM ${parquetScan(files)} AS "__row")`
  return { sql, firstLine: 1 }
}

export function parquetScan(files: readonly string[]): string {
  return `read_parquet([${files.map(globLiteral).join(', ')}], hive_partitioning = false)`
}

/**
 * Refuses columns that the table does not have: dropping them quietly would lose data.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH`.
 */
export function checkColumns(given: readonly string[], fields: readonly StructField[], format: InputFormat): void {
  const unknown = given.filter((name) => !fields.some((f) => f.name === name))
  if (unknown.length > 0)
    throw new DeltaError(
      'SCHEMA_MISMATCH',
      'the data has columns that the table does not have',
      { columns: unknown.join(', '), format },
      {
        hint: `the table has ${fields.map((f) => f.name).join(', ')}`,
      },
    )
}

export function rowType(fields: readonly StructField[]): string {
  return `STRUCT(${fields.map((f) => `${ident(f.name)} ${duckdbType(f.type)}`).join(', ')})`
}
