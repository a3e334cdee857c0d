import type { Session } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import { namedParts, type PinnedSource, type ViewAt } from '../views/exact.js'
import { anewSql, goneKeys, mergedSql, partials } from '../views/maintain-sql.js'
import type { GroupsPlan } from '../views/plan.js'
import { type ReadyQuery, type RunContext, readyQuery } from './query-runner.js'

/** Makes a query over a view's parts ready to run. */
export async function withRows<T>(
  context: RunContext,
  at: Pick<ViewAt, 'parts'>,
  sql: string,
  signal: AbortSignal | undefined,
  work: (session: Session, text: string, bytesRead: number) => Promise<T>,
): Promise<T> {
  return withQueries(context, at, [sql], undefined, signal, ({ session, plan, selections }) =>
    work(
      session,
      plan.text,
      selections.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
    ),
  )
}

/** What the rows of a state with their addresses go by, beside queries. */
export const STATE = '"__state"'

/** Queries over a view's parts, ready to run in one session. */
export interface ReadyQueries extends ReadyQuery {
  /** Computes one of them, by its number. @returns a table of the session with what came of it. */
  table(nth: number): Promise<string>
}

/** Makes queries over a view's parts ready to run, and `STATE` where it is given. */
export async function withQueries<T>(
  context: RunContext,
  at: Pick<ViewAt, 'parts'>,
  queries: readonly string[],
  state: PinnedSource | undefined,
  signal: AbortSignal | undefined,
  work: (ready: ReadyQueries) => Promise<T>,
): Promise<T> {
  const parts = (await namedParts(at, queries.join('\n'))) ?? []
  const relations = new Map(queries.map((sql, nth) => [`__query_${nth}`, { sql, parts: nth === 0 ? parts : [] }]))
  const target = state
    ? { ...context, pin: async () => ({ table: state.table, snapshot: state.snapshot, address: true }) }
    : context
  const names = [...(state ? [STATE] : []), ...[...relations.keys()].map(ident)]
  const ready = await readyQuery(target, { text: `SELECT * FROM ${names.join(', ')}`, relations, signal })
  const table = async (nth: number) => {
    const name = ident(`__table_${nth}`)
    await ready.session.run(`CREATE TEMP TABLE ${name} AS ${ready.names}SELECT * FROM ${ident(`__query_${nth}`)}`, { signal })
    return name
  }
  try {
    return await work({ ...ready, table })
  } finally {
    ready.release(false)
  }
}

/** The groups that a change touches, in tables of a session. */
export interface ChangedGroups {
  /** A query for their keys, `k0`, …, each once. */
  readonly keys: string
  /** A query for their keys and states as they are now, of those that are left. @param held the same as they were. */
  merged(held: string): string
}

/** Works out what a change does to groups, once: what comes to them, and those that are computed from the sources. */
export async function withChangedGroups<T>(
  context: RunContext,
  at: ViewAt,
  groups: GroupsPlan,
  state: PinnedSource | undefined,
  signal: AbortSignal | undefined,
  work: (changed: ChangedGroups, ready: ReadyQueries) => Promise<T>,
): Promise<T> {
  const now = at.relations.map((one) => one.now)
  const gone = goneKeys(groups, at.changes)
  const queries = [
    partials(groups, at.changes).join(' UNION ALL '),
    ...(gone === undefined ? [] : [gone, anewSql(at.view.plan, groups, gone, now)]),
  ]
  return withQueries(context, at, queries, state, signal, async (ready) => {
    const [changed, lost, anew] = [await ready.table(0), gone && (await ready.table(1)), gone && (await ready.table(2))]
    const keyColumns = groups.keys.map((_, nth) => `k${nth}`).join(', ')
    const groupsOf = {
      keys: [changed, ...(lost ? [lost] : [])].map((one) => `SELECT ${keyColumns} FROM ${one}`).join(' UNION '),
      merged: (held: string) => {
        const merged = mergedSql(groups, [held, `SELECT * FROM ${changed}`], lost && `SELECT * FROM ${lost}`)
        return anew ? `${merged} UNION ALL SELECT * FROM ${anew}` : merged
      },
    }
    return work(groupsOf, ready)
  })
}
