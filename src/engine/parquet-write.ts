import { mkdir } from 'node:fs/promises'
import type { ParquetCodec } from '../protocol/properties.js'
import { type ColumnStatistics, type FileStatistics, leafKey } from '../protocol/stats.js'
import type { Connection, RunOptions } from './database.js'
import { ident, literal } from './sql-text.js'

export interface ParquetWriteOptions extends RunOptions {
  readonly codec: ParquetCodec
  /** Columns whose values go into the file's partition instead of the file. */
  readonly partitionBy?: readonly string[] | undefined
  /** Whether they go into the file, too. @defaultValue false */
  readonly keepPartitionColumns?: boolean | undefined
  /** Parquet field ids: a column's own, or its own and those of what is in it, by name. */
  readonly fieldIds?: FieldIds | undefined
  /** Begin a new file at about this size. One file without it. */
  readonly fileSizeBytes?: number | undefined
}

export interface FieldIds {
  readonly [column: string]: { readonly id?: number | undefined; readonly below?: FieldIds | undefined }
}

/** A Parquet file that was written, with what its writer learned on the way: no second pass over the data. */
export interface WrittenFile {
  readonly file: string
  readonly rows: number
  readonly sizeBytes: number
  readonly statistics: FileStatistics
  /** Values of the partition columns as DuckDB prints them. */
  readonly partition: Readonly<Record<string, string | null>>
}

/**
 * Writes what `query` answers to `target`: a file, or a folder when the options ask for several files. A file without
 * rows is not reported.
 */
export async function writeParquet(
  connection: Connection,
  query: string,
  target: string,
  options: ParquetWriteOptions,
): Promise<WrittenFile[]> {
  const partitionBy = options.partitionBy ?? []
  const several = partitionBy.length > 0 || options.fileSizeBytes !== undefined
  if (several) await mkdir(target, { recursive: true })
  const settings = [
    'FORMAT parquet',
    `COMPRESSION ${options.codec}`,
    'RETURN_STATS',
    ...(partitionBy.length > 0 ? [`PARTITION_BY (${partitionBy.map(ident).join(', ')})`] : []),
    ...(partitionBy.length > 0 && options.keepPartitionColumns ? ['WRITE_PARTITION_COLUMNS true'] : []),
    ...(options.fieldIds && Object.keys(options.fieldIds).length > 0 ? [`FIELD_IDS ${fieldIdsSql(options.fieldIds)}`] : []),
    ...(options.fileSizeBytes ? [`FILE_SIZE_BYTES ${options.fileSizeBytes}`] : []),
    ...(several ? ["FILENAME_PATTERN '{uuid}'"] : []),
  ]
  const answer = await connection.columns(`COPY (${query}) TO ${literal(target)} (${settings.join(', ')})`, options)
  const [files, counts, sizes, , statistics, partitions] = answer as unknown as CopyColumns
  return files.flatMap((file, at) => {
    const rows = Number(counts[at])
    if (rows === 0) return []
    return {
      file,
      rows,
      sizeBytes: Number(sizes[at]),
      statistics: new Map((statistics[at] ?? []).map(({ key, value }) => [leafKey(leafPath(key)), columnStatistics(value)])),
      partition: Object.fromEntries((partitions[at] ?? []).map(({ key, value }) => [key, value])),
    }
  })
}

function fieldIdsSql(ids: FieldIds): string {
  const members = Object.entries(ids).map(([name, { id, below = {} }]) => {
    const own = id === undefined ? [] : [`__duckdb_field_id: ${id}`]
    const inner = Object.keys(below).length > 0 ? [fieldIdsSql(below).slice(1, -1)] : []
    return `${ident(name)}: {${[...own, ...inner].join(', ')}}`
  })
  return `{${members.join(', ')}}`
}

type TextMap = readonly { readonly key: string; readonly value: string | null }[]

/** What RETURN_STATS answers, in its order. */
type CopyColumns = readonly [
  filename: readonly string[],
  count: readonly bigint[],
  fileSizeBytes: readonly bigint[],
  footerSizeBytes: readonly bigint[],
  columnStatistics: readonly (readonly { readonly key: string; readonly value: TextMap }[])[],
  partitionKeys: readonly (TextMap | null)[],
]

function columnStatistics(entries: TextMap): ColumnStatistics {
  const found = new Map(entries.map(({ key, value }) => [key, value ?? undefined]))
  const nullCount = found.get('null_count')
  return {
    min: found.get('min'),
    max: found.get('max'),
    nullCount: nullCount === undefined ? undefined : Number(nullCount),
    hasNan: found.get('has_nan') === 'true',
  }
}

/** `"a"."b ""c"""` as its parts. */
function leafPath(quoted: string): string[] {
  return (quoted.match(/"(?:[^"]|"")*"/g) ?? []).map((part) => part.slice(1, -1).replaceAll('""', '"'))
}
