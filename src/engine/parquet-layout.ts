import { DeltaError } from '../base/errors.js'
import type { ByteRange, StoreOptions } from '../storage/store.js'
import type { Database } from './database.js'
import { globLiteral } from './sql-text.js'

/** What a reader of one column needs of one row group: its pages, dictionary included. */
export interface ColumnChunk extends ByteRange {
  /** The top-level column that the leaf belongs to, as the file spells it. */
  readonly column: string
  readonly rowGroup: number
  /** The chunk's bloom filter, which DuckDB reads before the pages whenever a filter asks for equality. */
  readonly bloomFilter: ByteRange | undefined
}

/**
 * Where the column chunks of a Parquet file are, row group by row group, leaves in the order of the schema. Only the
 * footer is read. Nothing is remembered here: who asks twice keeps the answer.
 *
 * Leaves are matched to columns by position, for their dotted or comma-separated paths cannot be told apart from names
 * that hold a dot or a comma.
 *
 * @throws {DeltaError} `DATA_FILE_DAMAGED` when the footer cannot be read or tells of bytes outside the file's data
 */
export async function layoutOf(
  database: Database,
  localFile: string,
  options: StoreOptions = {},
): Promise<readonly ColumnChunk[]> {
  const file = globLiteral(localFile)
  const [schema, chunks, sizes] = await database.use(async (connection) => [
    await connection.rows<SchemaRow>(`${SCHEMA} FROM parquet_schema(${file})`, options),
    await connection.rows<ChunkRow>(`${CHUNKS} FROM parquet_metadata(${file})`, options),
    await connection.rows<SizeRow>(`${SIZES} FROM parquet_file_metadata(${file})`, options),
  ])
  const columns = columnOfLeaf(schema)
  const dataEnd = Number(sizes[0]?.file_size_bytes) - Number(sizes[0]?.footer_size) - TRAILER_BYTES
  const bloomEnd = endOfBloomFilter(chunks, dataEnd)
  return chunks.map((chunk) => {
    const column = columns[Number(chunk.column_id)]
    const pages = rangeFrom(Number(chunk.start), Number(chunk.size))
    const bloomFilter = chunk.bloom === null ? undefined : { start: Number(chunk.bloom), endExclusive: bloomEnd(chunk) }
    if (column === undefined || !isInside(pages, dataEnd) || (bloomFilter && !isInside(bloomFilter, dataEnd))) {
      const details = { file: localFile, reason: 'a column chunk lies outside the data', rowGroup: Number(chunk.row_group) }
      throw new DeltaError('DATA_FILE_DAMAGED', 'a data file of the table is damaged', details)
    }
    return { column, rowGroup: Number(chunk.row_group), ...pages, bloomFilter }
  })
}

/** The length of the footer and the magic `PAR1`, which end every file. */
export const TRAILER_BYTES = 8

const SCHEMA = 'SELECT name, type, num_children'
const SIZES = 'SELECT file_size_bytes, footer_size'
const CHUNKS = `
  SELECT row_group_id AS row_group, column_id, total_compressed_size AS size,
    CASE WHEN dictionary_page_offset > 0 THEN least(dictionary_page_offset, data_page_offset) ELSE data_page_offset END AS start,
    bloom_filter_offset AS bloom, bloom_filter_length AS bloom_size`

interface SchemaRow {
  readonly name: string
  /** The physical type; `null` on groups. */
  readonly type: string | null
  readonly num_children: bigint | null
}

interface ChunkRow {
  readonly row_group: bigint
  readonly column_id: bigint
  readonly size: bigint
  readonly start: bigint
  readonly bloom: bigint | null
  readonly bloom_size: bigint | null
}

interface SizeRow {
  readonly file_size_bytes: bigint
  readonly footer_size: bigint
}

/** The schema comes depth first after its root, so leaf number n is column chunk number n of every row group. */
function columnOfLeaf(schema: readonly SchemaRow[]): readonly string[] {
  const columns: string[] = []
  let at = 1
  while (at < schema.length) {
    const column = schema[at]?.name ?? ''
    for (let open = 1; open > 0 && at < schema.length; at++) {
      const element = schema[at]
      open += Number(element?.num_children ?? 0) - 1
      if (element?.type != null) columns.push(column)
    }
  }
  return columns
}

/** Older writers leave the length out; a filter then ends at the latest where the next thing that is known begins. */
function endOfBloomFilter(chunks: readonly ChunkRow[], dataEnd: number): (chunk: ChunkRow) => number {
  const starts = chunks.some((chunk) => chunk.bloom !== null && chunk.bloom_size === null)
    ? chunks.flatMap((chunk) => [Number(chunk.start), Number(chunk.bloom ?? 0)]).sort((one, other) => one - other)
    : []
  return (chunk) => {
    const start = Number(chunk.bloom)
    if (chunk.bloom_size !== null) return start + Number(chunk.bloom_size)
    return starts.find((next) => next > start) ?? dataEnd
  }
}

function rangeFrom(start: number, size: number): ByteRange {
  return { start, endExclusive: start + size }
}

function isInside(range: ByteRange, dataEnd: number): boolean {
  return range.start >= 0 && range.start <= range.endExclusive && range.endExclusive <= dataEnd
}
