import type { Cursor } from '../cursor.js'
import { readTableName, readTableOrPath, type TableName } from './names.js'
import { readPropertyKey } from './properties.js'
import { unsupported } from './unsupported.js'
import type { ShowViews } from './views.js'

export type Describe =
  | { readonly kind: 'describe'; readonly table: TableName; readonly what: 'columns' | 'extended' | 'detail' }
  | { readonly kind: 'history'; readonly table: TableName; readonly limit: number | undefined }

export type Show =
  | { readonly kind: 'showTables' }
  | ShowViews
  | { readonly kind: 'showProperties'; readonly table: TableName; readonly key: string | undefined }
  | { readonly kind: 'showColumns'; readonly table: TableName }
  | { readonly kind: 'showPartitions'; readonly table: TableName }
  | { readonly kind: 'showCreateTable'; readonly table: TableName }

/** Behind DESCRIBE. A word that is the last one is the name of a table. */
export function readDescribe(cursor: Cursor): Describe {
  const keyword = (...words: readonly string[]) => cursor.peek(1) !== undefined && words.some((word) => cursor.accept(word))
  if (keyword('history')) {
    const table = readTableOrPath(cursor)
    const limit = cursor.accept('limit') ? cursor.number('a number') : undefined
    cursor.end()
    return { kind: 'history', table, limit }
  }
  const isDetail = keyword('detail')
  keyword('table')
  const what = isDetail ? 'detail' : keyword('extended', 'formatted') ? 'extended' : 'columns'
  const table = readTableOrPath(cursor)
  cursor.end()
  return { kind: 'describe', table, what }
}

/** Behind SHOW. */
export function readShow(cursor: Cursor): Show {
  const show = readWhat(cursor)
  cursor.end()
  return show
}

function readWhat(cursor: Cursor): Show {
  if (cursor.accept('tables')) return { kind: 'showTables' }
  if (cursor.accept('views') || cursor.accept('materialized', 'views')) return { kind: 'showViews' }
  if (cursor.accept('create', 'table')) return { kind: 'showCreateTable', table: readTableName(cursor) }
  if (cursor.accept('partitions')) return { kind: 'showPartitions', table: readTableName(cursor) }
  if (cursor.accept('columns')) {
    if (!cursor.accept('in')) cursor.expect('from')
    return { kind: 'showColumns', table: readTableName(cursor) }
  }
  if (!cursor.accept('tblproperties')) throw unsupported(`SHOW ${cursor.peek()?.text.toUpperCase() ?? ''}`.trim())
  const table = readTableName(cursor)
  if (!cursor.accept('(')) return { kind: 'showProperties', table, key: undefined }
  const key = readPropertyKey(cursor)
  cursor.expect(')')
  return { kind: 'showProperties', table, key }
}
