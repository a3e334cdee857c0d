import { ident } from '../engine/sql-text.js'
import { type GroupsPlan, HAVING_COLUMN, type PlanState, type ViewPlan } from './plan.js'

/** One place of a definition, as relations: each a name, or a query in brackets. */
export interface SourceRelations {
  /** Its rows now, and those when the state was made. */
  readonly now: string
  readonly before: string
  /** Rows that came and rows that left since; `undefined` when none did. */
  readonly plus: string | undefined
  readonly minus: string | undefined
}

/** What changed of a view's core: queries for rows that come and rows that go, in each a row as often as it does. */
export interface CoreChanges {
  readonly plus: readonly string[]
  readonly minus: readonly string[]
}

/** Whether a change can only be followed by computing the view anew. */
export function isBeyond(plan: ViewPlan, sources: readonly SourceRelations[]): boolean {
  const changed = sources.map(({ plus, minus }) => plus !== undefined || minus !== undefined)
  if (plan.kind === 'full' || plan.sources.some(({ change }, at) => change === 'all' && changed[at])) return changed.some(Boolean)
  const { groups } = plan
  if (!groups || groups.keys.length > 0) return false
  // The only group is the whole.
  const loses =
    sources.some(({ minus }) => minus !== undefined) || plan.sources.some(({ change }, at) => change === 'matches' && changed[at])
  return groups.states.some(({ kind }) => (kind === 'opaque' && changed.some(Boolean)) || (kind !== 'subtract' && loses))
}

/** A query of the plan over relations for its places; `touched` is what changed rows are read from where a core asks for them. */
export function bound(
  plan: ViewPlan,
  query: string,
  relations: readonly string[],
  touched?: { readonly at: number; readonly relation: string },
): string {
  const places = new RegExp(`"?${plan.placeholder}(\\d+)(_touched)?"?`, 'g')
  return query.replace(places, (_, at: string, isTouched: string | undefined) =>
    isTouched ? (touched?.relation ?? '') : (relations[Number(at)] ?? ''),
  )
}

/**
 * What changes of the core, one source after the other: each term reads the sources before it as they are now, those after it as
 * they were.
 */
export function coreChanges(plan: ViewPlan, sources: readonly SourceRelations[]): CoreChanges {
  const changes: { plus: string[]; minus: string[] } = { plus: [], minus: [] }
  for (const [at, { change, matched, apart }] of plan.sources.entries()) {
    const one = sources[at]
    if (!one || (one.plus === undefined && one.minus === undefined)) continue
    const others = sources.map(({ now, before }, nth) =>
      apart.includes(nth) ? `(SELECT * FROM ${now} WHERE false)` : nth < at ? now : before,
    )
    const term = (query: string, relation: string, touched?: string) =>
      bound(plan, query, others.with(at, relation), touched === undefined ? undefined : { at, relation: touched })
    if (change === 'matches' && matched !== undefined) {
      const rows = [one.plus, one.minus].flatMap((some) => (some === undefined ? [] : [`SELECT * FROM ${some}`]))
      const touched = `(${rows.join(' UNION ALL ')})`
      changes.plus.push(term(matched, one.now, touched))
      changes.minus.push(term(matched, one.before, touched))
    } else {
      if (one.plus !== undefined) changes.plus.push(term(plan.core, one.plus))
      if (one.minus !== undefined) changes.minus.push(term(plan.core, one.minus))
    }
  }
  return changes
}

/** The view computed from its sources: its own columns, or all that its state keeps. */
export function builtSql(plan: ViewPlan, relations: readonly string[], columns: 'visible' | 'stored'): string {
  const { groups } = plan
  if (!groups) {
    const core = bound(plan, plan.kind === 'full' ? plan.definition : plan.core, relations)
    return `SELECT ${names(plan.columns)} FROM (${core}) AS q(${names(plan.columns)})`
  }
  return shown(plan, groups, settled(groups, initial(groups, bound(plan, plan.core, relations))), columns)
}

/** The view's own columns out of its stored state. */
export function storedSql(plan: ViewPlan, state: string): string {
  const where = plan.groups?.having === undefined ? '' : ` WHERE ${ident(HAVING_COLUMN)}`
  return `SELECT ${names(plan.columns)} FROM ${state}${where}`
}

/**
 * The view as it is now: its state, and what changed since.
 *
 * @param now the places of the definition as they are now.
 */
export function exactSql(plan: ViewPlan, state: string, changes: CoreChanges, now: readonly string[]): string {
  const { groups } = plan
  if (changes.plus.length + changes.minus.length === 0) return storedSql(plan, state)
  if (!groups) return rowsAfter(plan, storedSql(plan, state), changes)
  const merged = mergedSql(groups, [stateRows(groups, state), ...partials(groups, changes)], goneKeys(groups, changes))
  return shown(plan, groups, withAnew(plan, groups, merged, changes, now), 'visible')
}

/** The rows of groups that a change touches, as states to merge with the ones that are there: `k0`, …, `s0`, …. */
export function partials(groups: GroupsPlan, changes: CoreChanges): string[] {
  const { plus, minus } = changes
  const of = (cores: readonly string[], share: (state: PlanState) => string) => {
    if (cores.length === 0) return []
    const keys = groups.keys.map(({ type }, at) => `CAST(k${at} AS ${type}) AS k${at}`)
    const states = groups.states.map((state, at) => `CAST(${share(state)} AS ${state.type}) AS s${at}`)
    return [`SELECT ${[...keys, ...states].join(', ')} FROM (${cores.join(' UNION ALL ')})${groupBy(groups)}`]
  }
  const only = (kind: PlanState['kind'], sign: string) => (state: PlanState) =>
    state.kind === kind ? `${sign}(${state.init})` : 'NULL'
  if (minus.length === 0 || hasKind(groups, 'inexact') || hasKind(groups, 'opaque') || !hasKind(groups, 'same'))
    return [...of(plus, ({ init }) => init), ...of(minus, only('subtract', '-'))]
  // A row that came and went again is no minimum of anything.
  const net = `SELECT * EXCLUDE ("__left") FROM (${netRows(changes, '>')})`
  return [...of(plus, only('subtract', '')), ...of(minus, only('subtract', '-')), ...of([net], only('same', ''))]
}

/**
 * The keys of groups that states cannot follow a change of, each once; `undefined` when there are none. Where a row is among
 * those that left and those that came, as when its file was rewritten, its group has lost nothing.
 */
export function goneKeys(groups: GroupsPlan, changes: CoreChanges): string | undefined {
  const { plus, minus } = changes
  const keys = groups.keys.map(({ type }, at) => `CAST(k${at} AS ${type}) AS k${at}`).join(', ')
  if (groups.keys.length === 0) return undefined
  if (hasKind(groups, 'opaque')) return `SELECT DISTINCT ${keys} FROM (${[...plus, ...minus].join(' UNION ALL ')})`
  const isInexact = hasKind(groups, 'inexact')
  if (minus.length === 0 || !(isInexact || hasKind(groups, 'same'))) return undefined
  if (isInexact || plus.length === 0) return `SELECT DISTINCT ${keys} FROM (${minus.join(' UNION ALL ')})`
  return `SELECT DISTINCT ${keys} FROM (${netRows(changes, '<')})`
}

/** Rows of the core that came more often than they left, or the other way round, each once. */
function netRows({ plus, minus }: CoreChanges, sign: '>' | '<'): string {
  const signed = (cores: readonly string[], times: number) => cores.map((core) => `SELECT ${times} AS "__sign", * FROM (${core})`)
  return (
    `SELECT * EXCLUDE ("__sign"), sum("__sign") AS "__left" FROM ` +
    `(${[...signed(plus, 1), ...signed(minus, -1)].join(' UNION ALL ')}) GROUP BY ALL HAVING sum("__sign") ${sign} 0`
  )
}

function hasKind(groups: GroupsPlan, kind: PlanState['kind']): boolean {
  return groups.states.some((state) => state.kind === kind)
}

/** Groups computed from the sources, of these keys alone. */
export function anewSql(plan: ViewPlan, groups: GroupsPlan, keys: string, now: readonly string[]): string {
  const core = `SELECT c.* FROM (${bound(plan, plan.core, now)}) AS c SEMI JOIN (${keys}) AS g ON ${sameKeys(groups, 'c', 'g')}`
  return settled(groups, initial(groups, core))
}

/** Partial states of each key brought together; groups without rows end, and so do those of `gone`. */
export function mergedSql(groups: GroupsPlan, parts: readonly string[], gone?: string): string {
  const merges = groups.states.map(({ merge, type }, at) => `CAST(${merge} AS ${type}) AS s${at}`)
  const without = gone === undefined ? '' : ` AS u ANTI JOIN (${gone}) AS g ON ${sameKeys(groups, 'u', 'g')}`
  const keys = groups.keys.map((_, at) => (gone === undefined ? `k${at}` : `u.k${at} AS k${at}`))
  const by = groups.keys.map((_, at) => (gone === undefined ? `k${at}` : `u.k${at}`)).join(', ')
  const grouped = groups.keys.length === 0 ? '' : ` GROUP BY ${by} HAVING sum(s${groups.rows}) > 0`
  return settled(groups, `SELECT ${[...keys, ...merges].join(', ')} FROM (${parts.join(' UNION ALL ')})${without}${grouped}`)
}

/** The state's rows as keys and states. */
export function stateRows(groups: GroupsPlan, state: string, more: readonly string[] = []): string {
  const keys = groups.keys.map(({ name }, at) => `${ident(name)} AS k${at}`)
  const states = groups.states.map(({ name }, at) => `${ident(name)} AS s${at}`)
  return `SELECT ${[...keys, ...states, ...more].join(', ')} FROM ${state}`
}

/** Keys and settled states as columns of the view, or as all that its state keeps. */
export function shown(plan: ViewPlan, groups: GroupsPlan, rows: string, columns: 'visible' | 'stored'): string {
  const visible = groups.outputs.map(
    ({ name, sql }, at) => `CAST(${sql} AS ${plan.columns[at]?.type ?? 'VARCHAR'}) AS ${ident(name)}`,
  )
  if (columns === 'visible') {
    const where = groups.having === undefined ? '' : ` WHERE ${groups.having}`
    return `SELECT ${visible.join(', ')} FROM (${rows})${where}`
  }
  const own = new Set(plan.columns.map(({ name }) => name))
  const hidden = [
    ...groups.keys.map(({ name }, at) => ({ name, as: `k${at}` })),
    ...groups.states.map(({ name }, at) => ({ name, as: `s${at}` })),
  ]
    .filter(({ name }) => !own.has(name))
    .map(({ name, as }) => `${as} AS ${ident(name)}`)
  const having = groups.having === undefined ? [] : [`(${groups.having}) AS ${ident(HAVING_COLUMN)}`]
  return `SELECT ${[...visible, ...hidden, ...having].join(', ')} FROM (${rows})`
}

/** A state's columns beside the view's own, with their types. */
export function hiddenColumns(plan: ViewPlan): readonly { readonly name: string; readonly type: string }[] {
  const { groups, columns } = plan
  if (!groups) return []
  const own = new Set(columns.map(({ name }) => name))
  return [
    ...[...groups.keys, ...groups.states].filter(({ name }) => !own.has(name)).map(({ name, type }) => ({ name, type })),
    ...(groups.having === undefined ? [] : [{ name: HAVING_COLUMN, type: 'BOOLEAN' }]),
  ]
}

export function withAnew(
  plan: ViewPlan,
  groups: GroupsPlan,
  merged: string,
  changes: CoreChanges,
  now: readonly string[],
): string {
  const gone = goneKeys(groups, changes)
  return gone === undefined ? merged : `${merged} UNION ALL ${anewSql(plan, groups, gone, now)}`
}

export function sameKeys(groups: GroupsPlan, a: string, b: string): string {
  return groups.keys.map((_, at) => `${a}.k${at} IS NOT DISTINCT FROM ${b}.k${at}`).join(' AND ')
}

/** Rows of a bag after others came and went. */
function rowsAfter(plan: ViewPlan, state: string, { plus, minus }: CoreChanges): string {
  const columns = names(plan.columns)
  const casts = plan.columns.map(({ name, type }) => `CAST(${ident(name)} AS ${type}) AS ${ident(name)}`).join(', ')
  const rows = (cores: readonly string[]) => `SELECT ${casts} FROM (${cores.join(' UNION ALL ')}) AS q(${columns})`
  const all = plus.length === 0 ? state : `${state} UNION ALL ${rows(plus)}`
  if (minus.length === 0) return all
  const went = rows(minus)
  const same = plan.columns.map(({ name }) => `a.${ident(name)} IS NOT DISTINCT FROM m.${ident(name)}`).join(' AND ')
  const join = (kind: string) => `SELECT a.* FROM (${all}) AS a ${kind} JOIN (${went}) AS m ON ${same}`
  return `SELECT * FROM (${join('ANTI')}) UNION ALL (SELECT * FROM (${join('SEMI')}) EXCEPT ALL SELECT * FROM (${went}))`
}

/** Groups of a core's rows, as keys and states. */
export function initial(groups: GroupsPlan, core: string): string {
  const keys = groups.keys.map(({ type }, at) => `CAST(k${at} AS ${type}) AS k${at}`)
  const states = groups.states.map(({ init, type }, at) => `CAST(${init} AS ${type}) AS s${at}`)
  return `SELECT ${[...keys, ...states].join(', ')} FROM (${core})${groupBy(groups)}`
}

/** States as they are kept. */
export function settled(groups: GroupsPlan, rows: string): string {
  const keys = groups.keys.map((_, at) => `k${at}`)
  const states = groups.states.map(({ settle, type }, at) =>
    settle === undefined ? `s${at}` : `CAST(${settle} AS ${type}) AS s${at}`,
  )
  return `SELECT ${[...keys, ...states].join(', ')} FROM (${rows})`
}

function groupBy(groups: GroupsPlan): string {
  return groups.keys.length === 0 ? '' : ` GROUP BY ${groups.keys.map((_, at) => `k${at}`).join(', ')}`
}

function names(columns: readonly { readonly name: string }[]): string {
  return columns.map(({ name }) => ident(name)).join(', ')
}
