import type { Clock } from '../../base/clock.js'
import { DeltaError, isDeltaError } from '../../base/errors.js'
import type { Spool } from '../../engine/spool.js'
import { type Compression, type InputFormat, type InputKind, inputKind } from '../formats.js'
import type { IngestResult } from '../group-read.js'
import { isPassing, type RowSink, type SourceBatch, type SourcePlace } from '../row-sink.js'
import { appIdOf, FILE_PREFIX, type FileId, OBJECT_PREFIX, START_BYTES } from './file-id.js'
import { FolderPlace } from './folder-place.js'
import type { FollowedFiles, FoundFile } from './found-file.js'
import { KnownFiles, recognise } from './known-files.js'
import { headerEnd, nextLines } from './next-lines.js'
import { nameBeforeRotation } from './rotated-name.js'
import { openText, spoolFile, type Text } from './text.js'

export interface FollowSettings {
  readonly format?: InputFormat | undefined
  readonly compression?: Compression | undefined
  /** A commit takes at most this many lines of a file. */
  readonly batchRows: number
  /** Lines that come in slowly are gathered this long. */
  readonly batchMs: number
  /** How often files are looked at. */
  readonly pollMs: number
  /** End when all that is there has been taken. */
  readonly once: boolean
  /** Ends it: what is being taken still is. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((totals: FollowTotals) => void) | undefined
  /** Told of what is waited out. */
  readonly onRetry?: ((error: unknown) => void) | undefined
}

export interface FollowTotals {
  readonly rows: number
  readonly rejected: number
  readonly bytes: number
  /** Files of which something was taken. */
  readonly files: number
  /** The version from which on all of it is visible; absent when nothing was taken. */
  readonly version: number | undefined
}

/** A file and how far it has been taken. */
interface Source {
  readonly kind: InputKind
  /** Absent until its first rows are taken. */
  id: FileId | undefined
  appId: string | undefined
  place: SourcePlace
}

interface Offer {
  readonly source: Source
  readonly id: FileId | undefined
  readonly batch: SourceBatch
  readonly isFull: boolean
  readonly bytes: number
  readonly release: () => Promise<void>
}

const COMMIT_BYTES = 32 * 1024 * 1024
const HEADER_BYTES_MAX = 1024 * 1024
const BACKOFF_MS = [100, 1000, 5000, 15_000] as const
const NONE: SourcePlace = { version: -1 }

/**
 * Takes the lines of files as they are written, and each file of a folder once, until it is told to stop.
 *
 * A file's place in the table is the number of its bytes that have been taken. It is in the same commit as the rows, so
 * whatever is broken off goes on there.
 *
 * @throws {DeltaError} `ROWS_INVALID` and `SCHEMA_MISMATCH` as an ingest does, naming the file. Storage that does not answer and
 * races that are lost are waited out.
 */
export async function follow(
  files: FollowedFiles,
  sink: RowSink,
  deps: { readonly clock: Clock; readonly spool: Spool },
  settings: FollowSettings,
): Promise<FollowTotals> {
  const follower = new Follower(files, sink, deps, settings)
  let failures = 0
  for (;;) {
    try {
      const didTake = await follower.round()
      failures = 0
      if (settings.signal?.aborted || (settings.once && !didTake)) return follower.totals
      if (!didTake) await deps.clock.sleep(settings.pollMs, settings.signal)
    } catch (error) {
      if (settings.signal?.aborted) return follower.totals
      if (!isPassing(error)) throw error
      settings.onRetry?.(error)
      follower.forget()
      await deps.clock.sleep(BACKOFF_MS[Math.min(failures++, BACKOFF_MS.length - 1)] ?? 0, settings.signal).catch(() => undefined)
    }
  }
}

class Follower {
  totals: FollowTotals = { rows: 0, rejected: 0, bytes: 0, files: 0, version: undefined }
  private readonly files: FollowedFiles
  private readonly sink: RowSink
  private readonly deps: { readonly clock: Clock; readonly spool: Spool }
  private readonly settings: FollowSettings
  private readonly folder: FolderPlace
  private readonly taken = new Set<string>()
  /** Files that were rotated away before they were followed. */
  private readonly passedOver = new Set<string>()
  /** How each file looked when there was nothing more in it to take. */
  private readonly quiet = new Map<string, string>()
  /** Keys of deleted files, which other files may have got. */
  private readonly reborn = new Set<string>()
  private readonly sources = new Map<string, Source>()
  private places: Map<string, SourcePlace> | undefined
  private known = new KnownFiles(new Map())
  private isFirstLook = true
  private tookAtMs = Number.NEGATIVE_INFINITY

  constructor(
    files: FollowedFiles,
    sink: RowSink,
    deps: { readonly clock: Clock; readonly spool: Spool },
    settings: FollowSettings,
  ) {
    this.files = files
    this.sink = sink
    this.deps = deps
    this.settings = settings
    this.folder = new FolderPlace(files)
  }

  /** What is known of places may be wrong: the table is asked again. */
  forget(): void {
    this.places = undefined
    this.sources.clear()
    this.quiet.clear()
  }

  /** Takes what is there, up to a commit's worth. Answers whether there was something. */
  async round(): Promise<boolean> {
    if (!this.places) await this.load()
    const found = [...(await this.files.look(this.deps.clock.now()))].sort(inOrder)
    this.letGo(found)
    const offers: Offer[] = []
    let unfinishedMs = Number.POSITIVE_INFINITY
    try {
      let bytes = 0
      for (const file of found) {
        const offer = bytes < COMMIT_BYTES ? await this.offer(file, found) : undefined
        if (offer) offers.push(offer)
        bytes += offer?.bytes ?? 0
        if (!this.quiet.has(file.key)) unfinishedMs = Math.min(unfinishedMs, file.changedAtMs)
      }
      if (bytes < COMMIT_BYTES) this.isFirstLook = false
      const nowMs = this.deps.clock.now()
      const isFull = this.settings.once || bytes >= COMMIT_BYTES || offers.some((offer) => offer.isFull)
      const folderBatch = this.folder.batch(Math.min(unfinishedMs, nowMs))
      if (offers.length === 0) {
        if (folderBatch && this.folder.isStale(folderBatch)) await this.take([], folderBatch)
        return false
      }
      if (!isFull && nowMs - this.tookAtMs < this.settings.batchMs) return false
      await this.take(offers, folderBatch)
      return true
    } finally {
      for (const { release } of offers) await release()
    }
  }

  private async load(): Promise<void> {
    this.places = await this.sink.places(FILE_PREFIX, OBJECT_PREFIX, this.folder.appId)
    this.known = new KnownFiles(this.places)
    this.folder.load(this.places)
  }

  private letGo(found: readonly FoundFile[]): void {
    const keys = new Set(found.map(({ key }) => key))
    for (const key of this.sources.keys()) if (!keys.has(key)) this.sources.delete(key)
    for (const key of this.quiet.keys()) if (!keys.has(key)) this.quiet.delete(key)
  }

  private async take(offers: readonly Offer[], folderBatch: SourceBatch | undefined): Promise<void> {
    const taking = [...offers.map(({ batch }) => batch), ...(folderBatch ? [folderBatch] : [])].map((batch) =>
      this.sink.take(batch),
    )
    const outcomes = await Promise.allSettled(taking)
    this.tookAtMs = this.deps.clock.now()
    const failures: { readonly reason: unknown; readonly name: string }[] = []
    for (const [at, outcome] of outcomes.entries()) {
      const offer = offers[at]
      if (outcome.status === 'rejected') failures.push({ reason: outcome.reason, name: offer?.batch.name ?? '' })
      else if (offer) this.settle(offer, outcome.value)
      else this.folder.settle(folderBatch as SourceBatch)
    }
    if (this.totals.version !== undefined) this.settings.onProgress?.(this.totals)
    // What has no remedy but the user's goes first.
    const failure = failures.find(({ reason }) => !isPassing(reason)) ?? failures[0]
    if (failure) throw named(failure.reason, failure.name)
  }

  private settle({ source, batch, id, bytes }: Offer, { version, rows, rejected, replayed }: IngestResult): void {
    const place = { ...source.place, version: batch.version }
    if (id && !source.id) this.known.add(id)
    Object.assign(source, { id, appId: batch.appId, place })
    this.places?.set(batch.appId, place)
    // Another of this process took the same lines at the same time.
    if (replayed) return
    this.taken.add(batch.appId)
    const { totals } = this
    this.totals = {
      rows: totals.rows + rows,
      rejected: totals.rejected + rejected,
      bytes: totals.bytes + bytes,
      files: this.taken.size,
      version: Math.max(version, totals.version ?? 0),
    }
  }

  /** What of a file can be taken now. */
  private async offer(file: FoundFile, found: readonly FoundFile[]): Promise<Offer | undefined> {
    const looks = `${file.sizeBytes} ${file.changedAtMs} ${file.mayGrow}`
    if (this.quiet.get(file.key) === looks) {
      if (await this.files.finish(file)) this.reborn.add(file.key)
      return undefined
    }
    this.quiet.delete(file.key)
    const held = this.sources.get(file.key)
    const kind = held?.kind ?? this.kindOf(file)
    if (!kind || file.sizeBytes === 0 || this.passedOver.has(file.key)) {
      // Whoever it was, it begins anew.
      this.sources.delete(file.key)
      this.quiet.set(file.key, looks)
      return undefined
    }
    const isText = kind.format !== 'parquet'
    const text = await openText(this.files, file, isText ? kind.compression : 'none', this.deps.spool)
    const source = text && (await this.sourceOf(file, kind, text, found))
    const offer =
      text && typeof source === 'object'
        ? await (isText ? this.lines(file, source, text) : this.wholeFile(file, source))
        : undefined
    if (offer) return { ...offer, release: async () => void (await Promise.all([text?.release(), offer.release()])) }
    await text?.release()
    // A copy becomes the file itself when that is cut.
    if (source !== 'copy') this.quiet.set(file.key, looks)
    return undefined
  }

  /** Who a file is, and how far it has been taken. */
  private async sourceOf(
    file: FoundFile,
    kind: InputKind,
    text: Text,
    found: readonly FoundFile[],
  ): Promise<Source | 'copy' | undefined> {
    const held = this.sources.get(file.key)
    const fresh: Source = { kind, id: undefined, appId: file.appId, place: NONE }
    if (file.appId !== undefined) {
      const place = this.places?.get(file.appId)
      if (!place && this.folder.isBefore(file)) return undefined
      return this.hold(file, held ?? { ...fresh, place: place ?? NONE })
    }
    const start = await text.read(0, START_BYTES)
    if (!start || start.length === 0) return undefined
    const before = nameBeforeRotation(file.path)
    const isRotated = before !== undefined && found.some(({ path, mayGrow }) => path === before && mayGrow)
    const alike = this.known.alike(start).filter(({ id }) => !(id.inode === file.key && this.reborn.has(file.key)))
    const isThere = (id: FileId) => this.sources.get(id.inode)?.appId === appIdOf(id)
    const who = recognise(file.key, text.sizeBytes, alike, isRotated, isThere)
    if (who.kind === 'copy') return 'copy'
    if (who.kind === 'known')
      return this.hold(file, { kind, id: who.file.id, appId: appIdOf(who.file.id), place: who.file.place })
    if (held || !(this.wasRotatedBefore(file, found) || this.folder.isBefore(file))) return this.hold(file, fresh)
    this.passedOver.add(file.key)
    return undefined
  }

  private hold(file: FoundFile, source: Source): Source {
    this.sources.set(file.key, source)
    return source
  }

  /** Of a single file, what was rotated away earlier than what the table knows of it is not followed. */
  private wasRotatedBefore(file: FoundFile, found: readonly FoundFile[]): boolean {
    const { only } = this.files
    if (only === undefined || file.path === only || !this.isFirstLook) return false
    const known = found.filter(({ key }) => this.sources.get(key)?.appId !== undefined)
    return known.length === 0 || file.writtenAtMs < Math.max(...known.map(({ writtenAtMs }) => writtenAtMs))
  }

  private async lines(file: FoundFile, source: Source, text: Text): Promise<Offer | undefined> {
    const from = Math.max(source.place.version, 0)
    const { format } = source.kind
    const { rejectsVersion = Number.MAX_SAFE_INTEGER } = source.place
    const next = await nextLines(text, from, format, {
      bytes: COMMIT_BYTES,
      lines: this.settings.batchRows + (format === 'csv' && from === 0 ? 1 : 0),
      endExclusive: rejectsVersion > from ? rejectsVersion : Number.MAX_SAFE_INTEGER,
    })
    if (!next) return undefined
    const chunks = [next.bytes]
    if (format === 'csv') {
      const start = from === 0 ? next.bytes : await text.read(0, HEADER_BYTES_MAX)
      const end = start && headerEnd(start)
      // A header is no row.
      if (!start || end === undefined || (from === 0 && end >= next.bytes.length)) return undefined
      if (from > 0) chunks.unshift(start.subarray(0, end))
    }
    const id = source.id ?? (file.appId === undefined ? this.known.newId(file, next.bytes) : undefined)
    return {
      source,
      id,
      batch: {
        appId: source.appId ?? appIdOf(id as FileId),
        after: source.place.version,
        version: next.endExclusive,
        format,
        body: { kind: 'bytes', chunks, sizeBytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0) },
        name: from === 0 ? file.path : `${file.path} from byte ${from}`,
      },
      isFull: next.isFull,
      bytes: next.bytes.length,
      release: async () => undefined,
    }
  }

  /** A file that is read at once, when it is whole. */
  private async wholeFile(file: FoundFile, source: Source): Promise<Offer | undefined> {
    if (source.place.version === file.sizeBytes || !(await isWholeParquet(this.files, file))) return undefined
    const body = await spoolFile(this.files, file, this.deps.spool)
    const start = (await this.files.read(file, 0, START_BYTES)) ?? new Uint8Array()
    // One that was written anew in its place is another.
    const isNew = source.appId === undefined || source.place.version >= 0
    const id = file.appId !== undefined || !isNew ? source.id : this.known.newId(file, start)
    return {
      source,
      id,
      batch: {
        appId: file.appId ?? appIdOf(id as FileId),
        after: -1,
        version: file.sizeBytes,
        format: source.kind.format,
        body,
        name: file.path,
      },
      isFull: true,
      bytes: file.sizeBytes,
      release: async () => (body.kind === 'file' ? this.deps.spool.remove(body.path) : undefined),
    }
  }

  /** What a file holds, by its name before it was rotated; `undefined` for one of a folder whose name does not tell. */
  private kindOf(file: FoundFile): InputKind | undefined {
    const { format, compression } = this.settings
    const said = { ...(format ? { format } : {}), ...(compression ? { compression } : {}) }
    const isCompressed = /\.(?:gz|gzip|br|zst|zstd)$/i.exec(file.path)?.[0] ?? ''
    const name = `${nameBeforeRotation(file.path) ?? file.path.slice(0, file.path.length - isCompressed.length)}${isCompressed}`
    try {
      const kind = inputKind(name, said)
      if (kind.format === 'json' || kind.format === 'arrow')
        throw new DeltaError(
          'ARGUMENT_INVALID',
          'files of this format are not followed',
          { file: file.path, format: kind.format },
          { hint: 'ingest them by name' },
        )
      return kind
    } catch (error) {
      if (this.files.only === undefined && format === undefined && isDeltaError(error)) return undefined
      throw error
    }
  }
}

/** The oldest first. Files go before those that they were rotated into: who is still there himself is known before his copies are looked at. */
function inOrder(a: FoundFile, b: FoundFile): number {
  return rank(a) - rank(b) || a.writtenAtMs - b.writtenAtMs || (a.path < b.path ? -1 : 1)
}

function rank({ path }: FoundFile): number {
  return nameBeforeRotation(path) === undefined ? 0 : 1
}

const PARQUET_MARK = 'PAR1'

/** A Parquet file ends as it begins, and does so when it is written whole. */
async function isWholeParquet(files: FollowedFiles, file: FoundFile): Promise<boolean> {
  const mark = PARQUET_MARK.length
  const [start, end] = [await files.read(file, 0, mark), await files.read(file, file.sizeBytes - mark, file.sizeBytes)]
  const isMark = (bytes: Uint8Array | undefined) => bytes !== undefined && Buffer.from(bytes).toString('latin1') === PARQUET_MARK
  const isWhole = file.sizeBytes > 2 * mark && isMark(start) && isMark(end)
  if (!isWhole && !file.mayGrow) throw new DeltaError('ROWS_INVALID', 'the file is not Parquet', { file: file.path })
  return isWhole
}

function named(error: unknown, file: string): unknown {
  if (!isDeltaError(error, 'invalid')) return error
  return new DeltaError(error.code, `${file}: ${error.message}`, error.details, { hint: error.hint, cause: error })
}
