import { DeltaError } from '../../base/errors.js'
import type { Cursor } from '../cursor.js'
import { type ColumnPath, readClusterBy, readTableName, type TableName } from './names.js'
import { readProperties } from './properties.js'
import { unsupported } from './unsupported.js'

export interface CreateView {
  readonly kind: 'createView'
  readonly view: TableName
  readonly orReplace: boolean
  readonly ifNotExists: boolean
  readonly clusterBy: readonly ColumnPath[]
  readonly comment: string | undefined
  readonly properties: Readonly<Record<string, string>>
  /** The query that defines it. */
  readonly as: string
}

export interface DropView {
  readonly kind: 'dropView'
  readonly view: TableName
  readonly ifExists: boolean
}

/** `REFRESH MATERIALIZED VIEW v, … [FULL]` */
export interface RefreshViews {
  readonly kind: 'refreshViews'
  /** One at least. */
  readonly views: readonly TableName[]
  readonly full: boolean
}

/** `REBUILD MATERIALIZED VIEW v [AS query]` */
export interface RebuildView {
  readonly kind: 'rebuildView'
  readonly view: TableName
  /** The new definition; the old one without. */
  readonly as: string | undefined
}

export interface ShowViews {
  readonly kind: 'showViews'
}

export type ViewStatement = CreateView | DropView | RefreshViews | RebuildView | ShowViews

/** Behind CREATE [OR REPLACE] MATERIALIZED VIEW. */
export function readCreateView(cursor: Cursor, orReplace: boolean): CreateView {
  const ifNotExists = cursor.accept('if', 'not', 'exists')
  if (ifNotExists && orReplace)
    throw new DeltaError('SQL_INVALID', 'either OR REPLACE or IF NOT EXISTS, not both', {}, { hint: 'leave one of them out' })
  const view = readTableName(cursor)
  let clusterBy: readonly ColumnPath[] = []
  let comment: string | undefined
  let properties: Readonly<Record<string, string>> = {}
  while (!cursor.isAt('as')) {
    if (cursor.accept('cluster', 'by')) clusterBy = readClusterBy(cursor)
    else if (cursor.accept('comment')) comment = cursor.string('a comment in quotes')
    else if (cursor.accept('tblproperties')) properties = readProperties(cursor)
    else throw cursor.unexpected('CLUSTER BY, COMMENT, TBLPROPERTIES or AS')
  }
  cursor.expect('as')
  return { kind: 'createView', view, orReplace, ifNotExists, clusterBy, comment, properties, as: cursor.rest('a query') }
}

/** Behind DROP MATERIALIZED VIEW. */
export function readDropView(cursor: Cursor): DropView {
  const ifExists = cursor.accept('if', 'exists')
  const view = readTableName(cursor)
  cursor.end()
  return { kind: 'dropView', view, ifExists }
}

/** Behind REFRESH. */
export function readRefresh(cursor: Cursor): RefreshViews {
  if (!cursor.accept('materialized', 'view'))
    throw unsupported(
      `REFRESH ${cursor.peek()?.text.toUpperCase() ?? ''}`.trim(),
      'write REFRESH MATERIALIZED VIEW; tables are always fresh',
    )
  const views = [readTableName(cursor)]
  while (cursor.accept(',')) views.push(readTableName(cursor))
  const full = cursor.accept('full')
  cursor.end()
  return { kind: 'refreshViews', views, full }
}

/** Behind REBUILD. */
export function readRebuild(cursor: Cursor): RebuildView {
  cursor.expect('materialized', 'view')
  const view = readTableName(cursor)
  const as = cursor.accept('as') ? cursor.rest('a query') : undefined
  cursor.end()
  return { kind: 'rebuildView', view, as }
}
