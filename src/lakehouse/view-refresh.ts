import type { Session } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import { changeResult, metricsOf } from '../ops/change-result.js'
import { FoundRows } from '../ops/found-rows.js'
import { type TakenOut, takeOut, takeOutFiles } from '../ops/take-out.js'
import type { CommittedBatch } from '../protocol/actions.js'
import { conflictError } from '../table/conflict.js'
import { type StagedFiles, stageFiles } from '../table/stage.js'
import type { TransactionOutcome } from '../table/transaction.js'
import { exactOf, namedParts, type PinnedSource, type ViewAt, type ViewReading, viewAt } from '../views/exact.js'
import { builtSql, sameKeys, shown, stateRows } from '../views/maintain-sql.js'
import type { GroupsPlan, ViewPlan } from '../views/plan.js'
import { watermarkOf } from '../views/view.js'
import type { RunContext } from './query-runner.js'
import { addressedRows } from './row-query.js'
import { type ReadyQueries, STATE, withChangedGroups, withQueries, withRows } from './view-queries.js'

/** What a refresh did. */
export interface RefreshResult {
  readonly view: string
  /** The version of the state that holds the outcome. */
  readonly version: number
  /**
   * `refreshed`: this call brought the state up to `sources`; `current`: it was there already; `overtaken`: somebody else's
   * refresh came first, and this one wrote nothing.
   */
  readonly outcome: 'refreshed' | 'current' | 'overtaken'
  /** `changes`: changed rows went in; `full`: it was computed anew; `none`: no row had changed. */
  readonly how: 'changes' | 'full' | 'none'
  readonly sources: Readonly<Record<string, number>>
  readonly rowsAdded: number
  readonly rowsRemoved: number | undefined
  readonly filesAdded: number
  readonly filesRemoved: number
  readonly filesMarked: number
  readonly bytesAdded: number
  /** Sizes of the files of the sources with changed rows; of a full refresh, of all that were read. */
  readonly bytesRead: number
  readonly attempts: number
}

export interface RefreshOptions {
  /** Compute it anew from the raw rows. @defaultValue false */
  readonly full?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

const PREFIX = '__view_'
const RUNS_MAX = 5

/** What becomes of a state: rows that go, and files with rows that come. */
interface StateChange {
  readonly taken: TakenOut
  readonly staged: StagedFiles
  readonly how: RefreshResult['how']
  readonly bytesRead: number
}

/**
 * Brings the state of a view up to the versions that `reading` pins, in one commit that says so.
 *
 * @param state looks up the newest version of the view's state.
 */
export async function refreshState(
  context: RunContext,
  reading: ViewReading,
  state: () => Promise<PinnedSource>,
  { full = false, signal }: RefreshOptions,
): Promise<RefreshResult> {
  let attempts = 0
  for (let runs = 1; ; runs++) {
    const pinned = await state()
    const at = await viewAt(reading, pinned, PREFIX)
    const sources = Object.fromEntries(at.lags.map(({ name, version }) => [name, version]))
    const isCurrent = at.lags.every(({ watermark, version }) => watermark === version)
    const result = { view: pinned.name, sources }
    if (isCurrent && !full) return { ...result, ...NOTHING, version: pinned.snapshot.version, outcome: 'current', attempts }
    const change = await stateChange(context, pinned, at, full, signal)
    const outcome = await commitState(pinned, await batchesOf(reading, at, change.staged.rows), change, signal)
    attempts += outcome.attempts
    if (outcome.kind === 'committed') {
      const { tally } = change.taken
      const { rowsDeleted, filesAdded, filesRemoved, filesMarked, bytesAdded } = changeResult(tally, {
        rowsDeleted: tally.rowsTaken,
        rowsUpdated: 0,
      })
      return {
        ...result,
        version: outcome.version,
        outcome: 'refreshed',
        how: change.how,
        rowsAdded: change.staged.rows,
        rowsRemoved: rowsDeleted,
        filesAdded: filesAdded + change.staged.adds.length,
        filesRemoved,
        filesMarked,
        bytesAdded: bytesAdded + change.staged.bytes,
        bytesRead: change.bytesRead,
        attempts,
      }
    }
    const { conflict } = outcome
    if (conflict.reason === 'sameProducer')
      return { ...result, ...NOTHING, version: conflict.version, outcome: 'overtaken', attempts }
    if (runs === RUNS_MAX) throw conflictError(pinned.table.uri, conflict)
  }
}

const NOTHING = {
  how: 'none',
  rowsAdded: 0,
  rowsRemoved: 0,
  filesAdded: 0,
  filesRemoved: 0,
  filesMarked: 0,
  bytesAdded: 0,
  bytesRead: 0,
} as const

/** The versions of the sources as transactions: what a state is made from. */
export async function batchesOf(
  reading: ViewReading,
  { lags }: Pick<ViewAt, 'lags'>,
  rows: number,
): Promise<readonly CommittedBatch[]> {
  const batches: CommittedBatch[] = []
  for (const { name, version } of lags) {
    const source = await reading.pin(name)
    if (source) batches.push({ appId: watermarkOf(source.snapshot), version, rows, rejected: 0 })
  }
  return batches
}

/** The rows of a new state, staged. */
export async function stageBuilt(
  context: RunContext,
  pinned: { readonly table: PinnedSource['table'] },
  at: Pick<ViewAt, 'relations' | 'parts'> & { readonly view: { readonly plan: ViewPlan } },
  target: Parameters<typeof stageFiles>[3],
  signal: AbortSignal | undefined,
): Promise<{ readonly staged: StagedFiles; readonly bytesRead: number }> {
  const sql = builtSql(
    at.view.plan,
    at.relations.map(({ now }) => now),
    'stored',
  )
  return withRows(context, at, sql, signal, async (session, text, bytesRead) => ({
    staged: await stageFiles(pinned.table.deps, session, text, target, {
      signal,
      given: target.schema.fields.map(({ name }) => name),
    }),
    bytesRead,
  }))
}

async function stateChange(
  context: RunContext,
  pinned: PinnedSource,
  at: ViewAt,
  full: boolean,
  signal: AbortSignal | undefined,
): Promise<StateChange> {
  const { changes } = at
  const now = context.clock.now()
  const parts = await namedParts(at, exactOf(at, PREFIX))
  if (full || at.isBeyond || !parts) {
    const { files } = await pinned.snapshot.files('TRUE', { signal })
    const built = await stageBuilt(context, pinned, at, pinned.snapshot, signal)
    return { ...built, taken: takeOutFiles(files, now), how: 'full' }
  }
  if (changes.plus.length + changes.minus.length === 0)
    return { taken: takeOutFiles([], now), staged: { adds: [], rows: 0, bytes: 0 }, how: 'none', bytesRead: 0 }
  const { groups } = at.view.plan
  return groups ? changeGroups(context, pinned, at, groups, signal) : changeRows(context, pinned, at, signal)
}

/** Groups that a change touches leave the state and come back as they are now. */
async function changeGroups(
  context: RunContext,
  pinned: PinnedSource,
  at: ViewAt,
  groups: GroupsPlan,
  signal: AbortSignal | undefined,
): Promise<StateChange> {
  const { plan } = at.view
  return withChangedGroups(context, at, groups, pinned, signal, (changed, ready) => {
    const join = groups.keys.length === 0 ? '' : ` SEMI JOIN (${changed.keys}) AS t ON ${sameKeys(groups, 'r', 't')}`
    const rows = `SELECT r.* FROM (${stateRows(groups, STATE, ['"__file"', '"__row"'])}) AS r${join}`
    return takenRows(context, pinned, ready, rows, signal, async (found) => {
      const all = changed.merged(`SELECT * EXCLUDE ("__file", "__row") FROM ${found}`)
      const staged = await stage(pinned, ready.session, shown(plan, groups, all, 'stored'), signal)
      return { staged, how: 'changes', bytesRead: at.changedBytes }
    })
  })
}

/** Rows that left the sources leave the state, each as often as it did. */
async function changeRows(
  context: RunContext,
  pinned: PinnedSource,
  at: ViewAt,
  signal: AbortSignal | undefined,
): Promise<StateChange> {
  const { columns } = at.view.plan
  const { plus, minus } = at.changes
  const names = columns.map(({ name }) => ident(name)).join(', ')
  const casts = columns.map(({ name, type }) => `CAST(${ident(name)} AS ${type}) AS ${ident(name)}`).join(', ')
  const rowsOf = (cores: readonly string[]) =>
    cores.length === 0
      ? `SELECT ${columns.map(({ name, type }) => `NULL::${type} AS ${ident(name)}`).join(', ')} WHERE false`
      : `SELECT ${casts} FROM (${cores.join(' UNION ALL ')}) AS q(${names})`
  return withQueries(context, at, [rowsOf(plus), rowsOf(minus)], pinned, signal, async (ready) => {
    const [came, went] = [await ready.table(0), await ready.table(1)]
    const net = (some: string, others: string) => `SELECT * FROM ${some} EXCEPT ALL SELECT * FROM ${others}`
    const same = columns.map(({ name }) => `s.${ident(name)} IS NOT DISTINCT FROM m.${ident(name)}`).join(' AND ')
    const partition = columns.map(({ name }) => `s.${ident(name)}`).join(', ')
    const leaving =
      `SELECT "__file", "__row" FROM (SELECT s."__file", s."__row", m."__times", row_number() OVER (PARTITION BY ${partition} ORDER BY s."__file", s."__row") AS "__nth" ` +
      `FROM ${STATE} AS s JOIN (SELECT *, count(*) AS "__times" FROM (${net(went, came)}) GROUP BY ALL) AS m ON ${same}) WHERE "__nth" <= "__times"`
    return takenRows(context, pinned, ready, leaving, signal, async () => ({
      staged: await stage(pinned, ready.session, net(came, went), signal),
      how: 'changes',
      bytesRead: at.changedBytes,
    }))
  })
}

function stage(pinned: PinnedSource, session: Session, query: string, signal: AbortSignal | undefined): Promise<StagedFiles> {
  const given = pinned.snapshot.schema.fields.map(({ name }) => name)
  return stageFiles(pinned.table.deps, session, query, pinned.snapshot, { signal, given })
}

/**
 * Finds rows of the state by their addresses, and takes them out once `work` has made what comes in their place.
 *
 * @param query for these rows: `"__file"`, `"__row"`, and more.
 * @param work gets a table of the session that has what the query gave.
 */
async function takenRows(
  { engines }: RunContext,
  { table, snapshot }: PinnedSource,
  ready: ReadyQueries,
  query: string,
  signal: AbortSignal | undefined,
  work: (found: string) => Promise<Omit<StateChange, 'taken'>>,
): Promise<StateChange> {
  const rows = '"__found"'
  await ready.session.run(`CREATE TEMP TABLE ${rows} AS ${ready.names}${query}`, { signal })
  // Only addresses are sorted.
  const addresses = { ...addressedRows(ready, snapshot), text: `SELECT "__file", "__row" FROM ${rows}` }
  const found = await FoundRows.find(addresses, table.deps.spool, signal)
  try {
    const made = await work(rows)
    return { ...made, taken: await takeOut({ table, source: engines.source, snapshot, signal }, found) }
  } finally {
    await found.remove()
  }
}

async function commitState(
  { table, snapshot }: PinnedSource,
  batches: readonly CommittedBatch[],
  { taken, staged, how }: StateChange,
  signal: AbortSignal | undefined,
): Promise<TransactionOutcome> {
  const transaction = await table.transaction(snapshot, { signal })
  for (const batch of batches) transaction.setTransaction(batch)
  if (taken.removes.length + staged.adds.length > 0) transaction.readWhole()
  return transaction
    .maintainView()
    .remove(taken.removes)
    .add([...taken.adds, ...staged.adds])
    .describe({
      name: 'REFRESH MATERIALIZED VIEW',
      parameters: { how, sources: JSON.stringify(Object.fromEntries(batches.map(({ appId, version }) => [appId, version]))) },
      metrics: { ...metricsOf(taken.tally, 0, 0), numOutputRows: staged.rows, numOutputBytes: staged.bytes },
      keepsRowIds: snapshot.properties.rowTracking ? true : undefined,
    })
    .commit({ signal })
}
