import { DeltaError } from '../base/errors.js'
import type { Database } from '../engine/database.js'
import { globLiteral, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { field, leaves, type StructField } from '../protocol/schema.js'
import { type ColumnStatistics, leafKey } from '../protocol/stats.js'
import { parseType } from '../protocol/type-text.js'
import type { StoreOptions } from '../storage/store.js'

interface Shape {
  readonly file: string
  /** Instants of Spark and Hive, which say nothing of a zone and are in UTC. */
  readonly hasInt96: boolean
  readonly hasWallClock: boolean
  readonly hasUuid: boolean
}

/**
 * The columns of files, as their footers say, in the order in which they come: all files' together.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for a column that two files have under two types or spellings; `TYPE_UNSUPPORTED`,
 * `DATA_FILE_DAMAGED`.
 */
export async function footerFields(
  database: Database,
  localFiles: readonly string[],
  options: StoreOptions = {},
): Promise<readonly StructField[]> {
  const shapes = await footers<Shape>(
    database,
    `SELECT min(file) AS file, any_value(int96) AS "hasInt96", any_value(wall) AS "hasWallClock", any_value(uuid) AS "hasUuid" FROM (
      SELECT file_name AS file, list((name, type, repetition_type, num_children, converted_type, logical_type, scale, precision) ORDER BY column_id) AS shape,
        coalesce(bool_or(type = 'INT96'), false) AS int96, coalesce(bool_or(duckdb_type = 'UUID'), false) AS uuid,
        coalesce(bool_or(type <> 'INT96' AND duckdb_type IN ('TIMESTAMP', 'TIMESTAMP_NS')), false) AS wall
      FROM parquet_schema(${list(localFiles)}) GROUP BY file_name
    ) GROUP BY shape ORDER BY 1`,
    options,
  )
  const found = new Map<string, StructField>()
  for (const shape of shapes) for (const one of await fieldsOf(database, shape, options)) take(one, shape.file)
  return [...found.values()]

  function take(one: StructField, file: string): void {
    const key = one.name.toLowerCase()
    const known = found.get(key)
    if (known && JSON.stringify(known) !== JSON.stringify(one))
      throw new DeltaError('ARGUMENT_INVALID', 'two files have a column under two types or spellings', {
        column: one.name,
        file,
        type: JSON.stringify(one.type),
        other: JSON.stringify(known.type),
      })
    found.set(key, one)
  }
}

async function fieldsOf(database: Database, shape: Shape, options: StoreOptions): Promise<readonly StructField[]> {
  const { file, hasInt96, hasWallClock, hasUuid } = shape
  if (hasUuid || (hasInt96 && hasWallClock))
    throw new DeltaError('TYPE_UNSUPPORTED', `no table has the types of a file: ${hasUuid ? 'UUID' : 'two kinds of TIMESTAMP'}`, {
      file,
    })
  const rows = await footers<{ column_name: string; column_type: string }>(
    database,
    `DESCRIBE FROM read_parquet(${list([file])}, hive_partitioning = false)`,
    options,
  )
  const zoned = (type: string) =>
    hasInt96 ? type.replace(/\bTIMESTAMP(_NS)?\b(?! WITH TIME ZONE)/g, 'TIMESTAMP WITH TIME ZONE') : type
  return rows.map(({ column_name, column_type }) => field(column_name, parseType(zoned(column_type), 'duckdb')))
}

export interface FooterFacts {
  readonly rows: number
  readonly statistics: ReadonlyMap<string, ColumnStatistics>
}

/**
 * What footers say of rows, bounds and NULLs, by local file. Where one row group does not tell, the file does not; floating
 * point has no bounds, as footers do not tell of NaN.
 */
export async function footerStatistics(
  database: Database,
  localFiles: readonly string[],
  fields: readonly StructField[],
  options: StoreOptions = {},
): Promise<ReadonlyMap<string, FooterFacts>> {
  const files = list(localFiles)
  const counted = await footers<{ file: string; rows: bigint }>(
    database,
    `SELECT file_name AS file, num_rows AS rows FROM parquet_file_metadata(${files})`,
    options,
  )
  const facts = new Map(
    counted.map(({ file, rows }) => [file, { rows: Number(rows), statistics: new Map<string, ColumnStatistics>() }]),
  )
  const told = leaves(fields).filter(({ type }) => typeof type === 'string')
  if (told.length === 0) return facts
  const queries = told.map(({ path, type }) => {
    // Bytes that are no text come escaped: not the bounds of any.
    const value = (side: string) => (type === 'string' ? side : `try_cast(${side} AS ${duckdbType(type)})`)
    // What is older may be told in another calendar than the one that its reader has it in.
    const isModern =
      type === 'date' || type === 'timestamp' ? `${value('stats_min_value')} >= '1900-01-01'::${duckdbType(type)}` : 'true'
    const known =
      "stats_min_value IS NOT NULL AND stats_max_value IS NOT NULL AND NOT regexp_matches(stats_min_value || stats_max_value, '\\\\x')"
    const bounds =
      type === 'float' || type === 'double' ? 'false' : `bool_and(stats_null_count = num_values OR (${known} AND ${isModern}))`
    return `SELECT file_name AS file, ${literal(leafKey(path))} AS leaf, coalesce(${bounds}, false) AS bounded,
      min(${value('stats_min_value')})::VARCHAR AS least, max(${value('stats_max_value')})::VARCHAR AS most,
      CASE WHEN count(stats_null_count) = count(*) THEN sum(stats_null_count)::BIGINT END AS nulls
      FROM chunks WHERE path_in_schema = ${literal(path.join(', '))} GROUP BY file_name`
  })
  const rows = await footers<LeafRow>(
    database,
    `WITH chunks AS MATERIALIZED (FROM parquet_metadata(${files})) ${queries.join(' UNION ALL ')}`,
    options,
  )
  for (const { file, leaf, bounded, least, most, nulls } of rows)
    facts.get(file)?.statistics.set(leaf, {
      ...(bounded && least !== null && most !== null ? { min: least, max: most } : {}),
      ...(nulls === null ? {} : { nullCount: Number(nulls) }),
    })
  return facts
}

interface LeafRow {
  readonly file: string
  readonly leaf: string
  readonly bounded: boolean
  readonly least: string | null
  readonly most: string | null
  readonly nulls: bigint | null
}

function list(localFiles: readonly string[]): string {
  return `[${localFiles.map((file) => globLiteral(file)).join(', ')}]`
}

async function footers<Row>(database: Database, query: string, options: StoreOptions): Promise<Row[]> {
  try {
    return await database.rows<Row>(query, options)
  } catch (cause) {
    options.signal?.throwIfAborted()
    throw new DeltaError('DATA_FILE_DAMAGED', 'the footer of a file cannot be read', {}, { cause })
  }
}
