import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import type { Snapshot } from '../table/snapshot.js'
import type { Transaction } from '../table/transaction.js'
import { stageChanges } from './change-files.js'
import { type ChangeOutcome, changeResult, metricsOf } from './change-result.js'
import { FoundRows, type RowQuery } from './found-rows.js'
import { marksRows, type TakenOut, takeOut, takeOutFiles } from './take-out.js'
import { vectorRebase } from './vector-rebase.js'

export interface DeleteRequest {
  /** Selects the rows; `undefined` for all. */
  readonly query: RowQuery | undefined
  /** The condition as it was written, for the table's history. */
  readonly predicate: string | undefined
  /** Whether the condition reads more of the table than the rows that it is about. */
  readonly readsWhole: boolean
  readonly signal?: AbortSignal | undefined
  /** Called after each file that keeps some of its rows. */
  readonly onProgress?: ((filesDone: number, filesTotal: number) => void) | undefined
}

/**
 * DELETE: takes the rows for which the condition is true out of a version of a table, in one commit. Where there are none
 * nothing is committed.
 *
 * @returns a conflict when somebody else's commit came between: run it again on the newest version.
 */
export async function deleteRows(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  request: DeleteRequest,
): Promise<ChangeOutcome> {
  const { query, signal } = request
  const startedAtMs = table.deps.clock.now()
  const transaction = await table.transaction(snapshot, { signal })
  if (!query) {
    const { files } = await snapshot.files('TRUE', { signal })
    transaction.readWhole()
    return commitDelete(table, transaction, takeOutFiles(files, startedAtMs), 0, request, startedAtMs)
  }
  const found = await FoundRows.find(query, table.deps.spool, signal)
  try {
    const context = { table, source, snapshot, signal, onFile: request.onProgress }
    const taken = await takeOut(context, found)
    // Rows that a file no longer gives are seen from its vectors; rewritten ones have to be told.
    const isTold = snapshot.properties.changeDataFeed && !marksRows(snapshot) && taken.adds.length > 0
    const changes = isTold ? await stageChanges(context, found, (rows) => [{ kind: 'delete', rows }]) : []
    transaction.addChangeFiles(changes).readWhere(request.readsWhole ? 'TRUE' : query.condition)
    transaction.readFiles(found.files.map(({ file }) => file))
    if (!request.readsWhole) transaction.rebaseVectors(vectorRebase(table, signal))
    return await commitDelete(table, transaction, taken, changes.length, request, startedAtMs)
  } finally {
    await found.remove()
  }
}

async function commitDelete(
  table: DeltaTable,
  transaction: Transaction,
  taken: TakenOut,
  changeFiles: number,
  request: DeleteRequest,
  startedAtMs: number,
): Promise<ChangeOutcome> {
  const { tally } = taken
  const result = changeResult(tally, { rowsDeleted: tally.rowsTaken, rowsUpdated: 0 })
  if (taken.removes.length === 0) return { ...result, version: transaction.snapshot.version, attempts: 0 }
  const { rowTracking } = transaction.snapshot.properties
  const outcome = await transaction
    .remove(taken.removes)
    .add(taken.adds)
    .describe({
      name: 'DELETE',
      parameters: { predicate: JSON.stringify([request.predicate ?? 'true']) },
      metrics: {
        ...metricsOf(tally, changeFiles, table.deps.clock.now() - startedAtMs),
        ...(tally.rowsTaken === undefined ? {} : { numDeletedRows: tally.rowsTaken }),
      },
      keepsRowIds: rowTracking ? true : undefined,
    })
    .commit({ signal: request.signal })
  return outcome.kind === 'committed' ? { ...result, version: outcome.version, attempts: outcome.attempts } : outcome
}
