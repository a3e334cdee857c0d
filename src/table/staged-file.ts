import type { AddFile } from '../protocol/actions.js'
import { decodeFilePath } from '../protocol/file-path.js'
import type { SnapshotFile } from './snapshot.js'

/** A staged file as one reads it once it is live. */
export function stagedAsLive(add: AddFile): SnapshotFile {
  const { path, size, partitionValues, modificationTime, stats, deletionVector, tags } = add
  const { numRecords } = JSON.parse(stats ?? '{}') as { numRecords?: number }
  return {
    path,
    file: decodeFilePath(path),
    sizeBytes: size,
    partitionValues,
    rows: numRecords === undefined ? undefined : numRecords - (deletionVector?.cardinality ?? 0),
    physicalRows: numRecords,
    modifiedAtMs: modificationTime,
    stats,
    deletionVector,
    tags,
    baseRowId: add.baseRowId,
    defaultRowCommitVersion: add.defaultRowCommitVersion,
    clusteringProvider: add.clusteringProvider,
  }
}
