import type { ParquetField } from '../engine/parquet-shape.js'
import { duckdbType } from '../engine/types.js'
import { fieldId, isFileOnly, type MappingMode, physicalName, physicalType } from '../protocol/column-mapping.js'
import { type DataType, isStruct, type StructField } from '../protocol/schema.js'
import { parseType } from '../protocol/type-text.js'

/** A column under the names of one file. */
export interface StoredColumn {
  readonly name: string
  /** The field's type, part by part, under the file's names; a struct may have one more member at its end. */
  readonly type: DataType
}

/** By logical name. */
export type StoredColumns = ReadonlyMap<string, StoredColumn>

/**
 * How a file has the columns of a table, where that is not how the table says: under column mapping, and of texts and bytes, which some
 * writers do not tell apart.
 *
 * In mode `id` names do not count where files have ids. A struct of which the file has none of the wanted members gets one that
 * it has, as the engine reads no struct without a member; whether the struct itself is NULL shows in it.
 *
 * @returns `undefined` when the columns are found by the physical names, or ids, of the schema.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#reader-requirements-for-column-mapping
 */
export function storedColumns(
  fields: readonly StructField[],
  mode: MappingMode,
  file: readonly ParquetField[],
): StoredColumns | undefined {
  const byId = mode === 'id' && file.some(hasIds)
  const columns = fields.map((field) => [field, storedField(field, mode, file, byId)] as const)
  const isPlain = ([field, { name, type }]: (typeof columns)[number]) =>
    name === physicalName(field, mode) && duckdbType(type) === duckdbType(physicalType(field.type, mode))
  if (byId === (mode === 'id') && columns.every(isPlain)) return undefined
  return new Map(columns.map(([field, column]) => [field.name, column]))
}

function storedField(field: StructField, mode: MappingMode, within: readonly ParquetField[], byId: boolean): StoredColumn {
  const name = physicalName(field, mode)
  const id = byId && !isFileOnly(field) ? fieldId(field, mode) : undefined
  const found = within.find((one) => (id === undefined ? one.name.toLowerCase() === name.toLowerCase() : one.fieldId === id))
  if (!found) return { name: id === undefined ? name : `__absent_${id}`, type: physicalType(field.type, mode) }
  return { name: id === undefined ? name : found.name, type: storedType(field.type, mode, found, byId) }
}

function storedType(type: DataType, mode: MappingMode, stored: ParquetField, byId: boolean): DataType {
  const [first, second] = stored.children
  if (typeof type === 'string') return stored.kind === 'leaf' ? textOrBytes(type, stored.type) : physicalType(type, mode)
  if (isStruct(type)) {
    if (stored.kind !== 'struct') return physicalType(type, mode)
    const fields = type.fields.map((field) => ({ ...field, ...storedField(field, mode, stored.children, byId) }))
    const isThere = fields.some(({ name }) => stored.children.some((one) => one.name.toLowerCase() === name.toLowerCase()))
    return { ...type, fields: isThere || !first ? fields : [...fields, asField(first)] }
  }
  if (!first) return physicalType(type, mode)
  if (type.type === 'array') return { ...type, elementType: storedType(type.elementType, mode, first, byId) }
  if (!second) return physicalType(type, mode)
  const keyType = storedType(type.keyType, mode, first, byId)
  return { ...type, keyType, valueType: storedType(type.valueType, mode, second, byId) }
}

/** Some writers leave the mark of a text out, and some mark bytes as one. */
function textOrBytes(type: string, stored: string | undefined): string {
  if (type === 'binary' && stored === 'VARCHAR') return 'string'
  return type === 'string' && stored === 'BLOB' ? 'binary' : type
}

function asField(stored: ParquetField): StructField {
  return { name: stored.name, type: typeOf(stored), nullable: true, metadata: {} }
}

function typeOf({ kind, type, children }: ParquetField): DataType {
  const [first, second] = children
  switch (kind) {
    case 'struct':
      return { type: 'struct', fields: children.slice(0, 1).map(asField) }
    case 'list':
      return { type: 'array', elementType: first ? typeOf(first) : 'void', containsNull: true }
    case 'map':
      return {
        type: 'map',
        keyType: first ? typeOf(first) : 'void',
        valueType: second ? typeOf(second) : 'void',
        valueContainsNull: true,
      }
    case 'leaf':
      return parseType(type ?? 'BLOB', 'duckdb')
  }
}

function hasIds({ fieldId: id, children }: ParquetField): boolean {
  return id !== undefined || children.some(hasIds)
}
