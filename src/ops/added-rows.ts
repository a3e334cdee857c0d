import { DeltaError } from '../base/errors.js'
import type { AddFile } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'

/** Row ids from `first` to `last`, both included. */
export interface IdRange {
  readonly first: number
  readonly last: number
}

/** What some commits added to a table that tracks its rows. */
export interface AddedRows {
  readonly from: number
  readonly to: number
  /** Ids that belong to rows which these commits added, and to no other rows; ascending, apart from each other. */
  readonly ids: readonly IdRange[]
  /** The files in which the rows came, as they were written. */
  readonly files: readonly AddFile[]
  /** Whether some of the commits took rows out too, so that a row may be in two of the files. */
  readonly takesOut: boolean
}

/**
 * The rows that commits added, by their ids: a new row has the next id, and keeps it wherever it goes. Pure.
 *
 * A file's own range is that of its new rows: rows that moved there brought their ids along. A commit that gives ids to
 * files that were there before adds no row.
 *
 * @param commits of consecutive versions, at least one.
 * @throws {DeltaError} `ROWS_NOT_TRACKED` for a commit whose rows have no ids.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#row-tracking
 */
export function addedRows(commits: readonly Commit[]): AddedRows {
  const ids: IdRange[] = []
  const files: AddFile[] = []
  for (const { version, adds, removes } of commits) {
    const untracked = adds.find((add) => add.dataChange && (add.baseRowId ?? undefined) === undefined)
    if (untracked)
      throw new DeltaError('ROWS_NOT_TRACKED', 'rows of a commit have no ids', { version, file: untracked.path }, { hint: HINT })
    const fresh = adds.filter((add) => add.defaultRowCommitVersion === version)
    const backfills = removes.length === 0 && fresh.every((add) => !add.dataChange)
    if (backfills) continue
    files.push(...fresh.filter((add) => add.dataChange))
    // Ids of files that only hold moved rows are nobody's, and bridge the others.
    ids.push(...fresh.map(idsOf).filter(({ first, last }) => last >= first))
  }
  const [first, last] = [commits[0]?.version ?? 0, commits.at(-1)?.version ?? 0]
  const takesOut = commits.some(({ removes }) => removes.some(({ dataChange }) => dataChange))
  return { from: first, to: last, ids: merged(ids), files, takesOut }
}

/** What to do about rows without ids. */
export const HINT =
  'only rows that came after delta.enableRowTracking was set can be told apart: DELETE … WHERE takes others out, RESTORE all that came after a version'

/** A condition that is true for the ids of these ranges. */
export function idsWithin(column: string, ranges: readonly IdRange[]): string {
  return ranges.length === 0 ? 'false' : ranges.map(({ first, last }) => `${column} BETWEEN ${first} AND ${last}`).join(' OR ')
}

/** The ids that a file gives its rows by their places in it; none where it is not known to have rows. */
export function idsOf({ baseRowId, stats }: Pick<AddFile, 'baseRowId' | 'stats'>): IdRange {
  const { numRecords = 0 } = JSON.parse(stats ?? '{}') as { numRecords?: number }
  const first = baseRowId ?? 0
  return { first, last: first + numRecords - 1 }
}

function merged(ranges: readonly IdRange[]): readonly IdRange[] {
  const all: IdRange[] = []
  for (const range of ranges.toSorted((a, b) => a.first - b.first)) {
    const before = all.at(-1)
    if (before && range.first <= before.last + 1) all[all.length - 1] = { ...before, last: Math.max(before.last, range.last) }
    else all.push(range)
  }
  return all
}
