import { DeltaError, isDeltaError } from '../base/errors.js'
import type { Database, Session } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import { columnDefinitions } from '../engine/types.js'
import { findField, typeText } from '../protocol/schema.js'
import type { Snapshot } from '../table/snapshot.js'
import { checkAllowed } from './allow-list.js'
import { type BoundValues, bindParameters, type ParameterValues } from './parameters.js'
import { mayMatch } from './pruning.js'
import { readQuery } from './query-text.js'
import { readScans, type TableScan } from './scans.js'
import { parseQuery, printQuery, type SyntaxNode } from './syntax-tree.js'

/** What a query asks of the catalog: a table, by name or location, at a version or a time. */
export interface TableRequest {
  /** `''`, or `delta` when `name` is a location. */
  readonly schema: string
  readonly name: string
  readonly version?: number | undefined
  readonly timestampMs?: number | undefined
}

/** Pins a version of a table; `undefined` when there is no such table. */
export type SnapshotResolver = (request: TableRequest) => Promise<Snapshot | undefined>

/** A table as a query uses it. */
export interface PlannedTable {
  /** The name that the rewritten query gives it. */
  readonly standIn: string
  /** The name that the user gave it. */
  readonly name: string
  readonly snapshot: Snapshot
  /** A condition over the files relation, false only for files that the query need not read. */
  readonly condition: string
  /** Columns that the query reads, in lower case; `undefined` for all. */
  readonly columns: ReadonlySet<string> | undefined
}

export interface QueryPlan {
  readonly text: string
  readonly params: BoundValues
  readonly tables: readonly PlannedTable[]
  readonly columns: readonly { readonly name: string; readonly type: string }[]
}

/** What DuckDB must not do on empty stand-ins: conclude from their emptiness. */
export const PLANNER_DISABLED_OPTIMIZERS =
  'statistics_propagation,empty_result_pullup,compressed_materialization,late_materialization,column_lifetime'

/**
 * Plans a query: checks it, pins a version of each table it names, and binds it against empty stand-ins, from which
 * DuckDB's optimizer tells the columns and filters that arrive at each table, through CTEs, views and joins.
 *
 * @throws {DeltaError} `SQL_INVALID`, `SQL_FORBIDDEN`, `PARAMETER_MISSING`, `TABLE_NOT_FOUND`, `VERSION_NOT_FOUND`.
 */
export async function planQuery(
  planner: Database,
  text: string,
  params: ParameterValues | undefined,
  resolve: SnapshotResolver,
  signal?: AbortSignal,
): Promise<QueryPlan> {
  const query = readQuery(text)
  const tree = await parseQuery(planner, query.text)
  const references = checkAllowed(tree)
  const bound = bindParameters(query.parameters, params)
  const used = new Map<string, { name: string; snapshot: Snapshot }>()
  let rewritten = false

  for (const { node, schema, name } of references.tables) {
    const travel = query.travels.find((ref) => ref.marker === name)
    const known = [...used.keys()].some((standIn) => standIn.toLowerCase() === name.toLowerCase())
    if (known && schema === '') continue
    const request: TableRequest = travel
      ? { schema: travel.schema ?? '', name: travel.name, ...(await momentOf(planner, travel.unit, travel.expression, params)) }
      : { schema, name }
    const snapshot = await resolve(normalized(request))
    if (!snapshot) {
      if (!travel && schema === '' && references.ctes.has(name.toLowerCase())) continue
      throw new DeltaError(
        'TABLE_NOT_FOUND',
        'there is no such table',
        { table: request.name },
        { hint: 'SHOW TABLES lists the tables' },
      )
    }
    const standIn = schema === '' ? name : `__table_${used.size}`
    used.set(standIn, { name: request.name, snapshot })
    if (travel || schema !== '') {
      rename(node, standIn, request.name)
      rewritten = true
    }
  }
  // A marker may stand for several references; each needs the alias that its own name would have given it.
  for (const { node, name } of references.tables) {
    const travel = query.travels.find((ref) => ref.marker === name)
    if (travel) rename(node, name, travel.name)
  }

  const finalText = rewritten ? await printQuery(planner, tree) : query.text
  const session = await planner.session()
  try {
    for (const [standIn, { snapshot }] of used)
      await session.run(`CREATE TEMP TABLE ${ident(standIn)} (${columnDefinitions(snapshot.schema.fields) || '"__row" BOOLEAN'})`)
    const columns = await session.describe(finalText, { params: bound, signal })
    const scans = await explain(session, finalText, bound)
    const tables = [...used].map(([standIn, { name, snapshot }]) => planTable(standIn, name, snapshot, scans))
    return {
      text: finalText,
      params: bound,
      columns,
      tables: await Promise.all(tables.map((plan) => withFilters(planner, plan))),
    }
  } finally {
    session.close()
  }
}

interface Scanned {
  readonly table: Omit<PlannedTable, 'condition'>
  readonly scans: readonly TableScan[]
}

function planTable(standIn: string, name: string, snapshot: Snapshot, scans: readonly TableScan[] | undefined): Scanned {
  const own = scans?.filter((scan) => scan.table.toLowerCase() === standIn.toLowerCase()) ?? []
  // A table without a scan was optimized away, or the plan was not understood: take no chance.
  const known = own.length > 0 && own.every((scan) => scan.columns)
  const named = own.flatMap((scan) => [...(scan.columns ?? [])]).filter((column) => findField(snapshot.schema, column))
  const columns = known ? new Set(named) : undefined
  return { table: { standIn, name, snapshot, columns }, scans: own }
}

const PLAIN_NAME = /^[\p{L}_][\p{L}\p{N}_]*$/u

/** Several scans of one table share its files: a file is needed when any of them needs it. */
async function withFilters(planner: Database, { table, scans }: Scanned): Promise<PlannedTable> {
  const { snapshot } = table
  const columns = { schema: snapshot.prunableSchema, partitionColumns: snapshot.partitionColumns }
  // Filters come as text in which names are not quoted: a name that is more than a word could read as something else.
  const readable = snapshot.schema.fields.every((f) => PLAIN_NAME.test(f.name))
  if (scans.length === 0 || !readable || !sameTypes(snapshot)) return { ...table, condition: 'TRUE' }
  const conditions = await Promise.all(
    scans.map(async (scan) => {
      const parts = await Promise.all(scan.filters.map(async (filter) => condition(await parseFilter(planner, filter), columns)))
      return parts.length === 0 ? 'TRUE' : `(${parts.join(' AND ')})`
    }),
  )
  return { ...table, condition: conditions.includes('TRUE') ? 'TRUE' : conditions.join(' OR ') }
}

/** Conditions are made for this snapshot's types; the relation's may be those of a later version. */
function sameTypes(snapshot: Snapshot): boolean {
  return snapshot.schema.fields.every((f) => {
    const typed = findField(snapshot.prunableSchema, f.name)
    return typed !== undefined && typeText(typed.type) === typeText(f.type)
  })
}

function condition(tree: SyntaxNode | undefined, columns: Parameters<typeof mayMatch>[1]): string {
  return tree ? mayMatch(tree, columns) : 'TRUE'
}

/** A filter's text as a tree; text that does not parse is no filter. */
async function parseFilter(planner: Database, filter: string): Promise<SyntaxNode | undefined> {
  try {
    const tree = await parseQuery(planner, `SELECT 1 WHERE ${filter}`)
    const [statement] = tree['statements'] as readonly { readonly node: { readonly where_clause: SyntaxNode | null } }[]
    return statement?.node.where_clause ?? undefined
  } catch (error) {
    if (isDeltaError(error, 'invalid')) return undefined
    throw error
  }
}

async function explain(session: Session, text: string, params: BoundValues): Promise<readonly TableScan[] | undefined> {
  const [row] = await session.rows<{ explain_value: string }>(`EXPLAIN (FORMAT JSON) ${text}`, { params })
  return row ? readScans(row.explain_value) : undefined
}

/** The version or time that a reference asks for; its expression may only be made of constants and parameters. */
async function momentOf(
  planner: Database,
  unit: 'version' | 'timestamp',
  expression: string,
  params: ParameterValues | undefined,
) {
  const query = readQuery(
    `SELECT ${unit === 'version' ? `(${expression})::BIGINT` : `epoch_ms((${expression})::TIMESTAMPTZ)`} AS moment`,
  )
  const references = checkAllowed(await parseQuery(planner, query.text))
  if (references.tables.length > 0)
    throw new DeltaError('SQL_INVALID', 'a version or time cannot come from a table', { expression })
  const [row] = await planner.rows<{ moment: bigint | null }>(query.text, { params: bindParameters(query.parameters, params) })
  if (row?.moment == null) throw new DeltaError('SQL_INVALID', 'the version or time is NULL', { expression })
  return unit === 'version' ? { version: Number(row.moment) } : { timestampMs: Number(row.moment) }
}

function normalized(request: TableRequest): TableRequest {
  const schema = request.schema.toLowerCase()
  if (schema === 'main' || schema === 'default') return { ...request, schema: '' }
  return { ...request, schema }
}

function rename(node: SyntaxNode, standIn: string, alias: string): void {
  const target = node as Record<string, unknown>
  target['schema_name'] = ''
  target['table_name'] = standIn
  if (target['alias'] === '') target['alias'] = alias
}
