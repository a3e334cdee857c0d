/** What every benchmark gets. */
export interface BenchContext {
  /** A folder of its own, removed afterwards. */
  readonly folder: string
  /** Rows for the large ones. */
  readonly rows: number
  readonly rounds: number
}
