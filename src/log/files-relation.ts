import type { Connection, Database } from '../engine/database.js'
import { ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { type MappingMode, physicalColumns, physicalSchema } from '../protocol/column-mapping.js'
import { type DataType, isStruct, isVoid, leaves, type StructField, type StructType } from '../protocol/schema.js'

/** What a partitioned or statistics-bearing column looks like inside the relation. */
export interface RelationShape {
  readonly schema: StructType
  readonly partitionColumns: readonly string[]
  readonly mapping: MappingMode
}

const DELETION_VECTOR =
  'STRUCT("storageType" VARCHAR, "pathOrInlineDv" VARCHAR, "offset" INTEGER, "sizeInBytes" INTEGER, "cardinality" BIGINT)'
/** The rows of a file that are not deleted; NULL where its statistics do not tell. */
export const LIVE_ROWS = '(stat."numRecords" - coalesce("deletionVector"."cardinality", 0))'
const TEXT_MAP = 'MAP(VARCHAR, VARCHAR)'

/** A file action as columns, in the protocol's names; `file` is its canonical path. */
export const FILE_ACTION_STRUCT = [
  '"path" VARCHAR',
  `"partitionValues" ${TEXT_MAP}`,
  '"size" BIGINT',
  '"modificationTime" BIGINT',
  '"stats" VARCHAR',
  `"tags" ${TEXT_MAP}`,
  `"deletionVector" ${DELETION_VECTOR}`,
  '"baseRowId" BIGINT',
  '"defaultRowCommitVersion" BIGINT',
  '"clusteringProvider" VARCHAR',
  '"deletionTimestamp" BIGINT',
  '"extendedFileMetadata" BOOLEAN',
].join(', ')

/**
 * The files of a table as a relation: a row for every time a logical file was in the table, with the versions between
 * which it was. Any loaded version `v` is `added_at <= v AND (removed_at IS NULL OR removed_at > v)`.
 *
 * A tombstone of a file that was never seen alive has no `added_at`. `part` holds typed partition values, `stat` the
 * typed statistics, both by physical name; they are NULL where the text cannot be read, which keeps the file in every answer.
 */
export class FilesRelation {
  readonly name: string
  readonly shape: RelationShape
  private readonly database: Database
  /** By physical name. */
  private readonly fields: readonly StructField[]
  private readonly partitionNames: readonly string[]

  private constructor(database: Database, name: string, shape: RelationShape) {
    this.database = database
    this.name = name
    this.shape = shape
    this.fields = physicalSchema(shape.schema, shape.mapping).fields
    this.partitionNames = physicalColumns(shape.schema, shape.partitionColumns, shape.mapping)
  }

  static async create(database: Database, name: string, shape: RelationShape): Promise<FilesRelation> {
    const relation = new FilesRelation(database, name, shape)
    await database.use((connection) =>
      connection.run(
        `CREATE TABLE ${ident(name)} (file VARCHAR, dv_id VARCHAR, added_at BIGINT, removed_at BIGINT, ${FILE_ACTION_STRUCT}, ` +
          `part ${relation.partType()}, stat ${relation.statType()})`,
      ),
    )
    return relation
  }

  /** The condition that a row is live at `version`. */
  static liveAt(version: number): string {
    return `added_at <= ${version} AND (removed_at IS NULL OR removed_at > ${version})`
  }

  /** Of files that went too. */
  async rowCount(): Promise<number> {
    const [row] = await this.database.rows<{ n: bigint }>(`SELECT count(*) AS n FROM ${ident(this.name)}`)
    return Number(row?.n ?? 0)
  }

  async drop(): Promise<void> {
    await this.database.use((connection) => connection.run(`DROP TABLE IF EXISTS ${ident(this.name)}`))
  }

  /**
   * Appends rows from `source`, a relation with columns `file`, `dv_id`, `added_at`, `removed_at`, those of
   * `FILE_ACTION_STRUCT`, and `stats_parsed` (typed statistics or NULL).
   */
  async insertFrom(connection: Connection, source: string, params: readonly string[] = []): Promise<void> {
    const parsed = `stats_parsed::${this.statType()}`
    await connection.run(
      `INSERT INTO ${ident(this.name)} SELECT * EXCLUDE (stats_parsed) REPLACE (coalesce(stats, to_json(stats_parsed)::VARCHAR) AS stats), ` +
        `${this.partExpression()}, CASE WHEN ${this.isParsed()} THEN ${parsed} ` +
        `ELSE coalesce(TRY(json_transform(stats, ${literal(this.statStructure())})), ${parsed}) END FROM (${source})`,
      { params },
    )
  }

  /** The type of `stats_parsed` as this table has it. */
  statType(): string {
    const { min, nulls } = this.statFields()
    const bounds = min ? `, "minValues" STRUCT(${min}), "maxValues" STRUCT(${min})` : ''
    return `STRUCT("numRecords" BIGINT, "tightBounds" BOOLEAN${bounds}${nulls ? `, "nullCount" STRUCT(${nulls})` : ''})`
  }

  private statStructure(): string {
    const { min, nulls } = this.statFields()
    return JSON.stringify({
      numRecords: 'BIGINT',
      tightBounds: 'BOOLEAN',
      ...(min ? { minValues: `STRUCT(${min})`, maxValues: `STRUCT(${min})` } : {}),
      ...(nulls ? { nullCount: `STRUCT(${nulls})` } : {}),
    })
  }

  /** Whether the typed statistics tell all that the text does. They cost a fifth. */
  private isParsed(): string {
    const parsed = `(stats_parsed::${this.statType()})`
    const instants = leaves(this.dataFields()).filter(({ type }) => type === 'date' || String(type).startsWith('timestamp'))
    const isNew = instants.flatMap(({ path }) =>
      // Old ones may be of another calendar, which text never is.
      ['minValues', 'maxValues'].map(
        (bound) => `coalesce(${parsed}.${[bound, ...path].map(ident).join('.')} >= '1900-01-01', true)`,
      ),
    )
    // Some writers have members in the text alone.
    const isTight = `(${parsed}."tightBounds" IS NOT NULL OR stats IS NULL OR NOT contains(stats, '"tightBounds"'))`
    return [`${parsed}."numRecords" IS NOT NULL`, isTight, ...isNew].join(' AND ')
  }

  private dataFields(): readonly StructField[] {
    return this.fields.filter((f) => !this.partitionNames.includes(f.name))
  }

  private statFields(): { readonly min: string; readonly nulls: string } {
    const data = this.dataFields()
    return {
      min: structFields(data, (type) => (hasBounds(type) ? duckdbType(type) : undefined)),
      nulls: structFields(data, () => 'BIGINT'),
    }
  }

  /** The partition columns, by physical name. */
  partitionFields(): readonly StructField[] {
    return this.partitionNames.flatMap((name) => this.fields.find((f) => f.name === name) ?? [])
  }

  private partType(): string {
    const fields = this.partitionFields().map((f) => `${ident(f.name)} ${duckdbType(f.type)}`)
    return fields.length === 0 ? 'BOOLEAN' : `STRUCT(${fields.join(', ')})`
  }

  private partExpression(): string {
    const fields = this.partitionFields().map((f) => {
      const text = `"partitionValues"[${literal(f.name)}]`
      return `${ident(f.name)} := ${f.type === 'binary' ? `encode(${text})` : `TRY_CAST(${text} AS ${duckdbType(f.type)})`}`
    })
    return fields.length === 0 ? 'NULL' : `struct_pack(${fields.join(', ')})`
  }
}

/** Whether the protocol keeps minimum and maximum for a type. */
export function hasBounds(type: DataType): boolean {
  return typeof type === 'string' && type !== 'boolean' && type !== 'binary' && type !== 'variant' && !isVoid(type)
}

function structFields(fields: readonly StructField[], leafType: (type: DataType) => string | undefined): string {
  return fields
    .flatMap((f) => {
      const type = isStruct(f.type) ? nested(structFields(f.type.fields, leafType)) : leafType(f.type)
      return type === undefined ? [] : [`${ident(f.name)} ${type}`]
    })
    .join(', ')
}

function nested(fields: string): string | undefined {
  return fields === '' ? undefined : `STRUCT(${fields})`
}
