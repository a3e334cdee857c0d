import { type FileHandle, open, rm } from 'node:fs/promises'
import { DeltaError, isDeltaError } from '../base/errors.js'
import { diskError } from '../storage/disk-errors.js'
import type { ByteRange, ObjectTag } from '../storage/store.js'
import type { Database } from './database.js'
import { type ColumnChunk, layoutOf, TRAILER_BYTES } from './parquet-layout.js'
import { damaged, type RangeFetcher, type RemoteFile } from './range-cache-fetch.js'
import { IntervalSet, lengthOf, planRequests, type RequestPlan } from './range-cache-intervals.js'
import { SharedWork } from './range-cache-shared.js'

/** What the files of one cache have in common. */
export interface SparseFileContext {
  readonly database: Database
  readonly fetcher: RangeFetcher
  readonly plan: RequestPlan
  /** Files up to this size are fetched whole, in one request. */
  readonly wholeFileMaxBytes: number
  /** The bytes that all files of the cache hold. */
  readonly ledger: { bytes: number }
}

/** The footers of most files are shorter; a longer one costs one more request. */
const TAIL_BYTES = 64 * 1024
const MAGIC = 'PAR1'
/** The magic, an empty footer's length, and the magic again. */
const FILE_BYTES_MIN = 12

/**
 * A local file as long as the remote one, with holes where nothing was fetched.
 *
 * Bytes are written once and never change. A hole reads as zeros, at which no Parquet page can begin, so a reader of a
 * chunk that was not provided fails.
 */
export class SparseFile {
  readonly localFile: string
  /** How many callers rely on the file being there. */
  holds = 0
  readonly #context: SparseFileContext
  /** What lies here is of one object. */
  readonly #tag: ObjectTag = {}
  readonly #onReplaced: () => void
  readonly #preparation: SharedWork
  /** What is on disk or on its way. */
  readonly #claimed = new IntervalSet()
  readonly #fetches = new Map<SharedWork, ByteRange>()
  /** What columns need, by lower-case name; a column that is complete is taken out. */
  readonly #needs = new Map<string, ByteRange[]>()
  #writes = 0
  #isPrepared = false
  #isDiscarded = false
  #bytes = 0

  /**
   * Starts to fetch the footer. `onBroken` is called when that fails; the file is of no use then. `onReplaced` is called when the
   * remote file is seen to be another one: nothing more can be brought here, and what is here may still be read.
   */
  constructor(localFile: string, remote: RemoteFile, context: SparseFileContext, onBroken: () => void, onReplaced: () => void) {
    this.localFile = localFile
    this.#context = context
    this.#onReplaced = onReplaced
    this.#preparation = new SharedWork((signal) => this.#prepare(remote, signal), onBroken)
  }

  /**
   * Brings the footer and the chunks of `columns` (all when there are none given) to this machine. Names the file does
   * not have are passed over.
   *
   * @returns whether all of it was there already
   */
  async provide(remote: RemoteFile, columns: readonly string[] | undefined, signal: AbortSignal | undefined): Promise<boolean> {
    const wasPrepared = this.#isPrepared
    await SharedWork.joinAll([this.#preparation], signal)
    if (this.#isDiscarded) throw closedError()
    const names = columns ? columns.map((name) => name.toLowerCase()) : [...this.#needs.keys()]
    const wanted = names.flatMap((name) => this.#needs.get(name) ?? [])
    if (wanted.length > 0) await this.#fetchAll(remote, wanted, signal)
    for (const name of names) this.#needs.delete(name)
    return wasPrepared && wanted.length === 0
  }

  /** Aborts what is on its way, with `CLOSED` for those who wait, and deletes the file. */
  async discard(): Promise<void> {
    this.#isDiscarded = true
    const works = [this.#preparation, ...this.#fetches.keys()]
    for (const work of works) work.abort(closedError())
    this.#context.ledger.bytes -= this.#bytes
    this.#bytes = 0
    await Promise.all(works.map((work) => work.ended()))
    await rm(this.localFile, { force: true })
  }

  async #fetchAll(remote: RemoteFile, wanted: readonly ByteRange[], signal: AbortSignal | undefined): Promise<void> {
    for (const range of planRequests(wanted, this.#claimed, this.#context.plan)) this.#start(remote, range)
    const claims = new IntervalSet()
    for (const range of wanted) claims.add(range)
    const works = [...this.#fetches].filter(([, range]) => !claims.isClearOf(range)).map(([work]) => work)
    await SharedWork.joinAll(works, signal)
  }

  #start(remote: RemoteFile, range: ByteRange): void {
    this.#claimed.add(range)
    const work: SharedWork = new SharedWork(
      async (signal) => {
        const bytes = await this.#fetch(remote, range, signal)
        await this.#write('r+', async (handle) => await writeAt(handle, bytes, range.start))
        // Work that was given up has lost its claim, and the next one to ask counts these bytes.
        if (this.#fetches.delete(work)) this.#count(range)
      },
      () => {
        this.#fetches.delete(work)
        this.#claimed.delete(range)
      },
    )
    this.#fetches.set(work, range)
  }

  async #fetch(remote: RemoteFile, range: ByteRange, signal: AbortSignal): Promise<Uint8Array> {
    try {
      return await this.#context.fetcher.get(remote, range, this.#tag, signal)
    } catch (error) {
      if (isDeltaError(error, 'corrupt')) this.#onReplaced()
      throw error
    }
  }

  async #prepare(remote: RemoteFile, signal: AbortSignal): Promise<void> {
    const { sizeBytes } = remote
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < FILE_BYTES_MIN) throw damaged(remote, 'it is too short for Parquet')
    const isWhole = sizeBytes <= Math.max(this.#context.wholeFileMaxBytes, TAIL_BYTES)
    const tail = { start: isWhole ? 0 : sizeBytes - TAIL_BYTES, endExclusive: sizeBytes }
    const tailBytes = await this.#fetch(remote, tail, signal)
    const footer = { start: footerStart(remote, tailBytes), endExclusive: tail.start }
    const footerBytes = lengthOf(footer) > 0 ? await this.#fetch(remote, footer, signal) : new Uint8Array()
    try {
      await this.#write('wx', async (handle) => {
        await handle.truncate(sizeBytes)
        await writeAt(handle, tailBytes, tail.start)
        await writeAt(handle, footerBytes, footer.start)
      })
      if (!isWhole) this.#learn(await this.#layout(remote, signal))
      signal.throwIfAborted()
    } catch (error) {
      await rm(this.localFile, { force: true })
      throw error
    }
    for (const range of [tail, footer]) {
      this.#claimed.add(range)
      this.#count(range)
    }
    this.#isPrepared = true
  }

  /** The layout; what the engine says of a footer that it cannot read names the remote file. */
  async #layout(remote: RemoteFile, signal: AbortSignal): Promise<readonly ColumnChunk[]> {
    try {
      return await layoutOf(this.#context.database, this.localFile, { signal })
    } catch (error) {
      if (isDeltaError(error, 'corrupt', 'invalid', 'internal')) throw damaged(remote, error.message, error)
      throw error
    }
  }

  #learn(layout: readonly ColumnChunk[]): void {
    for (const chunk of layout) {
      const name = chunk.column.toLowerCase()
      const needs = this.#needs.get(name) ?? []
      needs.push(chunk, ...(chunk.bloomFilter ? [chunk.bloomFilter] : []))
      this.#needs.set(name, needs)
    }
  }

  #count(range: ByteRange): void {
    const bytes = Math.max(0, lengthOf(range))
    this.#bytes += bytes
    this.#context.ledger.bytes += bytes
  }

  /**
   * Opens the file for as long as it is written to: a cache may have more files than a process may have open.
   *
   * Where the engine's cache of small reads is on all the same (see `RangeCacheOptions.database`), it trusts what it has
   * until the time of the last change, in whole seconds, is another. So every write gives the file a second of its own.
   */
  async #write(flags: 'r+' | 'wx', work: (handle: FileHandle) => Promise<void>): Promise<void> {
    try {
      const handle = await open(this.localFile, flags)
      try {
        await work(handle)
        this.#writes++
        await handle.utimes(this.#writes, this.#writes)
      } finally {
        await handle.close()
      }
    } catch (error) {
      throw diskError(error, this.localFile)
    }
  }
}

export function closedError(): DeltaError {
  return new DeltaError('CLOSED', 'the range cache is closed')
}

/** Where the footer begins, as the last bytes of the file tell. */
function footerStart(remote: RemoteFile, tail: Uint8Array): number {
  const trailer = Buffer.from(tail.buffer, tail.byteOffset + tail.length - TRAILER_BYTES, TRAILER_BYTES)
  if (trailer.toString('latin1', 4) !== MAGIC) throw damaged(remote, 'it does not end as Parquet does')
  const start = remote.sizeBytes - TRAILER_BYTES - trailer.readUInt32LE(0)
  if (start < MAGIC.length) throw damaged(remote, 'its footer is longer than the file')
  return start
}

async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}
