import type { PlanNode, TableScan } from './plan-node.js'

/** A join of a plan that only lets rows pass which satisfy all of its conditions. */
export interface PlanJoin {
  /** `left = right`, each about the columns of its side. */
  readonly conditions: readonly string[]
  readonly left: JoinSide
  readonly right: JoinSide
}

export interface JoinSide {
  /** All scans of the side, of which there is nothing else but filters and joins. */
  readonly scans: readonly TableScan[]
  /** Those of them whose rows come to the join only as they are. */
  readonly reached: readonly TableScan[]
  /** Set where the side is a scan, whose columns go by their place too. */
  readonly alone: TableScan | undefined
}

/** Sides whose rows pass a join as they are, or not at all. */
const PASSING: Readonly<Record<string, readonly ('left' | 'right')[]>> = {
  INNER: ['left', 'right'],
  SEMI: ['left'],
  ANTI: ['left'],
  LEFT: ['left'],
  RIGHT_SEMI: ['right'],
  RIGHT_ANTI: ['right'],
  RIGHT: ['right'],
}
const MATCHING: ReadonlySet<string> = new Set(['INNER', 'SEMI', 'RIGHT_SEMI'])

/** The joins of a plan between sides that are understood. @param scans those of its nodes that are scans. */
export function readJoins(roots: readonly PlanNode[], scans: ReadonlyMap<PlanNode, TableScan>): readonly PlanJoin[] {
  const joins: PlanJoin[] = []
  for (const root of roots) side(root)
  return joins

  function side(node: PlanNode): JoinSide | undefined {
    const scan = scans.get(node)
    if (scan) return { scans: [scan], reached: [scan], alone: scan }
    const sides = node.children.map(side)
    const [left, right] = sides
    const name = node.name.trim()
    if (name === 'FILTER' && left) return { ...left, alone: undefined }
    if (name !== 'HASH_JOIN' || !left || !right || sides.length !== 2) return undefined
    const type = String(node.extra_info['Join Type'])
    const given = node.extra_info['Conditions']
    const conditions = typeof given === 'string' ? [given] : (given ?? [])
    if (MATCHING.has(type)) joins.push({ conditions, left, right })
    const passing = PASSING[type] ?? []
    const reached = [...(passing.includes('left') ? left.reached : []), ...(passing.includes('right') ? right.reached : [])]
    return { scans: [...left.scans, ...right.scans], reached, alone: undefined }
  }
}
