import { setImmediate } from 'node:timers/promises'
import type { Session } from '../engine/database.js'
import { KeyIndex } from '../views/key-index.js'
import type { GroupsPlan, PlanState } from '../views/plan.js'
import { textRows } from './view-texts.js'

/**
 * States of groups as texts: values with a mark between them, `''` for NULL. The engine takes many of them at once, again with a mark
 * between them, in a tenth of the time that it takes for JSON.
 */
const [BETWEEN_VALUES, BETWEEN_GROUPS, ESCAPE] = ['chr(31)', 'chr(30)', 'chr(27)'] as const
const GROUP_END = Buffer.from([30])
/** Others never hold a mark, and are never empty. */
const PLAIN = /^(BOOLEAN|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(\d+,\d+\)|FLOAT|DOUBLE|DATE|TIMESTAMP( WITH TIME ZONE)?)$/
const KEYS_AT_ONCE = 4096

/** Whether states of a view can be kept as text: what is in structs and maps does not come back from it as it was. */
export function hasTextStates({ states }: GroupsPlan): boolean {
  return isOpaque(states) || !states.some(({ type }) => /STRUCT|MAP|VARIANT/.test(type))
}

/** Groups with an aggregate that cannot be merged are computed from the sources, whatever their states were. */
export function stateText({ states }: GroupsPlan): string {
  if (isOpaque(states)) return `''`
  const values = states.map(({ type }, at) => {
    const text = `s${at}::VARCHAR`
    const value = PLAIN.test(type) ? text : `'=' || ${escaped(text)}`
    return `coalesce(${value}, '')`
  })
  return values.join(` || ${BETWEEN_VALUES} || `)
}

/** Groups that a change touches, and what an index holds of them. */
interface TouchedStates {
  readonly keys: KeyIndex
  /** In the order of `"__touched"`, as `heldStates` takes it. */
  readonly states: string
}

/** Those of the groups in `"__touched"`, by its column `"__key"`; `undefined` when there are more than `most`. */
export async function statesOf(session: Session, index: KeyIndex, most: number): Promise<TouchedStates | undefined> {
  const keys = new KeyIndex()
  const texts: Uint8Array[] = []
  const query = 'SELECT "__key" FROM "__touched" ORDER BY rowid'
  for await (const some of textRows(session, query, { rowsAtOnce: KEYS_AT_ONCE })) {
    if (texts.length / 2 + some.rows > most) return undefined
    for (let at = 0; at < some.rows; at++) {
      const key = some.text(at, 0)
      if (key) keys.set(key, undefined)
      texts.push(key ? index.state(key) : NO_TEXT, GROUP_END)
    }
    await setImmediate()
  }
  return { keys, states: Buffer.concat(texts).toString() }
}

/** A query for keys and states of the groups in `"__touched"` out of what `statesOf` gave, as the first parameter. */
export function heldStates(groups: GroupsPlan): string {
  const keys = groups.keys.map((_, at) => `t.k${at}`)
  const states = groups.states.map(({ type }, at) => `CAST(${parsed(`h.s[${at + 1}]`, type)} AS ${type}) AS s${at}`)
  const lines = `(SELECT string_split($1::VARCHAR, ${BETWEEN_GROUPS}) AS l)`
  return (
    `SELECT ${[...keys, ...states].join(', ')} FROM "__touched" AS t JOIN ` +
    `(SELECT nth, string_split(line, ${BETWEEN_VALUES}) AS s FROM ` +
    `(SELECT unnest(l) AS line, generate_subscripts(l, 1) - 1 AS nth FROM ${lines}) WHERE line <> '') AS h ON t.rowid = h.nth`
  )
}

/** Text is read as a whole number in a thirtieth of the time that the engine takes for a decimal of the same size. */
function parsed(text: string, type: string): string {
  if (!PLAIN.test(type)) return unescaped(`nullif(${text}, '')[2:]`)
  return type === 'DECIMAL(38,0)' ? `CAST(nullif(${text}, '') AS HUGEINT)` : `nullif(${text}, '')`
}

const ESCAPES = [
  [ESCAPE, '0'],
  [BETWEEN_VALUES, '1'],
  [BETWEEN_GROUPS, '2'],
] as const

function escaped(text: string): string {
  return ESCAPES.reduce((all, [mark, as]) => `replace(${all}, ${mark}, ${ESCAPE} || '${as}')`, text)
}

function unescaped(text: string): string {
  return ESCAPES.toReversed().reduce((all, [mark, as]) => `replace(${all}, ${ESCAPE} || '${as}', ${mark})`, text)
}

function isOpaque(states: readonly PlanState[]): boolean {
  return states.some(({ kind }) => kind === 'opaque')
}

const NO_TEXT = new Uint8Array()
