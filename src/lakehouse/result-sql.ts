import { ident, literal } from '../engine/sql-text.js'
import { jsonSql, timeSql } from './json-sql.js'
import type { ResultColumn } from './options.js'

/** Writes an answer to a file, rendered by the engine: no row is ever an object here. */
export function copySql(text: string, columns: readonly ResultColumn[], format: 'csv' | 'parquet', file: string): string {
  const options = { csv: 'FORMAT csv, HEADER true', parquet: 'FORMAT parquet, COMPRESSION snappy' }[format]
  const render = { csv: renderTime, parquet: renderParquet }[format]
  return `COPY (${renamed(text, columns, render)}) TO ${literal(file)} (${options})`
}

/** Each row as the text of a JSON object, between two further ones. */
export function jsonTextSql(text: string, columns: readonly ResultColumn[], before: string, after: string): string {
  const members = columns.map((column, index) => `${ident(column.name)} := ${renderJson(column, `c${index}`)}`)
  const pieces = [before && literal(before), `to_json(struct_pack(${members.join(', ')}))`, after && literal(after)].filter(
    Boolean,
  )
  return `SELECT ${pieces.join(' || ')} FROM (${text}\n) AS q(${columns.map((_, index) => `c${index}`).join(', ')})`
}

/** The first rows of an answer, each value as text. */
export function shownSql(text: string, columns: readonly ResultColumn[], rowsMax: number): string {
  return `${renamed(text, columns, (column, name) => `(${renderTime(column, name)})::VARCHAR`)} LIMIT ${rowsMax}`
}

/** An answer may have two columns of one name; the second goes by `name_1`. */
export function distinctNames(columns: readonly ResultColumn[]): readonly ResultColumn[] {
  const given = new Set(columns.map((column) => column.name.toLowerCase()))
  const taken = new Set<string>()
  return columns.map((column) => {
    let times = 0
    let name = column.name
    while (taken.has(name.toLowerCase()) || (times > 0 && given.has(name.toLowerCase()))) name = `${column.name}_${++times}`
    taken.add(name.toLowerCase())
    return times === 0 ? column : { ...column, name }
  })
}

/** The first rows of a query, in its order. */
export function limitedSql(text: string, rowsMax: number): string {
  return `SELECT * FROM (${text}\n) LIMIT ${rowsMax}`
}

/** The query with its columns under these names. */
export function namedSql(text: string, columns: readonly ResultColumn[]): string {
  return renamed(text, columns, (_, name) => name)
}

/** Variants leave as JSON, at every depth: no form of an answer has a type for them. */
export function withoutVariants(answer: { readonly text: string; readonly columns: readonly ResultColumn[] }): typeof answer {
  const columns = answer.columns.map((column) => ({ ...column, type: variantsAsJson(column.type) }))
  if (columns.every(({ type }, index) => type === answer.columns[index]?.type)) return answer
  // The engine's cast makes the text `null` of NULL.
  const cast = ({ type }: ResultColumn, name: string) => (type === 'JSON' ? `nullif(${name}::JSON, 'null')` : `${name}::${type}`)
  // By place: a query may have two columns of one name.
  const text = renamed(answer.text, columns, (column, name) => (column.type.includes('JSON') ? cast(column, name) : name))
  return { text, columns }
}

function variantsAsJson(type: string): string {
  return type.replace(/"(?:[^"]|"")*"|'(?:[^']|'')*'|\bVARIANT\b/g, (part) => (part === 'VARIANT' ? 'JSON' : part))
}

/** The query's columns by place, each rendered. */
function renamed(text: string, columns: readonly ResultColumn[], render: (column: ResultColumn, name: string) => string): string {
  const selected = columns.map((column, index) => `${render(column, `c${index}`)} AS ${ident(column.name)}`)
  return `SELECT ${selected.join(', ')} FROM (${text}\n) AS q(${columns.map((_, index) => `c${index}`).join(', ')})`
}

function renderTime({ type }: ResultColumn, name: string): string {
  return timeSql(type, name)
}

function renderJson({ type }: ResultColumn, name: string): string {
  return jsonSql(type, name)
}

/** Parquet has no whole numbers of 128 bits: the engine would write the nearest double. */
function renderParquet({ type }: ResultColumn, name: string): string {
  return type === 'HUGEINT' || type === 'UHUGEINT' ? `${name}::DECIMAL(38, 0)` : name
}
