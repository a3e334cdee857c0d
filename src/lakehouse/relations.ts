import { commandResult } from './query-runner.js'
import type { QueryResult } from './result.js'
import type { TableHost } from './table-host.js'

/** A relation of one row: `{ column: [type, value] }`. */
export function one(
  host: TableHost,
  row: Readonly<Record<string, readonly [type: string, value: unknown]>>,
): Promise<QueryResult> {
  const columns = Object.entries(row).map(([name, [type]]) => ({ name, type }))
  return commandResult(host, columns, [Object.fromEntries(Object.entries(row).map(([name, [, value]]) => [name, value]))])
}

/** A column of text. */
export function text(name: string) {
  return { name, type: 'VARCHAR' }
}
