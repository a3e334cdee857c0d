import Table from 'cli-table3'
import { UsageError } from '../errors.js'
import type { OutputFormat } from '../settings.js'

/** What a cell may hold; absent values print as nothing, or as null in JSON. */
export type Cell = string | number | bigint | boolean | null | undefined | readonly string[] | Readonly<Record<string, unknown>>

export interface Column<Row> {
  readonly name: string
  /** The exact value, for programs. */
  readonly value: (row: Row) => Cell
  /** The same for people. @defaultValue the exact value as text */
  readonly show?: ((row: Row) => string) | undefined
  /** Whether it lines up at its last digit. */
  readonly isNumber?: boolean | undefined
}

/** Prints a small relation in any format; each ends with a newline. For people in tables, exact elsewhere. */
export function formatRelation<Row>(columns: readonly Column<Row>[], rows: readonly Row[], format: OutputFormat): string {
  const objects = () => rows.map((row) => Object.fromEntries(columns.map(({ name, value }) => [name, value(row) ?? null])))
  const shown = (row: Row) => columns.map((column) => column.show?.(row) ?? plain(column.value(row)))
  switch (format) {
    case 'json':
      return `${toJson(objects())}\n`
    case 'ndjson':
      return objects()
        .map((object) => `${toJson(object)}\n`)
        .join('')
    case 'csv':
      return [columns.map(({ name }) => name), ...rows.map((row) => columns.map(({ value }) => plain(value(row))))]
        .map((cells) => `${cells.map(csvCell).join(',')}\n`)
        .join('')
    case 'markdown':
      return markdown(columns, rows.map(shown))
    case 'table':
      return boxed(columns, rows.map(shown))
    case 'arrow':
    case 'parquet':
      throw new UsageError(`--output ${format} is for the answers of queries`, 'deltaic sql, at, diff and export have them')
  }
}

/** Numbers past 2^53 are written with all their digits. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, (_, entry: unknown) => (typeof entry === 'bigint' ? rawNumber(entry) : entry), indent)
}

function rawNumber(value: bigint): number | string {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value.toString()
}

function plain(value: Cell): string {
  if (value === undefined || value === null) return ''
  if (typeof value !== 'object') return String(value)
  return Array.isArray(value) ? value.join(', ') : toJson(value)
}

function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function markdown<Row>(columns: readonly Column<Row>[], lines: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |\n`
  const rule = line(columns.map(({ isNumber }) => (isNumber ? '---:' : '---')))
  return line(columns.map(({ name }) => name)) + rule + lines.map(line).join('')
}

function boxed<Row>(columns: readonly Column<Row>[], lines: readonly (readonly string[])[]): string {
  const table = new Table({
    head: columns.map(({ name }) => name),
    colAligns: columns.map(({ isNumber }) => (isNumber ? 'right' : 'left')),
    style: { head: [], border: [], compact: true },
  })
  table.push(...lines.map((line) => [...line]))
  return `${table.toString()}\n`
}
