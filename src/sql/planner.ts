import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import { DeltaError, isDeltaError } from '../base/errors.js'
import type { Database, Session } from '../engine/database.js'
import { KeptSessions } from '../engine/kept-sessions.js'
import { ident } from '../engine/sql-text.js'
import { columnDefinitions } from '../engine/types.js'
import type { RowChanges } from '../ops/row-changes.js'
import type { Metadata } from '../protocol/actions.js'
import { CHANGE_FIELDS } from '../protocol/change-feed.js'
import { physicalColumns, physicalSchema } from '../protocol/column-mapping.js'
import { field, leaves, typeText } from '../protocol/schema.js'
import type { Snapshot } from '../table/snapshot.js'
import type { AnswerShape } from './answer-shape.js'
import { type JoinKeys, joinKeys } from './join-keys.js'
import { type Lookup, lookupColumns, masked, withConstants } from './lookup.js'
import { type AsOfTime, asOfTime, endOf, type Moment, momentOf, rangeOf } from './moments.js'
import { type BoundValues, bindParameters, type ParameterValues } from './parameters.js'
import type { TableScan } from './plan-node.js'
import { mayMatch, SKIP_REASONS, type SkipReason } from './pruning.js'
import { type TravelRef, unusedPrefix } from './query-text.js'
import { type PlanRead, readPlan } from './scans.js'
import { type Shortcut, shortcutFor } from './shortcut.js'
import { parseQuery, type SyntaxNode } from './syntax-tree.js'
import { isSteady, type QueryTemplate, readTemplate } from './template.js'
import type { PrunableColumns } from './terms.js'
import { tokenize } from './tokens.js'

/** What a query asks of the catalog: a table, by name or location, at a version or a time. */
export interface TableRequest {
  /** `''`, or `delta` when `name` is a location. */
  readonly schema: string
  readonly name: string
  readonly version?: number | undefined
  readonly timestampMs?: number | undefined
  /** Whether a time after the newest version is the newest version. */
  readonly orLatest?: boolean | undefined
}

/** A version of a table, as a query reads it. */
export interface ResolvedTable {
  readonly snapshot: Snapshot
  /** Whether its rows have an address: the columns `"__file"` and `"__row"` of a scan that gives it. @defaultValue false */
  readonly address?: boolean | undefined
}

/** A relation that is computed from versions of tables. */
export interface ResolvedView {
  /** A query over its parts by their stand-ins. */
  readonly sql: string
  readonly parts: readonly ViewPart[]
}

export interface ViewPart extends ResolvedTable {
  readonly standIn: string
  /** What people call it. */
  readonly name: string
  /** Set where only these rows of the table are read, which came into it or left it. */
  readonly changes?: RowChanges | undefined
}

/** How a query uses a table that it names. */
export interface TableUse {
  /** What the parts of a view are to be called by: names that begin with it are free. */
  readonly prefix: string
  /** Whether it asks for what changed in the table. */
  readonly isChanges: boolean
  /** Set where it asks for a view up to a time. */
  readonly asOf: AsOfTime | undefined
}

/** Pins a version of a table; `undefined` when there is no such table. */
export type SnapshotResolver = (request: TableRequest, use: TableUse) => Promise<ResolvedTable | ResolvedView | undefined>

/** What arrives at a table of a query. */
export interface TableNeeds {
  /** The name that the rewritten query gives it. */
  readonly standIn: string
  /** A condition over the files relation, false only for files that the query need not read. */
  readonly condition: string
  /** The same from the first reason alone, from the first two, and so on: what each of `SKIP_REASONS` adds. */
  readonly conditions: readonly string[]
  /** Columns that the query reads, in lower case; `undefined` for all. */
  readonly columns: ReadonlySet<string> | undefined
  readonly shortcut: Shortcut | undefined
  /** Joins by which files may be left out, once the other side's keys are known. */
  readonly joins: readonly JoinKeys[]
}

/** A table as a query uses it. */
export interface PlannedTable extends TableNeeds {
  /** The name that the user gave it. */
  readonly name: string
  readonly snapshot: Snapshot
  /** Set where the query reads what changed, up to `snapshot` and since this moment, both included, with `CHANGE_FIELDS`. */
  readonly changesFrom: Moment | undefined
  /** Whether the query may ask for the address of its rows. */
  readonly address: boolean
  /** Set where the query reads just these rows, which came into the table or left it. */
  readonly changes: RowChanges | undefined
}

/** A name of the query that stands for a query over stand-ins. */
export interface PlannedView {
  readonly standIn: string
  readonly sql: string
}

export interface QueryPlan {
  readonly text: string
  readonly params: BoundValues
  readonly tables: readonly PlannedTable[]
  /** To be made after the tables. */
  readonly views: readonly PlannedView[]
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Whether the same versions and parameters give the same rows each time. */
  readonly isSteady: boolean
}

/** What DuckDB must not do on empty stand-ins: conclude from their emptiness. */
export const PLANNER_DISABLED_OPTIMIZERS =
  'statistics_propagation,empty_result_pullup,compressed_materialization,late_materialization,column_lifetime'

const ADDRESS_FIELDS = [field('__file', 'string'), field('__row', 'long')]
const TEMPLATES_MAX = 256
const BINDINGS_MAX = 256

type Pinned = Pick<PlannedTable, 'standIn' | 'name' | 'snapshot' | 'changesFrom' | 'address' | 'changes'>

interface PinnedAll {
  readonly tables: readonly Pinned[]
  readonly views: readonly PlannedView[]
}

interface Binding {
  readonly columns: QueryPlan['columns']
  readonly needs: readonly TableNeeds[]
}

/**
 * Plans queries: checks one, pins a version of each table it names, and binds it against empty stand-ins, from which
 * DuckDB's optimizer tells the columns and filters that arrive at each table, through CTEs, views and joins.
 *
 * What depends on the text, the parameters and the schemas alone is kept for the next time.
 */
export class Planner {
  private readonly database: Database
  /** Those that have the stand-ins of earlier queries. */
  private readonly sessions: KeptSessions
  private readonly templates = new LRUCache<string, QueryTemplate>({ max: TEMPLATES_MAX })
  /** By shape. */
  private readonly lookups = new LRUCache<string, QueryTemplate>({ max: TEMPLATES_MAX })
  private readonly bindings = new LRUCache<string, Binding>({ max: BINDINGS_MAX })

  constructor(database: Database) {
    this.database = database
    this.sessions = new KeptSessions(database)
  }

  close(): void {
    this.sessions.close()
  }

  /** @throws {DeltaError} `SQL_INVALID`, `SQL_FORBIDDEN`, `PARAMETER_MISSING`, `TABLE_NOT_FOUND`, `VERSION_NOT_FOUND`. */
  async plan(
    text: string,
    params: ParameterValues | undefined,
    resolve: SnapshotResolver,
    signal?: AbortSignal,
  ): Promise<QueryPlan> {
    const template = await this.read(text)
    const bound = bindParameters(template.parameters, params)
    const pinned = await this.pin(template, params, resolve, signal)
    const binding = await this.bind(template, bound, pinned, signal)
    const tables = pinned.tables.map((table, index) => ({ ...table, ...(binding.needs[index] as TableNeeds) }))
    const { columns } = binding
    return {
      text: template.text,
      params: bound,
      columns,
      tables,
      views: pinned.views,
      isSteady: template.isSteady && pinned.views.every(({ sql }) => isSteady(sql)),
    }
  }

  /** A lookup is read from the text of another that differs in its constants alone. */
  private async read(text: string): Promise<QueryTemplate> {
    const known = this.templates.get(text)
    if (known) return known
    const mask = masked(text)
    const alike = mask && this.lookups.get(mask.shape)
    if (mask && alike?.lookup) return { ...alike, text, lookup: withConstants(alike.lookup, mask) }
    const template = await readTemplate(this.database, text)
    this.templates.set(text, template)
    if (template.lookup) this.lookups.set(template.lookup.shape, template)
    return template
  }

  private async pin(
    template: QueryTemplate,
    params: ParameterValues | undefined,
    resolve: SnapshotResolver,
    signal: AbortSignal | undefined,
  ): Promise<PinnedAll> {
    const tables: Pinned[] = []
    const views: PlannedView[] = []
    const prefix = unusedPrefix(template.text, '__part_')
    for (const [at, { standIn, schema, name, travel, changes, asOf }] of template.tables.entries()) {
      const evaluate = (ref: Pick<TravelRef, 'expression'> & { readonly unit?: TravelRef['unit'] }) =>
        momentOf(this.database, ref, params, signal)
      const range = changes && (await rangeOf(changes, evaluate))
      const use = {
        prefix: `${prefix}${at}_`,
        isChanges: changes !== undefined,
        asOf: asOf && (await asOfTime(this.database, asOf, params, signal)),
      }
      const resolved = await resolve({ schema, name, ...(travel ? await evaluate(travel) : endOf(range)) }, use)
      if (!resolved)
        throw new DeltaError(
          'TABLE_NOT_FOUND',
          'there is no such table',
          { table: name },
          { hint: 'SHOW TABLES lists the tables' },
        )
      if ('sql' in resolved) {
        for (const part of resolved.parts) tables.push({ ...part, address: false, changes: part.changes, changesFrom: undefined })
        views.push({ standIn, sql: resolved.sql })
        continue
      }
      const { snapshot, address = false } = resolved
      tables.push({ standIn, name, snapshot, changesFrom: range?.from, address, changes: undefined })
    }
    return { tables, views }
  }

  private async bind(
    template: QueryTemplate,
    params: BoundValues,
    pinned: PinnedAll,
    signal: AbortSignal | undefined,
  ): Promise<Binding> {
    const key = bindingKey(template.text, params, pinned)
    const known = template.asksForTheTime ? undefined : this.bindings.get(key)
    if (known) return known
    const lookup = template.asksForTheTime ? undefined : pinnedLookup(template, pinned)
    const alike = lookup && this.bindings.get(bindingKey(lookup.shape, params, pinned))
    if (alike) return { columns: alike.columns, needs: alike.needs.map((needs) => lookupNeeds(needs, lookup)) }
    const standIns = [
      ...pinned.tables.map((table) => `CREATE TEMP TABLE ${ident(table.standIn)} (${standInColumns(table)})`),
      ...pinned.views.map(viewStatement),
    ]
    const session = await this.sessions.take(standIns)
    let isSound = false
    try {
      const columns = await session.describe(template.text, { params, signal })
      const read = await explain(session, template.text, params)
      const scans = read?.scans
      const isAlone = scans?.length === 1 && pinned.tables.length === 1 && pinned.views.length === 0
      const alone = await Promise.all(
        pinned.tables.map((table) => this.needsOf(table, scans, isAlone && !table.address ? template.shape : undefined, params)),
      )
      const joins = read && (await this.joins(template, pinned, read))
      const needs = alone.map((one) => ({ ...one, joins: joins?.get(one.standIn.toLowerCase()) ?? [] }))
      const binding = { columns, needs }
      // Where nothing is left to read, another constant may leave something.
      const isLikeOthers = lookup && needs.every(({ conditions }) => conditions.length > 0)
      if (isLikeOthers) this.bindings.set(bindingKey(lookup.shape, params, pinned), binding)
      else if (!template.asksForTheTime) this.bindings.set(key, binding)
      isSound = true
      return binding
    } finally {
      if (isSound) this.sessions.give(standIns, session)
      else session.close()
    }
  }

  /** Keys are looked up apart from the query, so that it has to be one that answers alike both times. */
  private async joins({ isSteady, givenNames }: QueryTemplate, { tables, views }: PinnedAll, { joins, scans }: PlanRead) {
    if (!isSteady || !givenNames || views.length > 0 || joins.length === 0) return undefined
    const joined = tables.filter(({ snapshot, changesFrom, changes }) => !changesFrom && !changes && isPrunable(snapshot))
    return joinKeys(this.database, joins, scans, joined, givenNames)
  }

  /** Several scans of one table share its files: a file is needed when any of them needs it. */
  private async needsOf(
    { standIn, snapshot, changesFrom }: Pinned,
    scans: readonly TableScan[] | undefined,
    shape: AnswerShape | undefined,
    params: BoundValues,
  ): Promise<Omit<TableNeeds, 'joins'>> {
    const own = scans?.filter((scan) => scan.table.toLowerCase() === standIn.toLowerCase()) ?? []
    // A table without a scan was optimized away, or the plan was not understood: take no chance.
    const isKnown = own.length > 0 && own.every((scan) => scan.columns)
    const named = own.flatMap((scan) => [...(scan.columns ?? [])]).flatMap((column) => columnsRead(snapshot, column))
    const unknowable = unknowableNames(snapshot, own)
    const columns = isKnown ? new Set([...named, ...unknowable]) : undefined
    const prunable = prunableColumns(snapshot)
    if (changesFrom !== undefined || own.length === 0 || prunable.schema.fields.length === 0)
      return { standIn, columns, condition: 'TRUE', conditions: [], shortcut: undefined }
    const trees = await Promise.all(
      own.map((scan) => Promise.all(scan.filters.map((filter) => parseFilter(this.database, filter, snapshot)))),
    )
    const conditions = conditionsOf(trees, prunable)
    const [scan] = own
    const shortcut =
      shape && scan && isPrunable(snapshot) ? shortcutFor(shape, scan, trees[0] ?? [], snapshot, params) : undefined
    return { standIn, columns, condition: conditions.at(-1) ?? 'TRUE', conditions, shortcut }
  }
}

/** For the filters of each scan of a table, what each of `SKIP_REASONS` adds to those before it. */
function conditionsOf(scans: readonly (readonly (SyntaxNode | undefined)[])[], columns: PrunableColumns): readonly string[] {
  return SKIP_REASONS.map((_, last) => {
    const reasons = SKIP_REASONS.slice(0, last + 1)
    return anyOf(scans.map((filters) => conditionOf(filters, columns, reasons)))
  })
}

interface PinnedLookup extends Lookup {
  readonly snapshot: Snapshot
  /** Those that it compares, in lower case. */
  readonly columns: readonly string[]
}

function pinnedLookup({ lookup }: QueryTemplate, { tables: [table], views }: PinnedAll): PinnedLookup | undefined {
  if (!lookup || !table || views.length > 0) return undefined
  const columns = lookupColumns(lookup, table.snapshot.schema)
  return columns && { ...lookup, snapshot: table.snapshot, columns }
}

/** What a lookup needs, from what the same one for other constants does. */
function lookupNeeds(needs: TableNeeds, { comparisons, snapshot, columns }: PinnedLookup): TableNeeds {
  const conditions = conditionsOf([comparisons], prunableColumns(snapshot))
  // The plan leaves out a column whose comparison is true of every value.
  const read = needs.columns && new Set([...needs.columns, ...columns])
  return { ...needs, columns: read, condition: conditions.at(-1) ?? 'TRUE', conditions }
}

function conditionOf(
  filters: readonly (SyntaxNode | undefined)[],
  columns: PrunableColumns,
  reasons: readonly SkipReason[],
): string {
  const parts = filters.map((tree) => (tree ? mayMatch(tree, columns, reasons) : 'TRUE')).filter((part) => part !== 'TRUE')
  return parts.length === 0 ? 'TRUE' : `(${parts.join(' AND ')})`
}

function anyOf(conditions: readonly string[]): string {
  return conditions.includes('TRUE') ? 'TRUE' : conditions.join(' OR ')
}

/** The columns, in lower case, that a projection of a plan is of: of a field inside a struct it gives the path, without quotes. */
function columnsRead({ schema }: Snapshot, projection: string): readonly string[] {
  const names = schema.fields.map(({ name }) => name.toLowerCase())
  return names.filter((name) => projection === name || projection.startsWith(`${name}.`))
}

/** Columns that scans may read although their plan cannot be searched for the names: of several words, or cut at a line break. */
function unknowableNames({ schema }: Snapshot, scans: readonly TableScan[]): readonly string[] {
  const isFiltered = scans.some((scan) => scan.isFiltered)
  const names = schema.fields.map(({ name }) => name.toLowerCase())
  return names.filter((name) => name.includes('\n') || (isFiltered && !/^[\p{L}_][\p{L}\p{N}_]*$/u.test(name)))
}

function standInColumns({ snapshot, changesFrom, address }: Pinned): string {
  const added = [...(changesFrom === undefined ? [] : CHANGE_FIELDS), ...(address ? ADDRESS_FIELDS : [])]
  return columnDefinitions([...snapshot.schema.fields, ...added]) || '"__row" BOOLEAN'
}

/** Makes the name of a view stand for its query. */
export function viewStatement({ standIn, sql }: PlannedView): string {
  return `CREATE TEMP VIEW ${ident(standIn)} AS ${sql}`
}

/** Constants are folded into conditions, and conditions are made for the types of a schema. */
function bindingKey(text: string, params: BoundValues, { tables, views }: PinnedAll): string {
  const values = params.map((value) => [typeof value, String(value)])
  const schemas = tables.map(({ standIn, snapshot, changesFrom, address }) => [
    standIn,
    changesFrom !== undefined,
    address,
    snapshot.metadata.schemaString,
    snapshot.partitionColumns,
    snapshot.mapping,
    prunableColumns(snapshot).schema.fields.map(({ name }) => name),
  ])
  return JSON.stringify([text, values, schemas, views])
}

const PLAIN_NAME = /^[\p{L}_][\p{L}\p{N}_]*$/u

/**
 * The columns that conditions over the files relation may be about: those that it knows as the snapshot has them, as it may be of a later
 * version, and the snapshot of one that is to come. Filters come as text in which names are not quoted: a name that is
 * more than a word could read as something else, so that there is no such column then.
 */
export function prunableColumns(snapshot: Snapshot): PrunableColumns {
  const known = PRUNABLE.get(snapshot.metadata)
  if (known?.shape === snapshot.prunable && known.mapping === snapshot.mapping) return known
  const columns = { ...readPrunable(snapshot), shape: snapshot.prunable }
  PRUNABLE.set(snapshot.metadata, columns)
  return columns
}

const PRUNABLE = new WeakMap<Metadata, PrunableColumns & { readonly shape: PrunableColumns }>()

function readPrunable({ schema, partitionColumns, mapping, prunable }: Snapshot): PrunableColumns {
  const physical = (of: PrunableColumns) => physicalColumns(of.schema, of.partitionColumns, of.mapping)
  const isPlain = leaves(schema.fields).every(({ path }) => path.every((name) => PLAIN_NAME.test(name)))
  const isKnown = isPlain && isDeepStrictEqual(physical({ schema, partitionColumns, mapping }), physical(prunable))
  const types = new Map(physicalSchema(prunable.schema, prunable.mapping).fields.map((f) => [f.name, typeText(f.type)]))
  const stored = physicalSchema(schema, mapping).fields.map((f) => types.get(f.name) === typeText(f.type))
  return { schema: { ...schema, fields: schema.fields.filter((_, at) => isKnown && stored[at]) }, partitionColumns, mapping }
}

/** Whether conditions may be about every column. */
function isPrunable(snapshot: Snapshot): boolean {
  return prunableColumns(snapshot).schema.fields.length === snapshot.schema.fields.length
}

/** A filter's text as a tree; text that does not parse is no filter. Columns may go by a reserved word, which it does not quote. */
async function parseFilter(planner: Database, filter: string, columns: PrunableColumns): Promise<SyntaxNode | undefined> {
  for (const read of [() => filter, () => withQuotedNames(filter, columns)])
    try {
      const tree = await parseQuery(planner, `SELECT 1 WHERE ${read()}`)
      const [statement] = tree['statements'] as readonly { readonly node: { readonly where_clause: SyntaxNode | null } }[]
      return statement?.node.where_clause ?? undefined
    } catch (error) {
      if (!isDeltaError(error, 'invalid')) throw error
    }
  return undefined
}

function withQuotedNames(filter: string, { schema }: PrunableColumns): string {
  const names = new Set(leaves(schema.fields).flatMap(({ path }) => path.map((name) => name.toLowerCase())))
  let out = ''
  let at = 0
  for (const { kind, text, value, start, endExclusive } of tokenize(filter)) {
    const isType = filter.slice(0, start).endsWith('::')
    if (kind !== 'word' || isType || !names.has(value)) continue
    out += filter.slice(at, start) + ident(text)
    at = endExclusive
  }
  return out + filter.slice(at)
}

async function explain(session: Session, text: string, params: BoundValues): Promise<PlanRead | undefined> {
  const [row] = await session.rows<{ explain_value: string }>(`EXPLAIN (FORMAT JSON) ${text}`, { params })
  return row ? readPlan(row.explain_value) : undefined
}
