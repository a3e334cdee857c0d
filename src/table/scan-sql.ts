import { UNREAD_PARTITION_VALUE } from '../engine/engine-error.js'
import type { RowList } from '../engine/rows-parquet.js'
import { escapeGlob, ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { PartitionValues } from '../protocol/actions.js'
import { CHANGE_TYPE } from '../protocol/change-feed.js'
import { fieldId, type MappingMode, physicalName, physicalType } from '../protocol/column-mapping.js'
import { charLength, type DataType, mentions, type StructField, typeText } from '../protocol/schema.js'
import { columnSql, padded } from './column-sql.js'
import type { OldCalendar } from './footers.js'
import type { StoredColumns } from './stored-columns.js'

/** A data file as a scan reads it: a file of this machine and its constants. */
export interface ScanFile {
  readonly localFile: string
  /** Its path in the table, by which people know it. */
  readonly file?: string | undefined
  /** By physical name, as in the log. */
  readonly partitionValues: PartitionValues
  /** Rows that are gone. */
  readonly deletedRows?: RowList | undefined
  /** The only rows to give. */
  readonly onlyRows?: RowList | undefined
  readonly baseRowId?: number | undefined
  readonly defaultRowCommitVersion?: number | undefined
  /** Rows of the file, deleted ones included, where statistics tell. */
  readonly physicalRows?: number | undefined
  /** How it has its columns, where that is not as the table says. */
  readonly stored?: StoredColumns | undefined
  readonly calendar?: OldCalendar | undefined
}

export interface ScanShape {
  /** The columns to give, in order. */
  readonly fields: readonly StructField[]
  /** Logical names. */
  readonly partitionColumns: readonly string[]
  /** How the files name their columns. @defaultValue 'none' */
  readonly mapping?: MappingMode | undefined
  /** Partition columns that a query names and does not read, which spares a join: reading one fails. */
  readonly unread?: ReadonlySet<string> | undefined
  /** Adds `"__file"`, the text of `localFile`, and `"__row"`, the row's position in it from 0, as BIGINT. */
  readonly address?: boolean | undefined
  /**
   * Adds `"__row_id"` and `"__row_commit_version"`, both BIGINT: what the file has in these physical columns where it is
   * not NULL, otherwise the file's base and the row's position, or its version. NULL in files without row tracking.
   *
   * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#row-tracking
   */
  readonly rowIds?:
    | { readonly materializedId?: string | undefined; readonly materializedVersion?: string | undefined }
    | undefined
  /**
   * Whether the files of each kind together have each stored column under its own type (`areUniform`). They are then read as they are, with which
   * the engine knows what their footers tell of every column; under a schema of ours it knows nothing when it plans.
   *
   * @defaultValue false
   */
  readonly uniform?: boolean | undefined
  /** A Parquet file without rows (`emptyParquet`), with which a large file that is read alone is read by several threads. */
  readonly empty?: string | undefined
}

/**
 * A query that gives the rows of data files under a table's schema: columns that a file lacks are NULL, other columns of
 * the file are left out, types widen, and partition columns come from the log, never from the file or its folder. Rows
 * that deletion vectors take out are not given.
 *
 * Filters and projections on it go down into the Parquet reader. Files are read in the order given where the scan has nothing
 * to join: no partition values that differ, deleted rows or row ids.
 */
export function scanSql(shape: ScanShape, files: readonly ScanFile[]): string {
  if (files.length === 0) return `SELECT ${emptyColumns(shape).join(', ') || 'NULL'} WHERE false`
  return scanGroups(files)
    .map((group) => groupSql(shape, group))
    .join(' UNION ALL ')
}

/** So many readers of a file each cost less than to join rows by the name of their file. */
const READ_ALONE_MAX = 4

/** The files of each kind, which one reader reads: all have deleted rows or none has, and so with rows that are the only ones. */
export function scanGroups(files: readonly ScanFile[]): readonly (readonly ScanFile[])[] {
  const groups = new Map<string, ScanFile[]>()
  const listed = files.filter(({ deletedRows, onlyRows }) => deletedRows !== undefined || onlyRows !== undefined)
  for (const file of files) {
    const { deletedRows, onlyRows, stored, calendar } = file
    const isAlone = listed.length <= READ_ALONE_MAX && listed.includes(file)
    const alone = isAlone ? file.localFile : undefined
    const kind = JSON.stringify([deletedRows === undefined, onlyRows === undefined, [...(stored ?? [])], calendar, alone])
    const group = groups.get(kind)
    if (group) group.push(file)
    else groups.set(kind, [file])
  }
  return [...groups.values()]
}

/** The rows of files of one kind: all have deleted rows or none has, and so with rows that are the only ones and with odd columns. */
function groupSql(shape: ScanShape, files: readonly ScanFile[]): string {
  const { fields, partitionColumns, mapping = 'none', unread = new Set(), address, rowIds } = shape
  const { stored: storedAs, calendar } = files[0] ?? {}
  const stored = fields.filter((f) => !partitionColumns.includes(f.name))
  const constants = fields.filter((f) => partitionColumns.includes(f.name) && !unread.has(f.name))
  // What is the same for all files needs no join.
  const isSame = constants.every((f) =>
    files.every((file) => partitionValueOf(file, f, mapping) === partitionValueOf(files[0], f, mapping)),
  )
  const key = address ? BY_NAME : BY_PLACE
  const rowJoins = [
    rowJoin('ANTI', '__deleted', key, files, 'deletedRows'),
    rowJoin('SEMI', '__only', key, files, 'onlyRows'),
  ].join('')
  const isJoined = !isSame || rowIds !== undefined
  const given = fields.map((f) => `${columnOf(f)} AS ${ident(f.name)}`)
  if (address) given.push(`"__data"."__file" AS "__file"`, `"__data"."file_row_number" AS "__row"`)
  if (rowIds)
    given.push(
      `${coalesced(rowIds.materializedId, '"__materialized_id"', '"__constant"."__base" + "__data"."file_row_number"')} AS "__row_id"`,
      `${coalesced(rowIds.materializedVersion, '"__materialized_version"', '"__constant"."__version"')} AS "__row_commit_version"`,
    )
  const reader = `${readerSql({ ...shape, fields: stored }, files, address ? ", filename = '__file'" : '')} AS "__data"`
  const joined = isJoined
    ? ` JOIN ${constantRows(isSame ? [] : constants, rowIds !== undefined, key, mapping, files)} ON ${key.column} = "__constant"."__key"`
    : ''
  return `SELECT ${given.join(', ') || 'NULL AS "__none"'} FROM ${reader}${rowJoins}${joined}`

  function columnOf(f: StructField): string {
    if (unread.has(f.name)) return `error('a column was read that the plan leaves out')::${duckdbType(f.type)}`
    if (constants.includes(f)) return isSame ? constant(f, files[0], mapping) : `"__constant".${ident(readAs(f.name))}`
    const type = storedAs?.get(f.name)?.type ?? physicalType(f.type, mapping)
    return columnSql(f, `"__data".${ident(shape.uniform ? physicalName(f, mapping) : readAs(f.name))}`, type, calendar)
  }
}

/** About a row group: what one thread reads at a time. */
const SHARED_ROWS_MIN = 100_000

/** Reads the stored columns of files of one kind, under a schema of ours or, where the files are uniform, as they are. */
export function readerSql(
  { fields, mapping = 'none', rowIds, uniform = false, empty }: ScanShape,
  files: readonly ScanFile[],
  more = '',
): string {
  const paths = files.map((file) => escapeGlob(file.localFile))
  // A file without field ids cannot be read by them.
  const isShared = files.length === 1 && !uniform && mapping !== 'id' && (files[0]?.physicalRows ?? 0) > SHARED_ROWS_MIN
  if (isShared && empty !== undefined) paths.push(escapeGlob(empty))
  const rows = files.reduce<number | undefined>((sum, file) => add(sum, file.physicalRows), 0)
  const options = [
    uniform ? 'union_by_name = true' : `schema = ${readerSchema(fields, mapping, rowIds, files[0]?.stored)}`,
    'hive_partitioning = false',
    ...(isTextAlone(fields, files[0]?.stored) ? ['binary_as_string = true'] : []),
    // Other writers leave NaN out of the bounds in a footer, which the engine then takes at their word.
    ...(fields.some(({ type }) => mentions(type, 'double') || mentions(type, 'float')) ? ['can_have_nan = true'] : []),
    // Without a footer read, it would plan joins for empty files.
    ...(rows ? [`explicit_cardinality = ${rows}`] : []),
  ]
  return `read_parquet([${paths.map(literal).join(', ')}], ${options.join(', ')}${more})`
}

/** Whether all bytes of a file are texts, of which some writers leave out the mark. */
function isTextAlone(fields: readonly StructField[], stored: StoredColumns | undefined): boolean {
  const types = fields.map((f) => stored?.get(f.name)?.type ?? f.type)
  const has = (name: string) => types.some((type) => mentions(type, name))
  return has('string') && !has('binary') && !has('variant')
}

function add(sum: number | undefined, rows: number | undefined): number | undefined {
  return sum === undefined || rows === undefined ? undefined : sum + rows
}

/** What a column is called between the reader and the projection, where the reader has columns of its own. */
function readAs(name: string): string {
  return isReaders(name) ? `__column_${name}` : name
}

/** Whether the reader gives this name to something of its own. */
export function isReaders(name: string): boolean {
  return /^(filename|file_row_number|file_index|__.*)$/i.test(name)
}

/**
 * Columns of the files by physical name or field id. Types name nested fields as files do; a field that a file lacks is
 * NULL, at every depth. There is always one column, so that what the reader adds is never hidden by one of the file's.
 */
function readerSchema(
  stored: readonly StructField[],
  mapping: MappingMode,
  rowIds: ScanShape['rowIds'],
  storedAs: StoredColumns | undefined,
): string {
  const materialized = [
    ...(rowIds?.materializedId ? [[rowIds.materializedId, '__materialized_id'] as const] : []),
    ...(rowIds?.materializedVersion ? [[rowIds.materializedVersion, '__materialized_version'] as const] : []),
  ]
  // Columns of row tracking and of change files have no field id, and keys are all of one kind.
  const byId = mapping === 'id' && !storedAs && materialized.length === 0 && !stored.some(({ name }) => name === CHANGE_TYPE)
  const entry = (key: string, name: string, type: string) =>
    `${key}: {name: ${literal(name)}, type: ${literal(type)}, default_value: NULL}`
  const entries = stored.map((f) =>
    entry(
      byId ? String(fieldId(f, mapping)) : literal(storedAs?.get(f.name)?.name ?? physicalName(f, mapping)),
      readAs(f.name),
      duckdbType(storedAs?.get(f.name)?.type ?? physicalType(f.type, mapping)),
    ),
  )
  for (const [key, name] of materialized) entries.push(entry(literal(key), name, 'BIGINT'))
  if (entries.length === 0) entries.push(entry(literal('__none'), '__none', 'BOOLEAN'))
  return `MAP {${entries.join(', ')}}`
}

/** What tells the files of a reader apart. */
interface FileKey {
  readonly column: string
  readonly of: (file: ScanFile, at: number) => string
}

const BY_NAME: FileKey = { column: '"__data"."__file"', of: ({ localFile }) => literal(localFile) }
/** Cheaper to compare, and true as long as a reader gives no names: by a condition on them it leaves out files, and counts anew. */
const BY_PLACE: FileKey = { column: '"__data"."file_index"', of: (_, at) => `${at}::UBIGINT` }

function constantRows(
  constants: readonly StructField[],
  hasRowIds: boolean,
  key: FileKey,
  mapping: MappingMode,
  files: readonly ScanFile[],
): string {
  const rows = files.map((file, at) => {
    const values = constants.map((f) => constant(f, file, mapping))
    const bases = hasRowIds ? [whole(file.baseRowId), whole(file.defaultRowCommitVersion)] : []
    return `(${[key.of(file, at), ...values, ...bases].join(', ')})`
  })
  const names = ['__key', ...constants.map((f) => readAs(f.name)), ...(hasRowIds ? ['__base', '__version'] : [])]
  return `(VALUES ${rows.join(', ')}) AS "__constant"(${names.map(ident).join(', ')})`
}

/** Joins rows of files with those whose positions are listed. */
function rowJoin(
  kind: 'ANTI' | 'SEMI',
  alias: string,
  key: FileKey,
  files: readonly ScanFile[],
  listedIn: 'deletedRows' | 'onlyRows',
): string {
  const listed = files.flatMap((file, at) => (file[listedIn] ? [{ ...file[listedIn], key: key.of(file, at) }] : []))
  if (listed.length === 0) return ''
  const [one] = listed
  if (one && files.length === 1)
    return (
      ` ${kind} JOIN (SELECT "row" FROM read_parquet(${literal(escapeGlob(one.path))}, hive_partitioning = false) WHERE "list" = ${one.list}) AS "${alias}" ` +
      `ON "__data"."file_row_number" = "${alias}"."row"`
    )
  const paths = [...new Set(listed.map(({ path }) => literal(escapeGlob(path))))].join(', ')
  const lists = listed.map((one) => `(${one.list}, ${one.key})`).join(', ')
  const rows =
    `SELECT "__lists"."__key", "__rows"."row" AS "__row" FROM read_parquet([${paths}], hive_partitioning = false) AS "__rows" ` +
    `JOIN (VALUES ${lists}) AS "__lists"("list", "__key") USING ("list")`
  return ` ${kind} JOIN (${rows}) AS "${alias}" ON ${key.column} = "${alias}"."__key" AND "__data"."file_row_number" = "${alias}"."__row"`
}

function coalesced(materialized: string | undefined, column: string, otherwise: string): string {
  return materialized === undefined ? otherwise : `coalesce("__data".${column}, ${otherwise})`
}

function whole(value: number | undefined): string {
  return value === undefined ? 'NULL::BIGINT' : `${value}::BIGINT`
}

function emptyColumns({ fields, address, rowIds }: ScanShape): string[] {
  const added = [
    ...(address ? ['NULL::VARCHAR AS "__file"', 'NULL::BIGINT AS "__row"'] : []),
    ...(rowIds ? ['NULL::BIGINT AS "__row_id"', 'NULL::BIGINT AS "__row_commit_version"'] : []),
  ]
  return [...fields.map((f) => `NULL::${duckdbType(f.type)} AS ${ident(f.name)}`), ...added]
}

function partitionValueOf(file: ScanFile | undefined, field: StructField, mapping: MappingMode): string | null {
  return file?.partitionValues[physicalName(field, mapping)] ?? null
}

/** A file's partition value as a typed constant. Text that the type cannot hold fails the scan, by its file, rather than reading as NULL. */
function constant(field: StructField, file: ScanFile | undefined, mapping: MappingMode): string {
  const { name, type } = field
  const text = partitionValueOf(file, field, mapping)
  if (text === null || (text === '' && type !== 'string' && type !== 'binary')) return `NULL::${duckdbType(type)}`
  if (type === 'binary') return `encode(${literal(text)})`
  const length = charLength(field)
  if (length !== undefined) return padded(literal(text), length)
  if (type === 'string' || PLAIN[String(type)]?.test(text)) return `${literal(text)}::${duckdbType(type)}`
  const facts = JSON.stringify({ file: file?.file ?? file?.localFile, column: name, type: typeText(type), value: text })
  return `coalesce(TRY_CAST(${literal(partitionText(type, text))} AS ${duckdbType(type)}), error(${literal(UNREAD_PARTITION_VALUE + facts)}))`
}

/** Forms that are surely values of their type, as nearly all are. */
const DATE = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])/.source
const TIME = /[ T]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?/.source
const PLAIN: Readonly<Record<string, RegExp>> = {
  byte: /^-?\d{1,2}$/,
  short: /^-?\d{1,4}$/,
  integer: /^-?\d{1,9}$/,
  long: /^-?\d{1,18}$/,
  boolean: /^(true|false)$/,
  date: new RegExp(`${DATE}$`),
  timestamp: new RegExp(`${DATE}${TIME}Z?$`),
  timestamp_ntz: new RegExp(`${DATE}${TIME}$`),
}

/** Java puts a sign before years of more than four digits. */
function partitionText(type: DataType, text: string): string {
  return type === 'date' || type === 'timestamp' || type === 'timestamp_ntz' ? text.replace(/^\+/, '') : text
}
