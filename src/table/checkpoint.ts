import { type WrittenCheckpoint, writeCheckpoint } from '../log/checkpoint-write.js'
import { cleanUpLog } from '../log/log-cleanup.js'
import { checkWritable } from '../protocol/features.js'
import type { StoreOptions } from '../storage/store.js'
import type { DeltaTable } from './delta-table.js'

/**
 * Writes a checkpoint and a checksum of the newest version, whether one is due or not, and cleans up the log as the
 * table's properties allow.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a table that is not written to; as the store does.
 */
export async function checkpoint(table: DeltaTable, { signal }: StoreOptions = {}): Promise<WrittenCheckpoint> {
  const { deps } = table
  signal?.throwIfAborted()
  const log = await table.refresh()
  const head = log.head()
  checkWritable(head.protocol, head.metadata)
  signal?.throwIfAborted()
  const nowMs = deps.clock.now()
  const [written] = await Promise.all([writeCheckpoint(deps, log, nowMs, head), table.checksums.request(log, true)])
  await cleanUpLog(deps, log, nowMs)
  deps.events({ type: 'checkpointed', table: table.uri, version: written.version, elapsedMs: deps.clock.now() - nowMs })
  return written
}
