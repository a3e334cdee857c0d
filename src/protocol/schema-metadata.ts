import { DeltaError } from '../base/errors.js'
import type { Metadata } from './actions.js'
import { assignColumnIds, MAPPING_MODE, MAX_COLUMN_ID, type MappingMode } from './column-mapping.js'
import { tableProperties } from './properties.js'
import { type DataType, formatSchema, parseSchema, type StructType } from './schema.js'
import { checkColumnNames, dropColumns, renameField } from './schema-change.js'
import { type FieldPath, pathText, resolvePath } from './schema-path.js'
import { featureUse } from './table-features.js'

const STATS_COLUMNS = 'delta.dataSkippingStatsColumns'

/**
 * The metadata of a table with another schema; with column mapping, columns that are new in it get ids and names of their own.
 *
 * @param newName gives a physical name that no column has had.
 * @throws {DeltaError} `ARGUMENT_INVALID` for a name that files cannot have.
 */
export function withSchema(metadata: Metadata, schema: StructType, mapping: MappingMode, newName: () => string): Metadata {
  checkColumnNames(schema, mapping)
  if (mapping === 'none') return { ...metadata, schemaString: formatSchema(schema) }
  const { maxColumnId } = tableProperties(metadata.configuration)
  const assigned = assignColumnIds(schema, maxColumnId, newName)
  return {
    ...metadata,
    schemaString: formatSchema(assigned.schema),
    configuration: { ...metadata.configuration, [MAX_COLUMN_ID]: String(assigned.maxColumnId) },
  }
}

/**
 * The metadata with column mapping, as the mode in its configuration asks: columns keep their names as physical ones, so that
 * files need no change.
 *
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` for a change of mode that would need the files rewritten.
 */
export function withMappingMode(metadata: Metadata, before: MappingMode): Metadata {
  const after = (metadata.configuration[MAPPING_MODE] ?? 'none').toLowerCase()
  if (after === before) return metadata
  if (before !== 'none' || after !== 'name')
    throw new DeltaError(
      'SCHEMA_CHANGE_REFUSED',
      'the mode of column mapping only changes from none to name',
      { from: before, to: after },
      { hint: 'write the rows into a table that is created with the other mode' },
    )
  const { schema, maxColumnId } = assignColumnIds(parseSchema(metadata.schemaString), 0, ({ name }) => name)
  return {
    ...metadata,
    schemaString: formatSchema(schema),
    configuration: { ...metadata.configuration, [MAPPING_MODE]: after, [MAX_COLUMN_ID]: String(maxColumnId) },
  }
}

/**
 * The metadata of a table with a column called otherwise. Its files have the physical name and stay as they are.
 *
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` without column mapping, or when an expression of the table speaks of the column.
 */
export function renameColumn(metadata: Metadata, mapping: MappingMode, path: FieldPath, name: string): Metadata {
  needMapping(mapping, path)
  const schema = parseSchema(metadata.schemaString)
  const found = resolvePath(schema, path)
  checkUnmentioned(metadata, schema, found)
  const renamed = renameField(schema, found, name)
  checkColumnNames(renamed, mapping)
  const to = [...found.slice(0, -1), name]
  return {
    ...metadata,
    schemaString: JSON.stringify(renamed),
    partitionColumns: metadata.partitionColumns.map((column) => (found.length === 1 && column === found[0] ? name : column)),
    configuration: withStatsColumns(metadata.configuration, (column) =>
      isWithin(column, found) ? [[...to, ...column.slice(to.length)]] : [column],
    ),
  }
}

/**
 * The metadata of a table without some columns. Their files stay as they are; nothing in them shows again.
 *
 * @param clusteredBy columns that the table is clustered by, as paths.
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` without column mapping, for a column that the table is partitioned or
 * clustered by, and one that an expression of the table speaks of.
 */
export function withoutColumns(
  metadata: Metadata,
  mapping: MappingMode,
  paths: readonly FieldPath[],
  clusteredBy: readonly FieldPath[] = [],
): Metadata {
  const schema = parseSchema(metadata.schemaString)
  const found = paths.map((path) => resolvePath(schema, path))
  for (const path of found) {
    needMapping(mapping, path)
    const [top] = path
    if (path.length === 1 && metadata.partitionColumns.some((column) => column === top))
      throw refused('a column that the table is partitioned by stays', path)
    if (clusteredBy.some((column) => isWithin(column, path))) throw refused('a column that the table is clustered by stays', path)
    checkUnmentioned(metadata, schema, path)
  }
  return {
    ...metadata,
    schemaString: formatSchema(dropColumns(schema, found)),
    configuration: withStatsColumns(metadata.configuration, (column) =>
      found.some((path) => isWithin(column, path)) ? [] : [column],
    ),
  }
}

/** Refuses a column that a constraint or a generated column may speak of: only words are looked at. */
function checkUnmentioned(metadata: Metadata, schema: StructType, path: FieldPath): void {
  const speaks = (expression: unknown) => typeof expression === 'string' && mentionsPath(expression, path)
  for (const [name, expression] of tableProperties(metadata.configuration).constraints)
    if (speaks(expression)) throw refused('a constraint speaks of the column', path, name)
  for (const field of featureUse(schema, {}).fields) {
    const { 'delta.generationExpression': generation, 'delta.invariants': invariant } = field.metadata ?? {}
    if (speaks(generation)) throw refused('a column is computed from it', path, field.name)
    if (speaks(invariant)) throw refused('an invariant speaks of the column', path, field.name)
  }
}

function mentionsPath(expression: string, path: FieldPath): boolean {
  const words = expression.match(/`(?:[^`]|``)+`|'(?:[^'\\]|\\.|'')*'|[\p{L}\p{N}_$]+/gu) ?? []
  const names = new Set(
    words.map((word) => (word.startsWith('`') ? word.slice(1, -1).replaceAll('``', '`') : word).toLowerCase()),
  )
  return path.every((part) => ['element', 'key', 'value'].includes(part) || names.has(part.toLowerCase()))
}

/** The configuration with other columns in the list of those that have statistics, where there is one. */
function withStatsColumns(
  configuration: Metadata['configuration'],
  change: (column: FieldPath) => readonly FieldPath[],
): Metadata['configuration'] {
  const columns = tableProperties(configuration).dataSkippingStatsColumns
  if (!columns) return configuration
  return { ...configuration, [STATS_COLUMNS]: columns.flatMap(change).map(pathText).join(',') }
}

/** Whether a column is the one at `path`, or lies in it. */
function isWithin(column: FieldPath, path: FieldPath): boolean {
  return path.every((part, index) => part.toLowerCase() === column[index]?.toLowerCase())
}

function needMapping(mapping: MappingMode, path: FieldPath): void {
  if (mapping !== 'none') return
  throw new DeltaError(
    'SCHEMA_CHANGE_REFUSED',
    'columns are renamed and dropped in tables with column mapping only',
    { column: pathText(path) },
    { hint: "ALTER TABLE … SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name') first" },
  )
}

function refused(message: string, path: FieldPath, by?: string): DeltaError {
  return new DeltaError('SCHEMA_CHANGE_REFUSED', message, { column: pathText(path), ...(by === undefined ? {} : { by }) })
}

/** The metadata of a table whose fields, at every depth, say nothing under some keys. */
export function withoutFieldKeys(metadata: Metadata, keys: readonly string[]): Metadata {
  const stripped = (type: DataType): DataType => {
    if (typeof type === 'string') return type
    if (type.type === 'array') return { ...type, elementType: stripped(type.elementType) }
    if (type.type === 'map') return { ...type, keyType: stripped(type.keyType), valueType: stripped(type.valueType) }
    return struct(type)
  }
  const struct = (type: StructType): StructType => ({
    ...type,
    fields: type.fields.map((field) => ({
      ...field,
      type: stripped(field.type),
      metadata: Object.fromEntries(Object.entries(field.metadata).filter(([key]) => !keys.includes(key))),
    })),
  })
  return { ...metadata, schemaString: formatSchema(struct(parseSchema(metadata.schemaString))) }
}
