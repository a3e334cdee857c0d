import { ident } from '../engine/sql-text.js'
import { logFilePath } from '../protocol/log-path.js'
import { tableProperties } from '../protocol/properties.js'
import { supportedFeatures } from '../protocol/table-features.js'
import { FilesRelation } from './files-relation.js'
import type { LogDependencies, TableLog } from './table-log.js'

/**
 * Writes the version checksum of the newest loaded version, unless there is one: readers take protocol, metadata and totals
 * from it, and check their replay against it. Does nothing when the log has gone on.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#version-checksum-file
 */
export async function writeChecksum(deps: LogDependencies, log: TableLog, version: number): Promise<void> {
  if (log.version !== version) return
  const { protocol, metadata } = log.stateAt(version)
  const txns = [...log.transactions()].map(({ appId, version, lastUpdated }) => ({ appId, version, lastUpdated }))
  const domainMetadata = [...log.domainMetadata()]
  const info = log.newestCommit?.commitInfo
  const { name } = await log.files()
  const [totals] = await deps.database.rows<{ files: bigint; bytes: bigint; vectors: bigint; deleted: bigint }>(
    'SELECT count(*) AS files, coalesce(sum("size"), 0)::BIGINT AS bytes, count(dv_id) AS vectors, ' +
      `coalesce(sum("deletionVector".cardinality), 0)::BIGINT AS deleted FROM ${ident(name)} WHERE ${FilesRelation.liveAt(version)}`,
  )
  const vectors = supportedFeatures(protocol).includes('deletionVectors')
    ? { numDeletedRecordsOpt: Number(totals?.deleted ?? 0), numDeletionVectorsOpt: Number(totals?.vectors ?? 0) }
    : {}
  const checksum = {
    txnId: info?.txnId,
    tableSizeBytes: Number(totals?.bytes ?? 0),
    numFiles: Number(totals?.files ?? 0),
    ...vectors,
    numMetadata: 1,
    numProtocol: 1,
    inCommitTimestampOpt: info?.inCommitTimestamp,
    // Producers that have been silent for long are of the state for some readers, and not for others.
    setTransactions: tableProperties(metadata.configuration).setTransactionRetentionMs === undefined ? txns : undefined,
    domainMetadata,
    metadata,
    protocol,
  }
  await deps.store.putIfAbsent(logFilePath({ kind: 'checksum', version }), Buffer.from(JSON.stringify(checksum)))
}
