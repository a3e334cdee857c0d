import type { SyntaxNode } from '../sql/syntax-tree.js'
import type { PlanState } from './plan.js'

/** An aggregate of a definition, as states and what it is made of them. */
export interface Taken {
  readonly states: readonly Omit<PlanState, 'name' | 'type'>[]
  /** What each state is called after, behind the name of the column. */
  readonly suffixes: readonly string[]
  /** The aggregate over its states. */
  readonly value: string
  /** Whether the first state is the value itself. */
  readonly isFirst: boolean
}

export interface Argument {
  /** Its name in the core. */
  readonly name: string
  /** DuckDB's type. */
  readonly type: string
}

const EXACT = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DECIMAL\(.*\)|BOOLEAN)$/
const INEXACT = /^(FLOAT|DOUBLE)$/
const ARG_BEST: Readonly<Record<string, 'min' | 'max'>> = {
  arg_min: 'min',
  argmin: 'min',
  min_by: 'min',
  arg_max: 'max',
  argmax: 'max',
  max_by: 'max',
}

/**
 * An aggregate as states that can be merged, where that is known of it.
 *
 * @param name gives the name of the nth of its states, from 0.
 * @param filter what FILTER asks, by its name in the core.
 * @param whole the aggregate over the core's columns, for one that is not known.
 */
export function takeApart(
  call: SyntaxNode,
  args: readonly Argument[],
  filter: string | undefined,
  name: (nth: number) => string,
  whole: string,
): Taken {
  const fn = String(call['function_name']).toLowerCase()
  const isPlain = ((call['order_bys'] as { readonly orders?: readonly unknown[] } | null)?.orders ?? []).length === 0
  const distinct = call['distinct'] === true
  const where = (...conditions: readonly string[]) => {
    const all = [...(filter === undefined ? [] : [filter]), ...conditions]
    return all.length === 0 ? '' : ` FILTER (WHERE ${all.join(' AND ')})`
  }
  const [x, y] = args
  const one = (state: Taken['states'][number]): Taken => ({ states: [state], suffixes: [''], value: name(0), isFirst: true })
  const count = (init: string): Taken['states'][number] => ({
    kind: 'subtract',
    init,
    merge: `sum(${name(0)})`,
    settle: `coalesce(${name(0)}, 0)`,
  })
  const opaque = (): Taken => one({ kind: 'opaque', init: whole, merge: `any_value(${name(0)})` })
  if (!isPlain) return opaque()
  if (fn === 'count_star' || (fn === 'count' && args.length === 0)) return one(count(`count(*)${where()}`))
  if (!x) return opaque()
  if (fn === 'count' && args.length === 1 && distinct) return distinctCount(x, where, name(0))
  if (fn === 'count' && args.length === 1) return one(count(`count(${x.name})${where()}`))
  if ((fn === 'min' || fn === 'max') && args.length === 1)
    return one({ kind: 'same', init: `${fn}(${x.name})${where()}`, merge: `${fn}(${name(0)})` })
  if (fn === 'bool_and' || fn === 'bool_or')
    return one({ kind: 'same', init: `${fn}(${x.name})${where()}`, merge: `${fn}(${name(0)})` })
  const best = ARG_BEST[fn]
  if (best && y && args.length === 2) return best1(x, y, best, where, name)
  const isSummed = (fn === 'sum' || fn === 'avg' || fn === 'mean') && args.length === 1 && !distinct
  if (!isSummed || !(EXACT.test(x.type) || INEXACT.test(x.type))) return opaque()
  const kind = EXACT.test(x.type) ? 'subtract' : 'inexact'
  const sum = {
    kind,
    init: `sum(${x.name})${where()}`,
    merge: `sum(${name(0)})`,
    settle: `CASE WHEN ${name(1)} > 0 THEN ${name(0)} END`,
  } as const
  const counted = {
    kind: 'subtract',
    init: `count(${x.name})${where()}`,
    merge: `sum(${name(1)})`,
    settle: `coalesce(${name(1)}, 0)`,
  } as const
  if (fn === 'sum') return { states: [sum, counted], suffixes: ['', 'count_'], value: name(0), isFirst: true }
  const value = `(CAST(${name(0)} AS DOUBLE) / nullif(${name(1)}, 0))`
  return { states: [sum, counted], suffixes: ['sum_', 'count_'], value, isFirst: false }
}

function distinctCount(x: Argument, where: (...conditions: readonly string[]) => string, state: string): Taken {
  return {
    states: [
      {
        kind: 'same',
        init: `list(DISTINCT ${x.name})${where(`${x.name} IS NOT NULL`)}`,
        merge: `list_distinct(flatten(list(${state}) FILTER (WHERE ${state} IS NOT NULL)))`,
      },
    ],
    suffixes: ['set_'],
    value: `coalesce(len(${state}), 0)`,
    isFirst: false,
  }
}

function best1(
  x: Argument,
  y: Argument,
  best: 'min' | 'max',
  where: (...conditions: readonly string[]) => string,
  name: (nth: number) => string,
): Taken {
  return {
    states: [
      { kind: 'same', init: `arg_${best}(${x.name}, ${y.name})${where()}`, merge: `arg_${best}(${name(0)}, ${name(1)})` },
      { kind: 'same', init: `${best}(${y.name})${where(`${x.name} IS NOT NULL`)}`, merge: `${best}(${name(1)})` },
    ],
    suffixes: ['', 'by_'],
    value: name(0),
    isFirst: true,
  }
}
