import type { RangeCache } from '../engine/range-cache.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
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

  constructor(cache: RangeCache) {
    this.cache = cache
  }

  /**
   * @param columns top-level columns that will be read, in lower case; `undefined` for all.
   * @throws {DeltaError} `DATA_FILE_MISSING`, `DATA_FILE_DAMAGED`, `STORE_UNAVAILABLE`.
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
    const wanted = columns && [...columns]
    const held = await Promise.allSettled(
      files.map(async (file): Promise<ScanFile> => {
        const local = snapshot.localPath(file)
        if (local) return { localFile: local, partitionValues: file.partitionValues }
        const cached = await this.cache.open(store, file.file, file.sizeBytes, wanted, options)
        releases.push(() => cached.release())
        return { localFile: cached.path, partitionValues: file.partitionValues }
      }),
    )
    const failed = held.find((result) => result.status === 'rejected')
    if (failed) {
      release()
      throw failed.reason
    }
    return { files: held.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])), release }
  }
}
