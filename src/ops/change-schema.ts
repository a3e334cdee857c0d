import { type DataType, isStruct, type StructField, type StructType } from '../protocol/schema.js'

/**
 * The first column that keeps rows of one schema from being read under a later one: it is gone or renamed, has another
 * type, or no longer takes NULL. Columns that came in addition do no harm. Pure.
 *
 * @returns its path, or `undefined` when there is none.
 */
export function unreadableColumn(before: StructType, after: StructType, above = ''): string | undefined {
  for (const was of before.fields) {
    const path = above === '' ? was.name : `${above}.${was.name}`
    const is = after.fields.find(({ name }) => name === was.name)
    if (!is || storedName(is) !== storedName(was) || (was.nullable && !is.nullable)) return path
    const found = unreadableType(was.type, is.type, path)
    if (found !== undefined) return found
  }
  return undefined
}

function unreadableType(was: DataType, is: DataType, path: string): string | undefined {
  if (typeof was === 'string' || typeof is === 'string') return was === is ? undefined : path
  if (isStruct(was)) return isStruct(is) ? unreadableColumn(was, is, path) : path
  if (was.type === 'array') {
    if (is.type !== 'array' || (was.containsNull && !is.containsNull)) return path
    return unreadableType(was.elementType, is.elementType, `${path}.element`)
  }
  if (is.type !== 'map' || (was.valueContainsNull && !is.valueContainsNull)) return path
  return unreadableType(was.keyType, is.keyType, `${path}.key`) ?? unreadableType(was.valueType, is.valueType, `${path}.value`)
}

/** A column that was dropped and added again by its old name is another one. */
function storedName({ name, metadata }: StructField): string {
  return String(metadata?.['delta.columnMapping.physicalName'] ?? name)
}
