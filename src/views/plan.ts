/**
 * How a materialized view is kept up with its sources, worked out once when it is made. SQL in it names sources by
 * placeholders (`ViewPlan.placeholder` and a number), grouping columns `k0`, `k1`, … and state columns `s0`, `s1`, ….
 */
export interface ViewPlan {
  readonly format: 1
  /**
   * `groups`: one row a group, merged with partial aggregates of what changed. `rows`: the rows of the sources, filtered and
   * projected. `full`: computed anew whenever a source changed.
   */
  readonly kind: 'groups' | 'rows' | 'full'
  /** Why it is computed anew. */
  readonly reason?: string | undefined
  readonly placeholder: string
  /** Every place where the definition names a table. */
  readonly sources: readonly PlanSource[]
  /** The whole definition. */
  readonly definition: string
  /** The columns of the view, in order, with DuckDB's types. */
  readonly columns: readonly PlanColumn[]
  /** What is linear in the sources: of a view of rows its rows, of groups `k0`, …, and the arguments `a0`, … of aggregates. */
  readonly core: string
  readonly groups?: GroupsPlan | undefined
  /** When a row happened: a column of the core, of groups by its name there, of rows one of the view's own. */
  readonly event?: PlanColumn | undefined
}

export interface PlanSource {
  readonly name: string
  /**
   * What a change of it does: `rows` of the result follow its own rows one by one; `matches`: rows that it matches in a LEFT
   * JOIN are made anew (`matched` is the core for those that changed rows match); `all`: everything is.
   */
  readonly change: 'rows' | 'matches' | 'all'
  readonly matched?: string | undefined
  /** Places in other branches of a UNION ALL, which give nothing where only this one is asked. */
  readonly apart: readonly number[]
}

export interface PlanColumn {
  readonly name: string
  readonly type: string
}

export interface GroupsPlan {
  /** The state's columns of the grouping expressions. */
  readonly keys: readonly PlanColumn[]
  readonly states: readonly PlanState[]
  /** Columns of the view by name, over `k0` and `s0`. */
  readonly outputs: readonly PlanOutput[]
  /** What HAVING asks, over the same. */
  readonly having?: string | undefined
  /** The state that counts the rows of a group; a query without GROUP BY has one group, whatever its rows. */
  readonly rows: number
}

export interface PlanState extends PlanColumn {
  /**
   * What rows that leave do to it: `subtract` takes their share off; `same` needs them only where they are not among those
   * that stay (a minimum, a set); `inexact` is summed in floating point, so that nothing is taken off; `opaque` cannot be
   * merged at all.
   */
  readonly kind: 'subtract' | 'same' | 'inexact' | 'opaque'
  /** An aggregate over the core's columns. */
  readonly init: string
  /** An aggregate over states. */
  readonly merge: string
  /** The merged value as it is kept, over states. */
  readonly settle?: string | undefined
}

export interface PlanOutput {
  readonly name: string
  readonly sql: string
}

/** Beside the view's own columns, its state has these: what Spark's users see too. */
export const HIDDEN_PREFIX = '_view_'
export const HAVING_COLUMN = `${HIDDEN_PREFIX}having`

/** How a plan keeps a view up, in words. */
export function maintenanceOf({ kind, reason, groups, sources }: ViewPlan): string {
  if (kind === 'full') return `computed anew when a source changes: ${reason ?? 'it is not incremental'}`
  const whole = [...new Set(sources.filter(({ change }) => change === 'all').map(({ name }) => name))]
  const but = whole.length === 0 ? '' : `; computed anew when ${whole.join(' or ')} changes`
  if (kind === 'rows') return `rows follow the rows of the sources${but}`
  const kinds = new Set(groups?.states.map((state) => state.kind))
  const how = kinds.has('opaque')
    ? 'groups that a change touches are computed anew'
    : kinds.has('inexact')
      ? 'new rows are merged into their groups; groups that lose rows are computed anew'
      : kinds.has('same')
        ? 'new rows are merged into their groups; groups that lose rows are computed anew where those mattered'
        : 'changed rows are added to and subtracted from their groups'
  return `${how}${but}`
}
