import { DeltaError } from '../base/errors.js'
import { type DataType, isStruct, type StructField, type StructType } from './schema.js'

/**
 * A place in a schema: columns, fields of structs, and `element`, `key` and `value` where arrays and maps are gone into.
 * Letter case does not count.
 */
export type FieldPath = readonly string[]

/**
 * The path in the schema's own letter case.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH` when the schema has no such place.
 */
export function resolvePath(schema: StructType, path: FieldPath): FieldPath {
  const found = knownPath(schema, path)
  if (!found) throw missing(path)
  return found
}

/** The path in the schema's own letter case; `undefined` when the schema has no such place. */
export function knownPath(schema: StructType, path: FieldPath): FieldPath | undefined {
  const found: string[] = []
  let type: DataType = schema
  for (const part of path) {
    const step = stepInto(type, part)
    if (!step) return undefined
    found.push(step.name)
    type = step.type
  }
  return found
}

/** The field at a path; `undefined` when there is none, or the path ends at an element, key or value. */
export function fieldAt(schema: StructType, path: FieldPath): StructField | undefined {
  let type: DataType = schema
  let field: StructField | undefined
  for (const part of path) {
    const step = stepInto(type, part)
    if (!step) return undefined
    field = step.field
    type = step.type
  }
  return field
}

/** The schema with another type at a path, which is in the schema's own letter case. */
export function changeTypeAt(schema: StructType, path: FieldPath, change: (type: DataType) => DataType): StructType {
  return changed(schema, path, path, change) as StructType
}

/**
 * The schema with other fields in the struct that holds the field at `path`; `null` takes it out.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH` when the schema has no such field.
 */
export function changeFieldAt(
  schema: StructType,
  path: FieldPath,
  change: (field: StructField, beside: readonly StructField[]) => StructField | null,
): StructType {
  const name = path.at(-1)
  return changeTypeAt(schema, path.slice(0, -1), (above) => {
    const field = isStruct(above) ? above.fields.find((one) => one.name === name) : undefined
    if (!isStruct(above) || !field) throw missing(path)
    const after = change(field, above.fields)
    return { ...above, fields: above.fields.flatMap((one) => (one === field ? (after ?? []) : one)) }
  })
}

export function pathText(path: FieldPath): string {
  return path.map((part) => (/^\w+$/.test(part) ? part : `\`${part.replaceAll('`', '``')}\``)).join('.')
}

function changed(type: DataType, path: FieldPath, whole: FieldPath, change: (type: DataType) => DataType): DataType {
  const [head, ...rest] = path
  if (head === undefined) return change(type)
  if (typeof type === 'object') {
    const inner = (one: DataType) => changed(one, rest, whole, change)
    if (isStruct(type) && type.fields.some(({ name }) => name === head))
      return { ...type, fields: type.fields.map((one) => (one.name === head ? { ...one, type: inner(one.type) } : one)) }
    if (type.type === 'array' && head === 'element') return { ...type, elementType: inner(type.elementType) }
    if (type.type === 'map' && head === 'key') return { ...type, keyType: inner(type.keyType) }
    if (type.type === 'map' && head === 'value') return { ...type, valueType: inner(type.valueType) }
  }
  throw missing(whole)
}

interface Step {
  readonly name: string
  readonly type: DataType
  readonly field?: StructField
}

function stepInto(type: DataType, part: string): Step | undefined {
  if (typeof type === 'string') return undefined
  const wanted = part.toLowerCase()
  if (isStruct(type)) {
    const field = type.fields.find(({ name }) => name.toLowerCase() === wanted)
    return field && { name: field.name, type: field.type, field }
  }
  if (type.type === 'array') return wanted === 'element' ? { name: wanted, type: type.elementType } : undefined
  if (wanted === 'key') return { name: wanted, type: type.keyType }
  return wanted === 'value' ? { name: wanted, type: type.valueType } : undefined
}

function missing(path: FieldPath): DeltaError {
  return new DeltaError('SCHEMA_MISMATCH', 'the table has no such column', { column: pathText(path) })
}
