import type { RangeCache } from '../engine/range-cache.js'
import type { RowList } from '../engine/rows-parquet.js'
import type { DeletionVectorDescriptor } from '../protocol/actions.js'
import { physicalColumns } from '../protocol/column-mapping.js'
import type { StructField } from '../protocol/schema.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
import type { DeletionVectors } from './deletion-vectors.js'
import { placeOf } from './file-place.js'
import type { FooterFacts, Footers } from './footers.js'
import type { ScanFile } from './scan-sql.js'
import type { Snapshot, SnapshotFile } from './snapshot.js'

/** A data file to read. */
export type SourceFile = Pick<
  SnapshotFile,
  'file' | 'sizeBytes' | 'partitionValues' | 'deletionVector' | 'baseRowId' | 'defaultRowCommitVersion'
> & {
  readonly physicalRows?: number | undefined
  readonly stats?: string | undefined
  /** Lists the only rows to give. */
  readonly onlyVector?: DeletionVectorDescriptor | undefined
}

/** What reading asks of the version of a table. */
export interface SourceTable extends Pick<Snapshot, 'schema' | 'mapping'> {
  /** Columns that files need not have: constants of each. */
  readonly partitionColumns: readonly string[]
}

/** Data files as files of this machine, for as long as they are held. */
export interface HeldFiles {
  readonly files: readonly ScanFile[]
  /** How many were at hand already, though their store is remote. */
  readonly fromCache: number
  release(): void
}

/** Makes data files readable here: where they lie on disk, or through the range cache where they are remote. */
export class FileSource {
  private readonly cache: RangeCache
  private readonly vectors: DeletionVectors
  private readonly footers: Footers

  constructor(cache: RangeCache, vectors: DeletionVectors, footers: Footers) {
    this.cache = cache
    this.vectors = vectors
    this.footers = footers
  }

  /**
   * The files and their deleted rows.
   *
   * @param columns top-level columns that will be read, by logical name in lower case; `undefined` for all.
   * @throws {DeltaError} `DATA_FILE_MISSING`, `DATA_FILE_DAMAGED`, `DELETION_VECTOR_DAMAGED`, `STORE_UNAVAILABLE`.
   */
  async open(
    store: ObjectStore,
    files: readonly SourceFile[],
    snapshot: SourceTable,
    columns: ReadonlySet<string> | undefined,
    options: StoreOptions = {},
  ): Promise<HeldFiles> {
    const releases: (() => void)[] = []
    const release = () => {
      for (const give of releases.splice(0)) give()
    }
    const wanted = columns && physicalColumns(snapshot.schema, [...columns], snapshot.mapping)
    const vectors = files.flatMap(({ deletionVector, onlyVector }) => [deletionVector ?? [], onlyVector ?? []].flat())
    let fromCache = 0
    const opening = this.vectors.open(store, vectors, options)
    const [deleted, ...held] = await Promise.allSettled([
      opening,
      ...files.map(async (file): Promise<string> => {
        const place = placeOf(store, file.file)
        const local = place.store.localPath(place.path)
        if (local) return local
        const cached = await this.cache.open(place.store, place.path, file.sizeBytes, wanted, options)
        releases.push(() => cached.release())
        if (cached.isHit) fromCache++
        return cached.path
      }),
    ])
    if (deleted.status === 'fulfilled') for (const rows of deleted.value) releases.push(() => rows.release())
    const failed = [deleted, ...held].find((result) => result.status === 'rejected')
    if (failed) {
      release()
      throw failed.reason
    }
    const lists = new Map(deleted.status === 'fulfilled' ? vectors.map((vector, at) => [vector, deleted.value[at]]) : [])
    const found = held.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    try {
      const facts = await this.footers.facts(
        files.map(({ sizeBytes, stats }, at) => ({ localFile: found[at] ?? '', sizeBytes, stats })),
        readColumns(snapshot, columns),
        snapshot.mapping,
        options,
      )
      return { files: files.map((file, at) => scanFile(file, found[at] ?? '', lists, facts[at])), fromCache, release }
    } catch (error) {
      release()
      throw error
    }
  }
}

function scanFile(
  file: SourceFile,
  localFile: string,
  lists: ReadonlyMap<DeletionVectorDescriptor, RowList | undefined>,
  { stored, calendar }: FooterFacts = {},
): ScanFile {
  const { partitionValues, baseRowId, defaultRowCommitVersion, physicalRows, deletionVector, onlyVector } = file
  const deletedRows = deletionVector && lists.get(deletionVector)
  const onlyRows = onlyVector && lists.get(onlyVector)
  return {
    localFile,
    file: file.file,
    partitionValues,
    deletedRows,
    onlyRows,
    baseRowId,
    defaultRowCommitVersion,
    physicalRows,
    stored,
    calendar,
  }
}

function readColumns({ schema, partitionColumns }: SourceTable, columns: ReadonlySet<string> | undefined): StructField[] {
  return schema.fields.filter(
    ({ name }) => !partitionColumns.includes(name) && (columns === undefined || columns.has(name.toLowerCase())),
  )
}
