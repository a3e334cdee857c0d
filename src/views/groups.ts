import type { SyntaxNode } from '../sql/syntax-tree.js'
import { type Argument, takeApart } from './aggregates.js'
import { type Derivation, storedColumn } from './derivation.js'
import { columnRef, plainName, rewrite, STAR, sameExpression, selectNode, some } from './expressions.js'
import { NotLinear } from './linear.js'
import { type GroupsPlan, HIDDEN_PREFIX, type PlanColumn, type PlanState } from './plan.js'

export interface Grouped {
  /** `SELECT k0, …, a0, … FROM … WHERE …` */
  readonly core: SyntaxNode
  readonly plan: GroupsPlan
  readonly event: PlanColumn | undefined
}

interface Call {
  readonly node: SyntaxNode
  readonly args: readonly number[]
  readonly filter: number | undefined
}

/**
 * Takes an aggregating query apart: what is linear in its tables, grouping keys, states, and its columns made of them.
 *
 * @throws {NotLinear} with the part that is not maintained.
 */
export async function planGroups(derivation: Derivation, columns: readonly PlanColumn[]): Promise<Grouped> {
  const { node, printer, session, isAggregate } = derivation
  if (node['qualify'] || node['sample']) throw new NotLinear(node['qualify'] ? 'QUALIFY' : 'TABLESAMPLE')
  const modifiers = (node['modifiers'] ?? []) as readonly SyntaxNode[]
  if (modifiers.some(({ type }) => type !== 'DISTINCT_MODIFIER')) throw new NotLinear('LIMIT')
  if (modifiers.some((one) => ((one['distinct_on_targets'] ?? []) as readonly unknown[]).length > 0))
    throw new NotLinear('DISTINCT ON')
  if (((node['group_sets'] ?? []) as readonly unknown[]).length > 1) throw new NotLinear('several grouping sets')
  const items = node['select_list'] as readonly SyntaxNode[]
  if (some(items, ({ type }) => type === 'STAR')) throw new NotLinear('* in a query that groups')
  const aliases = new Map(items.flatMap((item) => (item['alias'] ? [[String(item['alias']).toLowerCase(), item] as const] : [])))
  const from = { from_table: node['from_table'] }
  const scope = new Set(
    (await session.describe(await printer.query(selectNode([STAR], from)))).map(({ name }) => name.toLowerCase()),
  )
  const named = (tree: SyntaxNode): SyntaxNode =>
    rewrite(tree, (one) => {
      const name = plainName(one)?.toLowerCase()
      const meant = name === undefined || scope.has(name) ? undefined : aliases.get(name)
      return meant && meant !== tree ? { ...named(meant), alias: '' } : undefined
    }) as SyntaxNode
  const outputs = items.map(named)
  const having = node['having'] ? named(node['having'] as SyntaxNode) : undefined
  const aggregated = (one: unknown) => some(one, isAggregate)
  const isDistinct = modifiers.length > 0
  const groups = (node['group_expressions'] ?? []) as readonly SyntaxNode[]
  if (isDistinct && (groups.length > 0 || aggregated(outputs))) throw new NotLinear('DISTINCT of an aggregate')
  const isAll = isDistinct || node['aggregate_handling'] === 'FORCE_AGGREGATES'
  const keys = distinct(isAll ? outputs.filter((one) => !aggregated(one)) : groups.map((one) => keyOf(one, outputs, named)))
  if (some([outputs, having], (one) => one['class'] === 'SUBQUERY')) throw new NotLinear('a query inside of an expression')
  if (some([outputs, having], (one) => one['class'] === 'WINDOW')) throw new NotLinear('window functions')

  const args: SyntaxNode[] = []
  const argument = (one: SyntaxNode) => {
    const known = args.findIndex((other) => sameExpression(other, one))
    return known >= 0 ? known : args.push(one) - 1
  }
  const calls: Call[] = []
  const call = (one: SyntaxNode): number => {
    const known = calls.findIndex((other) => sameExpression(other.node, one))
    if (known >= 0) return known
    const children = one['children'] as readonly SyntaxNode[]
    const filter = one['filter'] as SyntaxNode | null
    if (aggregated([children, filter])) throw new NotLinear('aggregates of aggregates')
    return calls.push({ node: one, args: children.map(argument), filter: filter ? argument(filter) : undefined }) - 1
  }
  /** An expression over `k0` and `c0`, which stands for an aggregate. */
  const over = (one: SyntaxNode): SyntaxNode =>
    rewrite(one, (part) => {
      const key = keys.findIndex((other) => sameExpression(other, part))
      if (key >= 0) return columnRef(`k${key}`)
      return isAggregate(part) ? columnRef(`c${call(part)}`) : undefined
    }) as SyntaxNode
  const overOutputs = outputs.map(over)
  const overHaving = having && over(having)

  const event = derivation.asOf && argument(columnRef(...derivation.asOf))
  const core = selectNode(
    [...keys.map((one, at) => ({ ...one, alias: `k${at}` })), ...args.map((one, at) => ({ ...one, alias: `a${at}` }))],
    { ...from, where_clause: node['where_clause'] },
  )
  if (keys.length + args.length === 0) (core as { select_list: unknown }).select_list = [{ ...one1(), alias: 'a0' }]
  const types = await session.describe(await printer.query(core))
  const argumentOf = (at: number): Argument => ({ name: `a${at}`, type: types[keys.length + at]?.type ?? '' })

  const states: PlanState[] = []
  const used = new Set(columns.map(({ name }) => name.toLowerCase()))
  const free = (name: string): string => {
    const found = used.has(name.toLowerCase()) ? free(`${name}_`) : name
    used.add(found.toLowerCase())
    return found
  }
  const values: string[] = []
  for (const [nth, { node: one, args: of, filter }] of calls.entries()) {
    const first = states.length
    const whole = await printer.expression({
      ...one,
      children: of.map((at) => columnRef(`a${at}`)),
      filter: filter === undefined ? null : columnRef(`a${filter}`),
      order_bys: rewrite(one['order_bys'], (part) => {
        const at = args.findIndex((other) => sameExpression(other, part))
        return at >= 0 ? columnRef(`a${at}`) : undefined
      }),
    })
    const taken = takeApart(
      one,
      of.map(argumentOf),
      filter === undefined ? undefined : `a${filter}`,
      (at) => `s${first + at}`,
      whole,
    )
    const shown = overOutputs.findIndex((output) => plainName(output) === `c${nth}`)
    const label = columns[shown]?.name ?? `value${nth}`
    for (const [at, state] of taken.states.entries()) {
      const isShown = at === 0 && taken.isFirst && shown >= 0
      states.push({ ...state, name: isShown ? label : free(`${HIDDEN_PREFIX}${taken.suffixes[at] ?? ''}${label}`), type: '' })
    }
    values.push(taken.value)
  }
  const rows = states.push({
    kind: 'subtract',
    name: free(`${HIDDEN_PREFIX}rows`),
    type: '',
    init: 'count(*)',
    merge: `sum(s${states.length})`,
    settle: `coalesce(s${states.length}, 0)`,
  })
  const text = async (one: SyntaxNode) =>
    (await printer.expression(one)).replace(/\bc(\d+)\b/g, (_, nth: string) => values[Number(nth)] ?? 'NULL')
  const shownKeys = keys.map((_, at) => overOutputs.findIndex((output) => plainName(output) === `k${at}`))
  const built = await session.describe(
    `SELECT ${[...keys.map((_, at) => `k${at}`), ...states.map(({ init }, at) => `${init} AS s${at}`)].join(', ')} ` +
      `FROM (${await printer.query(core)})${keys.length > 0 ? ` GROUP BY ${keys.map((_, at) => `k${at}`).join(', ')}` : ''}`,
  )
  return {
    core,
    event: event === undefined ? undefined : argumentOf(event),
    plan: {
      keys: keys.map((_, at) => ({
        name: columns[shownKeys[at] ?? -1]?.name ?? free(`${HIDDEN_PREFIX}key_${at}`),
        type: storedColumn(built[at] ?? { name: '', type: 'VARCHAR' }).type,
      })),
      states: states.map((state, at) => ({
        ...state,
        type: storedColumn(built[keys.length + at] ?? { name: '', type: 'VARCHAR' }).type,
      })),
      outputs: await Promise.all(overOutputs.map(async (one, at) => ({ name: columns[at]?.name ?? '', sql: await text(one) }))),
      having: overHaving && `(${await text(overHaving)}) IS TRUE`,
      rows: rows - 1,
    },
  }
}

/** GROUP BY takes an expression, the number of a column or its alias. */
function keyOf(group: SyntaxNode, outputs: readonly SyntaxNode[], named: (node: SyntaxNode) => SyntaxNode): SyntaxNode {
  const value = group['class'] === 'CONSTANT' ? (group['value'] as { readonly value?: unknown }).value : undefined
  const nth = typeof value === 'number' ? outputs[value - 1] : undefined
  return { ...(nth ?? named(group)), alias: '' }
}

function distinct(nodes: readonly SyntaxNode[]): readonly SyntaxNode[] {
  return nodes.filter((node, at) => nodes.findIndex((other) => sameExpression(other, node)) === at)
}

function one1(): SyntaxNode {
  return {
    class: 'CONSTANT',
    type: 'VALUE_CONSTANT',
    alias: '',
    value: { type: { id: 'INTEGER', type_info: null }, is_null: false, value: 1 },
  }
}
