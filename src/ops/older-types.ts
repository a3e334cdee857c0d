import { type ParquetField, parquetFields } from '../engine/parquet-shape.js'
import { duckdbType } from '../engine/types.js'
import { fieldId, type MappingMode, physicalName } from '../protocol/column-mapping.js'
import { type DataType, isStruct, type StructField } from '../protocol/schema.js'
import { featureUse } from '../protocol/table-features.js'
import { typeChanges } from '../protocol/type-changes.js'
import type { StoreOptions } from '../storage/store.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'

const FILES_AT_ONCE = 256

/** The files of a version that have a column which was widened under another type than it has now, as their footers tell. */
export async function filesOfOlderTypes(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  options: StoreOptions,
): Promise<readonly SnapshotFile[]> {
  const { schema, partitionColumns, mapping } = snapshot
  const widened = schema.fields.filter((f) => !partitionColumns.includes(f.name) && wasWidened(f))
  if (widened.length === 0) return []
  const { files } = await snapshot.files('TRUE', options)
  const older: SnapshotFile[] = []
  for (let start = 0; start < files.length; start += FILES_AT_ONCE) {
    const some = files.slice(start, start + FILES_AT_ONCE)
    const held = await source.open(table.deps.store, some, snapshot, new Set(), options)
    try {
      const names = held.files.map(({ localFile }) => localFile)
      const stored = await parquetFields(table.deps.database, names, options)
      older.push(...some.filter((_, at) => !widened.every((f) => isAsNow(f, stored[at] ?? [], mapping))))
    } finally {
      held.release()
    }
  }
  return older
}

function wasWidened(field: StructField): boolean {
  return featureUse({ type: 'struct', fields: [field] }, {}).fields.some((one) => typeChanges(one).length > 0)
}

/** A column that a file lacks has no type there. */
function isAsNow(field: StructField, within: readonly ParquetField[], mode: MappingMode): boolean {
  const byId = mode === 'id' && within.some((one) => one.fieldId !== undefined)
  const name = physicalName(field, mode).toLowerCase()
  const found = within.find((one) => (byId ? one.fieldId === fieldId(field, mode) : one.name.toLowerCase() === name))
  return !found || isOfType(field.type, found, mode)
}

function isOfType(type: DataType, stored: ParquetField, mode: MappingMode): boolean {
  const [first, second] = stored.children
  if (typeof type === 'string') return stored.kind === 'leaf' && stored.type === duckdbType(type)
  if (isStruct(type)) return stored.kind === 'struct' && type.fields.every((f) => isAsNow(f, stored.children, mode))
  if (type.type === 'array') return first !== undefined && isOfType(type.elementType, first, mode)
  return (
    first !== undefined && second !== undefined && isOfType(type.keyType, first, mode) && isOfType(type.valueType, second, mode)
  )
}
