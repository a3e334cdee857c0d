import { LRUCache } from 'lru-cache'
import { DeltaError } from '../base/errors.js'

/** A Delta type, as `schemaString` writes it. @see PROTOCOL.md#schema-serialization-format */
export type DataType = string | StructType | ArrayType | MapType

export interface StructType {
  readonly type: 'struct'
  readonly fields: readonly StructField[]
}

export interface ArrayType {
  readonly type: 'array'
  readonly elementType: DataType
  readonly containsNull: boolean
}

export interface MapType {
  readonly type: 'map'
  readonly keyType: DataType
  readonly valueType: DataType
  readonly valueContainsNull: boolean
}

export interface StructField {
  readonly name: string
  readonly type: DataType
  readonly nullable: boolean
  readonly metadata: Readonly<Record<string, unknown>>
}

/** The schemas that were read last: each write of a table reads its own again. */
const PARSED = new LRUCache<string, StructType>({ max: 64 })

/**
 * Reads `metaData.schemaString`.
 *
 * @throws {DeltaError} `SCHEMA_MALFORMED` when it is not the JSON of a struct, or two columns differ only in case.
 */
export function parseSchema(schemaString: string): StructType {
  const schema = PARSED.get(schemaString) ?? readSchema(schemaString)
  PARSED.set(schemaString, schema)
  return schema
}

function readSchema(schemaString: string): StructType {
  let value: StructType
  try {
    value = JSON.parse(schemaString.replace(LONG_IN_TEXT, '$1"$2"'), asNumber) as StructType
  } catch (cause) {
    throw new DeltaError('SCHEMA_MALFORMED', 'table schema is not JSON', {}, { cause })
  }
  if (value?.type !== 'struct' || !Array.isArray(value.fields))
    throw new DeltaError('SCHEMA_MALFORMED', 'table schema is not a struct')
  if (!isType(value)) throw new DeltaError('SCHEMA_MALFORMED', 'table schema has a column without name or type')
  checkNames(value.fields, 'SCHEMA_MALFORMED')
  return completed(value)
}

/** A type in full: some writers leave out, or say null, where a part is as most are. */
function completed<T extends DataType>(type: T): T
function completed(type: DataType): DataType {
  if (typeof type === 'string') return type
  switch (type.type) {
    case 'struct':
      return {
        ...type,
        fields: type.fields.map((f) => ({
          ...f,
          type: completed(f.type),
          nullable: f.nullable ?? true,
          metadata: f.metadata ?? {},
        })),
      }
    case 'array':
      return { ...type, elementType: completed(type.elementType), containsNull: type.containsNull ?? true }
    case 'map':
      return {
        ...type,
        keyType: completed(type.keyType),
        valueType: completed(type.valueType),
        valueContainsNull: type.valueContainsNull ?? true,
      }
  }
}

/** Whether what a log says is of the shape of a type, at any depth; unknown names of types are others' to refuse. */
function isType(value: unknown): boolean {
  if (typeof value === 'string') return true
  if (typeof value !== 'object' || value === null) return false
  const { type, fields, elementType, keyType, valueType } = value as Readonly<Record<string, unknown>>
  if (type === 'array') return isType(elementType)
  if (type === 'map') return isType(keyType) && isType(valueType)
  return type === 'struct' && Array.isArray(fields) && fields.every((one: unknown) => isField(one))
}

function isField(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { name, type } = value as Readonly<Record<string, unknown>>
  return typeof name === 'string' && isType(type)
}

/** Writes `metaData.schemaString`. */
export function formatSchema(schema: StructType): string {
  const text = JSON.stringify(schema, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
  return text.replace(LONG_AS_TEXT, '$1$2')
}

/** Numbers of identity columns may be larger than JSON's are read as: such ones are held as bigint. */
const LONG_IN_TEXT = /(?<!\\)("delta\.identity\.(?:start|step|highWaterMark)"\s*:\s*)(-?\d{16,})/g
const LONG_AS_TEXT = /(?<!\\)("delta\.identity\.(?:start|step|highWaterMark)":)"(-?\d{16,})"/g

function asNumber(key: string, value: unknown): unknown {
  if (typeof value !== 'string' || !/^delta\.identity\.(start|step|highWaterMark)$/.test(key)) return value
  return Number.isSafeInteger(Number(value)) ? Number(value) : BigInt(value)
}

/** Refuses two columns whose names differ only in case. */
export function checkNames(fields: readonly StructField[], code: 'SCHEMA_MALFORMED' | 'ARGUMENT_INVALID'): void {
  const seen = new Set<string>()
  for (const field of fields) {
    const name = field.name.toLowerCase()
    if (seen.has(name))
      throw new DeltaError(code, 'two columns have one name (letter case does not count)', { column: field.name })
    seen.add(name)
  }
}

/** Whether a type has no values: older logs call it `null`. */
export function isVoid(type: DataType): boolean {
  return type === 'void' || type === 'null'
}

/** Whether `wanted` is in a type, at any depth. */
export function mentions(type: DataType, wanted: string): boolean {
  if (typeof type === 'string') return type === wanted
  switch (type.type) {
    case 'struct':
      return type.fields.some((f) => mentions(f.type, wanted))
    case 'array':
      return mentions(type.elementType, wanted)
    case 'map':
      return mentions(type.keyType, wanted) || mentions(type.valueType, wanted)
  }
}

/** The length of a CHAR column, whose values Spark pads when it reads them. */
export function charLength(field: Pick<StructField, 'metadata'>): number | undefined {
  const length = /^char\((\d+)\)$/i.exec(String(field.metadata?.['__CHAR_VARCHAR_TYPE_STRING'] ?? ''))?.[1]
  return length === undefined ? undefined : Number(length)
}

/** The column called `name`, whatever its letter case. */
export function findField(schema: StructType, name: string): StructField | undefined {
  const wanted = name.toLowerCase()
  return schema.fields.find((field) => field.name.toLowerCase() === wanted)
}

export function field(
  name: string,
  type: DataType,
  nullable = true,
  metadata: Readonly<Record<string, unknown>> = {},
): StructField {
  return { name, type, nullable, metadata }
}

/** A leaf for statistics: a column, or a field inside structs, by its path. Arrays and maps count as one leaf. */
export interface Leaf {
  readonly path: readonly string[]
  readonly type: Exclude<DataType, StructType>
}

/** The leaves in schema order, depth first. */
export function leaves(fields: readonly StructField[], above: readonly string[] = []): Leaf[] {
  return fields.flatMap(({ name, type }) => {
    const path = [...above, name]
    return isStruct(type) ? leaves(type.fields, path) : [{ path, type }]
  })
}

export function isStruct(type: DataType): type is StructType {
  return typeof type === 'object' && type.type === 'struct'
}

/** A type as people write it: `array<struct<a:int,b:string>>`. */
export function typeText(type: DataType): string {
  if (typeof type === 'string') return type
  switch (type.type) {
    case 'struct':
      return `struct<${type.fields.map((f) => `${f.name}:${typeText(f.type)}`).join(',')}>`
    case 'array':
      return `array<${typeText(type.elementType)}>`
    case 'map':
      return `map<${typeText(type.keyType)},${typeText(type.valueType)}>`
  }
}
