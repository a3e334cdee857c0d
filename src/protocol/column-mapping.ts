import { DeltaError } from '../base/errors.js'
import type { Metadata, Protocol } from './actions.js'
import type { DataType, StructField, StructType } from './schema.js'

/** How a table's columns are found in its files: by name, by a physical name, or by a Parquet field id. */
export type MappingMode = 'none' | 'name' | 'id'

export const MAPPING_MODE = 'delta.columnMapping.mode'

export const MAX_COLUMN_ID = 'delta.columnMapping.maxColumnId'

const ID = 'delta.columnMapping.id'
const PHYSICAL_NAME = 'delta.columnMapping.physicalName'
const FILE_ONLY = 'deltaic.fileOnly'

/**
 * The mode that a table's files are in. The property counts only where the protocol has the feature.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a mode that the protocol does not name.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#column-mapping
 */
export function mappingMode(protocol: Protocol, metadata: Pick<Metadata, 'configuration'>): MappingMode {
  const mode = (metadata.configuration[MAPPING_MODE] ?? 'none').toLowerCase()
  const isSupported =
    protocol.minReaderVersion === 2 || (protocol.minReaderVersion >= 3 && protocol.readerFeatures?.includes('columnMapping'))
  if (!isSupported || mode === 'none') return 'none'
  if (mode === 'name' || mode === 'id') return mode
  throw new DeltaError('FEATURE_UNSUPPORTED', 'deltaic cannot read this table', { features: 'columnMapping', mode })
}

/** The name that a field has in data files, statistics and partition values. */
export function physicalName(field: StructField, mode: MappingMode): string {
  if (mode === 'none') return field.name
  const name = field.metadata?.[PHYSICAL_NAME]
  if (typeof name === 'string' && name !== '') return name
  throw new DeltaError('SCHEMA_MALFORMED', 'a column of a table with column mapping has no physical name', { column: field.name })
}

/** The Parquet field id of a field; `undefined` where the table has none. */
export function fieldId(field: StructField, mode: MappingMode): number | undefined {
  if (mode === 'none') return undefined
  const id = field.metadata?.[ID]
  if (typeof id === 'number' && Number.isSafeInteger(id)) return id
  throw new DeltaError('SCHEMA_MALFORMED', 'a column of a table with column mapping has no id', { column: field.name })
}

/** A field that files have beside the columns of the table: under its own name whatever the mode, without an id. */
export function fileOnlyField(name: string, type: DataType): StructField {
  return { name, type, nullable: true, metadata: { [FILE_ONLY]: true, [PHYSICAL_NAME]: name } }
}

export function isFileOnly({ metadata }: StructField): boolean {
  return metadata?.[FILE_ONLY] === true
}

/** The field as files have it: names are physical at every depth, the order is the same. */
export function physicalField(field: StructField, mode: MappingMode): StructField {
  if (mode === 'none') return field
  return { ...field, name: physicalName(field, mode), type: physicalType(field.type, mode) }
}

/** The schema as files have it. @see physicalField */
export function physicalSchema(schema: StructType, mode: MappingMode): StructType {
  return mode === 'none' ? schema : { ...schema, fields: schema.fields.map((field) => physicalField(field, mode)) }
}

export function physicalType(type: DataType, mode: MappingMode): DataType {
  if (mode === 'none' || typeof type === 'string') return type
  switch (type.type) {
    case 'struct':
      return physicalSchema(type, mode)
    case 'array':
      return { ...type, elementType: physicalType(type.elementType, mode) }
    case 'map':
      return { ...type, keyType: physicalType(type.keyType, mode), valueType: physicalType(type.valueType, mode) }
  }
}

/** The physical names of top-level columns, in the order given; names that the schema does not have are left out. */
export function physicalColumns(schema: StructType, columns: readonly string[], mode: MappingMode): string[] {
  return columns.flatMap((column) => {
    const found = schema.fields.find((field) => field.name.toLowerCase() === column.toLowerCase())
    return found ? [physicalName(found, mode)] : []
  })
}

/** The physical names along a path of struct fields, which is in the schema's own letter case. */
export function physicalPath(schema: StructType, path: readonly string[], mode: MappingMode): readonly string[] {
  const [head, ...rest] = path
  const field = schema.fields.find(({ name }) => name === head)
  if (!field) return []
  const inner = typeof field.type === 'object' && field.type.type === 'struct' ? physicalPath(field.type, rest, mode) : []
  return [physicalName(field, mode), ...inner]
}

/**
 * Gives every field that lacks one, at every depth, an id above `maxColumnId` and a physical name.
 *
 * @param nameOf a new column gets a name that no other has had (`col-<uuid>`); one whose files are there already keeps its own.
 * @returns the schema, and the highest id ever given: what `delta.columnMapping.maxColumnId` is to be.
 */
export function assignColumnIds(
  schema: StructType,
  maxColumnId: number,
  nameOf: (field: StructField) => string,
): { readonly schema: StructType; readonly maxColumnId: number } {
  let last = Math.max(maxColumnId, ...idsWithin(schema))
  const assigned = (type: DataType): DataType => {
    if (typeof type === 'string') return type
    switch (type.type) {
      case 'struct':
        return struct(type)
      case 'array':
        return { ...type, elementType: assigned(type.elementType) }
      case 'map':
        return { ...type, keyType: assigned(type.keyType), valueType: assigned(type.valueType) }
    }
  }
  const struct = (type: StructType): StructType => ({
    ...type,
    fields: type.fields.map((field) => {
      const { [ID]: id = ++last, [PHYSICAL_NAME]: name = nameOf(field), ...rest } = field.metadata
      return { ...field, type: assigned(field.type), metadata: { ...rest, [ID]: id, [PHYSICAL_NAME]: name } }
    }),
  })
  return { schema: struct(schema), maxColumnId: last }
}

function idsWithin(type: DataType): number[] {
  if (typeof type === 'string') return []
  switch (type.type) {
    case 'struct':
      return type.fields.flatMap((field) => [Number(field.metadata?.[ID] ?? 0), ...idsWithin(field.type)])
    case 'array':
      return idsWithin(type.elementType)
    case 'map':
      return [...idsWithin(type.keyType), ...idsWithin(type.valueType)]
  }
}
