import type { Session } from '../engine/database.js'
import { globLiteral, literal } from '../engine/sql-text.js'
import { namedParts, type PinnedPart, type ViewAt } from '../views/exact.js'
import { anewSql, goneKeys, mergedSql, partials } from '../views/maintain-sql.js'
import type { GroupsPlan } from '../views/plan.js'
import { type RunContext, readyQuery } from './query-runner.js'

/** Computes a query over parts of a view, once. @returns a relation that reads what came of it. */
export type ToFile = (at: Pick<ViewAt, 'parts'>, sql: string, signal: AbortSignal | undefined) => Promise<string>

/** Computes relations over views' parts into files of this machine, that go when `work` is over. */
export async function withFiles<T>(context: RunContext, work: (file: ToFile) => Promise<T>): Promise<T> {
  const { spool } = context.engines
  const paths: string[] = []
  try {
    return await work(async (at, sql, signal) => {
      const path = spool.file('parquet')
      paths.push(path)
      await withRows(context, at, sql, signal, (session, text) =>
        session.run(`COPY (${text}) TO ${literal(path)} (FORMAT parquet, COMPRESSION snappy)`, { signal }),
      )
      return `read_parquet(${globLiteral(path)})`
    })
  } finally {
    for (const path of paths) await spool.remove(path)
  }
}

/** Makes a query over a view's parts ready to run. */
export async function withRows<T>(
  context: RunContext,
  at: Pick<ViewAt, 'parts'>,
  sql: string,
  signal: AbortSignal | undefined,
  work: (session: Session, text: string, bytesRead: number) => Promise<T>,
): Promise<T> {
  const parts: readonly PinnedPart[] = (await namedParts(at, sql)) ?? []
  const relations = new Map([['__rows', { sql, parts }]])
  const ready = await readyQuery(context, { text: 'SELECT * FROM "__rows"', relations, signal })
  try {
    return await work(
      ready.session,
      ready.plan.text,
      ready.selections.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
    )
  } finally {
    ready.release(false)
  }
}

/** The groups that a change touches. */
export interface ChangedGroups {
  /** A query for their keys, `k0`, …, each once. */
  readonly keys: string
  /** A query for their keys and states as they are now, of those that are left. @param held the same as they were. */
  merged(held: string): string
}

/** Works out what a change does to groups, once: what comes to them, and those that are computed from the sources. */
export async function changedGroups(
  file: ToFile,
  at: ViewAt,
  groups: GroupsPlan,
  signal: AbortSignal | undefined,
): Promise<ChangedGroups> {
  const now = at.relations.map((one) => one.now)
  const gone = goneKeys(groups, at.changes)
  const changed = await file(at, partials(groups, at.changes).join(' UNION ALL '), signal)
  const lost = gone && (await file(at, gone, signal))
  const anew = gone && (await file(at, anewSql(at.view.plan, groups, gone, now), signal))
  const keyColumns = groups.keys.map((_, nth) => `k${nth}`).join(', ')
  return {
    keys: [changed, ...(lost ? [lost] : [])].map((one) => `SELECT ${keyColumns} FROM ${one}`).join(' UNION '),
    merged: (held) => {
      const merged = mergedSql(groups, [held, `SELECT * FROM ${changed}`], lost && `SELECT * FROM ${lost}`)
      return anew ? `${merged} UNION ALL SELECT * FROM ${anew}` : merged
    },
  }
}
