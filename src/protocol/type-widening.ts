import { DeltaError } from '../base/errors.js'
import { type DataType, type StructField, type StructType, typeText } from './schema.js'
import { changeFieldAt, changeTypeAt, type FieldPath, fieldAt, pathText } from './schema-path.js'
import { type TypeChange, typeChanges } from './type-changes.js'

const WHOLE_DIGITS: Readonly<Record<string, number>> = { byte: 10, short: 10, integer: 10, long: 20 }
const WHOLE = ['byte', 'short', 'integer', 'long']

/**
 * Whether every value of one type is one of the other, and old files may keep theirs.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#type-widening
 */
export function isWidening(from: DataType, to: DataType): boolean {
  if (typeof from !== 'string' || typeof to !== 'string') return false
  if (WHOLE.includes(from) && WHOLE.includes(to)) return WHOLE.indexOf(from) < WHOLE.indexOf(to)
  if (from === 'float') return to === 'double'
  if (from === 'date') return to === 'timestamp_ntz'
  const [before, after] = [decimal(from), decimal(to)]
  if (to === 'double') return from !== 'long' && WHOLE.includes(from)
  if (!after) return false
  if (before) {
    const scale = after.scale - before.scale
    return scale >= 0 && after.precision - before.precision >= scale && from !== to
  }
  const digits = WHOLE_DIGITS[from]
  return digits !== undefined && after.precision - after.scale >= digits
}

const MOST_DIGITS: Readonly<Record<string, number>> = { byte: 3, short: 5, integer: 10, long: 19 }

/** Whether files of the old type can be read as the new one: what `isWidening` allows, and decimals that writers allowed before. */
export function isReadableChange({ fromType, toType }: TypeChange): boolean {
  const [digits, after] = [MOST_DIGITS[fromType], decimal(toType)]
  return isWidening(fromType, toType) || (digits !== undefined && after !== undefined && after.precision - after.scale >= digits)
}

/**
 * The schema with a wider type at a path, and a record of it on the field that is nearest above.
 *
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` for a type that is no wider.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#type-change-metadata
 */
export function widenedAt(schema: StructType, path: FieldPath, to: DataType): StructType {
  let from: DataType | undefined
  const widened = changeTypeAt(schema, path, (type) => {
    from = type
    return to
  })
  if (from === 'void' || from === 'null') return widened
  if (from === undefined || !isWidening(from, to))
    throw new DeltaError(
      'SCHEMA_CHANGE_REFUSED',
      'the type of a column only changes to a wider one',
      { column: pathText(path), from: typeText(from ?? schema), to: typeText(to) },
      { hint: 'add a column of the new type, or write the table anew' },
    )
  const holder = path.findLastIndex((_, index) => fieldAt(schema, path.slice(0, index + 1)) !== undefined)
  const below = path.slice(holder + 1).join('.')
  const change = { fromType: from as string, toType: to as string, ...(below === '' ? {} : { fieldPath: below }) }
  return changeFieldAt(widened, path.slice(0, holder + 1), (field) => recorded(field, [change]))
}

/** The field with more changes on record. */
export function recorded(field: StructField, changes: readonly TypeChange[]): StructField {
  if (changes.length === 0) return field
  return { ...field, metadata: { ...field.metadata, 'delta.typeChanges': [...typeChanges(field), ...changes] } }
}

function decimal(type: string): { readonly precision: number; readonly scale: number } | undefined {
  const match = /^decimal\((\d+),\s*(-?\d+)\)$/.exec(type)
  return match ? { precision: Number(match[1]), scale: Number(match[2]) } : undefined
}
