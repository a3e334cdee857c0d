import { setImmediate } from 'node:timers/promises'
import type { Session } from '../engine/database.js'
import type { Spool } from '../engine/spool.js'
import { literal } from '../engine/sql-text.js'
import { exactStates, namedParts, type ViewAt } from '../views/exact.js'
import type { KeyIndex } from '../views/key-index.js'
import type { GroupsPlan, PlanState } from '../views/plan.js'
import type { View } from '../views/view.js'
import type { RunContext } from './query-runner.js'
import { changedGroups, withFiles, withRows } from './view-files.js'
import { partSql, rowSql, type TextRows, textRows } from './view-texts.js'

/** A view whose groups are kept in memory: of each its key, its row as JSON unless HAVING leaves it out, and its state as texts. */
export interface HeldGroups {
  readonly view: View
  readonly groups: GroupsPlan
}

/** Rows are put into an index so many at a time, so that others have their turn between. */
const ROWS_AT_ONCE = 4096
/** The engine takes this much memory for a line, at least. */
const LINE_BYTES = 64 * 1024

/** Whether states of a view can be kept as text: what is in structs and maps does not come back from it as it was. */
export function hasTextStates({ states }: GroupsPlan): boolean {
  return isOpaque(states) || !states.some(({ type }) => /STRUCT|MAP|VARIANT/.test(type))
}

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
 * @returns rows to `put` into the index; `undefined` when they are more than `most`.
 */
export async function changedSince(
  context: RunContext,
  at: ViewAt,
  held: HeldGroups,
  index: KeyIndex,
  most: number,
): Promise<readonly TextRows[] | undefined> {
  const { groups } = held
  const { engines } = context
  return withFiles(context, async (file) => {
    const changed = await changedGroups(file, at, groups, undefined)
    const session = await engines.forBytes(at.changedBytes).session()
    const states = engines.spool.file('ndjson')
    try {
      await session.run(`CREATE TEMP TABLE "__touched" AS SELECT ${keyText(groups)} AS "__key", * FROM (${changed.keys})`)
      const [touched] = await session.rows<{ n: bigint }>('SELECT count(*) AS n FROM "__touched"')
      if (Number(touched?.n ?? 0) > most) return undefined
      const longest = await writeStates(engines.spool, session, index, states)
      const now: TextRows[] = []
      const known = heldStates(groups, states, longest)
      for await (const rows of textRows(session, nowSql(held, changed.merged(known)))) now.push(rows)
      return now
    } finally {
      session.close()
      await engines.spool.remove(states)
    }
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

/** Groups with an aggregate that cannot be merged are computed from the sources, whatever their states were. */
function stateText({ states }: GroupsPlan): string {
  if (isOpaque(states)) return `'[]'`
  return `to_json([${states.map((_, at) => `s${at}::VARCHAR`).join(', ')}])::VARCHAR`
}

function isOpaque(states: readonly PlanState[]): boolean {
  return states.some(({ kind }) => kind === 'opaque')
}

/** Keys and states of the touched groups, as they were. @param longest the length of the longest line, in bytes. */
function heldStates(groups: GroupsPlan, path: string, longest: number): string {
  const keys = groups.keys.map((_, at) => `t.k${at}`)
  const states = groups.states.map(({ type }, at) => `CAST(${parsed(`f.s[${at + 1}]`, type)} AS ${type}) AS s${at}`)
  const shape = `columns = {'k': 'VARCHAR', 's': 'VARCHAR[]'}, maximum_object_size = ${Math.max(longest, LINE_BYTES)}`
  return (
    `SELECT ${[...keys, ...states].join(', ')} FROM "__touched" AS t ` +
    `JOIN read_json(${literal(path)}, format = 'newline_delimited', ${shape}) AS f ON t."__key" = f.k`
  )
}

/** Text is read as a whole number in a thirtieth of the time that the engine takes for a decimal of the same size. */
function parsed(text: string, type: string): string {
  return type === 'DECIMAL(38,0)' ? `CAST(${text} AS HUGEINT)` : text
}

/** What the index holds of the touched groups, a line each. @returns the length of the longest. */
async function writeStates(spool: Spool, session: Session, index: KeyIndex, path: string): Promise<number> {
  const lines: Uint8Array[] = []
  let longest = 0
  const decoder = new TextDecoder()
  for await (const some of textRows(session, 'SELECT "__key" FROM "__touched"', { rowsAtOnce: ROWS_AT_ONCE })) {
    const texts: string[] = []
    for (let at = 0; at < some.rows; at++) {
      const key = some.text(at, 0)
      const state = key && index.state(key)
      longest = Math.max(longest, 2 * ((key?.length ?? 0) + (state?.length ?? 0)) + LINE_BYTES)
      if (state && state.length > 0) texts.push(`{"k":${JSON.stringify(decoder.decode(key))},"s":${decoder.decode(state)}}\n`)
    }
    lines.push(Buffer.from(texts.join('')))
    await setImmediate()
  }
  await spool.write(path, lines)
  return longest
}
