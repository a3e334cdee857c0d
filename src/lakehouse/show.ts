import { literal } from '../engine/sql-text.js'
import { clusteredBy } from '../protocol/clustering.js'
import { type DataType, type StructField, typeText } from '../protocol/schema.js'
import { supportedFeatures } from '../protocol/table-features.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { commandResult } from './query-runner.js'
import { text } from './relations.js'
import type { QueryResult } from './result.js'
import type { TableHost } from './table-host.js'

/** `key`, `value`: the table's properties, and what its protocol asks for as Spark spells it. */
export function showProperties(host: TableHost, snapshot: Snapshot, key: string | undefined): Promise<QueryResult> {
  const { protocol, metadata } = snapshot
  const features =
    protocol.minWriterVersion >= 7 ? supportedFeatures(protocol).map((name) => [`delta.feature.${name}`, 'supported']) : []
  const all: readonly (readonly string[])[] = [
    ...Object.entries(metadata.configuration),
    ['delta.minReaderVersion', String(protocol.minReaderVersion)],
    ['delta.minWriterVersion', String(protocol.minWriterVersion)],
    ...features,
  ]
  const rows = all.map(([name = '', value]) => ({ key: name, value })).sort((a, b) => (a.key < b.key ? -1 : 1))
  return commandResult(
    host,
    [text('key'), text('value')],
    rows.filter((row) => key === undefined || row.key === key),
  )
}

/** `col_name` */
export function showColumns(host: TableHost, snapshot: Snapshot): Promise<QueryResult> {
  return commandResult(
    host,
    [text('col_name')],
    snapshot.schema.fields.map(({ name }) => ({ col_name: name })),
  )
}

/** The partitions that hold files, with values as the log has them; no rows for a table without partitions. */
export async function showPartitions(host: TableHost, snapshot: Snapshot): Promise<QueryResult> {
  const columns = snapshot.partitionColumns
  if (columns.length === 0) return commandResult(host, [text('partition')], [])
  const { files } = await snapshot.files()
  const seen = new Map(
    files.map(({ partitionValues }) => {
      const values = columns.map((name) => partitionValues[name] ?? null)
      return [JSON.stringify(values), Object.fromEntries(columns.map((name, index) => [name, values[index]]))]
    }),
  )
  const rows = [...seen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
  return commandResult(host, columns.map(text), rows)
}

/** `createtab_stmt`: a statement that makes a table like this one, without its rows. */
export async function showCreateTable(host: TableHost, name: string, table: DeltaTable): Promise<QueryResult> {
  const snapshot = await table.snapshot()
  const clusterBy = clusteredBy((await table.known()).domainMetadata(), snapshot.schema, snapshot.mapping)
  return commandResult(host, [text('createtab_stmt')], [{ createtab_stmt: createStatement(name, snapshot, clusterBy) }])
}

/** `col_name`, `data_type`, `comment`: the columns, then what there is to say about the table, as Spark lays it out. */
export async function describeExtended(host: TableHost, name: string, uri: string, snapshot: Snapshot): Promise<QueryResult> {
  const { metadata, protocol, schema, partitionColumns } = snapshot
  const row = (col_name: string, data_type = '', comment: string | null = '') => ({ col_name, data_type, comment })
  const ofColumn = (field: StructField) => row(field.name, typeText(field.type), commentOf(field) ?? null)
  const partitions = schema.fields.filter((field) => partitionColumns.includes(field.name))
  const properties = Object.entries(metadata.configuration).map(([key, value]) => `${key}=${value}`)
  const rows = [
    ...schema.fields.map(ofColumn),
    ...(partitions.length > 0
      ? [row('# Partition Information'), row('# col_name', 'data_type', 'comment'), ...partitions.map(ofColumn)]
      : []),
    row(''),
    row('# Detailed Table Information'),
    row('Name', name),
    row('Comment', metadata.description ?? ''),
    row('Location', uri),
    row('Provider', 'delta'),
    row('Table Properties', `[${properties.join(',')}]`),
    row('Version', String(snapshot.version)),
    row('Min Reader Version', String(protocol.minReaderVersion)),
    row('Min Writer Version', String(protocol.minWriterVersion)),
    row('Features', supportedFeatures(protocol).join(', ')),
  ]
  return commandResult(host, [text('col_name'), text('data_type'), text('comment')], rows)
}

/** Properties that a table gets by itself. */
const DERIVED = /^delta\.(constraints\.|feature\.|columnMapping\.maxColumnId$|rowTracking\.materialized)/
const CONSTRAINT = 'delta.constraints.'

function createStatement(
  name: string,
  { metadata, schema, partitionColumns }: Snapshot,
  clusterBy: readonly (readonly string[])[],
): string {
  const constraints = Object.entries(metadata.configuration)
    .filter(([key]) => key.startsWith(CONSTRAINT))
    .map(([key, check]) => `CONSTRAINT ${quoted(key.slice(CONSTRAINT.length))} CHECK (${check})`)
  const items = [...schema.fields.map(columnDefinition), ...constraints]
  const properties = Object.entries(metadata.configuration).filter(([key]) => !DERIVED.test(key))
  return [
    `CREATE TABLE ${quoted(name)} (\n  ${items.join(',\n  ')})`,
    'USING delta',
    ...(partitionColumns.length > 0 ? [`PARTITIONED BY (${partitionColumns.map(quoted).join(', ')})`] : []),
    ...(clusterBy.length > 0 ? [`CLUSTER BY (${clusterBy.map((path) => path.map(quoted).join('.')).join(', ')})`] : []),
    ...(metadata.description === undefined ? [] : [`COMMENT ${literal(metadata.description)}`]),
    ...(properties.length > 0
      ? [`TBLPROPERTIES (\n  ${properties.map(([key, value]) => `${literal(key)} = ${literal(value)}`).join(',\n  ')})`]
      : []),
  ].join('\n')
}

function columnDefinition(field: StructField): string {
  const of = (key: string) => (field.metadata[key] === undefined ? undefined : String(field.metadata[key]))
  const [byDefault, generatedAs, comment] = [of('CURRENT_DEFAULT'), of('delta.generationExpression'), commentOf(field)]
  const start = of('delta.identity.start')
  const identity = of('delta.identity.allowExplicitInsert') === 'true' ? 'BY DEFAULT' : 'ALWAYS'
  return [
    quoted(field.name),
    typeDefinition(field.type),
    ...(field.nullable ? [] : ['NOT NULL']),
    ...(byDefault === undefined ? [] : [`DEFAULT ${byDefault}`]),
    ...(generatedAs === undefined ? [] : [`GENERATED ALWAYS AS (${generatedAs})`]),
    ...(start === undefined
      ? []
      : [`GENERATED ${identity} AS IDENTITY (START WITH ${start} INCREMENT BY ${of('delta.identity.step') ?? '1'})`]),
    ...(comment === undefined ? [] : [`COMMENT ${literal(comment)}`]),
  ].join(' ')
}

/** A type as a definition has it, with all that it says of fields inside. */
function typeDefinition(type: DataType): string {
  if (typeof type === 'string') return type
  switch (type.type) {
    case 'struct':
      return `struct<${type.fields.map(innerDefinition).join(', ')}>`
    case 'array':
      return `array<${typeDefinition(type.elementType)}>`
    case 'map':
      return `map<${typeDefinition(type.keyType)}, ${typeDefinition(type.valueType)}>`
  }
}

function innerDefinition(field: StructField): string {
  const comment = commentOf(field)
  return [
    `${quoted(field.name)}: ${typeDefinition(field.type)}`,
    ...(field.nullable ? [] : ['NOT NULL']),
    ...(comment === undefined ? [] : [`COMMENT ${literal(comment)}`]),
  ].join(' ')
}

function commentOf(field: StructField): string | undefined {
  return typeof field.metadata['comment'] === 'string' ? field.metadata['comment'] : undefined
}

function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``
}
