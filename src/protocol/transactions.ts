import type { SetTransaction } from './actions.js'
import type { TableProperties } from './properties.js'

/** Begins the name of a producer that sends one batch and never another: what an idempotency key becomes. */
export const IDEMPOTENCY_KEY_PREFIX = 'key:'

/** Longer than any client repeats a request. */
const KEY_RETENTION_MS = 7 * 86_400_000

/**
 * How long a table remembers a producer after its last batch, in milliseconds: for its `delta.setTransactionRetentionDuration`,
 * or else for good. Keys are remembered for 7 days then: each is a name of its own, of which there would be no end.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers
 */
export function transactionRetentionMs(
  { appId }: Pick<SetTransaction, 'appId'>,
  { setTransactionRetentionMs }: Pick<TableProperties, 'setTransactionRetentionMs'>,
): number {
  return setTransactionRetentionMs ?? (appId.startsWith(IDEMPOTENCY_KEY_PREFIX) ? KEY_RETENTION_MS : Number.POSITIVE_INFINITY)
}

/** Whether a table still remembers a producer. One without a time is not forgotten. */
export function isRemembered(
  txn: SetTransaction,
  properties: Pick<TableProperties, 'setTransactionRetentionMs'>,
  nowMs: number,
): boolean {
  return (txn.lastUpdated ?? nowMs) > nowMs - transactionRetentionMs(txn, properties)
}
