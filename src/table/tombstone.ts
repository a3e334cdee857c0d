import type { RemoveFile } from '../protocol/actions.js'
import type { SnapshotFile } from './snapshot.js'

/** What takes a live file out of the table: it names the logical file, so its deletion vector is a part of it. */
export function tombstoneOf(file: SnapshotFile, deletedAtMs: number, dataChange: boolean): RemoveFile {
  const { path, partitionValues, sizeBytes, tags, deletionVector, baseRowId, defaultRowCommitVersion } = file
  return {
    path,
    deletionTimestamp: deletedAtMs,
    dataChange,
    extendedFileMetadata: true,
    partitionValues,
    size: sizeBytes,
    tags,
    deletionVector,
    baseRowId,
    defaultRowCommitVersion,
  }
}
