import { DeltaError } from '../base/errors.js'
import { Cursor } from './cursor.js'
import { readTableName, type TableName } from './statements/names.js'
import { type Token, tokenize } from './tokens.js'

/** A call of `table_changes('t', from[, to])`, with both versions or times included. */
export interface TableChangesCall {
  readonly table: TableName
  readonly from: string
  /** `undefined` for the newest version. */
  readonly to: string | undefined
  readonly endExclusive: number
}

const FUNCTIONS = ['table_changes', 'table_changes_by_path']

/**
 * Reads `table_changes('t', 3, 9)` or `table_changes_by_path('/a/t', 3)` where the token at `at` begins one. The table may
 * also be written `'delta.`/a/t`'`.
 *
 * @throws {DeltaError} `SQL_INVALID` with the position marked.
 */
export function readTableChanges(text: string, tokens: readonly Token[], at: number): TableChangesCall | undefined {
  const token = tokens[at]
  const isCall = (token?.kind === 'word' || token?.kind === 'quoted') && FUNCTIONS.includes(token.value.toLowerCase())
  const before = tokens[at - 1]
  const cursor = new Cursor(text, tokens, [], at + 1)
  if (!token || !isCall || (before?.kind === 'symbol' && before.value === '.') || !cursor.accept('(')) return undefined
  const named = cursor.string('the name of a table in quotes')
  const table = token.value.toLowerCase() === 'table_changes' ? tableNamed(named) : { location: named }
  cursor.expect(',')
  const from = cursor.textUntil('a version or a time', () => cursor.isAt(','))
  const to = cursor.accept(',') ? cursor.textUntil('a version or a time', () => cursor.isAt(',')) : undefined
  const close = cursor.peek()
  cursor.expect(')')
  return { table, from, to, endExclusive: close?.endExclusive ?? text.length }
}

function tableNamed(name: string): TableName {
  const cursor = new Cursor(name, tokenize(name))
  const table = readTableName(cursor)
  if (!cursor.done) throw new DeltaError('SQL_INVALID', 'table_changes takes the name of a table', { name })
  return table
}
