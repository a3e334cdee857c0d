import { ident, literal } from '../engine/sql-text.js'
import type { AsOfTime } from '../sql/moments.js'
import { bucketsName, isBucketsOf } from './buckets.js'
import { invalid } from './derivation.js'
import { exactStates, namedParts, type PinnedPart, type PinnedSource, type ViewAt, type ViewReading, viewAt } from './exact.js'
import { bound, builtSql, initial, mergedSql, settled, shown } from './maintain-sql.js'
import type { GroupsPlan } from './plan.js'
import { type View, viewOf, watermarkAt } from './view.js'

export const AS_OF = 'deltaic.view.asOf'
export const BUCKET = 'deltaic.view.bucket'

const STATES_BACK_MAX = 100

/**
 * A view up to an event time: what its definition says of rows that happened until then, in the source as it was known at a version.
 * Whole buckets come from their states, rows of the last one from the source.
 *
 * @throws {DeltaError} `VIEW_INVALID` for a view that was not made for this.
 */
export async function readAsOf(
  reading: ViewReading,
  state: PinnedSource,
  { time, known }: AsOfTime,
  prefix: string,
): Promise<{ readonly sql: string; readonly parts: readonly PinnedPart[] }> {
  const view = viewOf(state.snapshot)
  const event = view?.plan.event
  if (!view || !event)
    throw invalid('the view does not know when its rows happened', `make it with the property ${AS_OF}`, { view: state.name })
  if (known !== undefined && view.sources.length !== 1)
    throw invalid('a version is asked of several sources', 'leave known out', { view: state.name })
  const at = known === undefined ? reading : knownAt(reading, view, known)
  const now = await viewAt(at, state, prefix)
  const until = `CAST(TIMESTAMPTZ ${literal(time)} AS ${event.type})`
  const relations = now.relations.map((one) => one.now)
  const column = ident(event.name)
  const { groups } = view.plan
  if (!groups) {
    const sql = `SELECT * FROM (${builtSql(view.plan, relations, 'visible')}) WHERE ${column} <= ${until}`
    return { sql, parts: (await namedParts(now, sql)) ?? [] }
  }
  const core = (after: string) =>
    `SELECT * FROM (${bound(view.plan, view.plan.core, relations)}) WHERE ${column} <= ${until}${after}`
  const buckets = await bucketsAt(at, state, groups, known, `${prefix}b_`)
  if (!buckets) {
    const sql = shown(view.plan, groups, settled(groups, initial(groups, core(''))), 'visible')
    return { sql, parts: (await namedParts(now, sql)) ?? [] }
  }
  const begin = `time_bucket(INTERVAL ${literal(state.snapshot.metadata.configuration[BUCKET] ?? '')}, ${until})`
  const columns = [...groups.keys.map((_, nth) => `k${nth}`), ...groups.states.map((_, nth) => `s${nth}`)].join(', ')
  const whole = `SELECT ${columns} FROM (${buckets.sql}) WHERE k${groups.keys.length} < ${begin}`
  const rest = initial(groups, core(` AND ${column} >= ${begin}`))
  const sql = shown(view.plan, groups, mergedSql(groups, [whole, rest]), 'visible')
  const parts = [...((await namedParts(now, sql)) ?? []), ...((await namedParts(buckets.at, sql)) ?? [])]
  return { sql, parts }
}

/** The source at a version of the past. */
function knownAt(reading: ViewReading, view: View, version: number): ViewReading {
  const [source] = view.sources
  return {
    ...reading,
    pin: async (name) => {
      const pinned = await reading.pin(name)
      if (!pinned || name !== source) return pinned
      return { ...pinned, snapshot: await pinned.table.snapshot({ version }, { signal: reading.signal }) }
    },
  }
}

/** The states of all buckets, exact at the versions of the reading; `undefined` where the view has none that follow them. */
async function bucketsAt(
  reading: ViewReading,
  view: PinnedSource,
  groups: GroupsPlan,
  known: number | undefined,
  prefix: string,
): Promise<{ readonly sql: string; readonly at: ViewAt } | undefined> {
  const newest = await reading.pin(bucketsName(view.name))
  const plan = newest && viewOf(newest.snapshot)?.plan
  if (!newest || !plan || !isBucketsOf(groups, plan.groups)) return undefined
  const state = known === undefined ? newest : await stateBefore(reading, newest, known)
  if (!state) return undefined
  const at = await viewAt(reading, state, prefix)
  if (at.isBeyond) return undefined
  return { sql: exactStates(at, plan.groups, prefix), at }
}

/** The newest state that was made from a version of the source up to this one. */
async function stateBefore(reading: ViewReading, newest: PinnedSource, version: number): Promise<PinnedSource | undefined> {
  const [name] = viewOf(newest.snapshot)?.sources ?? []
  const source = name === undefined ? undefined : await reading.pin(name)
  const { table } = newest
  for (let back = newest.snapshot.version; source && back >= 0 && back > newest.snapshot.version - STATES_BACK_MAX; back--) {
    const snapshot = await table.snapshot({ version: back }, { signal: reading.signal })
    const watermark = await watermarkAt(table, snapshot, source.snapshot)
    if (watermark === undefined) return undefined
    if (watermark <= version) return { ...newest, snapshot }
  }
  return undefined
}
