import type { RangeCache } from '../engine/range-cache.js'
import { physicalColumns } from '../protocol/column-mapping.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
import type { DeletionVectors } from './deletion-vectors.js'
import type { ScanFile } from './scan-sql.js'
import type { Snapshot, SnapshotFile } from './snapshot.js'

/** Data files as files of this machine, for as long as they are held. */
export interface HeldFiles {
  readonly files: readonly ScanFile[]
  release(): void
}

/** Makes data files readable here: where they lie on disk, or through the range cache where they are remote. */
export class FileSource {
  private readonly cache: RangeCache
  private readonly vectors: DeletionVectors

  constructor(cache: RangeCache, vectors: DeletionVectors) {
    this.cache = cache
    this.vectors = vectors
  }

  /**
   * The files and their deleted rows.
   *
   * @param columns top-level columns that will be read, by logical name in lower case; `undefined` for all.
   * @throws {DeltaError} `DATA_FILE_MISSING`, `DATA_FILE_DAMAGED`, `DELETION_VECTOR_DAMAGED`, `STORE_UNAVAILABLE`.
   */
  async open(
    store: ObjectStore,
    files: readonly SnapshotFile[],
    snapshot: Snapshot,
    columns: ReadonlySet<string> | undefined,
    options: StoreOptions = {},
  ): Promise<HeldFiles> {
    const releases: (() => void)[] = []
    const release = () => {
      for (const give of releases.splice(0)) give()
    }
    const wanted = columns && physicalColumns(snapshot.schema, [...columns], snapshot.mapping)
    const withVectors = files.filter((file) => file.deletionVector !== undefined)
    const opening = this.vectors.open(
      store,
      withVectors.flatMap((file) => file.deletionVector ?? []),
      options,
    )
    const [deleted, ...held] = await Promise.allSettled([
      opening,
      ...files.map(async (file): Promise<string> => {
        const local = snapshot.localPath(file)
        if (local) return local
        const cached = await this.cache.open(store, file.file, file.sizeBytes, wanted, options)
        releases.push(() => cached.release())
        return cached.path
      }),
    ])
    if (deleted.status === 'fulfilled') for (const rows of deleted.value) releases.push(() => rows.release())
    const failed = [deleted, ...held].find((result) => result.status === 'rejected')
    if (failed) {
      release()
      throw failed.reason
    }
    const rows = new Map(deleted.status === 'fulfilled' ? withVectors.map((file, at) => [file, deleted.value[at]?.path]) : [])
    const found = held.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    return { files: files.map((file, at) => scanFile(file, found[at] ?? '', rows.get(file))), release }
  }
}

function scanFile(file: SnapshotFile, localFile: string, deletedRows: string | undefined): ScanFile {
  const { partitionValues, baseRowId, defaultRowCommitVersion } = file
  return { localFile, partitionValues, deletedRows, baseRowId, defaultRowCommitVersion }
}
