import type { DeltaTable } from '../table/delta-table.js'
import { type RunContext, runQuery } from './query-runner.js'
import type { QueryResult } from './result.js'
import { versionSelector } from './table-snapshot.js'

export interface ChangesOptions {
  /** A version, or a time: ISO 8601 (UTC unless it says otherwise) or a Date. */
  readonly from: number | string | Date
  /** @defaultValue the newest version */
  readonly to?: number | string | Date | undefined
  readonly signal?: AbortSignal | undefined
}

/** The change feed of a table, whatever its name. */
export async function changesOf(context: RunContext, table: DeltaTable, options: ChangesOptions): Promise<QueryResult> {
  const { from, to, signal } = options
  return runQuery(
    { ...context, pin: async (request) => ({ table, snapshot: await table.snapshot(request, { signal }) }) },
    {
      text: `SELECT * FROM table_changes('changes', $1${to === undefined ? '' : ', $2'})`,
      params: [momentOf(from), ...(to === undefined ? [] : [momentOf(to)])],
      signal,
    },
  )
}

function momentOf(moment: number | string | Date): number | Date {
  if (typeof moment === 'number') return moment
  return new Date(versionSelector({ timestamp: moment }).timestampMs ?? Number.NaN)
}
