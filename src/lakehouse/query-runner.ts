import type { Clock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import type { Database, Session } from '../engine/database.js'
import { emptyParquet } from '../engine/empty-parquet.js'
import { ident, literal } from '../engine/sql-text.js'
import { type ChangedFile, changedFiles } from '../ops/changes.js'
import { openChanges } from '../ops/changes-scan.js'
import { openRowChanges, type RowChange, selectChanges } from '../ops/row-changes.js'
import {
  type PlannedTable,
  type PlannedView,
  type QueryPlan,
  type ResolvedTable,
  type SnapshotResolver,
  type TableRequest,
  viewStatement,
} from '../sql/planner.js'
import type { DeltaTable } from '../table/delta-table.js'
import { isOutside, placeOf } from '../table/file-place.js'
import type { HeldFiles } from '../table/file-source.js'
import { type ScanFile, type ScanShape, scanSql } from '../table/scan-sql.js'
import type { FileSelection, Snapshot, SnapshotFile } from '../table/snapshot.js'
import { readAsOf } from '../views/as-of.js'
import type { PinnedPart } from '../views/exact.js'
import { withFigures } from './answered.js'
import type { Engines } from './engines.js'
import { type KeyReader, readKeys, selectJoined } from './joined-files.js'
import type { ScanStats, SkippedBy, SqlOptions, SqlParameters, ViewRead } from './options.js'
import { pinsOf, versionsOf } from './query-pins.js'
import { QueryResult } from './result.js'
import { withoutVariants } from './result-sql.js'
import { resolveView, viewReading } from './view-reads.js'

export interface RunContext {
  readonly engines: Engines
  readonly clock: Clock
  /** Whether files outside of the lakehouse may be read, such as those of a clone's source. */
  readonly locations: boolean
  /** Pins the version that a query asks for; `undefined` when there is no such table. */
  readonly pin: (request: TableRequest, signal: AbortSignal | undefined) => Promise<PinnedTable | undefined>
}

export interface PinnedTable extends ResolvedTable {
  readonly table: DeltaTable
}

export interface RunRequest extends Pick<SqlOptions, 'rowsMax' | 'bytesMax' | 'onPinned' | 'onProgress'> {
  readonly text: string
  readonly params?: SqlParameters | undefined
  readonly signal?: AbortSignal | undefined
  /** Whether the stored state of a view will do. */
  readonly staleOk?: boolean | undefined
  /**
   * What names mean that are no tables: queries over parts. Such a query is asked once, so that no session is made for its names:
   * the text brings them along.
   */
  readonly relations?: ReadonlyMap<string, PinnedRelation> | undefined
  /** A condition over the files relation, false only for files of the table with addresses that the query need not read. */
  readonly addressed?: string | undefined
}

/** A query over versions of tables. */
export interface PinnedRelation {
  readonly sql: string
  readonly parts: readonly PinnedPart[]
}

/** A query that is ready to run: versions pinned, files chosen and at hand, names bound. */
export interface ReadyQuery {
  readonly plan: QueryPlan
  /** What the text begins with so that its names mean something, and what another text over the same names has to begin with. */
  readonly names: string
  readonly session: Session
  readonly selections: readonly FileSelection[]
  /** The selected files as the session has them, in the same order. */
  readonly scans: readonly (readonly ScanFile[])[]
  readonly stats: ScanStats
  readonly versions: Readonly<Record<string, number>>
  readonly views: readonly ViewRead[]
  /** Lets go of session and files. @param isDone whether the query was read to its end. */
  release(isDone: boolean): void
}

/** Plans a query and makes ready what it reads. The caller releases it. */
export async function readyQuery(context: RunContext, request: RunRequest): Promise<ReadyQuery> {
  const { engines } = context
  const tables = new Map<Snapshot, DeltaTable>()
  let outside = false
  const pin = pinOnce(context, request.signal)
  const viewReads: ViewRead[] = []
  const reading = viewReading(context, (name) => pin({ schema: '', name }), request.signal)
  const resolve: SnapshotResolver = async (wanted, { prefix, isChanges, asOf }) => {
    const relation = wanted.schema === '' ? request.relations?.get(wanted.name) : undefined
    for (const { snapshot, table } of relation?.parts ?? []) tables.set(snapshot, table)
    if (relation) return relation
    const pinned = await pin(wanted)
    if (!pinned) return undefined
    if (wanted.schema !== '') outside = true
    if (asOf) {
      const state = { name: wanted.name, table: pinned.table, snapshot: pinned.snapshot }
      const view = await readAsOf(reading, state, asOf, prefix)
      for (const { snapshot, table } of view.parts) tables.set(snapshot, table)
      return view
    }
    const asStored = wanted.version !== undefined || wanted.timestampMs !== undefined || wanted.schema !== ''
    const asked = { name: wanted.name, prefix, asStored, staleOk: request.staleOk ?? false }
    const view = pinned.address || isChanges ? undefined : await resolveView(context, reading, pinned, asked)
    if (view?.read) viewReads.push(view.read)
    for (const { snapshot, table } of view?.parts ?? [pinned]) tables.set(snapshot, table)
    return view ?? pinned
  }
  const planned = narrowed(await engines.planner.plan(request.text, request.params, resolve, request.signal), request.addressed)
  const pins = pinsOf(planned, request.text, request.params)
  // What an old state answers is told beside the answer, so that it is not to be had again by its name.
  request.onPinned?.(request.staleOk ? { ...pins, fingerprint: undefined } : pins)
  const selections: FileSelection[] = []
  for (const table of planned.tables) selections.push(await select(tables.get(table.snapshot), table, request.signal))
  const plan = await withFigures(planned, selections, request.signal)
  if (
    plan.tables.some(({ snapshot }, at) => selections[at]?.files.some((file) => isElsewhere(engines, tables.get(snapshot), file)))
  ) {
    if (!context.locations) throw filesOutside(plan.tables)
    outside = true
  }
  const sessions = outside ? await engines.forLocations() : engines.sessions
  const unjoined = [...selections]
  const read: KeyReader = async (at, sql) => {
    const planned = plan.tables[at] as PlannedTable
    const table = tables.get(planned.snapshot) as DeltaTable
    const opened = await openTable(engines, sessions.database, table, planned, unjoined[at], request.signal)
    try {
      return await readKeys(sessions, [viewStatement({ standIn: planned.standIn, sql: opened.sql })], sql, request.signal)
    } finally {
      opened.release()
    }
  }
  for (const at of plan.tables.keys()) selections[at] = await selectJoined(plan.tables, unjoined, at, read, request.signal)
  const releases: (() => void)[] = []
  try {
    const views: PlannedView[] = []
    const scans: (readonly ScanFile[])[] = plan.tables.map(() => [])
    let filesFromCache = 0
    for (const [at, planned] of plan.tables.entries()) {
      const table = tables.get(planned.snapshot)
      if (!table) continue
      const { sql, files, fromCache, release } = await openTable(
        engines,
        sessions.database,
        table,
        planned,
        selections[at],
        request.signal,
      )
      releases.push(() => release())
      scans[at] = files
      filesFromCache += fromCache
      views.push({ standIn: planned.standIn, sql })
    }
    views.push(...plan.views)
    const names = request.relations ? namesSql(views) : ''
    const made = request.relations ? [] : views.map(viewStatement)
    const session = await sessions.take(made)
    const release = (isDone: boolean) => {
      if (isDone) sessions.give(made, session)
      else session.close()
      for (const give of releases) give()
    }
    const stats = { ...statsOf(selections), filesFromCache }
    const named = { ...plan, text: `${names}${plan.text}` }
    return { plan: named, names, session, selections, scans, stats, versions: versionsOf(plan.tables), views: viewReads, release }
  } catch (error) {
    for (const give of releases) give()
    throw error
  }
}

function narrowed(plan: QueryPlan, addressed = 'TRUE'): QueryPlan {
  if (addressed === 'TRUE') return plan
  const narrow = (table: PlannedTable): PlannedTable => {
    if (!table.address) return table
    const condition = `(${table.condition}) AND (${addressed})`
    return { ...table, condition, conditions: [...table.conditions, condition] }
  }
  return { ...plan, tables: plan.tables.map(narrow) }
}

function namesSql(views: readonly PlannedView[]): string {
  if (views.length === 0) return ''
  return `WITH ${views.map(({ standIn, sql }) => `${ident(standIn)} AS NOT MATERIALIZED (${sql})`).join(', ')} `
}

/** Within a query, the newest version of a table is the same wherever it is named. */
function pinOnce(
  { pin }: RunContext,
  signal: AbortSignal | undefined,
): (wanted: TableRequest) => Promise<PinnedTable | undefined> {
  const pinned = new Map<string, Promise<PinnedTable | undefined>>()
  return (wanted) => {
    if (wanted.version !== undefined || wanted.timestampMs !== undefined) return pin(wanted, signal)
    const key = JSON.stringify([wanted.schema, wanted.name])
    const known = pinned.get(key) ?? pin(wanted, signal)
    pinned.set(key, known)
    return known
  }
}

/** A clone in the lakehouse may have files of a table beside it. */
function isElsewhere(engines: Engines, table: DeltaTable | undefined, { file }: SnapshotFile): boolean {
  return table !== undefined && isOutside(file) && !engines.holds(placeOf(table.deps.store, file))
}

function filesOutside(tables: readonly PlannedTable[]): DeltaError {
  return new DeltaError(
    'SQL_FORBIDDEN',
    'a table of the query has files outside of the lakehouse',
    { tables: tables.map(({ name }) => name).join(', ') },
    { hint: 'ask where locations are allowed: with the library or on the command line' },
  )
}

/** Runs a query: everything but its execution happens now, so that mistakes show here. */
export async function runQuery(context: RunContext, request: RunRequest): Promise<QueryResult> {
  const startedAtMs = context.clock.now()
  const { plan, session, stats, versions, views, release } = await readyQuery(context, request)
  return new QueryResult({
    session,
    spool: context.engines.spool,
    clock: context.clock,
    startedAtMs,
    ...withoutVariants(plan),
    params: plan.params,
    versions,
    views,
    stats,
    statement: 'query',
    signal: request.signal,
    limits: { rowsMax: request.rowsMax, bytesMax: request.bytesMax },
    onProgress: request.onProgress,
    release,
  })
}

/** The answer to a statement that is no query, as a small relation. */
export async function commandResult(
  context: RunContext,
  columns: readonly { readonly name: string; readonly type: string }[],
  rows: readonly Readonly<Record<string, unknown>>[],
  more: {
    readonly versions?: Readonly<Record<string, number>>
    readonly stats?: ScanStats
    readonly statement?: 'query' | 'command'
  } = {},
): Promise<QueryResult> {
  const { engines, clock } = context
  const session = await engines.queries.session()
  const structure = JSON.stringify(`STRUCT(${columns.map(({ name, type }) => `${ident(name)} ${type}`).join(', ')})[]`)
  return new QueryResult({
    session,
    spool: engines.spool,
    clock,
    startedAtMs: clock.now(),
    text: `SELECT r.* FROM (SELECT unnest(json_transform($1::JSON, ${literal(structure)})) AS r)`,
    params: [JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))],
    columns,
    versions: more.versions ?? {},
    views: [],
    stats: more.stats ?? statsOf([]),
    statement: more.statement ?? 'command',
    signal: undefined,
    release: () => session.close(),
  })
}

/** The files that a table of a query is read from. */
async function select(
  table: DeltaTable | undefined,
  { snapshot, condition, conditions, changesFrom, changes, shortcut }: PlannedTable,
  signal: AbortSignal | undefined,
): Promise<FileSelection> {
  if (changes && table) return selectChanges(table, snapshot, changes, condition)
  if (!changesFrom || !table) {
    if (!shortcut) return snapshot.files(condition, { signal, steps: conditions })
    const left = shortcut.kind === 'summary' ? `(${condition}) AND NOT ${shortcut.answered}` : condition
    const wanted = shortcut.kind === 'first' ? shortcut.wanted : undefined
    return snapshot.files(left, { signal, steps: [...conditions, condition, left], wanted })
  }
  const files = await changedFiles(table, snapshot, changesFrom, { signal })
  return {
    files,
    bytesRead: files.reduce((sum, file) => sum + file.sizeBytes, 0),
    filesSkipped: 0,
    bytesSkipped: 0,
    skippedBy: [],
  }
}

/** Makes the files of a table readable; `sql` is what its name stands for. */
async function openTable(
  { source, uniformFiles, sharedChanges, spool }: Engines,
  database: Database,
  { deps: { store } }: DeltaTable,
  planned: PlannedTable,
  selection: FileSelection | undefined,
  signal: AbortSignal | undefined,
): Promise<HeldFiles & { readonly sql: string }> {
  const { snapshot, columns, changesFrom, changes } = planned
  const files = selection?.files ?? []
  const shared = changes && sharedChanges.get(changes)?.select(columns)
  if (shared !== undefined) return { sql: shared, files: [], fromCache: 0, release: () => {} }
  if (changes) return openRowChanges(source, store, snapshot, files as readonly RowChange[], columns, { signal })
  if (changesFrom) return openChanges(source, store, snapshot, files as readonly ChangedFile[], columns, { signal })
  const held = await source.open(store, files, snapshot, columns, { signal })
  try {
    const shape = { ...scanShape(planned), empty: emptyParquet(spool) }
    const uniform = await uniformFiles.areUniform(database, shape, held.files)
    return { ...held, sql: scanSql({ ...shape, uniform }, held.files) }
  } catch (error) {
    held.release()
    throw error
  }
}

/** Partition columns cost a join, so they are only given where the query reads one. */
function scanShape({ snapshot, columns, address }: PlannedTable): ScanShape {
  const { partitionColumns } = snapshot
  const unread = new Set(partitionColumns.filter((name) => columns !== undefined && !columns.has(name.toLowerCase())))
  return { fields: snapshot.schema.fields, partitionColumns, mapping: snapshot.mapping, unread, address }
}

/** In the order of the steps of a selection. */
const SKIPPED_BY = [
  'partition',
  'generated',
  'statistics',
  'join',
  'answered',
  'limit',
] as const satisfies readonly (keyof SkippedBy)[]

export function skippedByOf(selections: readonly FileSelection[]): SkippedBy {
  const sum = (at: number) => selections.reduce((total, { skippedBy }) => total + (skippedBy[at] ?? 0), 0)
  const entries = SKIPPED_BY.map((reason, at) => [reason, sum(at)] as const)
  return Object.fromEntries(entries) as Record<(typeof SKIPPED_BY)[number], number>
}

function statsOf(selections: readonly FileSelection[]): ScanStats {
  const sum = (of: (selection: FileSelection) => number) => selections.reduce((total, selection) => total + of(selection), 0)
  return {
    filesRead: sum((selection) => selection.files.length),
    filesSkipped: sum((selection) => selection.filesSkipped),
    bytesRead: sum((selection) => selection.bytesRead),
    bytesSkipped: sum((selection) => selection.bytesSkipped),
    filesFromCache: 0,
    skippedBy: skippedByOf(selections),
  }
}
