import CliTable from 'cli-table3'
import type { ResultColumn } from './options.js'

const CELL_CHARACTERS_MAX = 200

/** An answer as a table for people: numbers to the right, NULL visible. Values come column by column. */
export function renderTable(
  columns: readonly ResultColumn[],
  values: readonly (readonly (string | null)[])[],
  isCut: boolean,
): string {
  const table = new CliTable({
    head: columns.map((column) => cell(column.name)),
    colAligns: columns.map((column) => (isNumeric(column.type) ? 'right' : 'left')),
    style: { head: [], border: [], compact: true },
  })
  const rows = values[0]?.length ?? 0
  for (let row = 0; row < rows; row++) table.push(values.map((column) => cell(column[row] ?? null)))
  return `${table.toString()}\n${footer(rows, isCut)}\n`
}

/** An answer as a Markdown table. */
export function renderMarkdown(
  columns: readonly ResultColumn[],
  values: readonly (readonly (string | null)[])[],
  isCut: boolean,
): string {
  const line = (cells: readonly string[]) => `| ${cells.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`
  const rows = values[0]?.length ?? 0
  const body = Array.from({ length: rows }, (_, row) => line(values.map((column) => cell(column[row] ?? null))))
  const rule = columns.map((column) => (isNumeric(column.type) ? '---:' : '---'))
  return `${[line(columns.map((column) => cell(column.name))), line(rule), ...body].join('\n')}\n${isCut ? `\n${footer(rows, isCut)}\n` : ''}`
}

function footer(rows: number, isCut: boolean): string {
  return `${rows.toLocaleString('en-US')} ${rows === 1 ? 'row' : 'rows'}${isCut ? ' shown, there are more' : ''}`
}

function cell(value: string | null): string {
  if (value === null) return 'NULL'
  const line = value.replace(/[\n\r\t]/g, ' ').replace(/\p{Cc}/gu, '\ufffd')
  return line.length > CELL_CHARACTERS_MAX ? `${line.slice(0, CELL_CHARACTERS_MAX).replace(/[\ud800-\udbff]$/, '')}…` : line
}

function isNumeric(type: string): boolean {
  return /^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DOUBLE|FLOAT|DECIMAL)/.test(type)
}
