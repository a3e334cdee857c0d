import { DeltaError } from '../base/errors.js'
import { type Random, systemRandom } from '../base/random.js'
import { materializedColumns } from '../ops/track-rows.js'
import type { Action, DomainMetadata, Metadata, Protocol } from '../protocol/actions.js'
import { clusteringColumns, clusteringDomain } from '../protocol/clustering.js'
import { assignColumnIds, MAPPING_MODE, MAX_COLUMN_ID, mappingMode } from '../protocol/column-mapping.js'
import { checkWritable } from '../protocol/features.js'
import { identityMetadata, identityOf } from '../protocol/identity.js'
import { canonicalProperties, checkNewProperties, tableProperties } from '../protocol/properties.js'
import { protocolFor, splitRequest } from '../protocol/protocol-for.js'
import { missingProvenance } from '../protocol/provenance.js'
import { type DataType, field, findField, formatSchema, isVoid, type StructField, type StructType } from '../protocol/schema.js'
import { checkColumnNames } from '../protocol/schema-change.js'
import { parseType } from '../protocol/type-text.js'
import { checkRules } from '../table/check-rules.js'
import { commitInfoOf, type Operation } from '../table/commit-info.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { StageTarget } from '../table/stage.js'
import type { ColumnDefinition } from './options.js'

export interface TableDesign {
  readonly fields: readonly StructField[]
  readonly partitionBy?: readonly string[] | undefined
  readonly properties?: Readonly<Record<string, string>> | undefined
  /** Conditions that hold for every row, as SQL. */
  readonly constraints?: readonly CheckConstraint[] | undefined
  /** Columns to cluster by, as paths; at most 4. */
  readonly clusterBy?: readonly (readonly string[])[] | undefined
  readonly comment?: string | undefined
}

interface CheckConstraint {
  readonly name: string
  readonly expression: string
}

/** A design that has been checked. */
export interface CheckedDesign extends StageTarget {
  readonly comment: string | undefined
  readonly configuration: Readonly<Record<string, string>>
  readonly protocol: Protocol
  readonly clusterBy: readonly (readonly string[])[]
  /** Actions that stand beside the metadata in version 0. */
  readonly domains: readonly DomainMetadata[]
}

/**
 * Checks what a new table is to be.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`, `TYPE_UNSUPPORTED`, `FEATURE_UNSUPPORTED`.
 */
export function checkDesign(design: TableDesign, random: Random = systemRandom): CheckedDesign {
  const given = canonicalProperties(design.properties ?? {})
  checkNewProperties(given)
  const asked = splitRequest(given)
  const fields = [...design.fields, ...missingProvenance(design.fields, asked.configuration)]
  if (design.fields.length === 0) throw new DeltaError('ARGUMENT_INVALID', 'a table has at least one column')
  const mode = (asked.configuration[MAPPING_MODE] ?? 'none').toLowerCase()
  const plain: StructType = { type: 'struct', fields }
  checkColumnNames(plain, mode === 'none' ? 'none' : 'name')
  const mapped = mode === 'none' ? undefined : assignColumnIds(plain, 0, () => `col-${random.uuid()}`)
  const schema = mapped?.schema ?? plain
  const partitionColumns = (design.partitionBy ?? []).map((name) => partitionColumn(schema, name))
  if (new Set(partitionColumns).size !== partitionColumns.length)
    throw new DeltaError('ARGUMENT_INVALID', 'a partition column is named twice')
  if (partitionColumns.length === fields.length)
    throw new DeltaError('ARGUMENT_INVALID', 'a table has at least one column that it is not partitioned by')
  checkOrigins(fields, partitionColumns)
  const clusterBy = clusteringColumns(schema, design.clusterBy ?? [], partitionColumns)
  const configuration = {
    ...asked.configuration,
    ...(mapped ? { [MAPPING_MODE]: mode, [MAX_COLUMN_ID]: String(mapped.maxColumnId) } : {}),
    ...constraintProperties(design.constraints ?? []),
  }
  const features = [...(asked.request.features ?? []), ...(clusterBy.length > 0 ? ['clustering'] : [])]
  const protocol = protocolFor(schema, configuration, { ...asked.request, features })
  const mapping = mappingMode(protocol, { configuration })
  const checked = { schema, partitionColumns, properties: tableProperties(configuration), mapping, configuration, protocol }
  checkWritable(protocol, metadataOf(checked, '', 0))
  return {
    ...checked,
    clusterBy,
    comment: design.comment,
    domains: clusterBy.length > 0 ? [clusteringDomain(schema, clusterBy, mapping)] : [],
  }
}

/**
 * Writes version 0 of a table, with rows that are durable already where there are any.
 *
 * @returns false when there is a table already.
 */
export async function createDeltaTable(
  table: DeltaTable,
  design: CheckedDesign,
  operation: Operation,
  files: readonly Action[] = [],
  signal?: AbortSignal,
): Promise<boolean> {
  const metadata = await newMetadata(table, design)
  const described = { ...operation, parameters: parametersOf(design, metadata) }
  const commitInfo = commitInfoOf(table.deps, described, {
    isolationLevel: design.properties.isolationLevel,
    isBlindAppend: true,
  })
  const domains = design.domains.map((domainMetadata) => ({ domainMetadata }))
  const { clock, events } = table.deps
  const startedMs = clock.now()
  const isMade = await table.create(design.protocol, metadata, [{ commitInfo }, ...domains, ...files], { signal })
  const elapsedMs = clock.now() - startedMs
  if (isMade) events({ type: 'committed', table: table.uri, version: 0, operation: operation.name, attempts: 1, elapsedMs })
  return isMade
}

/**
 * The metadata of a table that is about to be made, with an id of its own.
 *
 * @throws {DeltaError} as `checkRules` does, for rules that rows could not be held to.
 */
export async function newMetadata(table: DeltaTable, design: CheckedDesign): Promise<Metadata> {
  const { clock, database, random } = table.deps
  await database.use((connection) => checkRules(connection, design.schema, design.properties))
  const tracked = design.properties.rowTracking ? materializedColumns(random) : {}
  return metadataOf({ ...design, configuration: { ...design.configuration, ...tracked } }, random.uuid(), clock.now())
}

/** What the history says of how a table was made. */
export function parametersOf(design: CheckedDesign, { configuration }: Metadata): NonNullable<Operation['parameters']> {
  return {
    partitionBy: JSON.stringify(design.partitionColumns),
    clusterBy: JSON.stringify(design.clusterBy.map((path) => path.join('.'))),
    description: design.comment ?? null,
    isManaged: 'false',
    properties: JSON.stringify(configuration),
  }
}

function metadataOf(
  design: Pick<CheckedDesign, 'schema' | 'partitionColumns' | 'configuration'> & { readonly comment?: string | undefined },
  id: string,
  createdTime: number,
): Metadata {
  return {
    id,
    ...(design.comment === undefined ? {} : { description: design.comment }),
    format: { provider: 'parquet', options: {} },
    schemaString: formatSchema(design.schema),
    partitionColumns: design.partitionColumns,
    createdTime,
    configuration: design.configuration,
  }
}

/** Constraints as the properties that keep them: their names are in lower case. */
function constraintProperties(constraints: readonly CheckConstraint[]): Readonly<Record<string, string>> {
  const names = constraints.map(({ name }) => name.toLowerCase())
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new DeltaError('ARGUMENT_INVALID', 'two constraints have one name', { constraint: twice })
  return Object.fromEntries(constraints.map(({ name, expression }) => [`delta.constraints.${name.toLowerCase()}`, expression]))
}

/** @throws {DeltaError} `TYPE_UNSUPPORTED`. */
export function fieldOf(column: ColumnDefinition): StructField {
  const { name, nullable = true, comment, default: byDefault, generatedAs, identity } = column
  const { type, limit } = parseColumnType(column.type)
  return field(name, type, nullable, {
    ...(comment === undefined ? {} : { comment }),
    ...(limit === undefined ? {} : { __CHAR_VARCHAR_TYPE_STRING: limit }),
    ...(byDefault === undefined ? {} : { CURRENT_DEFAULT: byDefault }),
    ...(generatedAs === undefined ? {} : { 'delta.generationExpression': generatedAs }),
    ...(identity === undefined
      ? {}
      : identityMetadata({
          start: BigInt(identity.start ?? 1),
          step: BigInt(identity.step ?? 1),
          allowExplicitInsert: identity.allowsExplicit ?? false,
        })),
  })
}

/** A type of its own name only as a limit: CHAR and VARCHAR are text. */
function parseColumnType(text: string): { readonly type: DataType; readonly limit?: string } {
  const [, name, length] = /^\s*(char|character|varchar)\s*\(\s*(\d+)\s*\)\s*$/i.exec(text) ?? []
  if (name === undefined || Number(length) === 0) return { type: parseType(text) }
  return { type: 'string', limit: `${name.toLowerCase() === 'varchar' ? 'varchar' : 'char'}(${Number(length)})` }
}

/** A value comes from one place, and numbers are of one type. */
function checkOrigins(fields: readonly StructField[], partitionColumns: readonly string[]): void {
  const refuse = (column: string, message: string) => new DeltaError('ARGUMENT_INVALID', message, { column })
  for (const f of fields) {
    const identity = identityOf(f)
    const origins = ['CURRENT_DEFAULT', 'delta.generationExpression', 'delta.identity.start'].filter((key) => key in f.metadata)
    if (origins.length > 1) throw refuse(f.name, 'a column has a default, is generated or numbers rows: one of these')
    if (!identity) continue
    if (f.type !== 'long') throw refuse(f.name, 'a column that numbers rows is a BIGINT')
    if (identity.step === 0n) throw refuse(f.name, 'a column that numbers rows has a step other than 0')
    if (partitionColumns.includes(f.name)) throw refuse(f.name, 'a table is not partitioned by a column that numbers rows')
  }
}

function partitionColumn(schema: StructType, name: string): string {
  const found = findField(schema, name)
  if (!found) throw new DeltaError('ARGUMENT_INVALID', 'the table has no such column to be partitioned by', { column: name })
  if (typeof found.type !== 'string' || found.type === 'variant' || isVoid(found.type))
    throw new DeltaError('ARGUMENT_INVALID', 'a table cannot be partitioned by arrays, maps, structs, variants or void', {
      column: name,
    })
  return found.name
}
