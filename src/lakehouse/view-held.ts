import { exactStates, namedParts, type ViewAt } from '../views/exact.js'
import type { KeyIndex } from '../views/key-index.js'
import type { GroupsPlan } from '../views/plan.js'
import type { View } from '../views/view.js'
import type { RunContext } from './query-runner.js'
import { withChangedGroups, withRows } from './view-queries.js'
import { heldStates, statesOf, stateText } from './view-states.js'
import { partSql, rowSql, type TextRows, textRows } from './view-texts.js'

/** A view whose groups are kept in memory: of each its key, its row as JSON unless HAVING leaves it out, and its state as text. */
export interface HeldGroups {
  readonly view: View
  readonly groups: GroupsPlan
}

/** Rows are put into an index so many at a time, so that others have their turn between. */
const ROWS_AT_ONCE = 4096

/** The rows of a view at the versions it was looked at. @returns false once `isFull` says so. */
export async function fillIndex(
  context: RunContext,
  at: ViewAt,
  held: HeldGroups,
  prefix: string,
  index: KeyIndex,
  isFull: () => boolean,
): Promise<boolean> {
  const exact = exactStates(at, held.groups, prefix)
  const isThere = (await namedParts(at, exact)) !== undefined
  const states = isThere ? exact : exactStates({ ...at, isBeyond: true }, held.groups, prefix)
  return withRows(context, at, heldSql(held, states), undefined, async (session, text) => {
    for await (const some of textRows(session, text, { rowsAtOnce: ROWS_AT_ONCE })) {
      put(index, some)
      if (isFull()) return false
    }
    return true
  })
}

/**
 * The groups that a change touches, as they are now. What the index holds of them is all that is read beside the change itself.
 *
 * @param onTouched hears which keys they have, as soon as that is known.
 * @returns rows to `put` into the index; `undefined` when they are more than `most`.
 */
export async function changedSince(
  context: RunContext,
  at: ViewAt,
  held: HeldGroups,
  index: KeyIndex,
  most: number,
  onTouched: (keys: KeyIndex) => void,
): Promise<readonly TextRows[] | undefined> {
  const { groups } = held
  return withChangedGroups(context, at, groups, undefined, undefined, async (changed, { session }) => {
    await session.run(`CREATE TEMP TABLE "__touched" AS SELECT ${keyText(groups)} AS "__key", * FROM (${changed.keys})`)
    const touched = await statesOf(session, index, most)
    if (touched === undefined) return undefined
    onTouched(touched.keys)
    const now: TextRows[] = []
    const merged = changed.merged(heldStates(groups))
    for await (const rows of textRows(session, nowSql(held, merged), { params: [touched.states] })) now.push(rows)
    return now
  })
}

/** Puts rows into an index; those without a state go. */
export function put(index: KeyIndex, some: TextRows): void {
  for (let at = 0; at < some.rows; at++) {
    const [key, row, state] = [some.text(at, 0), some.text(at, 1), some.text(at, 2)]
    if (!key) continue
    if (state) index.set(key, row, state)
    else index.delete(key)
  }
}

function heldSql({ view, groups }: HeldGroups, states: string): string {
  const row = rowSql(view, (_, at) => `CAST(${groups.outputs[at]?.sql ?? 'NULL'} AS ${view.plan.columns[at]?.type ?? 'VARCHAR'})`)
  const shown = groups.having === undefined ? row : `CASE WHEN ${groups.having} THEN ${row} END`
  return `SELECT ${keyText(groups)} AS "__key", ${shown} AS "__text", ${stateText(groups)} AS "__state" FROM (${states})`
}

/** Of touched groups that are gone, the key alone. */
function nowSql(held: HeldGroups, merged: string): string {
  return `SELECT t."__key", h."__text", h."__state" FROM "__touched" AS t LEFT JOIN (${heldSql(held, merged)}) AS h USING ("__key")`
}

function keyText({ keys }: GroupsPlan): string {
  return keys.map((_, at) => partSql(`k${at}`)).join(' || ')
}
