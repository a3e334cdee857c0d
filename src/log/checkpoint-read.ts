import type { Connection, Database } from '../engine/database.js'
import { globLiteral, literal } from '../engine/sql-text.js'
import type { DomainMetadata, Metadata, Protocol, SetTransaction } from '../protocol/actions.js'
import { FILE_ACTION_STRUCT, type FilesRelation } from './files-relation.js'

/** What a checkpoint holds beside files. */
export interface CheckpointHead {
  readonly protocol: Protocol | undefined
  readonly metaData: Metadata | undefined
  readonly txns: readonly SetTransaction[]
  readonly domains: readonly DomainMetadata[]
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
} as const

/** Reads what a checkpoint holds beside files. The row groups of files are skipped by their null columns. */
export async function readCheckpointHead(database: Database, files: readonly string[]): Promise<CheckpointHead> {
  return database.use(async (connection) => {
    const of = async <T>(kind: keyof typeof CHECKPOINT_HEAD): Promise<T[]> => {
      const rows = await connection.rows<{ action: string }>(
        `SELECT to_json("${kind}")::VARCHAR AS action FROM ${scan(files, { [kind]: CHECKPOINT_HEAD[kind] })} WHERE "${kind}" IS NOT NULL`,
      )
      return rows.map((row) => withoutNulls(JSON.parse(row.action)) as T).filter(isFilled)
    }
    const [protocol] = await of<Protocol>('protocol')
    const [found] = await of<Metadata>('metaData')
    const metaData = found && {
      ...found,
      partitionColumns: found.partitionColumns ?? [],
      configuration: found.configuration ?? {},
    }
    return { protocol, metaData, txns: await of<SetTransaction>('txn'), domains: await of<DomainMetadata>('domainMetadata') }
  })
}

/** Copies the files of a checkpoint into the relation: live ones as added at `version`, tombstones as removed at it. */
export async function loadCheckpointFiles(
  connection: Connection,
  relation: FilesRelation,
  files: readonly string[],
  version: number,
  roots: readonly string[],
): Promise<void> {
  const kinds = {
    add: `STRUCT(${FILE_ACTION_STRUCT}, "stats_parsed" ${relation.statType()})`,
    remove: `STRUCT(${FILE_ACTION_STRUCT})`,
  }
  // Some writers give every row both structs, one with null members: a path tells which one it is.
  const actions =
    `SELECT add."path" IS NOT NULL AS alive, CASE WHEN add."path" IS NOT NULL THEN add ELSE remove::${kinds.add} END AS a ` +
    `FROM ${scan(files, kinds)} WHERE add."path" IS NOT NULL OR remove."path" IS NOT NULL`
  await relation.insertFrom(
    connection,
    `SELECT ${canonicalSql('a."path"', roots)} AS file, ${DV_ID} AS dv_id, CASE WHEN alive THEN ${version} END AS added_at, ` +
      `CASE WHEN NOT alive THEN ${version} END AS removed_at, a.* FROM (${actions})`,
  )
}

/** The SQL twin of `deletionVectorId`. */
const DV_ID =
  'CASE WHEN a."deletionVector"."storageType" IS NOT NULL THEN a."deletionVector"."storageType" || a."deletionVector"."pathOrInlineDv" ' +
  `|| coalesce('@' || a."deletionVector"."offset", '') END`

/** The SQL twin of `canonicalFilePath`. */
function canonicalSql(path: string, roots: readonly string[]): string {
  const plain = `regexp_replace(regexp_replace(url_decode(${path}), '^file:/*', '/'), '^s3[an]:', 's3:')`
  return roots.reduce((sql, root) => {
    const prefix = literal(`${root}/`)
    return `CASE WHEN starts_with(${sql}, ${prefix}) THEN substr(${sql}, ${[...root].length + 2}) ELSE ${sql} END`
  }, plain)
}

/** The checkpoint's files as a relation with just these columns; a column that a writer left out is NULL. */
function scan(files: readonly string[], columns: Readonly<Record<string, string>>): string {
  const schema = Object.entries(columns).map(
    ([name, type]) => `${literal(name)}: {name: ${literal(name)}, type: ${literal(type)}, default_value: NULL}`,
  )
  return `read_parquet([${files.map(globLiteral).join(', ')}], schema = MAP {${schema.join(', ')}})`
}

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
