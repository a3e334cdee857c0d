import { DeltaError } from '../../base/errors.js'
import type { Cursor } from '../cursor.js'

/** A table as SQL names it: one of the catalog, or a location. */
export type TableName = { readonly name: string } | { readonly location: string }

/** A column, from the outermost one to the field that is meant, as it is written: an alias of the table may come first. */
export type ColumnPath = readonly string[]

/** A version or a time that a statement names. */
export interface AsOfRef {
  readonly unit: 'version' | 'timestamp'
  /** An expression, in which parameters are those of the caller. */
  readonly expression: string
}

export function readTableName(cursor: Cursor): TableName {
  const name = cursor.identifier('a table')
  if (!cursor.accept('.')) return { name }
  const second = cursor.identifier('a table')
  if (name.toLowerCase() === 'delta') return { location: second }
  if (name.toLowerCase() === 'main' || name.toLowerCase() === 'default') return { name: second }
  throw new DeltaError(
    'TABLE_NOT_FOUND',
    'there is no such schema',
    { schema: name },
    { hint: 'tables of a lakehouse have no schema: use the name alone' },
  )
}

/** A table's name, or its location in quotes. */
export function readTableOrPath(cursor: Cursor): TableName {
  return cursor.peek()?.kind === 'string' ? { location: cursor.string('a table') } : readTableName(cursor)
}

export function readColumnPath(cursor: Cursor): ColumnPath {
  const path = [cursor.identifier('a column')]
  while (cursor.accept('.')) path.push(cursor.identifier('a field'))
  return path
}

/** `(a, b.c)` or `NONE`, behind CLUSTER BY; empty for NONE. */
export function readClusterBy(cursor: Cursor): readonly ColumnPath[] {
  return cursor.accept('none') ? [] : cursor.list(() => readColumnPath(cursor))
}

/** `[AS] alias`, where `before` are the words that may follow the table instead. */
export function readAlias(cursor: Cursor, ...before: readonly string[]): string | undefined {
  if (cursor.accept('as')) return cursor.identifier('an alias')
  const next = cursor.peek()
  const isAlias = next?.kind === 'quoted' || (next?.kind === 'word' && !before.includes(next.value))
  return isAlias ? cursor.identifier('an alias') : undefined
}

/** `VERSION AS OF n` or `TIMESTAMP AS OF t`, up to one of the words `before`; `undefined` when neither comes next. */
export function readAsOf(cursor: Cursor, ...before: readonly string[]): AsOfRef | undefined {
  cursor.accept('for')
  const unit = cursor.isAt('version', 'system_version')
    ? 'version'
    : cursor.isAt('timestamp', 'system_time')
      ? 'timestamp'
      : undefined
  if (!unit) return undefined
  cursor.next('VERSION or TIMESTAMP')
  cursor.expect('as', 'of')
  const expression = cursor.textUntil(unit === 'version' ? 'a version' : 'a time', () => cursor.isAt(...before))
  return { unit, expression }
}
