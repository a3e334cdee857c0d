import { appendFile } from 'node:fs/promises'
import { DeltaError } from '../base/errors.js'
import { TableLog } from '../log/table-log.js'
import type { AddFile, DeletionVectorDescriptor, DomainMetadata, Metadata } from '../protocol/actions.js'
import { deletionVectorPath, describeDeletionVector, locateDeletionVector } from '../protocol/deletion-vector.js'
import { canonicalFilePath, encodeFilePath, rootSpellings } from '../protocol/file-path.js'
import { canonicalProperties, checkNewProperties } from '../protocol/properties.js'
import { protocolFor, splitRequest } from '../protocol/protocol-for.js'
import type { ObjectStore } from '../storage/store.js'
import { commitInfoOf } from '../table/commit-info.js'
import { ROW_TRACKING_DOMAIN } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import { absolutePath, isOutside, placeOf } from '../table/file-place.js'
import { readdedFile } from '../table/readded-file.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'

export interface CloneRequest {
  /** Whether files are copied, instead of referred to where they are. */
  readonly isDeep: boolean
  /** As the history is to name the source. */
  readonly sourceName: string
  /** Properties beside those of the source, or in place of them. */
  readonly properties?: Readonly<Record<string, string>> | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((filesDone: number, filesTotal: number) => void) | undefined
}

export interface CloneResult {
  readonly files: number
  readonly bytes: number
  readonly filesCopied: number
  readonly bytesCopied: number
}

const COPY_BYTES = 64 * 2 ** 20

/** What the log of the source alone can mean. */
const NOT_CLONED: ReadonlySet<string> = new Set([
  'delta.inCommitTimestampEnablementVersion',
  'delta.inCommitTimestampEnablementTimestamp',
  'delta.requireCheckpointProtectionBeforeVersion',
])

/**
 * CLONE: makes a table of the files of another at one version, with its schema, protocol, properties and domains, and an id of its own.
 *
 * A shallow clone names the files of the source where they are, and never writes to them or deletes them; a vacuum of
 * the source can take them away from it. A deep clone has copies.
 *
 * @returns `undefined` when there is a table already.
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a shallow clone whose store does not lead to the files of the source.
 * `DATA_FILE_MISSING` for a file that is not there to be copied.
 */
export async function cloneTable(
  target: DeltaTable,
  source: DeltaTable,
  snapshot: Snapshot,
  request: CloneRequest,
): Promise<CloneResult | undefined> {
  const { signal } = request
  const { clock, random } = target.deps
  const metadata = metadataOf(snapshot, random.uuid(), clock.now(), request.properties ?? {})
  const { request: asked } = splitRequest(request.properties ?? {})
  const protocol = protocolFor(snapshot.schema, metadata.configuration, asked, snapshot.protocol)
  const domains = await domainsOf(source, snapshot)
  const { files } = await snapshot.files('TRUE', { signal })
  const copier = request.isDeep ? new Copier(target, source) : undefined
  const adds: AddFile[] = []
  for (const file of files) {
    adds.push(copier ? await copier.copy(file, signal) : referenceTo(target.deps.store, source.deps.store, file))
    request.onProgress?.(adds.length, files.length)
  }
  const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0)
  const copied = request.isDeep ? { files: files.length, bytes } : { files: 0, bytes: 0 }
  const operation = {
    name: 'CLONE',
    parameters: { source: request.sourceName, sourceVersion: snapshot.version, isShallow: !request.isDeep },
    metrics: {
      sourceTableSize: bytes,
      sourceNumOfFiles: files.length,
      numRemovedFiles: 0,
      removedFilesSize: 0,
      numCopiedFiles: copied.files,
      copiedFilesSize: copied.bytes,
    },
  }
  const { isolationLevel } = snapshot.properties
  const commitInfo = commitInfoOf(target.deps, operation, { readVersion: -1, isolationLevel, isBlindAppend: false })
  const actions = [{ commitInfo }, ...domains.map((domainMetadata) => ({ domainMetadata })), ...adds.map((add) => ({ add }))]
  if (!(await target.create(protocol, metadata, actions, { signal }))) return undefined
  return { files: files.length, bytes, filesCopied: copied.files, bytesCopied: copied.bytes }
}

function metadataOf(
  { metadata }: Snapshot,
  id: string,
  createdTime: number,
  properties: Readonly<Record<string, string>>,
): Metadata {
  const given = splitRequest(canonicalProperties(properties)).configuration
  checkNewProperties(given)
  const own = Object.entries(metadata.configuration).filter(([key]) => !NOT_CLONED.has(key))
  return { ...metadata, id, createdTime, configuration: { ...Object.fromEntries(own), ...given } }
}

/** The row ids given out follow from the files. */
async function domainsOf(source: DeltaTable, snapshot: Snapshot): Promise<readonly DomainMetadata[]> {
  const log = await TableLog.load(source.deps, snapshot.version)
  try {
    return [...log.domainMetadata()].filter(({ domain }) => domain !== ROW_TRACKING_DOMAIN)
  } finally {
    await log.close()
  }
}

function referenceTo(target: ObjectStore, source: ObjectStore, file: SnapshotFile): AddFile {
  const path = absolutePath(source, file.file)
  placeOf(target, canonicalFilePath(path, rootSpellings(target.uri)))
  return { ...readdedFile(file), path, deletionVector: absoluteVector(source, file.deletionVector) }
}

function absoluteVector(store: ObjectStore, vector: DeletionVectorDescriptor | undefined): DeletionVectorDescriptor | undefined {
  const place = vector ? locateDeletionVector(vector) : undefined
  if (!vector || place?.kind !== 'file') return vector
  const file = canonicalFilePath(place.path, rootSpellings(store.uri))
  return { ...vector, storageType: 'p', pathOrInlineDv: absolutePath(store, file), offset: place.offset }
}

/** Copies files under the names that they have; those from outside of the source get new ones. */
class Copier {
  private readonly target: DeltaTable
  private readonly source: DeltaTable
  /** Vectors share files; by canonical path, the descriptor that the copy has. */
  private readonly vectors = new Map<string, Pick<DeletionVectorDescriptor, 'storageType' | 'pathOrInlineDv'>>()

  constructor(target: DeltaTable, source: DeltaTable) {
    this.target = target
    this.source = source
  }

  async copy(file: SnapshotFile, signal: AbortSignal | undefined): Promise<AddFile> {
    const to = isOutside(file.file) ? `part-00000-${this.target.deps.random.uuid()}.c000.parquet` : file.file
    await this.copyBytes(file.file, to, signal)
    const deletionVector = file.deletionVector && (await this.copyVector(file.deletionVector, signal))
    return { ...readdedFile(file), path: encodeFilePath(to), deletionVector }
  }

  private async copyVector(vector: DeletionVectorDescriptor, signal: AbortSignal | undefined): Promise<DeletionVectorDescriptor> {
    const place = locateDeletionVector(vector)
    if (place.kind !== 'file') return vector
    const from = canonicalFilePath(place.path, rootSpellings(this.source.uri))
    let known = this.vectors.get(from)
    if (!known) {
      const uuid = this.target.deps.random.uuid()
      await this.copyBytes(from, deletionVectorPath('', uuid), signal)
      const { storageType, pathOrInlineDv } = describeDeletionVector(uuid, 1, 0, 0)
      known = { storageType, pathOrInlineDv }
      this.vectors.set(from, known)
    }
    return { ...vector, ...known, offset: place.offset }
  }

  private async copyBytes(from: string, to: string, signal: AbortSignal | undefined): Promise<void> {
    const { spool, store } = this.target.deps
    const place = placeOf(this.source.deps.store, from)
    const local = spool.file('copy')
    try {
      await spool.write(local, new Uint8Array())
      for (let start = 0; ; start += COPY_BYTES) {
        const bytes = await place.store.get(place.path, { signal, range: { start, endExclusive: start + COPY_BYTES } })
        if (!bytes) throw new DeltaError('DATA_FILE_MISSING', 'a file of the source is gone', { file: from })
        await appendFile(local, bytes)
        if (bytes.length < COPY_BYTES) break
      }
      await store.putFile(to, local, { signal })
    } finally {
      await spool.remove(local)
    }
  }
}
