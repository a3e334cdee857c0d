import { isDeltaError } from '../base/errors.js'
import { globLiteral, ident, literal } from '../engine/sql-text.js'
import type { LeftWithout } from '../ops/left-without.js'
import { bucketsName } from '../views/buckets.js'
import { exactOf, namedParts, type ViewAt, type ViewReading, viewAt } from '../views/exact.js'
import { builtSql } from '../views/maintain-sql.js'
import type { View } from '../views/view.js'
import { pinView, readingOf } from './pinned-view.js'
import { type PinnedRelation, type PinnedTable, readyQuery } from './query-runner.js'
import type { TableHost } from './table-host.js'
import type { ViewChange, ViewProof } from './undo-options.js'
import { viewReading } from './view-reads.js'
import { rowSql } from './view-texts.js'

const EXAMPLES_MAX = 5
const NOT_CHECKED = 'not checked'
/** Sums of floating point numbers come out a little different in another order. */
const FLOAT_SLACK = '1e-9'
const [WAS, WOULD] = ['__was_', '__would_']

/** How rows of each view over a table would change if some of the table's rows went. */
export async function viewChanges(
  host: TableHost,
  name: string,
  pinned: PinnedTable,
  without: LeftWithout,
  signal: AbortSignal | undefined,
): Promise<readonly ViewChange[]> {
  const reading = viewReading(host, pinningOnce(host, name, pinned, signal), signal)
  const changes: ViewChange[] = []
  for (const view of await viewsToTell(host, name, signal)) {
    const state = await pinView(host, view, signal)
    const [was, would] = [await viewAt(reading, state, WAS), await viewAt({ ...reading, without }, state, WOULD)]
    const { differing, examples } = await compare(host, state.view, await exact(was, WAS), await exact(would, WOULD), signal)
    changes.push({ view, rows: differing, examples })
  }
  return changes
}

/** Whether each view over a table is what its definition makes of its sources as they are now, unless that is not to be checked. */
export async function viewProofs(
  host: TableHost,
  name: string,
  isChecked: boolean,
  signal: AbortSignal | undefined,
): Promise<readonly ViewProof[]> {
  const unknown = (view: string, problem: string) => ({
    view,
    holds: undefined,
    rows: undefined,
    rowsDiffering: undefined,
    problem,
  })
  if (!isChecked) return (await viewsToTell(host, name, signal)).map((view) => unknown(view, NOT_CHECKED))
  const reading = readingOf(host, signal)
  const proofs: ViewProof[] = []
  for (const view of await viewsToTell(host, name, signal)) {
    try {
      proofs.push({ view, ...(await proofOf(host, reading, view, signal)), problem: undefined })
    } catch (error) {
      // What was undone stands: that a view cannot be read is no reason to say it does not.
      if (!isDeltaError(error) || error.kind === 'cancelled') throw error
      proofs.push(unknown(view, error.message))
    }
  }
  return proofs
}

async function proofOf(host: TableHost, reading: ViewReading, name: string, signal: AbortSignal | undefined) {
  const state = await pinView(host, name, signal)
  const at = await viewAt(reading, state, WAS)
  const anew = builtSql(
    at.view.plan,
    at.relations.map(({ now }) => now),
    'visible',
  )
  const derived = { sql: anew, parts: (await namedParts(at, anew)) ?? [] }
  const { rows, differing } = await compare(host, state.view, await exact(at, WAS), derived, signal)
  return { holds: differing === 0, rows, rowsDiffering: differing }
}

/** Views over a table, but for those that only hold the buckets of another. */
async function viewsToTell(host: TableHost, name: string, signal: AbortSignal | undefined): Promise<readonly string[]> {
  const names = (await host.viewsOver(name, signal)).map((view) => view.name)
  const inBuckets = new Set(names.map(bucketsName))
  return names.filter((view) => !inBuckets.has(view))
}

/** The view as it is at the versions it was looked at. */
async function exact(at: ViewAt, prefix: string): Promise<PinnedRelation> {
  const sql = exactOf(at, prefix)
  const parts = await namedParts(at, sql)
  if (parts) return { sql, parts }
  const anew = exactOf({ ...at, isBeyond: true }, prefix)
  return { sql: anew, parts: (await namedParts(at, anew)) ?? [] }
}

interface Compared {
  readonly rows: number
  /** Rows of one that the other has not, or has with other values; with a key, such two are one. */
  readonly differing: number
  readonly examples: ViewChange['examples']
}

/** One after the other, and apart from each other: together they would want twice the memory. */
async function compare(
  host: TableHost,
  view: View,
  was: PinnedRelation,
  is: PinnedRelation,
  signal: AbortSignal | undefined,
): Promise<Compared> {
  const { spool, work } = host.engines
  const paths = [spool.file('parquet'), spool.file('parquet')] as const
  try {
    await write(host, view, was, paths[0], signal)
    await write(host, view, is, paths[1], signal)
    const [before, after] = [`read_parquet(${globLiteral(paths[0])})`, `read_parquet(${globLiteral(paths[1])})`]
    const [found] = await work.rows<{ rows: bigint; differing: bigint; examples: string | null }>(
      `WITH different AS MATERIALIZED (${differentRows(view, before, after)}) SELECT (SELECT count(*) FROM ${before}) AS rows, count(*) AS differing, ` +
        `to_json((SELECT list({'before': was, 'after': "is"}) FROM (SELECT * FROM different ORDER BY ALL LIMIT ${EXAMPLES_MAX})))::VARCHAR AS examples ` +
        'FROM different',
      { signal },
    )
    return {
      rows: Number(found?.rows ?? 0),
      differing: Number(found?.differing ?? 0),
      examples: JSON.parse(found?.examples ?? '[]') as ViewChange['examples'],
    }
  } finally {
    for (const path of paths) await spool.remove(path)
  }
}

/** The rows of a view, each with its JSON beside it, into a file of this machine. */
async function write(
  host: TableHost,
  view: View,
  relation: PinnedRelation,
  path: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const text = `SELECT v.*, ${rowSql(view)} AS "__row" FROM "__rows" AS v`
  const { plan, session, release } = await readyQuery(host, { text, relations: new Map([['__rows', relation]]), signal })
  try {
    const to = `${literal(path)} (FORMAT parquet, COMPRESSION snappy)`
    await session.run(`COPY (${plan.text}) TO ${to}`, { params: plan.params, signal })
  } finally {
    release(false)
  }
}

/** Pairs of rows as JSON, one of which may be NULL. */
function differentRows({ key, plan }: View, before: string, after: string): string {
  if (key.length === 0) {
    const only = (one: string, other: string) => `SELECT "__row" FROM ${one} EXCEPT ALL SELECT "__row" FROM ${other}`
    return (
      `SELECT "__row" AS was, NULL::VARCHAR AS "is" FROM (${only(before, after)}) ` +
      `UNION ALL SELECT NULL, "__row" FROM (${only(after, before)})`
    )
  }
  const same = key.map((name) => `a.${ident(name)} IS NOT DISTINCT FROM b.${ident(name)}`).join(' AND ')
  const differs = plan.columns
    .filter(({ name }) => !key.includes(name))
    .map(({ name, type }) => {
      const [one, other] = [`a.${ident(name)}`, `b.${ident(name)}`]
      if (type !== 'DOUBLE' && type !== 'FLOAT') return `${one} IS DISTINCT FROM ${other}`
      const isClose = `abs(${one} - ${other}) <= ${FLOAT_SLACK} * greatest(abs(${one}), abs(${other}))`
      return `(${one} IS DISTINCT FROM ${other} AND NOT coalesce(${isClose}, false))`
    })
  const isOne = ['a."__row" IS NULL', 'b."__row" IS NULL']
  return `SELECT b."__row" AS was, a."__row" AS "is" FROM ${after} AS a FULL JOIN ${before} AS b ON ${same} WHERE ${[...isOne, ...differs].join(' OR ')}`
}

/** The newest versions, each once, and of the table the one that is at hand. */
function pinningOnce(host: TableHost, name: string, pinned: PinnedTable, signal: AbortSignal | undefined) {
  const known = new Map<string, Promise<PinnedTable | undefined>>([[name.toLowerCase(), Promise.resolve(pinned)]])
  return (wanted: string) => {
    const found = known.get(wanted.toLowerCase()) ?? host.pin({ schema: '', name: wanted }, signal)
    known.set(wanted.toLowerCase(), found)
    return found
  }
}
