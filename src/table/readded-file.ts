import type { AddFile } from '../protocol/actions.js'
import type { SnapshotFile } from './snapshot.js'

/** What puts a file of some version into a table, its deletion vector and row ids with it. */
export function readdedFile(file: SnapshotFile): AddFile {
  const { path, partitionValues, sizeBytes, modifiedAtMs, stats, tags, deletionVector } = file
  const { baseRowId, defaultRowCommitVersion, clusteringProvider } = file
  return {
    path,
    partitionValues,
    size: sizeBytes,
    modificationTime: modifiedAtMs,
    dataChange: true,
    ...(stats === undefined ? {} : { stats }),
    ...(tags === undefined ? {} : { tags }),
    ...(deletionVector === undefined ? {} : { deletionVector }),
    ...(baseRowId === undefined ? {} : { baseRowId }),
    ...(defaultRowCommitVersion === undefined ? {} : { defaultRowCommitVersion }),
    ...(clusteringProvider === undefined ? {} : { clusteringProvider }),
  }
}
