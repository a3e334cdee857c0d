import type { Cursor } from '../cursor.js'
import {
  type AsOfRef,
  type ColumnPath,
  readAsOf,
  readColumnPath,
  readTableName,
  readTableOrPath,
  type TableName,
} from './names.js'

export interface Optimize {
  readonly kind: 'optimize'
  readonly table: TableName
  /** Whether what is clustered already is clustered again. */
  readonly full: boolean
  readonly where: string | undefined
  readonly zorderBy: readonly ColumnPath[]
}

/** `REORG TABLE t APPLY (PURGE)`: writes deleted rows and dropped columns out of the files. */
export interface Reorg {
  readonly kind: 'reorg'
  readonly table: TableName
  readonly where: string | undefined
}

export interface Vacuum {
  readonly kind: 'vacuum'
  readonly table: TableName
  /** `lite` looks for files in the log alone, `full` in the folder. */
  readonly mode: 'lite' | 'full'
  readonly retainHours: number | undefined
  readonly dryRun: boolean
}

export interface Restore {
  readonly kind: 'restore'
  readonly table: TableName
  readonly asOf: AsOfRef
}

/** `UNDO TABLE t VERSIONS a TO b`: takes back what these commits added. */
export interface Undo {
  readonly kind: 'undo'
  readonly table: TableName
  readonly versions: { readonly from: number; readonly to: number }
  readonly where: string | undefined
  readonly changed: 'keep' | 'remove'
  readonly dryRun: boolean
  readonly views: 'check' | 'skip'
}

/** `FSCK REPAIR TABLE t`: drops references to files that are missing. */
export interface Fsck {
  readonly kind: 'fsck'
  readonly table: TableName
  readonly dryRun: boolean
}

export interface Checkpoint {
  readonly kind: 'checkpoint'
  readonly table: TableName
}

/** `GENERATE symlink_format_manifest FOR TABLE t` */
export interface Generate {
  readonly kind: 'generate'
  readonly table: TableName
  /** In lower case. */
  readonly what: string
}

/** Behind OPTIMIZE. */
export function readOptimize(cursor: Cursor): Optimize {
  const table = readTableOrPath(cursor)
  const full = cursor.accept('full')
  const where = cursor.accept('where') ? cursor.textUntil('a condition', () => cursor.isAt('zorder')) : undefined
  const zorderBy = cursor.accept('zorder') ? readZorder(cursor) : []
  cursor.end()
  return { kind: 'optimize', table, full, where, zorderBy }
}

function readZorder(cursor: Cursor): readonly ColumnPath[] {
  cursor.expect('by')
  if (cursor.isAt('(')) return cursor.list(() => readColumnPath(cursor))
  const columns = [readColumnPath(cursor)]
  while (cursor.accept(',')) columns.push(readColumnPath(cursor))
  return columns
}

/** Behind REORG. */
export function readReorg(cursor: Cursor): Reorg {
  cursor.accept('table')
  const table = readTableName(cursor)
  const where = cursor.accept('where') ? cursor.textUntil('a condition', () => cursor.isAt('apply')) : undefined
  cursor.expect('apply')
  cursor.expect('(')
  cursor.expect('purge')
  cursor.expect(')')
  cursor.end()
  return { kind: 'reorg', table, where }
}

/** Behind VACUUM; its clauses come in any order. */
export function readVacuum(cursor: Cursor): Vacuum {
  const table = readTableOrPath(cursor)
  let mode: Vacuum['mode'] = 'full'
  let retainHours: number | undefined
  let dryRun = false
  while (!cursor.done) {
    if (cursor.accept('lite')) mode = 'lite'
    else if (cursor.accept('full')) mode = 'full'
    else if (cursor.accept('dry', 'run')) dryRun = true
    else if (cursor.accept('retain')) {
      retainHours = cursor.number('a number of hours')
      cursor.expect('hours')
    } else throw cursor.unexpected('LITE, FULL, RETAIN n HOURS or DRY RUN')
  }
  return { kind: 'vacuum', table, mode, retainHours, dryRun }
}

/** Behind RESTORE. */
export function readRestore(cursor: Cursor): Restore {
  cursor.accept('table')
  const table = readTableOrPath(cursor)
  cursor.accept('to')
  const asOf = readAsOf(cursor)
  if (!asOf) throw cursor.unexpected('VERSION AS OF or TIMESTAMP AS OF')
  cursor.end()
  return { kind: 'restore', table, asOf }
}

/** Behind UNDO. */
export function readUndo(cursor: Cursor): Undo {
  cursor.accept('table')
  const table = readTableName(cursor)
  const isOne = cursor.accept('version')
  if (!isOne) cursor.expect('versions')
  const from = cursor.number('a version')
  const to = !isOne && cursor.accept('to') ? cursor.number('a version') : from
  const where = cursor.accept('where') ? cursor.textUntil('a condition', () => isAtUndoClause(cursor)) : undefined
  let changed: Undo['changed'] = 'keep'
  let dryRun = false
  let views: Undo['views'] = 'check'
  while (!cursor.done) {
    if (cursor.accept('dry', 'run')) dryRun = true
    else if (cursor.accept('without', 'views')) views = 'skip'
    else if (cursor.accept('remove', 'changed')) changed = 'remove'
    else if (!cursor.accept('keep', 'changed'))
      throw cursor.unexpected('WHERE, KEEP CHANGED, REMOVE CHANGED, WITHOUT VIEWS or DRY RUN')
  }
  return { kind: 'undo', table, versions: { from, to }, where, changed, dryRun, views }
}

function isAtUndoClause(cursor: Cursor): boolean {
  const next = cursor.peek(1)?.value
  if (cursor.isAt('dry')) return next === 'run'
  if (cursor.isAt('without')) return next === 'views'
  return cursor.isAt('keep', 'remove') && next === 'changed'
}

/** Behind FSCK. */
export function readFsck(cursor: Cursor): Fsck {
  cursor.expect('repair', 'table')
  const table = readTableOrPath(cursor)
  const dryRun = cursor.accept('dry', 'run')
  cursor.end()
  return { kind: 'fsck', table, dryRun }
}

/** Behind CHECKPOINT. */
export function readCheckpoint(cursor: Cursor): Checkpoint {
  const table = readTableOrPath(cursor)
  cursor.end()
  return { kind: 'checkpoint', table }
}

/** Behind GENERATE. */
export function readGenerate(cursor: Cursor): Generate {
  const what = cursor.identifier('symlink_format_manifest').toLowerCase()
  cursor.expect('for', 'table')
  const table = readTableOrPath(cursor)
  cursor.end()
  return { kind: 'generate', table, what }
}
