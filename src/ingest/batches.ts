import { DeltaError } from '../base/errors.js'
import type { CommittedBatch } from '../protocol/actions.js'
import type { DeltaTable } from '../table/delta-table.js'

/** A producer's batch: what makes an append happen once. */
export interface BatchId {
  readonly appId: string
  readonly version: number
  /** The version that the producer's last batch in the table has to have, -1 where it must have none; any without this. */
  readonly after?: number | undefined
  /** `closely`: only after the batch before it; the first one is 0 or 1. */
  readonly follows?: 'closely' | undefined
}

/** What a batch became the first time. */
export interface FirstResult extends CommittedBatch {
  readonly committedAt: number
}

/** How far back a repeated batch is looked for. */
const COMMITS_BACK_MAX = 10_000

/**
 * The first result of a batch that is in the table already; `undefined` when it is new.
 *
 * The evidence is the table's own: `txn` says how far a producer has come, and the commit that took a batch names it.
 *
 * @throws {DeltaError} `SEQUENCE_OUT_OF_ORDER` for a batch that does not follow `after`, and for one older than the producer's last one that no commit names: its
 * rows were never acknowledged, and taking them now would move the producer back.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers
 */
export async function findFirstResult(table: DeltaTable, batch: BatchId): Promise<FirstResult | undefined> {
  const log = await table.known()
  const last = log.transaction(batch.appId)
  if (batch.after !== undefined) {
    if (batch.after === (last?.version ?? -1)) return undefined
    throw new DeltaError(
      'SEQUENCE_OUT_OF_ORDER',
      'the producer is at another place in the table than this batch begins at',
      { producer: batch.appId, after: batch.after, last: last?.version ?? -1 },
      { hint: 'go on from the place that the table tells' },
    )
  }
  if (!last || last.version < batch.version) return undefined
  const from = last.committedAt ?? log.firstVersion
  for (let version = from; version >= 0 && version > from - COMMITS_BACK_MAX; version--) {
    const commit = await table.commitIfKept(version)
    if (!commit) break
    const found = commit.commitInfo?.batches?.find((known) => known.appId === batch.appId && known.version === batch.version)
    if (found) return { ...found, committedAt: version }
    // Another engine's commit says how far the producer came, and no more.
    if (commit.txns.some((txn) => txn.appId === batch.appId && txn.version === batch.version))
      return {
        ...batch,
        rows: Number(commit.commitInfo?.operationMetrics?.['numOutputRows'] ?? 0),
        rejected: 0,
        committedAt: version,
      }
    // A producer only goes forward, so before an earlier batch of its own there is nothing to find.
    if (commit.txns.some((txn) => txn.appId === batch.appId && txn.version < batch.version)) break
  }
  if (last.version === batch.version) return { ...batch, rows: 0, rejected: 0, committedAt: from }
  throw new DeltaError(
    'SEQUENCE_OUT_OF_ORDER',
    'the producer has come further than this batch, and no commit holds it',
    { producer: batch.appId, sequence: batch.version, last: last.version },
    { hint: 'send batches of one producer in order, each after the answer to the one before; go on with the next sequence' },
  )
}
