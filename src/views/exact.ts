import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import type { LeftWithout } from '../ops/left-without.js'
import { rowChanges } from '../ops/row-changes.js'
import type { ViewPart } from '../sql/planner.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import type { CommitCache } from './commits.js'
import {
  bound,
  builtSql,
  type CoreChanges,
  coreChanges,
  exactSql,
  goneKeys,
  initial,
  isBeyond,
  mergedSql,
  partials,
  type SourceRelations,
  sameKeys,
  settled,
  shown,
  stateRows,
  storedSql,
  withAnew,
} from './maintain-sql.js'
import type { GroupsPlan, ViewPlan } from './plan.js'
import { type View, viewOf, watermarkAt } from './view.js'

/** A version of a table. */
export interface PinnedSource {
  readonly name: string
  readonly table: DeltaTable
  readonly snapshot: Snapshot
}

/** What reading views takes: the same versions for all that one query names. */
export interface ViewReading {
  /** Pins the version of a table that this reading is about, by name. */
  readonly pin: (name: string) => Promise<PinnedSource | undefined>
  readonly commits: CommitCache
  /** Versions of sources to look at changes from, by name, instead of those that the state was made from. */
  readonly since?: ReadonlyMap<string, number> | undefined
  /** What a view gives that another one reads: all of it, or what its state has. @defaultValue 'exact' */
  readonly upstream?: 'exact' | 'stored' | undefined
  /** How changes of a source are told. @defaultValue `rowChanges` */
  readonly changes?: typeof rowChanges | undefined
  /** Rows of a table that are to be taken for gone. */
  readonly without?: LeftWithout | undefined
  readonly signal?: AbortSignal | undefined
}

/** A view whose state is to be made, or is there at a version. */
export type StateAt =
  | (PinnedSource & { readonly view?: View | undefined })
  | { readonly name: string; readonly table: DeltaTable; readonly snapshot?: undefined; readonly view: View }

/** A version of a table that SQL reads by a stand-in. */
export interface PinnedPart extends ViewPart {
  readonly table: DeltaTable
}

/** How far behind a source a view's state is. */
export interface SourceLag {
  readonly name: string
  /** The version that the state was made from; `undefined` when it was made from no version of this table. */
  readonly watermark: number | undefined
  /** The version that it is compared with. */
  readonly version: number
}

/** A view at one version of each of its sources. */
export interface ViewAt {
  readonly view: View
  /** By place of the definition. */
  readonly relations: readonly SourceRelations[]
  readonly lags: readonly SourceLag[]
  /** What changed of the core since the state was made. */
  readonly changes: CoreChanges
  /** Whether those changes can only be followed by computing the view anew. */
  readonly isBeyond: boolean
  /** Sizes of the files with changed rows. */
  readonly changedBytes: number
  /** Stand-ins that its SQL may name; those that it does name are read. */
  readonly parts: ReadonlyMap<string, () => Promise<PinnedPart>>
}

/** Says that rows of the past are no longer there to compare with. */
class Gone extends Error {}

/**
 * Looks at a view and its sources at the versions that `reading` pins.
 *
 * @param prefix what its stand-ins begin with.
 * @throws {DeltaError} `TABLE_NOT_FOUND` for a source that is gone.
 */
export async function viewAt(reading: ViewReading, state: StateAt, prefix: string): Promise<ViewAt> {
  const view = state.view ?? (state.snapshot && viewOf(state.snapshot))
  if (!view)
    throw new DeltaError('VIEW_NOT_FOUND', 'there is no such view', { view: state.name }, { hint: 'SHOW VIEWS lists the views' })
  const parts = new Map<string, () => Promise<PinnedPart>>()
  const standIn = stateName(prefix)
  const { name: own, table, snapshot } = state
  if (snapshot) parts.set(standIn, async () => ({ standIn, name: own, table, snapshot }))
  const found = new Map<string, Awaited<ReturnType<typeof sourceAt>>>()
  for (const [nth, name] of view.sources.entries())
    found.set(name, await sourceAt(reading, state, name, `${prefix}${nth}_`, parts))
  const relations = view.plan.sources.map(({ name }) => (found.get(name) as NonNullable<ReturnType<typeof found.get>>).relations)
  const sources = [...found.values()]
  const beyond = sources.some(({ isLost }) => isLost) || isBeyond(view.plan, relations)
  return {
    view,
    relations,
    lags: sources.map(({ lag }) => lag),
    changes: beyond ? { plus: [], minus: [] } : coreChanges(view.plan, relations),
    isBeyond: beyond,
    changedBytes: sources.reduce((sum, { bytes }) => sum + bytes, 0),
    parts,
  }
}

/** A query for a view's rows as its definition has them, at the versions it was looked at. */
export function exactOf({ view: { plan }, relations, changes, isBeyond: beyond }: ViewAt, prefix: string): string {
  const now = relations.map((one) => one.now)
  return beyond ? builtSql(plan, now, 'visible') : exactSql(plan, ident(stateName(prefix)), changes, now)
}

/** A query for the keys and states of a view's groups, at the versions it was looked at: `k0`, …, `s0`, …. */
export function exactStates(at: ViewAt, groups: GroupsPlan, prefix: string): string {
  const { plan } = at.view
  const now = at.relations.map((one) => one.now)
  if (at.isBeyond) return settled(groups, initial(groups, bound(plan, plan.core, now)))
  const rows = stateRows(groups, ident(stateName(prefix)))
  if (at.changes.plus.length + at.changes.minus.length === 0) return rows
  const merged = mergedSql(groups, [rows, ...partials(groups, at.changes)], goneKeys(groups, at.changes))
  return withAnew(plan, groups, merged, at.changes, now)
}

/** A query for a view's rows as they are stored. */
export function storedOf({ plan }: View, prefix: string): string {
  return storedSql(plan, ident(stateName(prefix)))
}

export function stateName(prefix: string): string {
  return `${prefix}state`
}

/**
 * The parts that a query names.
 *
 * @returns `undefined` when a version among them is no longer there.
 */
export async function namedParts({ parts }: Pick<ViewAt, 'parts'>, sql: string): Promise<readonly PinnedPart[] | undefined> {
  const named = [...parts].filter(([standIn]) => sql.includes(ident(standIn)))
  try {
    return await Promise.all(named.map(([, part]) => part()))
  } catch (error) {
    if (error instanceof Gone) return undefined
    throw error
  }
}

/** What a view of the lakehouse is to be read by: its query and the tables that this names. */
export async function readView(
  reading: ViewReading,
  state: PinnedSource,
  prefix: string,
): Promise<{ readonly sql: string; readonly parts: readonly PinnedPart[]; readonly at: ViewAt }> {
  const at = await viewAt(reading, state, prefix)
  const exact = exactOf(at, prefix)
  const parts = await namedParts(at, exact)
  if (parts) return { sql: exact, parts, at }
  const anew = { ...at, isBeyond: true }
  const sql = exactOf(anew, prefix)
  return { sql, parts: (await namedParts(anew, sql)) ?? [], at: anew }
}

async function sourceAt(
  reading: ViewReading,
  state: StateAt,
  name: string,
  prefix: string,
  parts: Map<string, () => Promise<PinnedPart>>,
) {
  const source = await reading.pin(name)
  if (!source)
    throw new DeltaError(
      'TABLE_NOT_FOUND',
      'a source of the view is gone',
      { view: state.name, table: name },
      { hint: 'drop the view, or bring its source back' },
    )
  const { table, snapshot } = source
  const { signal, since, changes: tell = rowChanges } = reading
  const watermark = since ? since.get(name) : state.snapshot && (await watermarkAt(state.table, state.snapshot, snapshot))
  const changes =
    watermark === undefined
      ? undefined
      : await tell(table, snapshot, watermark, reading.commits.reader(table, snapshot), { signal })
  const part = (what: string, more: Partial<PinnedPart> = {}) => {
    const standIn = `${prefix}${what}`
    parts.set(standIn, async () => ({ standIn, name, table, snapshot, ...more }))
    return ident(standIn)
  }
  const without = reading.without?.uri === table.uri ? reading.without : undefined
  const now = part('now', without && { changes: without.left })
  const gone = without && without.gone.files.length > 0 ? part('gone', { changes: without.gone }) : undefined
  const before = `${prefix}before`
  parts.set(before, async () => ({ standIn: before, name, table, snapshot: await snapshotBefore(table, watermark, signal) }))
  const rowsOf = (what: 'plus' | 'minus') =>
    changes && changes[what].files.length > 0 ? part(what, { changes: changes[what] }) : undefined
  const left = rowsOf('minus')
  const plain: SourceRelations = {
    now,
    before: isChanged(changes) || gone ? ident(before) : now,
    plus: rowsOf('plus'),
    minus: left && gone ? `(SELECT * FROM ${left} UNION ALL SELECT * FROM ${gone})` : (left ?? gone),
  }
  const base = {
    lag: { name, watermark, version: snapshot.version },
    bytes: changes ? changes.plus.bytes + changes.minus.bytes : 0,
    isLost: changes === undefined,
  }
  const inner = viewOf(snapshot)
  if (!inner) return { ...base, relations: plain }
  if (reading.upstream === 'stored') return { ...base, relations: storedRelations(inner, plain) }
  const upstream = await viewAt(reading, source, `${prefix}v`)
  for (const [standIn, make] of upstream.parts) parts.set(standIn, make)
  return { ...base, bytes: base.bytes + upstream.changedBytes, relations: viewRelations(upstream, `${prefix}v`, plain) }
}

function isChanged(changes: Awaited<ReturnType<typeof rowChanges>>): boolean {
  return changes !== undefined && changes.plus.files.length + changes.minus.files.length > 0
}

async function snapshotBefore(
  table: DeltaTable,
  version: number | undefined,
  signal: AbortSignal | undefined,
): Promise<Snapshot> {
  try {
    return await table.snapshot({ version: version ?? 0 }, { signal })
  } catch (error) {
    if (error instanceof DeltaError && error.code === 'VERSION_NOT_FOUND') throw new Gone()
    throw error
  }
}

/** A view as the source of another, as far as its own state has come. */
function storedRelations({ plan }: View, { now, before, plus, minus }: SourceRelations): SourceRelations {
  const own = (relation: string) => `(${storedSql(plan, relation)})`
  return { now: own(now), before: own(before), plus: plus && own(plus), minus: minus && own(minus) }
}

/** A view as the source of another: what changed in its state, and what its state has yet to follow. */
function viewRelations(upstream: ViewAt, prefix: string, stored: SourceRelations): SourceRelations {
  const { plan } = upstream.view
  const own = (relation: string) => storedSql(plan, relation)
  const pending = pendingOf(upstream, prefix)
  const all = (...queries: readonly (string | undefined)[]) => {
    const given = queries.filter((query) => query !== undefined)
    return given.length === 0 ? undefined : `(${given.join(' UNION ALL ')})`
  }
  return {
    now: `(${exactOf(upstream, prefix)})`,
    before: `(${own(stored.before)})`,
    plus: all(stored.plus && own(stored.plus), pending.plus),
    minus: all(stored.minus && own(stored.minus), pending.minus),
  }
}

/** Rows that a view's state lacks, and rows that it still has. */
function pendingOf(upstream: ViewAt, prefix: string): { readonly plus?: string; readonly minus?: string } {
  const { plan } = upstream.view
  const state = ident(stateName(prefix))
  const now = upstream.relations.map((one) => one.now)
  if (upstream.isBeyond) return { plus: builtSql(plan, now, 'visible'), minus: storedSql(plan, state) }
  const { changes } = upstream
  if (changes.plus.length + changes.minus.length === 0) return {}
  if (plan.groups) return pendingGroups(plan, plan.groups, state, changes, now)
  const rows = (cores: readonly string[]) => {
    const columns = plan.columns.map(({ name }) => ident(name)).join(', ')
    return cores.length === 0 ? {} : { rows: `SELECT ${columns} FROM (${cores.join(' UNION ALL ')}) AS q(${columns})` }
  }
  const [plus, minus] = [rows(changes.plus).rows, rows(changes.minus).rows]
  return { ...(plus === undefined ? {} : { plus }), ...(minus === undefined ? {} : { minus }) }
}

function pendingGroups(
  plan: ViewPlan,
  groups: NonNullable<ViewPlan['groups']>,
  state: string,
  changes: CoreChanges,
  now: readonly string[],
): { readonly plus: string; readonly minus: string } {
  const parts = partials(groups, changes)
  const rows = stateRows(groups, state)
  const touched =
    groups.keys.length === 0
      ? rows
      : `SELECT r.* FROM (${rows}) AS r SEMI JOIN (${parts.join(' UNION ALL ')}) AS p ON ${sameKeys(groups, 'r', 'p')}`
  const merged = withAnew(plan, groups, mergedSql(groups, [touched, ...parts], goneKeys(groups, changes)), changes, now)
  return { plus: shown(plan, groups, merged, 'visible'), minus: shown(plan, groups, touched, 'visible') }
}
