import { isDeltaError } from '../base/errors.js'
import type { Connection } from '../engine/database.js'
import type { TableDependencies } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { type StagedFiles, stageWhole } from '../table/stage.js'
import { type Input, readerFor } from './input.js'

/** More lines than any input has: a limit keeps the engine from reading each line once for every column. */
const NO_LIMIT = '9000000000000000000'

/**
 * Reads an input and writes it in one statement, for the common case that each of its lines is a row: staging the rows
 * first takes half as long again.
 *
 * @param lines how many there are, blank ones too.
 * @returns `undefined` when some line is no row, or nothing can be read: staging then finds out which and why.
 */
export async function writeDirectly(
  deps: TableDependencies,
  connection: Connection,
  input: Input,
  lines: number,
  snapshot: Snapshot,
  signal?: AbortSignal,
): Promise<StagedFiles | undefined> {
  if (lines === 0) return undefined
  try {
    const reader = readerFor(input, snapshot.schema.fields)
    const query = `SELECT r.* FROM (SELECT r FROM (${reader.sql}) LIMIT ${NO_LIMIT}) WHERE r IS NOT NULL`
    return await stageWhole(deps, connection, query, snapshot, lines, { signal })
  } catch (error) {
    if (isDeltaError(error, 'invalid', 'corrupt')) return undefined
    throw error
  }
}
