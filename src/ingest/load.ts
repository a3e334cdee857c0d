import { DeltaError } from '../base/errors.js'
import type { AddFile } from '../protocol/actions.js'
import type { DeltaTable } from '../table/delta-table.js'
import { stageFiles } from '../table/stage.js'
import { type BatchId, findFirstResult } from './batches.js'
import { REJECTS_SHOWN, rowsInvalid } from './group-commit.js'
import { type Input, readerFor } from './input.js'
import { type RejectedLine, stageRows } from './staging.js'

export interface LoadOptions {
  readonly onError: 'fail' | 'reject'
  /** Commit every this many lines, instead of once. */
  readonly batchRows?: number | undefined
  /** The first commit's batch; later ones count on from its version. */
  readonly batch?: BatchId | undefined
  readonly keepRejects: (rejects: readonly RejectedLine[], batch: BatchId | undefined) => Promise<void>
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((rowsDone: number, rowsTotal: number) => void) | undefined
}

export interface LoadResult {
  readonly version: number
  readonly commits: number
  readonly rowsAdded: number
  readonly rowsRejected: number
  readonly rejects: readonly RejectedLine[]
  readonly filesAdded: number
  readonly bytesAdded: number
  readonly attempts: number
  readonly replayed: boolean
}

/**
 * Appends the rows of an input, in one commit or in several of `batchRows` lines each.
 *
 * Every line is read and checked before the first commit, so that an input which fails takes nothing. With a batch id
 * each commit happens once: a repeat of a load that broke off goes on where it stopped.
 */
export async function loadInput(table: DeltaTable, input: Input, options: LoadOptions): Promise<LoadResult> {
  const { snapshot } = await table.transaction(undefined, { signal: options.signal })
  const { fields } = snapshot.schema
  const session = await table.deps.engineFor(input.sizeBytes).session()
  try {
    const reader = readerFor(input, fields)
    const staged = await stageRows(session, reader, fields, input.format, options.signal)
    if (staged.rejects.length > 0 && options.onError === 'fail') throw rowsInvalid(staged.rejects)
    const total = Math.max(staged.lines, 1)
    const step = options.batchRows ?? Number.MAX_SAFE_INTEGER
    if (!(step >= 1)) throw new DeltaError('ARGUMENT_INVALID', 'a batch has at least one row', { batchRows: step })
    let result: LoadResult = {
      version: snapshot.version,
      commits: 0,
      rowsAdded: 0,
      rowsRejected: staged.rejects.length,
      rejects: staged.rejects.slice(0, REJECTS_SHOWN),
      filesAdded: 0,
      bytesAdded: 0,
      attempts: 0,
      replayed: options.batch !== undefined,
    }
    let keptRejects = false
    for (let start = 0, index = 0; start < total; start += step, index++) {
      options.signal?.throwIfAborted()
      const batch = options.batch && { appId: options.batch.appId, version: options.batch.version + index }
      const first = batch && (await findFirstResult(table, batch))
      if (first) {
        result = { ...result, version: Math.max(result.version, first.committedAt), rowsAdded: result.rowsAdded + first.rows }
      } else {
        if (!keptRejects && staged.rejects.length > 0) await options.keepRejects(staged.rejects, batch)
        keptRejects = true
        const range = {
          start: start + reader.firstLine,
          endExclusive: Math.min(start + step, Number.MAX_SAFE_INTEGER - 1) + reader.firstLine,
        }
        const files = await stageFiles(table.deps, session, staged.selectRange(range), snapshot, { signal: options.signal })
        const rejected = staged.rejects.filter(({ line }) => line >= range.start && line < range.endExclusive).length
        const committed =
          files.rows > 0 || batch
            ? await commitRows(table, files.adds, files.rows, batch && { ...batch, rejected }, options.signal)
            : undefined
        result = {
          ...result,
          version: committed?.version ?? result.version,
          commits: result.commits + (committed ? 1 : 0),
          rowsAdded: result.rowsAdded + files.rows,
          filesAdded: result.filesAdded + files.adds.length,
          bytesAdded: result.bytesAdded + files.bytes,
          attempts: result.attempts + (committed?.attempts ?? 0),
          replayed: false,
        }
      }
      options.onProgress?.(Math.min(start + step, staged.lines), staged.lines)
    }
    return result
  } finally {
    session.close()
  }
}

/**
 * Commits staged files as an append.
 *
 * @throws {DeltaError} `COMMIT_CONFLICT` when the table's schema changed since they were staged, or the batch came in
 * by another way meanwhile.
 */
export async function commitRows(
  table: DeltaTable,
  adds: readonly AddFile[],
  rows: number,
  batch: (BatchId & { readonly rejected: number }) | undefined,
  signal?: AbortSignal,
): Promise<{ readonly version: number; readonly attempts: number }> {
  const transaction = await table.transaction(await table.knownSnapshot(), { signal })
  const { partitionColumns } = transaction.snapshot
  if (batch) transaction.setTransaction({ appId: batch.appId, version: batch.version, rows, rejected: batch.rejected })
  const outcome = await transaction
    .add(adds)
    .describe({
      name: 'WRITE',
      parameters: { mode: 'Append', partitionBy: JSON.stringify(partitionColumns) },
      metrics: { numFiles: adds.length, numOutputRows: rows, numOutputBytes: adds.reduce((sum, file) => sum + file.size, 0) },
    })
    .commit({ signal })
  if (outcome.kind === 'committed') return outcome
  const { reason, version } = outcome.conflict
  throw new DeltaError(
    'COMMIT_CONFLICT',
    'the table changed while rows were written',
    { reason, version },
    { hint: 'run it again' },
  )
}
