import { DeltaError } from '../base/errors.js'
import { globLiteral, ident, literal } from '../engine/sql-text.js'
import { duckdbType, jsonStructure } from '../engine/types.js'
import { field, type StructField } from '../protocol/schema.js'
import type { InputFormat } from './formats.js'

/** How the lines of a file become rows. */
export interface RowReader {
  /** A query with `r`, a row as a struct of all the table's columns, NULL for a line that is no row; and `raw`, that line. */
  readonly sql: string
  /** An expression over `raw` that reads rows with fewer fields than the others; NULL for a line that is no row. */
  readonly secondChance?: string | undefined
  /** The number of the first row's line. */
  readonly firstLine: number
}

const LINE_BYTES_MAX = 16 * 1024 * 1024

/** The lines of a text file as they come, blank ones as NULL. */
export function lines(file: string): string {
  return (
    `read_csv(${globLiteral(file)}, columns = {'line': 'VARCHAR'}, delim = '\\x01', quote = '', escape = '', header = false, ` +
    `auto_detect = false, max_line_size = ${LINE_BYTES_MAX}, strict_mode = false)`
  )
}

/**
 * JSON objects, one a line. A row has exactly the fields of the first line, or, at the second chance, any of the table's:
 * so the common case is strict and costs one parse, and a field that is missing is NULL.
 *
 * @param firstFields the first line's fields, all of them the table's.
 */
export function ndjsonReader(file: string, fields: readonly StructField[], firstFields: readonly string[]): RowReader {
  return jsonReader(`SELECT line FROM ${lines(file)}`, fields, firstFields)
}

/** One JSON array of objects, or one object. */
export function jsonArrayReader(file: string, fields: readonly StructField[], firstFields: readonly string[]): RowReader {
  const objects = `SELECT json::VARCHAR AS line FROM read_json_objects(${globLiteral(file)}, maximum_object_size = ${LINE_BYTES_MAX})`
  return jsonReader(objects, fields, firstFields)
}

function jsonReader(linesQuery: string, fields: readonly StructField[], firstFields: readonly string[]): RowReader {
  const present = fields.filter((f) => firstFields.includes(f.name))
  const row = rowType(fields)
  const strict = (line: string, some: readonly StructField[]) => `json_transform_strict(${line}, ${literal(jsonStructure(some))})`
  const known = `[${fields.map((f) => literal(f.name)).join(', ')}]`
  const nulls = literal(JSON.stringify(Object.fromEntries(fields.map((f) => [f.name, null]))))
  const r = `TRY(CASE WHEN len(json_keys(line)) = ${present.length} THEN ${strict('line', present)} END)`
  return {
    sql: `SELECT r${present.length === fields.length ? '' : `::${row} AS r`}, CASE WHEN r IS NULL THEN line END AS raw FROM (SELECT line, ${present.length === 0 ? `NULL::${row}` : r} AS r FROM (${linesQuery}))`,
    secondChance:
      `TRY(CASE WHEN json_type(raw) = 'OBJECT' AND list_has_all(${known}, json_keys(raw)) ` +
      `THEN ${strict(`json_merge_patch(${nulls}, raw)`, fields)} END)::${row}`,
    firstLine: 1,
  }
}

/** The columns of an access log, in Apache's common and combined formats. */
export const ACCESS_LOG_FIELDS: readonly StructField[] = [
  field('time', 'timestamp'),
  field('address', 'string'),
  field('remote_user', 'string'),
  field('method', 'string'),
  field('path', 'string'),
  field('query', 'string'),
  field('protocol', 'string'),
  field('status', 'integer'),
  field('bytes', 'long'),
  field('referrer', 'string'),
  field('user_agent', 'string'),
]

const QUOTED = '"((?:[^"\\\\]|\\\\.)*)"'
const COMMON = `^(\\S+) (\\S+) (.+?) \\[([^\\]]+)\\] ${QUOTED} (\\d{3}) (\\d+|-)`
const GROUPS = ['address', 'ident', 'remote_user', 'time', 'request', 'status', 'bytes']

/**
 * A web server's access log. `-` is NULL; the request splits into method, path, query and protocol, and one that has
 * no such parts is kept whole as the path.
 */
export function accessLogReader(file: string, fields: readonly StructField[], format: 'clf' | 'combined'): RowReader {
  const pattern = format === 'clf' ? `${COMMON}\\s*$` : `${COMMON} ${QUOTED} ${QUOTED}\\s*$`
  const groups = format === 'clf' ? GROUPS : [...GROUPS, 'referrer', 'user_agent']
  const value = (name: string) => `nullif(m.${ident(name)}, '-')`
  const parsed: Readonly<Record<string, string>> = {
    time: 't',
    address: value('address'),
    remote_user: value('remote_user'),
    method: "nullif(q.method, '')",
    path: "coalesce(nullif(q.path, ''), nullif(m.request, '-'))",
    query: "nullif(q.query, '')",
    protocol: "nullif(q.protocol, '')",
    status: 'TRY_CAST(m.status AS INTEGER)',
    bytes: `TRY_CAST(${value('bytes')} AS BIGINT)`,
    referrer: format === 'clf' ? 'NULL' : value('referrer'),
    user_agent: format === 'clf' ? 'NULL' : value('user_agent'),
  }
  const request = `regexp_extract(m.request, '^([A-Z]+) ([^ ?]+)(?:\\?(\\S*))?(?: (HTTP/[0-9.]+))?$', ['method', 'path', 'query', 'protocol'])`
  const members = fields.map((f) => `${ident(f.name)} := (${parsed[f.name] ?? 'NULL'})::${duckdbType(f.type)}`)
  const r = `CASE WHEN matched AND t IS NOT NULL THEN struct_pack(${members.join(', ')}) END`
  return {
    sql:
      `SELECT r, CASE WHEN r IS NULL THEN line END AS raw FROM (SELECT line, ${r} AS r FROM (SELECT *, ${request} AS q, ` +
      "try_strptime(m.time, '%d/%b/%Y:%H:%M:%S %z') AS t FROM (SELECT line, regexp_matches(line, $pattern$" +
      `${pattern}$pattern$) AS matched, regexp_extract(line, $pattern$${pattern}$pattern$, ${list(groups)}) AS m FROM ${lines(file)})))`,
    firstLine: 1,
  }
}

/** Comma-separated values with a header. Empty is NULL. */
export function csvReader(file: string, fields: readonly StructField[], header: readonly string[]): RowReader {
  const members = fields.map((f) => {
    const type = duckdbType(f.type)
    return `${ident(f.name)} := ${header.includes(f.name) ? `TRY_CAST(${ident(f.name)} AS ${type})` : `NULL::${type}`}`
  })
  const given = fields.filter((f) => header.includes(f.name) && f.type !== 'string')
  const bad =
    given
      .map((f) => `(${ident(f.name)} IS NOT NULL AND TRY_CAST(${ident(f.name)} AS ${duckdbType(f.type)}) IS NULL)`)
      .join(' OR ') || 'false'
  const raw = `concat_ws(',', ${header.map(ident).join(', ')})`
  return {
    sql: `SELECT CASE WHEN NOT bad THEN struct_pack(${members.join(', ')}) END AS r, CASE WHEN bad THEN ${raw} END AS raw FROM (SELECT *, (${bad}) AS bad FROM ${csvScan(file)})`,
    firstLine: 2,
  }
}

export function csvScan(file: string): string {
  return `read_csv(${globLiteral(file)}, header = true, all_varchar = true, max_line_size = ${LINE_BYTES_MAX})`
}

/** Parquet files; types are cast where that loses nothing. */
export function parquetReader(files: readonly string[], fields: readonly StructField[], present: readonly string[]): RowReader {
  const members = fields.map(
    (f) => `${ident(f.name)} := ${present.includes(f.name) ? ident(f.name) : 'NULL'}::${duckdbType(f.type)}`,
  )
  return { sql: `SELECT struct_pack(${members.join(', ')}) AS r, NULL::VARCHAR AS raw FROM ${parquetScan(files)}`, firstLine: 1 }
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

function list(names: readonly string[]): string {
  return `[${names.map(literal).join(', ')}]`
}
