import { isDeltaError } from '../base/errors.js'
import type { Connection } from '../engine/database.js'
import type { TableDependencies } from '../table/delta-table.js'
import { inputFields } from '../table/row-columns.js'
import type { Snapshot } from '../table/snapshot.js'
import { type StagedFiles, stageWhole } from '../table/stage.js'
import { type Input, readerFor } from './input.js'
import type { LineMeter } from './line-meter.js'
import { PLAIN_LINE_BYTES_MAX, plainRows } from './plain-lines.js'
import { type RegularLines, regularRows } from './regular-lines.js'

/** More lines than any input has: a limit keeps the engine from reading each line once for every column. */
const NO_LIMIT = '9000000000000000000'

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined
  /** Called when the rows are files of this machine: the engine has done its work. */
  readonly onRead?: (() => void) | undefined
}

/**
 * Reads an input of lines and writes it in one statement, for the common case that each of them is a row: staging the
 * rows first takes half as long again.
 *
 * @returns early: the commit has to come after `stored`. `undefined` when some line is no row, or nothing can be read: staging then finds out which and why.
 */
export async function writeDirectly(
  deps: TableDependencies,
  connection: Connection,
  input: Input,
  { lines, longestBytes }: LineMeter,
  snapshot: Snapshot,
  options: WriteOptions = {},
): Promise<StagedFiles | undefined> {
  if (lines === 0) return undefined
  const fields = await inputFields(connection, snapshot.schema)
  const [file = ''] = input.files
  const queries = [
    () => input.held && regularRows(file, input.held, fields, input.columns),
    () => (longestBytes <= PLAIN_LINE_BYTES_MAX ? plainRows(file, fields, input.columns) : undefined),
    () => `SELECT r.* FROM (SELECT r FROM (${readerFor(input, fields).sql}) LIMIT ${NO_LIMIT}) WHERE r IS NOT NULL`,
  ]
  for (const query of queries) {
    const text = query()
    const staged = text === undefined ? undefined : await writeLines(deps, connection, text, lines, snapshot, options)
    if (staged) return staged
  }
  return undefined
}

/** As `writeDirectly`, for a file of regular lines. */
export async function writeRegular(
  deps: TableDependencies,
  connection: Connection,
  file: string,
  regular: RegularLines,
  lines: number,
  snapshot: Snapshot,
  options: WriteOptions = {},
): Promise<StagedFiles | undefined> {
  return lines === 0 ? undefined : writeLines(deps, connection, regular.rows(file), lines, snapshot, options)
}

async function writeLines(
  deps: TableDependencies,
  connection: Connection,
  query: string,
  lines: number,
  snapshot: Snapshot,
  { signal, onRead }: WriteOptions,
): Promise<StagedFiles | undefined> {
  try {
    const options = { signal, onWritten: onRead, identityMarks: new Map(), early: true }
    return await stageWhole(deps, connection, query, snapshot, (rows) => rows === lines, options)
  } catch (error) {
    if (isDeltaError(error, 'invalid', 'corrupt')) return undefined
    throw error
  }
}
