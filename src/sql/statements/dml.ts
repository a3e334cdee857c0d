import type { Cursor } from '../cursor.js'
import { type ColumnPath, readAlias, readColumnPath, readTableName, type TableName } from './names.js'

export interface Delete {
  readonly kind: 'delete'
  readonly table: TableName
  readonly alias: string | undefined
  readonly where: string | undefined
}

/** A column and the expression for its new value; `undefined` is DEFAULT. */
export interface Assignment {
  readonly column: ColumnPath
  readonly value: string | undefined
}

export interface Update {
  readonly kind: 'update'
  readonly table: TableName
  readonly alias: string | undefined
  readonly set: readonly Assignment[]
  readonly where: string | undefined
}

export interface Truncate {
  readonly kind: 'truncate'
  readonly table: TableName
}

/** Behind DELETE. */
export function readDelete(cursor: Cursor): Delete {
  cursor.expect('from')
  const table = readTableName(cursor)
  const alias = readAlias(cursor, 'where')
  const where = readWhere(cursor)
  cursor.end()
  return { kind: 'delete', table, alias, where }
}

/** Behind UPDATE. */
export function readUpdate(cursor: Cursor): Update {
  const table = readTableName(cursor)
  const alias = readAlias(cursor, 'set')
  cursor.expect('set')
  const set = readAssignments(cursor, 'where')
  const where = readWhere(cursor)
  cursor.end()
  return { kind: 'update', table, alias, set, where }
}

/** Behind TRUNCATE. */
export function readTruncate(cursor: Cursor): Truncate {
  cursor.expect('table')
  const table = readTableName(cursor)
  cursor.end()
  return { kind: 'truncate', table }
}

/** `a.c = e, d = DEFAULT`, up to the word `before`. */
export function readAssignments(cursor: Cursor, before: string): readonly Assignment[] {
  const set: Assignment[] = []
  do {
    const column = readColumnPath(cursor)
    cursor.expect('=')
    set.push({ column, value: readValue(cursor, before) })
  } while (cursor.accept(','))
  return set
}

/** An expression; `undefined` for DEFAULT. */
export function readValue(cursor: Cursor, ...before: readonly string[]): string | undefined {
  const start = cursor.peek()
  const value = cursor.textUntil('an expression', () => cursor.isAt(',', ...before))
  return start?.kind === 'word' && value.toLowerCase() === 'default' ? undefined : value
}

function readWhere(cursor: Cursor): string | undefined {
  return cursor.accept('where') ? cursor.textUntil('a condition', () => false) : undefined
}
