import { isDeltaError } from '../base/errors.js'
import type { KeptSessions } from '../engine/kept-sessions.js'
import { type KeysFound, mayJoin } from '../sql/join-keys.js'
import type { PlannedTable } from '../sql/planner.js'
import type { FileSelection, SnapshotFile } from '../table/snapshot.js'

/** Reads the keys of a table of the plan, by its place, with a query of `JoinKeys`. */
export type KeyReader = (at: number, sql: string) => Promise<KeysFound>

/** The side whose keys are looked up first is a small one. */
const KEY_ROWS_MAX = 100_000
const KEY_FILES_MAX = 16
const FILES_MIN = 2

/** The files of a table of the plan without those of which no row passes a join, where the other side is small. */
export async function selectJoined(
  tables: readonly PlannedTable[],
  selections: readonly FileSelection[],
  at: number,
  read: KeyReader,
  signal: AbortSignal | undefined,
): Promise<FileSelection> {
  const { snapshot, condition, conditions, joins } = tables[at] as PlannedTable
  const selection = selections[at] as FileSelection
  const found: string[] = []
  for (const join of selection.files.length < FILES_MIN ? [] : joins) {
    const other = tables.findIndex(({ standIn }) => standIn === join.from)
    const source = tables[other]
    const files = selections[other]?.files ?? []
    if (!source || !isSmall(files) || rowsOf(files) > rowsOf(selection.files)) continue
    const key = JSON.stringify([source.condition, join.sql])
    const keys = await source.snapshot
      .remembered(key, () => read(other, join.sql))
      .catch((error: unknown) => {
        // What is wrong with that table, the query itself says better.
        if (isDeltaError(error) && !signal?.aborted) return undefined
        throw error
      })
    const mayPass = keys ? mayJoin(join, keys, snapshot) : 'TRUE'
    if (mayPass !== 'TRUE') found.push(mayPass)
  }
  if (found.length === 0) return selection
  const left = `(${condition}) AND ${found.join(' AND ')}`
  return snapshot.files(left, { signal, steps: [...conditions, left] })
}

function isSmall(files: readonly SnapshotFile[]): boolean {
  return files.length <= KEY_FILES_MAX && rowsOf(files) <= KEY_ROWS_MAX
}

/** More than any number where statistics do not tell. */
function rowsOf(files: readonly SnapshotFile[]): number {
  return files.reduce((sum, { rows }) => sum + (rows ?? Number.MAX_SAFE_INTEGER), 0)
}

export async function readKeys(
  sessions: KeptSessions,
  views: readonly string[],
  sql: string,
  signal: AbortSignal | undefined,
): Promise<KeysFound> {
  const session = await sessions.take(views)
  try {
    const [keys] = await session.rows<KeysFound>(sql, { signal })
    return keys ?? { low: null, high: null, type: 'VARCHAR', keys: [] }
  } finally {
    session.close()
  }
}
