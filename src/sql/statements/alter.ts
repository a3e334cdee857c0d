import type { Cursor } from '../cursor.js'
import {
  type AddColumn,
  type ColumnPosition,
  type Constraint,
  type CreateColumn,
  readAddColumn,
  readConstraint,
  readCreateColumn,
  readDefault,
  readPosition,
  readType,
} from './columns.js'
import { type ColumnPath, readClusterBy, readColumnPath, readTableName, type TableName } from './names.js'
import { readProperties, readPropertyKey } from './properties.js'
import { unsupported } from './unsupported.js'

export interface AlterTable {
  readonly kind: 'alterTable'
  readonly table: TableName
  readonly change: TableChange
}

export type TableChange =
  | { readonly kind: 'addColumns'; readonly columns: readonly AddColumn[] }
  | { readonly kind: 'dropColumns'; readonly columns: readonly ColumnPath[]; readonly ifExists: boolean }
  | { readonly kind: 'renameColumn'; readonly column: ColumnPath; readonly to: string }
  | { readonly kind: 'alterColumns'; readonly changes: readonly ColumnChange[] }
  | { readonly kind: 'replaceColumns'; readonly columns: readonly CreateColumn[] }
  | { readonly kind: 'setProperties'; readonly properties: Readonly<Record<string, string>> }
  | { readonly kind: 'unsetProperties'; readonly keys: readonly string[]; readonly ifExists: boolean }
  | { readonly kind: 'addConstraint'; readonly constraint: Constraint }
  | { readonly kind: 'dropConstraint'; readonly name: string; readonly ifExists: boolean }
  /** No columns for CLUSTER BY NONE. */
  | { readonly kind: 'clusterBy'; readonly columns: readonly ColumnPath[] }
  | { readonly kind: 'dropFeature'; readonly feature: string; readonly truncateHistory: boolean }
  | { readonly kind: 'rename'; readonly to: TableName }
  /** `undefined` for NULL. */
  | { readonly kind: 'setComment'; readonly comment: string | undefined }

/** A column, and what becomes of it. */
export interface ColumnChange {
  readonly column: ColumnPath
  readonly change:
    | { readonly kind: 'type'; readonly type: string }
    | { readonly kind: 'nullable'; readonly nullable: boolean }
    | { readonly kind: 'comment'; readonly comment: string }
    /** `undefined` for DROP DEFAULT. */
    | { readonly kind: 'default'; readonly expression: string | undefined }
    | { readonly kind: 'position'; readonly position: ColumnPosition }
    | { readonly kind: 'syncIdentity' }
}

/** Behind ALTER. */
export function readAlter(cursor: Cursor): AlterTable {
  if (!cursor.accept('table')) throw unsupported(`ALTER ${cursor.peek()?.text.toUpperCase() ?? ''}`.trim())
  const table = readTableName(cursor)
  const change = readChange(cursor)
  cursor.end()
  return { kind: 'alterTable', table, change }
}

/** `ON TABLE t IS '…'`, behind COMMENT. */
export function readComment(cursor: Cursor): AlterTable {
  cursor.expect('on')
  if (!cursor.accept('table')) throw unsupported(`COMMENT ON ${cursor.peek()?.text.toUpperCase() ?? ''}`.trim())
  const table = readTableName(cursor)
  cursor.expect('is')
  const comment = cursor.accept('null') ? undefined : cursor.string('a comment in quotes')
  cursor.end()
  return { kind: 'alterTable', table, change: { kind: 'setComment', comment } }
}

function readChange(cursor: Cursor): TableChange {
  if (cursor.accept('add')) return readAdd(cursor)
  if (cursor.accept('drop')) return readDrop(cursor)
  if (cursor.accept('rename', 'to')) return { kind: 'rename', to: readTableName(cursor) }
  if (cursor.accept('rename', 'column')) {
    const column = readColumnPath(cursor)
    cursor.expect('to')
    return { kind: 'renameColumn', column, to: cursor.identifier('a new name') }
  }
  if (cursor.accept('replace')) {
    if (!cursor.accept('columns')) cursor.expect('column')
    return { kind: 'replaceColumns', columns: cursor.list(() => readCreateColumn(cursor)) }
  }
  if (cursor.accept('set', 'tblproperties')) return { kind: 'setProperties', properties: readProperties(cursor) }
  if (cursor.accept('unset')) {
    cursor.expect('tblproperties')
    const ifExists = cursor.accept('if', 'exists')
    return { kind: 'unsetProperties', keys: cursor.list(() => readPropertyKey(cursor)), ifExists }
  }
  if (cursor.accept('cluster', 'by')) return { kind: 'clusterBy', columns: readClusterBy(cursor) }
  if (cursor.accept('alter') || cursor.accept('change')) return readAlterColumns(cursor)
  throw cursor.unexpected('ADD, DROP, RENAME, ALTER COLUMN, CHANGE COLUMN, REPLACE COLUMNS, SET, UNSET or CLUSTER BY')
}

function readAdd(cursor: Cursor): TableChange {
  if (cursor.accept('constraint')) return { kind: 'addConstraint', constraint: readConstraint(cursor) }
  if (cursor.isAt('partition', 'feature')) throw unsupported(`ALTER TABLE … ADD ${cursor.peek()?.text.toUpperCase() ?? ''}`)
  if (!cursor.accept('columns') && !cursor.accept('column')) throw cursor.unexpected('COLUMN, COLUMNS or CONSTRAINT')
  return { kind: 'addColumns', columns: listOrOne(cursor, () => readAddColumn(cursor)) }
}

function readDrop(cursor: Cursor): TableChange {
  if (cursor.accept('constraint')) {
    const ifExists = cursor.accept('if', 'exists')
    return { kind: 'dropConstraint', name: cursor.identifier('a constraint'), ifExists }
  }
  if (cursor.accept('feature')) {
    const quoted = cursor.peek()?.kind === 'string'
    const feature = quoted ? cursor.string('a feature') : cursor.identifier('a feature')
    return { kind: 'dropFeature', feature, truncateHistory: cursor.accept('truncate', 'history') }
  }
  if (!cursor.accept('columns') && !cursor.accept('column')) throw cursor.unexpected('COLUMN, COLUMNS, CONSTRAINT or FEATURE')
  const ifExists = cursor.accept('if', 'exists')
  return { kind: 'dropColumns', columns: listOrOne(cursor, () => readColumnPath(cursor)), ifExists }
}

/** `ALTER [COLUMN] a TYPE t, b COMMENT '…'`; `CHANGE COLUMN a a t COMMENT '…' FIRST` as Hive has it. */
function readAlterColumns(cursor: Cursor): TableChange {
  if (!cursor.accept('column')) cursor.accept('columns')
  const changes: ColumnChange[] = []
  do changes.push(...readColumnChange(cursor))
  while (cursor.accept(','))
  return { kind: 'alterColumns', changes }
}

function readColumnChange(cursor: Cursor): readonly ColumnChange[] {
  const column = readColumnPath(cursor)
  const one = (change: ColumnChange['change']): readonly ColumnChange[] => [{ column, change }]
  if (cursor.accept('type')) return one({ kind: 'type', type: readType(cursor) })
  if (cursor.accept('set', 'not', 'null')) return one({ kind: 'nullable', nullable: false })
  if (cursor.accept('drop', 'not', 'null')) return one({ kind: 'nullable', nullable: true })
  if (cursor.accept('set', 'default')) return one({ kind: 'default', expression: readDefault(cursor) })
  if (cursor.accept('drop', 'default')) return one({ kind: 'default', expression: undefined })
  if (cursor.accept('sync', 'identity')) return one({ kind: 'syncIdentity' })
  if (cursor.accept('set', 'data', 'type')) return one({ kind: 'type', type: readType(cursor) })
  const described = readDescription(cursor, column)
  if (described.length > 0) return described
  const name = cursor.peek()
  if (name?.kind !== 'word' && name?.kind !== 'quoted') throw cursor.unexpected('TYPE, SET, DROP, COMMENT, FIRST or AFTER')
  const renamed = cursor.identifier('a column')
  if (renamed.toLowerCase() !== column.at(-1)?.toLowerCase())
    throw unsupported('CHANGE COLUMN that renames', 'write RENAME COLUMN a TO b')
  return [...one({ kind: 'type', type: readType(cursor) }), ...readDescription(cursor, column)]
}

function readDescription(cursor: Cursor, column: ColumnPath): readonly ColumnChange[] {
  const changes: ColumnChange[] = []
  for (;;) {
    if (cursor.accept('comment'))
      changes.push({ column, change: { kind: 'comment', comment: cursor.string('a comment in quotes') } })
    const position = readPosition(cursor)
    if (position) changes.push({ column, change: { kind: 'position', position } })
    if (!cursor.isAt('comment', 'first', 'after')) return changes
  }
}

/** `(a, b)` or `a, b`. */
function listOrOne<T>(cursor: Cursor, item: () => T): readonly T[] {
  if (cursor.isAt('(')) return cursor.list(item)
  const items = [item()]
  while (cursor.accept(',')) items.push(item())
  return items
}
