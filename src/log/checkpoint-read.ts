import type { Connection, Database } from '../engine/database.js'
import { globLiteral, ident, literal, literalList } from '../engine/sql-text.js'
import type { DomainMetadata, Metadata, Protocol, SetTransaction } from '../protocol/actions.js'
import type { StructField } from '../protocol/schema.js'
import { FILE_ACTION_STRUCT, type FilesRelation } from './files-relation.js'

/** What a checkpoint holds beside files. */
export interface CheckpointHead {
  readonly protocol: Protocol | undefined
  readonly metaData: Metadata | undefined
  readonly txns: readonly SetTransaction[]
  readonly domains: readonly DomainMetadata[]
  readonly sidecars: readonly Sidecar[]
  /** What a v2 checkpoint says of itself. */
  readonly version: number | undefined
}

/** A file of file actions that belongs to a v2 checkpoint. @see PROTOCOL.md#sidecar-file-information */
export interface Sidecar {
  /** Percent-encoded: a name below `_delta_log/_sidecars`, or an absolute path. */
  readonly path: string
  readonly sizeInBytes: number
  /** Milliseconds since 1970-01-01 UTC. */
  readonly modificationTime: number
  readonly tags?: Readonly<Record<string, string>>
}

const TEXT_MAP = 'MAP(VARCHAR, VARCHAR)'
/** The columns of a checkpoint that hold no files, with their types. @see PROTOCOL.md#checkpoint-schema */
export const CHECKPOINT_HEAD = {
  protocol:
    'STRUCT("minReaderVersion" INTEGER, "minWriterVersion" INTEGER, "readerFeatures" VARCHAR[], "writerFeatures" VARCHAR[])',
  metaData:
    `STRUCT("id" VARCHAR, "name" VARCHAR, "description" VARCHAR, "format" STRUCT("provider" VARCHAR, "options" ${TEXT_MAP}), ` +
    `"schemaString" VARCHAR, "partitionColumns" VARCHAR[], "createdTime" BIGINT, "configuration" ${TEXT_MAP})`,
  txn: 'STRUCT("appId" VARCHAR, "version" BIGINT, "lastUpdated" BIGINT)',
  domainMetadata: 'STRUCT("domain" VARCHAR, "configuration" VARCHAR, "removed" BOOLEAN)',
  checkpointMetadata: `STRUCT("version" BIGINT, "tags" ${TEXT_MAP})`,
  sidecar: `STRUCT("path" VARCHAR, "sizeInBytes" BIGINT, "modificationTime" BIGINT, "tags" ${TEXT_MAP})`,
} as const

/** Files of one checkpoint that are read alike, on this machine. */
export interface CheckpointPart {
  readonly files: readonly string[]
  readonly format: 'parquet' | 'json'
}

/** Reads what a checkpoint holds beside files. The row groups of files are skipped by their null columns. */
export async function readCheckpointHead(database: Database, part: CheckpointPart): Promise<CheckpointHead> {
  const kinds = Object.entries(CHECKPOINT_HEAD)
  const rows = await database.rows<{ kind: keyof typeof CHECKPOINT_HEAD; action: string }>(
    kinds
      .map(
        ([kind, type]) =>
          `SELECT ${literal(kind)} AS kind, to_json("${kind}")::VARCHAR AS action FROM ${scan(part, { [kind]: type })} WHERE "${kind}" IS NOT NULL`,
      )
      .join(' UNION ALL '),
  )
  const actions = rows.map(({ kind, action }) => ({ kind, action: withoutNulls(JSON.parse(action)) }))
  const of = <T>(wanted: keyof typeof CHECKPOINT_HEAD) =>
    actions.filter(({ kind, action }) => kind === wanted && isFilled(action)).map(({ action }) => action as T)
  const [protocol] = of<Protocol>('protocol')
  const [found] = of<Metadata>('metaData')
  const metaData = found && {
    ...found,
    partitionColumns: found.partitionColumns ?? [],
    configuration: found.configuration ?? {},
  }
  return {
    protocol,
    metaData,
    txns: of<SetTransaction>('txn'),
    domains: of<DomainMetadata>('domainMetadata'),
    sidecars: of<Sidecar>('sidecar'),
    version: of<{ readonly version?: number }>('checkpointMetadata')[0]?.version,
  }
}

/**
 * Copies the files of a checkpoint into the relation: live ones as added at `version`, tombstones as removed at it.
 *
 * @param empty a Parquet file without rows (`emptyParquet`).
 */
export async function loadCheckpointFiles(
  connection: Connection,
  relation: FilesRelation,
  parts: readonly CheckpointPart[],
  version: number,
  roots: readonly string[],
  empty: string,
): Promise<void> {
  const columns = relation.partitionFields()
  const parsed = columns.map(({ name, type }) => `${ident(name)} ${READ_AS[String(type)] ?? 'VARCHAR'}`).join(', ')
  const add = `STRUCT(${FILE_ACTION_STRUCT}, "stats_parsed" ${relation.statType()}${parsed && `, "partitionValues_parsed" STRUCT(${parsed})`})`
  const kinds = { add, remove: `STRUCT(${FILE_ACTION_STRUCT})` }
  // Some writers give every row both structs, one with null members: a path tells which one it is.
  const actions =
    `SELECT add."path" IS NOT NULL AS alive, CASE WHEN add."path" IS NOT NULL THEN add ELSE remove::${add} END AS a ` +
    `FROM (${parts.map((part) => `FROM ${scan(part, kinds, empty)}`).join(' UNION ALL ')}) WHERE add."path" IS NOT NULL OR remove."path" IS NOT NULL`
  const rows =
    `SELECT ${canonicalSql('a."path"', roots)} AS file, ${DV_ID} AS dv_id, CASE WHEN alive THEN ${version} END AS added_at, ` +
    `CASE WHEN NOT alive THEN ${version} END AS removed_at, a.* FROM (${actions})`
  await relation.insertFrom(connection, withPartitionText(rows, columns))
}

/** Types of partition columns whose text is not what a cast gives. */
const READ_AS: Readonly<Record<string, string>> = { binary: 'BLOB', timestamp: 'TIMESTAMPTZ' }

/** Partition values that only the typed struct holds become text again, as the log spells them. */
function withPartitionText(source: string, columns: readonly StructField[]): string {
  if (columns.length === 0) return source
  const parsed = '"partitionValues_parsed"'
  const values = columns.map(({ name, type }) => {
    const value = `${parsed}.${ident(name)}`
    // Bytes that are no text fail: as NULL they would be another partition.
    if (type === 'binary') return `decode(${value})`
    return type === 'timestamp' ? `strftime(${value}::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ')` : value
  })
  const map = `map(${literalList(columns.map(({ name }) => name))}, [${values.join(', ')}])`
  const text = `coalesce("partitionValues", CASE WHEN ${parsed} IS NOT NULL THEN ${map} END)`
  return `SELECT * EXCLUDE (${parsed}) REPLACE (${text} AS "partitionValues") FROM (${source})`
}

/** The SQL twin of `deletionVectorId`. */
const DV_ID =
  'CASE WHEN a."deletionVector"."storageType" IS NOT NULL THEN a."deletionVector"."storageType" || a."deletionVector"."pathOrInlineDv" ' +
  `|| coalesce('@' || a."deletionVector"."offset", '') END`

/** The SQL twin of `canonicalFilePath`. */
function canonicalSql(path: string, roots: readonly string[]): string {
  const plain = `regexp_replace(regexp_replace(url_decode(${path}), '^file:/*', '/'), '^s3[an]:', 's3:')`
  const inside = roots.reduce((sql, root) => {
    const prefix = literal(`${root}/`)
    return `CASE WHEN starts_with(${sql}, ${prefix}) THEN ltrim(substr(${sql}, ${[...root].length + 1}), '/') ELSE ${sql} END`
  }, plain)
  const isOdd = `(contains(${path}, './') OR contains(${path}, '//'))`
  const isRelative = `NOT regexp_matches(${inside}, '^(/|[A-Za-z][A-Za-z0-9+.-]*:)')`
  // Most are names within the table, without anything that could be spelled in another way.
  const isPlain = `NOT (starts_with(${path}, '/') OR ${["'%'", "':'", "'./'", "'//'"].map((odd) => `contains(${path}, ${odd})`).join(' OR ')})`
  return (
    `CASE WHEN ${isPlain} THEN ${path} ` +
    `WHEN ${isOdd} AND ${isRelative} THEN regexp_replace(${inside}, '(^|/)([.]?/)+', '\\1', 'g') ELSE ${inside} END`
  )
}

/** Files of a checkpoint as a relation with just these columns; a column that a writer left out is NULL. */
function scan({ files, format }: CheckpointPart, columns: Readonly<Record<string, string>>, empty?: string): string {
  const beside = empty !== undefined && format === 'parquet' && files.length === 1 ? [empty] : []
  const paths = `[${[...files, ...beside].map(globLiteral).join(', ')}]`
  if (format === 'json') {
    const structure = literal(JSON.stringify(columns))
    return `(SELECT unnest(json_transform(json, ${structure})) FROM read_json_objects(${paths}, format = 'unstructured', maximum_object_size = ${JSON_OBJECT_BYTES_MAX}))`
  }
  const schema = Object.entries(columns).map(
    ([name, type]) => `${literal(name)}: {name: ${literal(name)}, type: ${literal(type)}, default_value: NULL}`,
  )
  return `read_parquet(${paths}, schema = MAP {${schema.join(', ')}})`
}

/** Of one action. The engine sets twice as much aside for each kind that is read. */
const JSON_OBJECT_BYTES_MAX = 2 ** 23

function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([key, member]) => [key, withoutNulls(member)]),
  )
}

/** Some writers give every row every struct, with null members where the action is another. */
function isFilled(action: unknown): boolean {
  return Object.keys(action as object).length > 0
}
