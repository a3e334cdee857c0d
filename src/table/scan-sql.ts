import { escapeGlob, ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { PartitionValues } from '../protocol/actions.js'
import type { DataType, StructField } from '../protocol/schema.js'

/** A data file as a scan reads it: a file of this machine and its constants. */
export interface ScanFile {
  readonly localFile: string
  readonly partitionValues: PartitionValues
  /** A Parquet file of this machine with one BIGINT column, `row`, ascending: the rows that are deleted. */
  readonly deletedRows?: string | undefined
  readonly baseRowId?: number | undefined
  readonly defaultRowCommitVersion?: number | undefined
}

export interface ScanShape {
  /** The columns to give, in order. */
  readonly fields: readonly StructField[]
  readonly partitionColumns: readonly string[]
  /** Partition columns that a query names and does not read, which spares a join: reading one fails. */
  readonly unread?: ReadonlySet<string> | undefined
}

/**
 * A query that gives the rows of data files under a table's schema: columns that a file lacks are NULL, other columns of
 * the file are left out, types widen, and partition columns come from the log, never from the file or its folder.
 *
 * Filters and projections on it go down into the Parquet reader. Files are read in the order given.
 */
export function scanSql(shape: ScanShape, files: readonly ScanFile[]): string {
  const { fields, partitionColumns } = shape
  if (files.length === 0)
    return `SELECT ${fields.map((f) => `NULL::${duckdbType(f.type)} AS ${ident(f.name)}`).join(', ') || 'NULL'} WHERE false`
  const stored = fields.filter((f) => !partitionColumns.includes(f.name))
  const unread = shape.unread ?? new Set()
  const constants = fields.filter((f) => partitionColumns.includes(f.name) && !unread.has(f.name))
  const schema = stored.map(
    (f) => `${literal(f.name)}: {name: ${literal(f.name)}, type: ${literal(duckdbType(f.type))}, default_value: NULL}`,
  )
  // A scan that needs no stored column still has to count rows; the schema cannot be empty.
  const typed = schema.length > 0 ? `, schema = MAP {${schema.join(', ')}}` : ''
  const list = files.map((file) => literal(escapeGlob(file.localFile))).join(', ')
  const reader = `read_parquet([${list}]${typed}, hive_partitioning = false`
  const deleted = deletedSql(files)
  const given = fields.map((f) => {
    if (unread.has(f.name))
      return `error('a column was read that the plan leaves out')::${duckdbType(f.type)} AS ${ident(f.name)}`
    return constants.length === 0 && !deleted
      ? ident(f.name)
      : `${constants.includes(f) ? '"__partition"' : '"__data"'}.${ident(f.name)}`
  })
  if (constants.length === 0)
    return deleted
      ? `SELECT ${given.join(', ') || 'NULL AS "__row"'} FROM ${reader}, filename = '__file') AS "__data" ${deleted}`
      : `SELECT ${given.join(', ') || 'NULL AS "__row"'} FROM ${reader})`
  const rows = files.map(
    (file) =>
      `(${[literal(file.localFile), ...constants.map((f) => constant(f.type, file.partitionValues[f.name] ?? null))].join(', ')})`,
  )
  const values = `(VALUES ${rows.join(', ')}) AS "__partition"("__file", ${constants.map((f) => ident(f.name)).join(', ')})`
  return `SELECT ${given.join(', ')} FROM ${reader}, filename = '__file') AS "__data" JOIN ${values} ON "__data"."__file" = "__partition"."__file" ${deleted ?? ''}`
}

function deletedSql(files: readonly ScanFile[]): string | undefined {
  const vectors = files.flatMap(({ localFile, deletedRows }) => (deletedRows === undefined ? [] : [{ localFile, deletedRows }]))
  if (vectors.length === 0) return undefined
  const list = vectors.map(({ deletedRows }) => literal(escapeGlob(deletedRows))).join(', ')
  const pairs = vectors.map(({ localFile, deletedRows }) => `(${literal(deletedRows)}, ${literal(localFile)})`).join(', ')
  const rows = `SELECT "__of"."data" AS "__file", "__rows"."row" AS "row" FROM read_parquet([${list}], filename = '__vector') AS "__rows" JOIN (VALUES ${pairs}) AS "__of"("vector", "data") ON "__rows"."__vector" = "__of"."vector"`
  return `ANTI JOIN (${rows}) AS "__deleted" ON "__data"."__file" = "__deleted"."__file" AND "__data".file_row_number = "__deleted"."row"`
}

/** A partition value as a typed constant. Text that the type cannot hold fails the scan rather than reading as NULL. */
function constant(type: DataType, text: string | null): string {
  if (text === null || (text === '' && type !== 'string' && type !== 'binary')) return `NULL::${duckdbType(type)}`
  if (type === 'binary') return `encode(${literal(text)})`
  return `${literal(text)}::${duckdbType(type)}`
}
