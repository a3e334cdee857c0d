/** What arrives at one table of a plan. */
export interface TableScan {
  readonly table: string
  /** In lower case; `undefined` when the plan does not tell. */
  readonly columns: ReadonlySet<string> | undefined
  /** Whether filters of the scan read columns too, of which `columns` has only those that are named by one word. */
  readonly isFiltered: boolean
  /** Conditions that every row which matters satisfies, as text. */
  readonly filters: readonly string[]
  /** Whether `filters` are all conditions that the scan and what is right above it put to a row. */
  readonly isWhole: boolean
  /** The operators above the scan, the nearest first. */
  readonly above: readonly string[]
  /** The columns that it gives, in order, as the plan names them. */
  readonly projections: readonly string[]
}

/** An operator of DuckDB's `EXPLAIN (FORMAT JSON)`. */
export interface PlanNode {
  readonly name: string
  readonly children: readonly PlanNode[]
  readonly extra_info: Readonly<Record<string, string | readonly string[]>>
}
