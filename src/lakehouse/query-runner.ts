import type { Clock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import type { Database, Session } from '../engine/database.js'
import { ident, literal } from '../engine/sql-text.js'
import { type ChangedFile, changedFiles } from '../ops/changes.js'
import { type HeldChanges, openChanges } from '../ops/changes-scan.js'
import type { PlannedTable, QueryPlan, ResolvedTable, SnapshotResolver, TableRequest } from '../sql/planner.js'
import type { DeltaTable } from '../table/delta-table.js'
import { type ScanFile, type ScanShape, scanSql } from '../table/scan-sql.js'
import type { FileSelection, Snapshot, SnapshotFile } from '../table/snapshot.js'
import type { Engines } from './engines.js'
import type { ScanStats, SqlOptions, SqlParameters } from './options.js'
import { pinsOf, versionsOf } from './query-pins.js'
import { QueryResult } from './result.js'
import { withoutVariants } from './result-sql.js'

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
}

/** A query that is ready to run: versions pinned, files chosen and at hand, names bound. */
export interface ReadyQuery {
  readonly plan: QueryPlan
  readonly session: Session
  readonly selections: readonly FileSelection[]
  /** The selected files as the session has them, in the same order. */
  readonly scans: readonly (readonly ScanFile[])[]
  readonly versions: Readonly<Record<string, number>>
  /** Lets go of session and files. @param isDone whether the query was read to its end. */
  release(isDone: boolean): void
}

/** Plans a query and makes ready what it reads. The caller releases it. */
export async function readyQuery(context: RunContext, request: RunRequest): Promise<ReadyQuery> {
  const { engines } = context
  const tables = new Map<Snapshot, DeltaTable>()
  let outside = false
  const resolve: SnapshotResolver = async (wanted) => {
    const pinned = await context.pin(wanted, request.signal)
    if (!pinned) return undefined
    if (wanted.schema !== '') outside = true
    tables.set(pinned.snapshot, pinned.table)
    return pinned
  }
  const plan = await engines.planner.plan(request.text, request.params, resolve, request.signal)
  request.onPinned?.(pinsOf(plan, request.text, request.params))
  const selections: FileSelection[] = []
  for (const planned of plan.tables) selections.push(await select(tables.get(planned.snapshot), planned, request.signal))
  if (plan.tables.some(({ snapshot }, at) => selections[at]?.files.some((file) => isElsewhere(engines, snapshot, file)))) {
    if (!context.locations) throw filesOutside(plan.tables)
    outside = true
  }
  const sessions = outside ? await engines.forLocations() : engines.sessions
  const releases: (() => void)[] = []
  try {
    const views: string[] = []
    const scans: (readonly ScanFile[])[] = plan.tables.map(() => [])
    for (const [at, planned] of plan.tables.entries()) {
      const table = tables.get(planned.snapshot)
      if (!table) continue
      const { sql, files, release } = await openTable(engines, sessions.database, table, planned, selections[at], request.signal)
      releases.push(() => release())
      scans[at] = files
      views.push(`CREATE TEMP VIEW ${ident(planned.standIn)} AS ${sql}`)
    }
    const session = await sessions.take(views)
    const release = (isDone: boolean) => {
      if (isDone) sessions.give(views, session)
      else session.close()
      for (const give of releases) give()
    }
    return { plan, session, selections, scans, versions: versionsOf(plan.tables), release }
  } catch (error) {
    for (const give of releases) give()
    throw error
  }
}

/** A clone in the lakehouse may have files of a table beside it. */
function isElsewhere(engines: Engines, snapshot: Snapshot, file: SnapshotFile): boolean {
  return snapshot.isOutside(file) && !engines.holds(snapshot.localPath(file) ?? '')
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
  const { plan, session, selections, versions, release } = await readyQuery(context, request)
  return new QueryResult({
    session,
    spool: context.engines.spool,
    clock: context.clock,
    startedAtMs,
    ...withoutVariants(plan),
    params: plan.params,
    versions,
    stats: statsOf(selections),
    statement: 'query',
    signal: request.signal,
    limits: { rowsMax: request.rowsMax, bytesMax: request.bytesMax },
    onProgress: request.onProgress,
    release,
  })
}

/** What a query would read, and the engine's plan for it. */
export async function explainQuery(context: RunContext, request: RunRequest): Promise<QueryResult> {
  const { plan, session, selections, versions, release } = await readyQuery(context, request)
  try {
    const rows = plan.tables.map(
      (table, index) =>
        [`${table.name} (version ${table.snapshot.version})`, describeSelection(table, selections[index])] as const,
    )
    const [engine] = await session.rows<{ explain_value: string }>(`EXPLAIN ${plan.text}`, { params: plan.params })
    const columns = [
      { name: 'explain_key', type: 'VARCHAR' },
      { name: 'explain_value', type: 'VARCHAR' },
    ]
    const all = [...rows, ['physical_plan', engine?.explain_value ?? ''] as const]
    return await commandResult(
      context,
      columns,
      all.map(([explain_key, explain_value]) => ({ explain_key, explain_value })),
      { versions, stats: statsOf(selections), statement: 'query' },
    )
  } finally {
    release(false)
  }
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
    stats: more.stats ?? statsOf([]),
    statement: more.statement ?? 'command',
    signal: undefined,
    release: () => session.close(),
  })
}

/** The files that a table of a query is read from. */
async function select(
  table: DeltaTable | undefined,
  { snapshot, condition, changesFrom }: PlannedTable,
  signal: AbortSignal | undefined,
): Promise<FileSelection> {
  if (!changesFrom || !table) return snapshot.files(condition, { signal })
  const files = await changedFiles(table, snapshot, changesFrom, { signal })
  return { files, bytesRead: files.reduce((sum, file) => sum + file.sizeBytes, 0), filesSkipped: 0, bytesSkipped: 0 }
}

/** Makes the files of a table readable; `sql` is what its name stands for. */
async function openTable(
  { source, uniformFiles }: Engines,
  database: Database,
  { deps: { store } }: DeltaTable,
  planned: PlannedTable,
  selection: FileSelection | undefined,
  signal: AbortSignal | undefined,
): Promise<HeldChanges> {
  const { snapshot, columns, changesFrom } = planned
  const files = selection?.files ?? []
  if (changesFrom) return openChanges(source, store, snapshot, files as readonly ChangedFile[], columns, { signal })
  const held = await source.open(store, files, snapshot, columns, { signal })
  try {
    const shape = scanShape(planned)
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

function statsOf(selections: readonly FileSelection[]): ScanStats {
  const sum = (of: (selection: FileSelection) => number) => selections.reduce((total, selection) => total + of(selection), 0)
  return {
    filesRead: sum((selection) => selection.files.length),
    filesSkipped: sum((selection) => selection.filesSkipped),
    bytesRead: sum((selection) => selection.bytesRead),
    bytesSkipped: sum((selection) => selection.bytesSkipped),
  }
}

function describeSelection(table: PlannedTable, selection: FileSelection | undefined): string {
  if (!selection) return ''
  const columns = table.columns === undefined ? 'all columns' : `columns ${[...table.columns].join(', ') || 'none'}`
  return [
    `files read: ${selection.files.length}, skipped: ${selection.filesSkipped}`,
    `bytes read: at most ${selection.bytesRead}, skipped: ${selection.bytesSkipped}`,
    columns,
    `skipped by: ${table.condition === 'TRUE' ? 'nothing' : table.condition}`,
  ].join('\n')
}
