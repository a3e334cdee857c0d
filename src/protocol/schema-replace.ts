import { DeltaError } from '../base/errors.js'
import type { MappingMode } from './column-mapping.js'
import { type DataType, isStruct, type StructField, type StructType, typeText } from './schema.js'
import { type FieldPath, pathText } from './schema-path.js'

/** What of a table bounds how its columns may be replaced. */
interface ReplaceBounds {
  readonly mapping: MappingMode
  readonly partitionColumns: readonly string[]
}

/**
 * The schema with the columns of a new list, in its order. Columns of the same name stay what they are, with the comment of the
 * list; the others are new, and take NULL.
 *
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` for a column that would change its type or take NULL no longer, one that is left
 * out in a table without column mapping, and one that the table is partitioned by.
 */
export function replaceColumns(schema: StructType, fields: readonly StructField[], bounds: ReplaceBounds): StructType {
  return { ...schema, fields: replaced(schema.fields, fields, [], bounds) }
}

function replaced(
  before: readonly StructField[],
  after: readonly StructField[],
  path: FieldPath,
  bounds: ReplaceBounds,
): readonly StructField[] {
  const gone = before.filter((field) => !after.some((one) => sameName(one, field)))
  for (const { name } of gone) {
    if (bounds.mapping === 'none') throw refused('a table without column mapping keeps its columns', [...path, name])
    if (path.length === 0 && bounds.partitionColumns.includes(name))
      throw refused('a column that the table is partitioned by stays', [name])
  }
  return after.map((field) => {
    const here = [...path, field.name]
    const kept = before.find((one) => sameName(one, field))
    if (!kept) {
      if (!field.nullable) throw refused('a column that is added takes NULL: rows that are there have no value in it', here)
      return field
    }
    if (kept.nullable && !field.nullable) throw refused('a column that takes NULL goes on doing so', here)
    return {
      ...kept,
      type: replacedType(kept.type, field.type, here, bounds),
      nullable: field.nullable,
      metadata: { ...kept.metadata, ...('comment' in field.metadata ? { comment: field.metadata['comment'] } : {}) },
    }
  })
}

function replacedType(before: DataType, after: DataType, path: FieldPath, bounds: ReplaceBounds): DataType {
  if (typeof before === 'string' || typeof after === 'string') {
    if (typeText(before) === typeText(after)) return before
  } else if (isStruct(before) && isStruct(after)) {
    return { ...before, fields: replaced(before.fields, after.fields, path, bounds) }
  } else if (before.type === 'array' && after.type === 'array') {
    return { ...before, elementType: replacedType(before.elementType, after.elementType, [...path, 'element'], bounds) }
  } else if (before.type === 'map' && after.type === 'map') {
    return {
      ...before,
      keyType: replacedType(before.keyType, after.keyType, [...path, 'key'], bounds),
      valueType: replacedType(before.valueType, after.valueType, [...path, 'value'], bounds),
    }
  }
  throw refused('a column keeps its type', path)
}

function sameName(one: StructField, other: StructField): boolean {
  return one.name.toLowerCase() === other.name.toLowerCase()
}

function refused(message: string, path: FieldPath): DeltaError {
  return new DeltaError('SCHEMA_CHANGE_REFUSED', message, { column: pathText(path) })
}
