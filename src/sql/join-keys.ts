import { isDeltaError } from '../base/errors.js'
import type { Database } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import { findField } from '../protocol/schema.js'
import type { Snapshot } from '../table/snapshot.js'
import { checkAllowed } from './allow-list.js'
import { constantOf } from './constants.js'
import type { JoinSide, PlanJoin } from './plan-joins.js'
import type { TableScan } from './plan-node.js'
import { mayMatch } from './pruning.js'
import { parseQuery, type SyntaxNode, walk } from './syntax-tree.js'
import { isFloating } from './terms.js'

/** A join that lets only those rows of a table pass for which another table has the key. */
export interface JoinKeys {
  /** The stand-in of the other table. */
  readonly from: string
  /** A query over it: one row of `low` and `high`, their `type`, and `keys`, all of them where they are few; all text. */
  readonly sql: string
  /** What the key is compared with: an expression over the columns of the table itself. */
  readonly key: SyntaxNode
}

/** What a query of `JoinKeys` gives. */
export interface KeysFound {
  readonly low: string | null
  readonly high: string | null
  readonly type: string
  readonly keys: readonly string[] | null
}

export const KEYS_MAX = 100

/**
 * The condition over the files relation that is false only for files of which no row has one of the keys.
 *
 * @see mayMatch
 */
export function mayJoin({ key }: JoinKeys, { low, high, type, keys }: KeysFound, snapshot: Snapshot): string {
  if (low === null || high === null) return 'FALSE'
  const value = (text: string) => typedText(text, type)
  const predicate: SyntaxNode = keys
    ? { class: 'OPERATOR', type: 'COMPARE_IN', children: [key, ...keys.map(value)] }
    : { class: 'BETWEEN', type: 'COMPARE_BETWEEN', input: key, lower: value(low), upper: value(high) }
  return mayMatch(predicate, snapshot)
}

/** The node of `'text'::TYPE`. */
export function typedText(text: string, type: string): SyntaxNode {
  const [, id = type, width, scale] = /^([A-Z ]+)(?:\((\d+),(\d+)\))?$/.exec(type) ?? []
  const info = width === undefined ? null : { width: Number(width), scale: Number(scale) }
  const child = { class: 'CONSTANT', value: { type: { id: 'VARCHAR', type_info: null }, is_null: false, value: text } }
  return { class: 'CAST', type: 'OPERATOR_CAST', child, cast_type: { id, type_info: info } }
}

/** A table of a query, as joins see it. */
export interface JoinedTable {
  readonly standIn: string
  readonly snapshot: Snapshot
}

/**
 * What the joins of a plan say of the rows of each table, by its stand-in in lower case.
 *
 * @param renamed names that the query gives to something, in lower case: a plan may call a column by them.
 */
export async function joinKeys(
  planner: Database,
  joins: readonly PlanJoin[],
  scans: readonly TableScan[],
  tables: readonly JoinedTable[],
  renamed: ReadonlySet<string>,
): Promise<ReadonlyMap<string, readonly JoinKeys[]>> {
  const found = new Map<string, JoinKeys[]>()
  for (const { conditions, left, right } of joins)
    for (const condition of conditions) {
      const tree = await parsed(planner, `SELECT 1 WHERE ${condition.replace(/#\d+/g, ident)}`)
      if (tree?.['type'] !== 'COMPARE_EQUAL') continue
      const one = keyOf(tree['left'] as SyntaxNode, left, tables, renamed)
      const other = keyOf(tree['right'] as SyntaxNode, right, tables, renamed)
      if (!one || !other || one.scan.table === other.scan.table) continue
      for (const [to, from] of [
        [one, other],
        [other, one],
      ] as const) {
        const name = to.table.standIn.toLowerCase()
        // Scans of one table share its files, and another may need what this one does not.
        if (scans.filter(({ table }) => table.toLowerCase() === name).length !== 1) continue
        const known = found.get(name) ?? []
        found.set(name, [...known, { from: from.table.standIn, sql: await keysSql(planner, from), key: to.node }])
      }
    }
  return found
}

interface Key {
  readonly node: SyntaxNode
  readonly sql: string
  readonly scan: TableScan
  readonly table: JoinedTable
}

/** What one side of a condition is about: a column of one of its tables, or a cast of one. */
function keyOf(node: SyntaxNode, side: JoinSide, tables: readonly JoinedTable[], renamed: ReadonlySet<string>): Key | undefined {
  if (node['type'] === 'OPERATOR_CAST' && node['try_cast'] !== true) {
    const inner = keyOf(node['child'] as SyntaxNode, side, tables, renamed)
    const { id } = node['cast_type'] as { readonly id: string }
    if (!inner || !CASTS.has(id)) return undefined
    return { ...inner, node: { ...node, child: inner.node }, sql: `CAST(${inner.sql} AS ${id})` }
  }
  const names = node['class'] === 'COLUMN_REF' ? (node['column_names'] as readonly string[]) : []
  const place = /^#(\d+)$/.exec(names[0] ?? '')?.[1]
  const name = place === undefined ? names[0] : side.alone?.projections[Number(place)]
  if (name === undefined || names.length !== 1 || renamed.has(name.toLowerCase())) return undefined
  const owners = side.scans.filter((scan) => {
    const table = tableOf(scan, tables)
    return !table || findField(table.snapshot.schema, name)
  })
  const [scan] = owners
  const table = scan && tableOf(scan, tables)
  const field = table && findField(table.snapshot.schema, name)
  if (owners.length !== 1 || !scan || !table || !field || !side.reached.includes(scan)) return undefined
  // Zero has two signs, and NaN is beyond all bounds.
  if (typeof field.type !== 'string' || isFloating(field.type)) return undefined
  return { node: { class: 'COLUMN_REF', type: 'COLUMN_REF', column_names: [field.name] }, sql: ident(field.name), scan, table }
}

const CASTS = new Set(['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'DATE', 'TIMESTAMP'])

function tableOf(scan: TableScan, tables: readonly JoinedTable[]): JoinedTable | undefined {
  return tables.find(({ standIn }) => standIn.toLowerCase() === scan.table.toLowerCase())
}

async function keysSql(planner: Database, { sql, scan, table }: Key): Promise<string> {
  const filters: string[] = []
  for (const filter of scan.filters) if (await isExact(planner, filter, table.snapshot)) filters.push(`(${filter})`)
  const where = filters.length > 0 ? ` WHERE ${filters.join(' AND ')}` : ''
  return (
    `SELECT min(k)::VARCHAR AS low, max(k)::VARCHAR AS high, any_value(typeof(k)) AS "type", ` +
    `CASE WHEN count(DISTINCT k) <= ${KEYS_MAX} THEN list(DISTINCT k::VARCHAR ORDER BY k::VARCHAR) END AS keys ` +
    `FROM (SELECT ${sql} AS k FROM ${ident(table.standIn)}${where}) WHERE k IS NOT NULL`
  )
}

/** Whether the text of a filter means what the filter does: names are those of columns, and numbers are not near others. */
async function isExact(planner: Database, filter: string, { schema }: Snapshot): Promise<boolean> {
  const tree = await parsed(planner, `SELECT 1 WHERE ${filter}`)
  if (!tree) return false
  let exact = true
  walk(tree, (node) => {
    if (node['class'] === 'FUNCTION' || node['class'] === 'SUBQUERY') exact = false
    const cast = node['cast_type'] as { readonly id?: string } | undefined
    if (cast && NEAR.has(String(cast.id))) exact = false
    if (NEAR.has(constantOf(node)?.id ?? '')) exact = false
    if (node['class'] !== 'COLUMN_REF') return
    const names = node['column_names'] as readonly string[]
    const type = names.length === 1 ? findField(schema, names[0] ?? '')?.type : undefined
    if (typeof type !== 'string' || isFloating(type)) exact = false
  })
  return exact
}

const NEAR = new Set(['FLOAT', 'DOUBLE'])

async function parsed(planner: Database, query: string): Promise<SyntaxNode | undefined> {
  try {
    const tree = await parseQuery(planner, query)
    if (checkAllowed(tree).tables.length > 0) return undefined
    const [statement] = tree['statements'] as readonly { readonly node: { readonly where_clause: SyntaxNode | null } }[]
    return statement?.node.where_clause ?? undefined
  } catch (error) {
    if (isDeltaError(error)) return undefined
    throw error
  }
}

/**
 * Names that a query gives to something, in lower case; `undefined` where it may give others too. A plan calls a column by the name that
 * the query gave it last, and that may be another column's.
 */
export function givenNames(tree: SyntaxNode): ReadonlySet<string> | undefined {
  const names = new Set<string>()
  const tables = new Set<string>()
  const paths: (readonly string[])[] = []
  let isKnown = true
  const list = (value: unknown) => (Array.isArray(value) ? (value as readonly unknown[]) : [])
  walk(tree, (node) => {
    const isExpression = node['class'] !== undefined
    const path = node['class'] === 'COLUMN_REF' ? (node['column_names'] as readonly string[]) : []
    const alias = typeof node['alias'] === 'string' ? node['alias'].toLowerCase() : ''
    if (alias !== '' && isExpression && alias !== path.at(-1)?.toLowerCase()) names.add(alias)
    if (!isExpression) for (const name of [alias, node['table_name']]) tables.add(String(name ?? '').toLowerCase())
    for (const name of [...list(node['column_name_alias']), ...list(node['aliases'])]) names.add(String(name).toLowerCase())
    if (node['type'] === 'PIVOT' || node['columns'] === true) isKnown = false
    if (list(node['rename_list']).length > 0 || list(node['replace_list']).length > 0) isKnown = false
    if (node['class'] === 'STAR' && node['relation_name'] && !tables.has(String(node['relation_name']).toLowerCase()))
      paths.push([String(node['relation_name']), '*'])
    if (path.length > 1) paths.push(path)
  })
  for (const path of paths) {
    const isOfTable = path.length === 2 && tables.has(String(path[0]).toLowerCase())
    if (!isOfTable && path.at(-1) === '*') isKnown = false
    if (!isOfTable) names.add(String(path.at(-1)).toLowerCase())
  }
  return isKnown ? names : undefined
}
