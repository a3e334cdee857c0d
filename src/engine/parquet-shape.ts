import { createHash } from 'node:crypto'
import type { Database, RunOptions } from './database.js'
import { escapeGlob, literal } from './sql-text.js'

/** A field of a Parquet file: a leaf, or a group of others. Lists and maps are as the engine sees them, without their wrappers. */
export interface ParquetField {
  readonly name: string
  readonly fieldId: number | undefined
  readonly kind: 'leaf' | 'struct' | 'list' | 'map'
  /** Of a leaf: the engine's type, and whether it is an INT96. */
  readonly type?: string | undefined
  readonly isInt96?: boolean | undefined
  /** Of a struct its fields, of a list its element, of a map key and value. */
  readonly children: readonly ParquetField[]
}

/** The columns of Parquet files on this machine, in the order given. Files of one shape share the answer. */
export async function parquetFields(
  database: Database,
  files: readonly string[],
  options: RunOptions = {},
): Promise<readonly (readonly ParquetField[])[]> {
  if (files.length === 0) return []
  const rows = await database.rows<{ file: string; elements: string }>(
    `SELECT file_name AS file, to_json(list({name: name, id: field_id, "group": type IS NULL, int96: type = 'INT96', type: duckdb_type, ` +
      `children: num_children, repeated: repetition_type = 'REPEATED', logical: coalesce(logical_type, ''), ` +
      `converted: coalesce(converted_type, '')} ORDER BY column_id))::VARCHAR AS elements ` +
      `FROM parquet_schema([${files.map((file) => literal(escapeGlob(file))).join(', ')}]) GROUP BY file_name`,
    options,
  )
  const shapes = new Map<string, readonly ParquetField[]>()
  const byFile = new Map<string, readonly ParquetField[]>()
  for (const { file, elements } of rows) {
    const key = createHash('sha1').update(elements).digest('base64')
    const shape = shapes.get(key) ?? columnsOf(JSON.parse(elements) as readonly Element[])
    shapes.set(key, shape)
    byFile.set(file, shape)
  }
  return files.map((file) => byFile.get(file) ?? [])
}

interface Element {
  readonly name: string
  readonly id: number | null
  readonly group: boolean
  readonly int96: boolean
  readonly type: string | null
  readonly children: number | null
  readonly repeated: boolean
  readonly logical: string
  readonly converted: string
}

interface Node extends Element {
  readonly inner: readonly Node[]
}

/** Elements come depth first after the root. */
function columnsOf(elements: readonly Element[]): readonly ParquetField[] {
  let at = 0
  const next = (): Node => {
    const element = elements[at++] as Element
    const inner: Node[] = []
    for (let left = Number(element.children ?? 0); left > 0 && at < elements.length; left--) inner.push(next())
    return { ...element, inner }
  }
  return elements.length === 0 ? [] : next().inner.map(fieldOf)
}

function fieldOf(node: Node): ParquetField {
  // A field that repeats without a list around it is a list of what it holds.
  if (node.repeated)
    return { name: node.name, fieldId: idOf(node), kind: 'list', children: [fieldOf({ ...node, repeated: false })] }
  const [only] = node.inner
  const wrapped = node.inner.length === 1 && only?.repeated ? only : undefined
  if (wrapped && (/^MAP/.test(node.converted) || node.logical.startsWith('MapType')) && wrapped.inner.length === 2)
    return { name: node.name, fieldId: idOf(node), kind: 'map', children: wrapped.inner.map(fieldOf) }
  if (wrapped && (node.converted === 'LIST' || node.logical.startsWith('ListType')))
    return { name: node.name, fieldId: idOf(node), kind: 'list', children: [elementOf(node, wrapped)] }
  if (!node.group)
    return { name: node.name, fieldId: idOf(node), kind: 'leaf', type: node.type ?? undefined, isInt96: node.int96, children: [] }
  return { name: node.name, fieldId: idOf(node), kind: 'struct', children: node.inner.map(fieldOf) }
}

/**
 * Old writers have no level between a list and its elements.
 *
 * @see https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#lists
 */
function elementOf(list: Node, repeated: Node): ParquetField {
  const [only] = repeated.inner
  const isElement =
    !repeated.group || repeated.inner.length !== 1 || repeated.name === 'array' || repeated.name === `${list.name}_tuple`
  return fieldOf(isElement || !only ? { ...repeated, repeated: false } : only)
}

function idOf({ id }: Element): number | undefined {
  return id === null ? undefined : Number(id)
}

/** The footers' own entries of these names, by file: those that other writers leave for readers. */
export async function footerEntries(
  database: Database,
  files: readonly string[],
  keys: readonly string[],
  options: RunOptions = {},
): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  const found = new Map<string, Map<string, string>>()
  if (files.length === 0) return found
  const list = files.map((file) => literal(escapeGlob(file))).join(', ')
  const rows = await database.rows<{ file: string; key: string; value: string }>(
    `SELECT * FROM (SELECT file_name AS file, decode("key") AS "key", decode("value") AS "value" FROM parquet_kv_metadata([${list}])) ` +
      `WHERE "key" IN (${keys.map(literal).join(', ')})`,
    options,
  )
  for (const { file, key, value } of rows) found.set(file, (found.get(file) ?? new Map<string, string>()).set(key, value))
  return found
}
