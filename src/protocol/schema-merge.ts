import { DeltaError } from '../base/errors.js'
import { type DataType, isStruct, type StructField, type StructType, typeText } from './schema.js'
import { type FieldPath, pathText } from './schema-path.js'
import type { TypeChange } from './type-changes.js'
import { isWidening, recorded } from './type-widening.js'

export interface MergeOptions {
  /** Whether columns may get a wider type where the rows that come in have one: the table has type widening. */
  readonly widen?: boolean | undefined
  /** Whether values of another type are cast to the table's as they are written. @defaultValue false */
  readonly cast?: boolean | undefined
}

/**
 * A table's schema that also takes rows of another: what it lacks is added behind, taking NULL, at every depth. Columns are
 * matched by name, whatever the letter case; the table keeps its spelling and order. A column that comes in as nothing
 * but NULL adds none.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH` for a column of two types, neither of which holds the other's values.
 */
export function mergeSchemas(table: StructType, incoming: StructType, options: MergeOptions = {}): StructType {
  return mergeStructs(table, incoming, [], options)
}

/**
 * The schema of a table whose rows are all replaced: the new one, with the ids and physical names of columns that stay what
 * they were. A column of another type is another column.
 */
export function overwriteSchema(table: StructType, incoming: StructType): StructType {
  return {
    ...incoming,
    fields: incoming.fields.map((field) => {
      const before = namedAs(table, field)
      if (!before || shapeText(before.type) !== shapeText(field.type)) return field
      return { ...field, type: keptType(before.type, field.type), metadata: { ...field.metadata, ...identity(before) } }
    }),
  }
}

/** What a type merges to, and the widenings inside it that the nearest field above has to record. */
interface Merged {
  readonly type: DataType
  readonly changes: readonly TypeChange[]
}

function mergeStructs(table: StructType, incoming: StructType, path: FieldPath, options: MergeOptions): StructType {
  const merged = table.fields.map((field) => {
    const given = namedAs(incoming, field)
    if (!given) return field
    const { type, changes } = mergeTypes(field.type, given.type, [...path, field.name], options)
    return recorded({ ...field, type }, changes)
  })
  const added = incoming.fields.filter((field) => !namedAs(table, field) && field.type !== 'void')
  return {
    ...table,
    fields: [...merged, ...added.map(({ name, type }) => ({ name, type: loose(type), nullable: true, metadata: {} }))],
  }
}

function mergeTypes(table: DataType, incoming: DataType, path: FieldPath, options: MergeOptions): Merged {
  if (incoming === 'void') return { type: table, changes: [] }
  if (table === 'void') return { type: loose(incoming), changes: [] }
  if (typeof table === 'string' || typeof incoming === 'string') {
    if (typeText(table) === typeText(incoming) || isWidening(incoming, table)) return { type: table, changes: [] }
    if (!(options.widen && isWidening(table, incoming))) {
      if (options.cast) return { type: table, changes: [] }
      throw apart(path, table, incoming)
    }
    return { type: incoming, changes: [{ fromType: table as string, toType: incoming as string }] }
  }
  if (isStruct(table) && isStruct(incoming)) return { type: mergeStructs(table, incoming, path, options), changes: [] }
  const inner = (step: string, ours: DataType, theirs: DataType): Merged => {
    const { type, changes } = mergeTypes(ours, theirs, [...path, step], options)
    return { type, changes: changes.map((change) => ({ ...change, fieldPath: below(step, change.fieldPath) })) }
  }
  if (table.type === 'array' && incoming.type === 'array') {
    const element = inner('element', table.elementType, incoming.elementType)
    return { type: { ...table, elementType: element.type }, changes: element.changes }
  }
  if (table.type === 'map' && incoming.type === 'map') {
    const key = inner('key', table.keyType, incoming.keyType)
    const value = inner('value', table.valueType, incoming.valueType)
    return { type: { ...table, keyType: key.type, valueType: value.type }, changes: [...key.changes, ...value.changes] }
  }
  if (options.cast) return { type: table, changes: [] }
  throw apart(path, table, incoming)
}

function below(step: string, path: string | undefined): string {
  return path === undefined ? step : `${step}.${path}`
}

function namedAs({ fields }: StructType, { name }: StructField): StructField | undefined {
  return fields.find((field) => field.name.toLowerCase() === name.toLowerCase())
}

/** A type that takes NULL at every depth, and has nothing of the table that it comes from. */
function loose(type: DataType): DataType {
  if (typeof type === 'string') return type
  switch (type.type) {
    case 'struct':
      return { ...type, fields: type.fields.map((f) => ({ name: f.name, type: loose(f.type), nullable: true, metadata: {} })) }
    case 'array':
      return { ...type, elementType: loose(type.elementType), containsNull: true }
    case 'map':
      return { ...type, keyType: loose(type.keyType), valueType: loose(type.valueType), valueContainsNull: true }
  }
}

/** A type as far as old files are concerned: what structs hold is told apart field by field. */
function shapeText(type: DataType): string {
  if (typeof type === 'string') return type
  if (isStruct(type)) return 'struct'
  if (type.type === 'array') return `array<${shapeText(type.elementType)}>`
  return `map<${shapeText(type.keyType)},${shapeText(type.valueType)}>`
}

function keptType(before: DataType, after: DataType): DataType {
  if (typeof before === 'string' || typeof after === 'string') return after
  if (isStruct(before) && isStruct(after)) return overwriteSchema(before, after)
  if (before.type === 'array' && after.type === 'array')
    return { ...after, elementType: keptType(before.elementType, after.elementType) }
  if (before.type === 'map' && after.type === 'map')
    return { ...after, keyType: keptType(before.keyType, after.keyType), valueType: keptType(before.valueType, after.valueType) }
  return after
}

const IDENTITY = [
  'delta.columnMapping.id',
  'delta.columnMapping.physicalName',
  'delta.columnMapping.nested.ids',
  'delta.typeChanges',
]

function identity({ metadata }: StructField): StructField['metadata'] {
  return Object.fromEntries(IDENTITY.flatMap((key) => (key in metadata ? [[key, metadata[key]]] : [])))
}

function apart(path: FieldPath, table: DataType, incoming: DataType): DeltaError {
  return new DeltaError(
    'SCHEMA_MISMATCH',
    'a column has another type in the table than in the rows that come in',
    { column: pathText(path), table: typeText(table), incoming: typeText(incoming) },
    { hint: 'cast the column; a table with delta.enableTypeWidening takes wider types' },
  )
}
