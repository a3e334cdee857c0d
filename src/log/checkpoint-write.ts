import { isDeltaError } from '../base/errors.js'
import { literal } from '../engine/sql-text.js'
import { formatLogPath, LAST_CHECKPOINT_PATH, LOG_FOLDER } from '../protocol/log-path.js'
import { parseInterval, tableProperties } from '../protocol/properties.js'
import { CHECKPOINT_HEAD } from './checkpoint-read.js'
import { FilesRelation } from './files-relation.js'
import { readCheckpointHint } from './last-checkpoint.js'
import { type LogDependencies, TableLog } from './table-log.js'

export interface WrittenCheckpoint {
  readonly version: number
  /** Actions in it. */
  readonly size: number
  readonly sizeInBytes: number
}

/**
 * Writes the classic checkpoint of a loaded version and points `_last_checkpoint` to it, unless that already points to
 * a later one. Rows go from the files relation to Parquet inside the engine.
 *
 * Tombstones are kept for the table's `delta.deletedFileRetentionDuration` before `nowMs`, and producers for its
 * `delta.setTransactionRetentionDuration`, where it has one.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#checkpoints
 */
export async function writeCheckpoint(
  deps: LogDependencies,
  log: TableLog,
  version: number,
  nowMs: number,
): Promise<WrittenCheckpoint> {
  if (log.version !== version) {
    // The log has gone on, and of producers and domains it knows the newest only.
    const then = await TableLog.load(deps, version)
    try {
      return await writeCheckpoint(deps, then, version, nowMs)
    } finally {
      await then.close()
    }
  }
  const file = deps.spool.file('parquet')
  try {
    const { protocol, metadata } = log.stateAt(version)
    const { name: files } = await log.files()
    const tombstonesAfter = nowMs - tableProperties(metadata.configuration).deletedFileRetentionMs
    const txnsAfter =
      nowMs - (parseInterval(metadata.configuration['delta.setTransactionRetentionDuration']) ?? Number.POSITIVE_INFINITY)
    const txns = [...log.transactions()].filter(({ lastUpdated }) => (lastUpdated ?? nowMs) > txnsAfter)
    const rows = [
      one('protocol', CHECKPOINT_HEAD.protocol, protocol),
      one('metaData', CHECKPOINT_HEAD.metaData, metadata),
      many('txn', CHECKPOINT_HEAD.txn, txns),
      many('domainMetadata', CHECKPOINT_HEAD.domainMetadata, [...log.domainMetadata()]),
      `SELECT ${ADD} AS add FROM ${files} WHERE ${FilesRelation.liveAt(version)}`,
      `SELECT ${REMOVE} AS remove FROM ${files} WHERE removed_at <= ${version} AND "deletionTimestamp" > ${tombstonesAfter} ` +
        `AND (file, dv_id IS NULL, coalesce(dv_id, '')) NOT IN (SELECT (file, dv_id IS NULL, coalesce(dv_id, '')) FROM ${files} ` +
        `WHERE ${FilesRelation.liveAt(version)}) QUALIFY row_number() OVER (PARTITION BY file, dv_id ORDER BY removed_at DESC, rowid DESC) = 1`,
    ]
    const [copied] = await deps.database.rows<{ count: bigint; file_size_bytes: bigint }>(
      `COPY (${rows.join(' UNION ALL BY NAME ')}) TO ${literal(file)} (FORMAT parquet, COMPRESSION snappy, RETURN_STATS)`,
    )
    await deps.store.putFile(`${LOG_FOLDER}/${formatLogPath({ kind: 'checkpoint', version })}`, file)
    const written = { version, size: Number(copied?.count ?? 0), sizeInBytes: Number(copied?.file_size_bytes ?? 0) }
    const pointed = await readCheckpointHint(deps.store)
    if (pointed === undefined || pointed < version)
      await deps.store.put(LAST_CHECKPOINT_PATH, Buffer.from(JSON.stringify(written)))
    return written
  } finally {
    await deps.spool.remove(file)
  }
}

/** Writes a checkpoint where it is due, and reports a failure as an event: the commit stands either way. */
export async function checkpointIfDue(
  deps: LogDependencies,
  log: TableLog,
  version: number,
  nowMs: number,
  elapsed: () => number,
): Promise<void> {
  const { metadata } = log.stateAt(version)
  if (version === 0 || version % tableProperties(metadata.configuration).checkpointInterval !== 0) return
  try {
    await writeCheckpoint(deps, log, version, nowMs)
    deps.events({ type: 'checkpointed', table: deps.store.uri, version, elapsedMs: elapsed() })
  } catch (error) {
    if (!isDeltaError(error)) throw error
    deps.events({ type: 'degraded', table: deps.store.uri, what: `write the checkpoint of version ${version}`, error })
  }
}

const SHARED =
  '"deletionVector" := "deletionVector", "baseRowId" := "baseRowId", "defaultRowCommitVersion" := "defaultRowCommitVersion"'
const ADD =
  'struct_pack("path" := "path", "partitionValues" := coalesce("partitionValues", MAP {}), "size" := "size", ' +
  '"modificationTime" := coalesce("modificationTime", 0), "dataChange" := false, "stats" := "stats", "tags" := "tags", ' +
  `${SHARED}, "clusteringProvider" := "clusteringProvider")`
const REMOVE =
  'struct_pack("path" := "path", "deletionTimestamp" := "deletionTimestamp", "dataChange" := false, ' +
  `"extendedFileMetadata" := "extendedFileMetadata", "partitionValues" := "partitionValues", "size" := "size", ${SHARED})`

function one(kind: string, type: string, action: unknown): string {
  return many(kind, type, [action])
}

function many(kind: string, type: string, actions: readonly unknown[]): string {
  const structure = literal(JSON.stringify(`${type}[]`))
  return `SELECT unnest(json_transform(${literal(JSON.stringify(actions))}::JSON, ${structure})) AS "${kind}"`
}
