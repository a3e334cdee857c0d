import { DeltaError, isDeltaError } from '../base/errors.js'
import type { Database, Session } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import { columnDefinitions } from '../engine/types.js'
import type { StructField } from '../protocol/schema.js'
import { checkAllowed } from '../sql/allow-list.js'
import { readQuery, unusedPrefix } from '../sql/query-text.js'
import { parseQuery, type SyntaxNode } from '../sql/syntax-tree.js'
import { readTemplate } from '../sql/template.js'
import { type Derivation, invalid, storedColumn } from './derivation.js'
import { Printer, STAR, selectNode, some } from './expressions.js'
import { planGroups } from './groups.js'
import { linearPlaces, NotLinear, type Place } from './linear.js'
import { bound, builtSql } from './maintain-sql.js'
import type { PlanColumn, PlanSource, ViewPlan } from './plan.js'

/** A source as a definition sees it. */
export interface SourceColumns {
  readonly name: string
  readonly fields: readonly StructField[]
}

const VOLATILE = new Set(['random', 'uuid', 'uuidv4', 'uuidv7', 'gen_random_uuid', 'nextval', 'currval'])

/**
 * Works out how a view is maintained.
 *
 * @param find gives a table of the lakehouse by name, or another view.
 * @throws {DeltaError} `SQL_INVALID`, `SQL_FORBIDDEN`, `TABLE_NOT_FOUND`, `VIEW_INVALID` for a definition that is no function of
 * tables of the lakehouse as they are; `TYPE_UNSUPPORTED`.
 */
export async function derivePlan(
  database: Database,
  text: string,
  find: (name: string) => Promise<SourceColumns | undefined>,
  asOf?: string,
): Promise<ViewPlan> {
  const template = await readTemplate(database, text)
  checkSteady(template.parameters.length > 0, template.asksForTheTime)
  if (template.tables.some(({ travel, changes }) => travel || changes))
    throw invalid('a view is made of tables as they are, not of one version of them', 'leave VERSION AS OF and table_changes out')
  if (template.tables.some(({ schema }) => schema !== ''))
    throw invalid('a view is made of tables of its lakehouse', 'name them without a location')
  const tree = await parseQuery(database, readQuery(text).text)
  if (some(tree, (node) => node['class'] === 'FUNCTION' && VOLATILE.has(String(node['function_name']).toLowerCase())))
    throw invalid('a view always says the same of the same rows', 'leave random values out')
  const references = checkAllowed(tree).tables
  if (references.length === 0) throw invalid('a view is made of tables', 'name one in FROM')
  const placeholder = unusedPrefix(text, '__source_')
  const places = new Map<SyntaxNode, number>()
  const names: string[] = []
  const session = await database.session()
  try {
    for (const [at, { node, name }] of references.entries()) {
      const found = await find(name)
      if (!found)
        throw new DeltaError(
          'TABLE_NOT_FOUND',
          'there is no such table',
          { table: name },
          { hint: 'SHOW TABLES lists the tables' },
        )
      await session.run(`CREATE TEMP TABLE ${ident(`${placeholder}${at}`)} (${columnDefinitions(found.fields)})`)
      const table = node as Record<string, unknown>
      if (table['alias'] === '') table['alias'] = name
      table['table_name'] = `${placeholder}${at}`
      table['schema_name'] = ''
      places.set(node, at)
      names.push(found.name)
    }
    const [statement] = tree['statements'] as readonly { readonly node: SyntaxNode }[]
    const node = withoutOrder(statement?.node ?? {})
    const aggregates = await aggregateNames(database)
    const isAggregate = (one: SyntaxNode) =>
      one['class'] === 'FUNCTION' && aggregates.has(String(one['function_name']).toLowerCase())
    const printer = new Printer(database, tree)
    const definition = await printer.query(node)
    const columns = (await session.describe(definition)).map(storedColumn)
    checkColumns(columns)
    const derivation = { tree, node, printer, session, isAggregate, asOf: asOf?.split('.') }
    const base = { format: 1, placeholder, definition, columns } as const
    const full = (reason: string): ViewPlan => ({
      ...base,
      kind: 'full',
      reason,
      core: definition,
      sources: names.map((name) => ({ name, change: 'all', apart: [] })),
    })
    try {
      const plan = await incremental(derivation, base, places, names)
      await checkPlan(session, plan)
      return plan
    } catch (error) {
      if (error instanceof NotLinear) return full(error.message)
      if (isDeltaError(error, 'invalid')) return full('it is not understood')
      throw error
    }
  } finally {
    session.close()
  }
}

async function incremental(
  derivation: Derivation,
  base: Pick<ViewPlan, 'format' | 'placeholder' | 'definition' | 'columns'>,
  places: ReadonlyMap<SyntaxNode, number>,
  names: readonly string[],
): Promise<ViewPlan> {
  const { node, printer, isAggregate } = derivation
  const placeOf = (table: SyntaxNode) => places.get(table)
  const grouped = isGrouped(node, isAggregate) ? await planGroups(derivation, base.columns) : undefined
  const core = grouped?.core ?? node
  const found = linearPlaces(core, placeOf, isAggregate)
  const sources: PlanSource[] = []
  for (const [at, name] of names.entries()) {
    const place = found.find((one) => one.at === at) ?? { at, change: 'all' as const, join: undefined, apart: [] }
    sources.push({ name, ...(await changeOf(core, place, printer)) })
  }
  const coreText = await printer.query(core)
  const { asOf } = derivation
  const event = grouped ? grouped.event : base.columns.find(({ name }) => name.toLowerCase() === asOf?.at(-1)?.toLowerCase())
  return { ...base, kind: grouped ? 'groups' : 'rows', sources, core: coreText, groups: grouped?.plan, event }
}

/** What changed rows of a table in a LEFT JOIN match is found by the join's own condition, asked of those rows. */
async function changeOf(core: SyntaxNode, place: Place, printer: Printer): Promise<Omit<PlanSource, 'name'>> {
  const { change, apart, join } = place
  if (change !== 'matches' || !join) return { change, apart }
  const other = join['right'] as SyntaxNode
  const isTop = topSelectOf(core, join)
  if (!isTop) return { change: 'all', apart }
  const touched = { ...other, table_name: `${String(other['table_name'])}_touched`, alias: other['alias'] }
  const exists: SyntaxNode = {
    class: 'SUBQUERY',
    type: 'SUBQUERY',
    alias: '',
    subquery_type: 'EXISTS',
    subquery: {
      node: selectNode([STAR], { from_table: touched, where_clause: join['condition'] }),
      named_param_map: [],
    },
    child: null,
    comparison_type: 'INVALID',
  }
  const where = core['where_clause'] as SyntaxNode | null
  const both = where ? { class: 'CONJUNCTION', type: 'CONJUNCTION_AND', alias: '', children: [where, exists] } : exists
  return { change, apart, matched: await printer.query({ ...core, where_clause: both }) }
}

/** Whether a join stands in the FROM clause of the query itself, where its names are those of WHERE. */
function topSelectOf(core: SyntaxNode, join: SyntaxNode): boolean {
  if (core['type'] !== 'SELECT_NODE') return false
  const joins: SyntaxNode[] = []
  const collect = (source: SyntaxNode) => {
    if (source['type'] !== 'JOIN') return
    joins.push(source)
    collect(source['left'] as SyntaxNode)
    collect(source['right'] as SyntaxNode)
  }
  collect(core['from_table'] as SyntaxNode)
  return joins.includes(join)
}

function isGrouped(node: SyntaxNode, isAggregate: (node: SyntaxNode) => boolean): boolean {
  if (node['type'] !== 'SELECT_NODE') return false
  const isDistinct = ((node['modifiers'] ?? []) as readonly SyntaxNode[]).some(({ type }) => type === 'DISTINCT_MODIFIER')
  const groups = (node['group_expressions'] ?? []) as readonly unknown[]
  return (
    isDistinct ||
    groups.length > 0 ||
    node['aggregate_handling'] !== 'STANDARD_HANDLING' ||
    some([node['select_list'], node['having']], (one) => isAggregate(one))
  )
}

/** Rows of a table have no order of their own, unless a LIMIT chooses by it. */
function withoutOrder(node: SyntaxNode): SyntaxNode {
  const modifiers = (node['modifiers'] ?? []) as readonly SyntaxNode[]
  if (modifiers.some(({ type }) => String(type).startsWith('LIMIT'))) return node
  if (modifiers.some((one) => ((one['distinct_on_targets'] ?? []) as readonly unknown[]).length > 0)) return node
  return { ...node, modifiers: modifiers.filter(({ type }) => type !== 'ORDER_MODIFIER') }
}

/** The SQL that a plan makes says what the definition says, or the plan is none. */
async function checkPlan(session: Session, plan: ViewPlan): Promise<void> {
  const names = plan.sources.map((_, at) => ident(`${plan.placeholder}${at}`))
  const built = (await session.describe(builtSql(plan, names, 'visible'))).map(storedColumn)
  if (!sameColumns(built, plan.columns)) throw new NotLinear('its parts have other types than the whole')
  for (const [at, source] of plan.sources.entries())
    if (source.matched !== undefined)
      await session.describe(bound(plan, source.matched, names, { at, relation: names[at] ?? '' }))
}

function sameColumns(a: readonly PlanColumn[], b: readonly PlanColumn[]): boolean {
  return a.length === b.length && a.every(({ name, type }, at) => name === b[at]?.name && type === b[at]?.type)
}

function checkColumns(columns: readonly PlanColumn[]): void {
  const names = columns.map(({ name }) => name.toLowerCase())
  const twice = columns.find(({ name }, at) => names.indexOf(name.toLowerCase()) !== at)
  if (twice) throw invalid('two columns of the view have one name', 'give each a name with AS', { column: twice.name })
}

function checkSteady(hasParameters: boolean, asksForTheTime: boolean): void {
  if (hasParameters) throw invalid('a view has no parameters', 'write their values into the definition')
  if (asksForTheTime)
    throw invalid('a view always says the same of the same rows', 'leave the time of day out; ask it of the view')
}

async function aggregateNames(database: Database): Promise<ReadonlySet<string>> {
  const rows = await database.rows<{ name: string }>(
    `SELECT DISTINCT function_name AS name FROM duckdb_functions() WHERE function_type = 'aggregate'`,
  )
  return new Set([...rows.map(({ name }) => name), 'count_star'])
}
