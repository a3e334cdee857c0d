import { ident, literal } from '../engine/sql-text.js'
import type { ResultColumn } from './options.js'

/** Writes an answer to a file, rendered by the engine: no row is ever an object here. */
export function copySql(
  text: string,
  columns: readonly ResultColumn[],
  format: 'json' | 'ndjson' | 'csv' | 'parquet',
  file: string,
): string {
  const options = {
    json: 'FORMAT json, ARRAY true',
    ndjson: 'FORMAT json',
    csv: 'FORMAT csv, HEADER true',
    parquet: 'FORMAT parquet, COMPRESSION snappy',
  }[format]
  const render = format === 'parquet' ? (_: ResultColumn, name: string) => name : format === 'csv' ? renderTime : renderJson
  return `COPY (${renamed(text, columns, render)}) TO ${literal(file)} (${options})`
}

/** The first rows of an answer, each value as text. */
export function shownSql(text: string, columns: readonly ResultColumn[], rowsMax: number): string {
  return `${renamed(text, columns, (column, name) => `(${renderTime(column, name)})::VARCHAR`)} LIMIT ${rowsMax}`
}

/** Columns by place, since an answer may have two of one name; the second is called `name_1`. */
function renamed(text: string, columns: readonly ResultColumn[], render: (column: ResultColumn, name: string) => string): string {
  const taken = new Map<string, number>()
  const selected = columns.map((column, index) => {
    const times = taken.get(column.name.toLowerCase()) ?? 0
    taken.set(column.name.toLowerCase(), times + 1)
    return `${render(column, `c${index}`)} AS ${ident(times === 0 ? column.name : `${column.name}_${times}`)}`
  })
  return `SELECT ${selected.join(', ')} FROM (${text}\n) AS q(${columns.map((_, index) => `c${index}`).join(', ')})`
}

/** Times as ISO 8601, instants in UTC; infinities stay words. */
function renderTime({ type }: ResultColumn, name: string): string {
  if (type === 'TIMESTAMP WITH TIME ZONE') return finite(name, `strftime(${name} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')`)
  if (type === 'TIMESTAMP') return finite(name, `strftime(${name}, '%Y-%m-%dT%H:%M:%S.%f')`)
  return name
}

/** JSON has no NaN and no infinity: they are null, as `JSON.stringify` has it. */
function renderJson(column: ResultColumn, name: string): string {
  if (column.type === 'DOUBLE' || column.type === 'FLOAT') return `CASE WHEN isfinite(${name}) THEN ${name} END`
  return renderTime(column, name)
}

function finite(name: string, rendered: string): string {
  return `CASE WHEN isfinite(${name}) THEN ${rendered} ELSE ${name}::VARCHAR END`
}
