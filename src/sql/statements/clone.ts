import type { Cursor } from '../cursor.js'
import { readType } from './columns.js'
import type { CreateHead } from './create-head.js'
import { type AsOfRef, readAsOf, readTableName, type TableName } from './names.js'
import { readProperties } from './properties.js'

/** `CREATE TABLE t SHALLOW CLONE s`: a table that begins with the files of another. */
export interface Clone extends CreateHead {
  readonly kind: 'clone'
  /** Whether the files are copied too. */
  readonly isDeep: boolean
  readonly source: TableName
  readonly asOf: AsOfRef | undefined
  readonly properties: Readonly<Record<string, string>>
  readonly location: string | undefined
}

/** `CONVERT TO DELTA`: a table made of Parquet files that are there. */
export interface Convert {
  readonly kind: 'convert'
  readonly location: string
  readonly collectStats: boolean
  readonly partitionBy: readonly { readonly name: string; readonly type: string }[]
}

/** Behind the name of the new table. */
export function readClone(cursor: Cursor, head: CreateHead): Clone {
  const isDeep = !cursor.accept('shallow')
  cursor.accept('deep')
  cursor.expect('clone')
  const source = readTableName(cursor)
  const asOf = readAsOf(cursor, 'tblproperties', 'location')
  let properties: Readonly<Record<string, string>> = {}
  let location: string | undefined
  while (!cursor.done) {
    if (cursor.accept('tblproperties')) properties = readProperties(cursor)
    else if (cursor.accept('location')) location = cursor.string('a location in quotes')
    else throw cursor.unexpected('VERSION AS OF, TIMESTAMP AS OF, TBLPROPERTIES or LOCATION')
  }
  return { kind: 'clone', ...head, isDeep, source, asOf, properties, location }
}

/** Behind CONVERT. */
export function readConvert(cursor: Cursor): Convert {
  cursor.expect('to', 'delta')
  cursor.expect('parquet', '.')
  const location = cursor.identifier('a location in quotes')
  const collectStats = !cursor.accept('no', 'statistics')
  const partitionBy = cursor.accept('partitioned', 'by')
    ? cursor.list(() => ({ name: cursor.identifier('a column'), type: readType(cursor) }))
    : []
  cursor.end()
  return { kind: 'convert', location, collectStats, partitionBy }
}
