import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { diskError } from '../storage/disk-errors.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
import type { Database } from './database.js'
import { type RangeCacheMeter, RangeFetcher, type RemoteFile } from './range-cache-fetch.js'
import { closedError, SparseFile, type SparseFileContext } from './range-cache-file.js'

export interface RangeCacheOptions {
  /** The cache makes a fresh folder of its own in it, so nothing that an earlier process left is ever trusted. */
  readonly folder: string
  /** Fetched bytes to keep. Files that are held count and stay, so while many are held there may be more. */
  readonly maxBytes: number
  /**
   * Reads footers; its queries must be allowed to read below `folder`.
   *
   * It, and every other database that reads the files, needs `enable_external_file_cache` off: DuckDB reads page headers
   * by 256 bytes, past the end of a chunk into a hole, and that cache would answer with the hole's zeros after the next
   * column has come. Here it is turned off at the first open, which fails when the settings are locked with it on.
   */
  readonly database: Database
  /** Files up to this size are fetched whole, in one request. @defaultValue 1 MiB */
  readonly wholeFileMaxBytes?: number | undefined
  /**
   * Two needed pieces at most this far apart become one request, and what lies between them is fetched with them.
   * It trades bytes for requests: a request takes as long to begin as some hundred KiB take to come.
   * @defaultValue 256 KiB
   */
  readonly coalesceGapBytes?: number | undefined
  /** What is fetched between needed pieces, at most, as a share of what is needed; the smallest gaps go first. @defaultValue 0.05 */
  readonly coalesceShare?: number | undefined
  /** GETs in flight, at least 1. @defaultValue 8 */
  readonly concurrency?: number | undefined
}

export interface CachedFile {
  /** The local file. It is as long as the remote one, and only what was asked for is in it. */
  readonly path: string
  /** Whether all that was asked for was there already. */
  readonly isHit: boolean
  /** Says that nobody reads the file any more. Calling it again does nothing. */
  release(): void
}

/** What a cache was asked, and what it holds. */
export interface CacheUse extends RangeCacheMeter {
  readonly bytesHeld: number
  readonly bytesMax: number
  readonly files: number
}

/** The most memory that one answer takes. */
const REQUEST_BYTES_MAX = 8 * 1024 * 1024

/**
 * Local stand-ins for Parquet files of a remote store, which hold the footer and the columns that were asked for.
 *
 * A local file has the remote one's length, with holes, and DuckDB reads it as if it were whole; reading a column that
 * was not asked for fails. Data files never change, so whatever was fetched once is never fetched again, until room is
 * made: the files that nobody holds go, those used longest ago first.
 */
export class RangeCache {
  readonly #folder: string
  readonly #maxBytes: number
  readonly #context: SparseFileContext
  /** By remote name and size, those used longest ago first. */
  readonly #files = new Map<string, SparseFile>()
  readonly #removals = new Set<Promise<void>>()
  #ownFolder: Promise<string> | undefined
  #fileCount = 0
  #isClosed = false

  constructor(options: RangeCacheOptions) {
    this.#folder = options.folder
    this.#maxBytes = options.maxBytes
    this.#context = {
      database: options.database,
      fetcher: new RangeFetcher(Math.max(1, options.concurrency ?? 8)),
      plan: {
        gapBytesMax: options.coalesceGapBytes ?? 256 * 1024,
        gapShareMax: options.coalesceShare ?? 0.05,
        requestBytesMax: REQUEST_BYTES_MAX,
      },
      wholeFileMaxBytes: options.wholeFileMaxBytes ?? 1024 * 1024,
      ledger: { bytes: 0 },
    }
  }

  /** As it is now. */
  get use(): CacheUse {
    return { ...this.meter, bytesHeld: this.#context.ledger.bytes, bytesMax: this.#maxBytes, files: this.#files.size }
  }

  get meter(): RangeCacheMeter {
    return this.#context.fetcher.meter
  }

  /**
   * A local file that holds at least the footer of `path` and these columns: names of the top level, in any letter
   * case; those the file does not have are passed over; `undefined` is all of them, and none asks for the footer alone.
   * It stays until `release`. What others fetch already is waited for and not fetched twice.
   *
   * `sizeBytes` is the length that the log tells.
   *
   * @throws {DeltaError} `DATA_FILE_MISSING` when the object is gone; `DATA_FILE_DAMAGED` when it is not Parquet or has
   * another length; `CLOSED`; whatever the store rejects with. A later call tries again.
   */
  async open(
    store: ObjectStore,
    path: string,
    sizeBytes: number,
    columns: readonly string[] | undefined,
    options: StoreOptions = {},
  ): Promise<CachedFile> {
    options.signal?.throwIfAborted()
    const folder = await this.#ready()
    if (this.#isClosed) throw closedError()
    const remote: RemoteFile = { store, path, sizeBytes }
    const key = JSON.stringify([store.uri, path, sizeBytes])
    const file = this.#files.get(key) ?? this.#create(key, folder, remote)
    file.holds++
    let isHit: boolean
    try {
      isHit = await file.provide(remote, columns, options.signal)
      if (isHit) this.#context.fetcher.meter.hits++
    } catch (error) {
      this.#release(key, file)
      throw error
    }
    this.#evict()
    return { path: file.localFile, isHit, release: once(() => this.#release(key, file)) }
  }

  /** Rejects the opens that wait with `CLOSED`, and deletes every file, held or not. */
  async close(): Promise<void> {
    this.#isClosed = true
    const files = [...this.#files.values()]
    this.#files.clear()
    await Promise.all([...files.map((file) => file.discard()), ...this.#removals])
    if (this.#ownFolder) await rm(await this.#ownFolder, { recursive: true, force: true })
  }

  /** A name is never used twice, for the engine remembers footers by file name. */
  #create(key: string, folder: string, remote: RemoteFile): SparseFile {
    const localFile = join(folder, `${++this.#fileCount}.parquet`)
    const forget = () => this.#forget(key, file)
    const file: SparseFile = new SparseFile(localFile, remote, this.#context, () => this.#drop(key, file), forget)
    this.#files.set(key, file)
    return file
  }

  #release(key: string, file: SparseFile): void {
    file.holds--
    // A file is used as long as it is held. One that broke has left the map, and another may have its place.
    if (this.#files.get(key) === file) {
      this.#files.delete(key)
      this.#files.set(key, file)
    } else if (file.holds === 0) this.#drop(key, file)
    this.#evict()
  }

  #evict(): void {
    for (const [key, file] of this.#files) {
      if (this.#context.ledger.bytes <= this.#maxBytes) return
      if (file.holds === 0) this.#drop(key, file)
    }
  }

  /** Whoever holds it goes on reading what is there; whoever asks next gets another. */
  #forget(key: string, file: SparseFile): void {
    if (this.#files.get(key) === file) this.#files.delete(key)
  }

  #drop(key: string, file: SparseFile): void {
    this.#forget(key, file)
    // A file that cannot be deleted stays until `close`, which deletes the folder and says when it cannot.
    const removal = file.discard().catch(() => undefined)
    this.#removals.add(removal)
    void removal.then(() => this.#removals.delete(removal))
  }

  async #ready(): Promise<string> {
    if (this.#isClosed) throw closedError()
    this.#ownFolder ??= this.#prepare()
    try {
      return await this.#ownFolder
    } catch (error) {
      this.#ownFolder = undefined
      throw diskError(error, this.#folder)
    }
  }

  async #prepare(): Promise<string> {
    const { database } = this.#context
    const setting = await database.rows<{ on: boolean }>(`SELECT current_setting('enable_external_file_cache') AS "on"`)
    if (setting[0]?.on !== false) await database.rows('SET GLOBAL enable_external_file_cache = false')
    await mkdir(this.#folder, { recursive: true })
    return await mkdtemp(join(this.#folder, 'ranges-'))
  }
}

function once(work: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    work()
  }
}
