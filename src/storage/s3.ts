import { createReadStream } from 'node:fs'
import { type Clock, systemClock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import { type Random, systemRandom } from '../base/random.js'
import { orAborted } from './abort.js'
import { checkRange } from './byte-range.js'
import { localFileSize } from './disk-errors.js'
import { PROCESS, type RequestKind, StoreMeter } from './meter.js'
import { checkTag, replaced } from './object-tag.js'
import { checkPath, checkPrefix, joinPath } from './path.js'
import { probeStore } from './probe.js'
import { putTimeoutMs, type S3Settings } from './s3-client.js'
import { isNoSuchKey, reasonOf, s3Error, statusOf } from './s3-errors.js'
import { type Lister, listFolderNames, listObjects } from './s3-list.js'
import { rangeHeader, readBody } from './s3-read.js'
import { S3Session } from './s3-session.js'
import type { CreateOptions, Elsewhere, GetOptions, ListOptions, ObjectInfo, ObjectStore, StoreOptions } from './store.js'

export interface S3Location {
  readonly bucket: string
  /** The folder in the bucket that is the root; empty for the bucket itself. */
  readonly prefix?: string | undefined
}

/** How often something is tried that may be tried again: a body that broke off, a file's upload, a put among busy rivals. */
const TRIES = 3
const PAUSE_MS = 100
const DELETE_MAX = 1_000

/**
 * A store in a bucket of S3 or of a server like it.
 *
 * A conditional put is sent once. When no answer comes the put may have taken effect, and the client's own repetition would
 * then be refused by our own object; so the doubt is the caller's to settle, by reading the object back.
 */
export class S3Store implements ObjectStore {
  readonly uri: string
  readonly meter: StoreMeter
  readonly elsewhere: Elsewhere | undefined
  readonly #session: S3Session
  readonly #prefix: string
  readonly #root: S3Store

  constructor(
    options: S3Location & S3Settings,
    components: {
      readonly clock?: Clock | undefined
      readonly random?: Random | undefined
      readonly elsewhere?: Elsewhere | undefined
    } = {},
    parent?: S3Store,
  ) {
    this.#prefix = checkPrefix(options.prefix ?? '')
    this.uri = `s3://${joinPath(options.bucket, this.#prefix)}`
    const { clock = systemClock, random = systemRandom } = components
    this.#session = parent ? parent.#session : new S3Session(options.bucket, this.uri, options, clock, random)
    this.#root = parent ? parent.#root : this
    this.elsewhere = parent ? parent.elsewhere : components.elsewhere
    this.meter = new StoreMeter(parent ? parent.meter : PROCESS)
  }

  async get(path: string, options: GetOptions = {}): Promise<Uint8Array | undefined> {
    const { signal, tag } = options
    const range = options.range && checkRange(options.range)
    if (range && range.endExclusive <= range.start) return (await this.head(path, { signal })) && new Uint8Array(0)
    const object = { ...this.#object(path), ...(range ? { Range: rangeHeader(range) } : {}) }
    return await this.#session.repeat(signal, async (attempts) => {
      try {
        const request = tag?.etag === undefined ? object : { ...object, IfMatch: tag.etag }
        const reply = await this.#session.ask(this.#counting('get'), signal, ({ once }, http) => once.getObject(request, http))
        const bytes = await orAborted(readBody(reply, range), signal)
        this.meter.carry(bytes.length, 0)
        checkTag(tag, reply.ETag, path)
        return bytes
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        if (isNoSuchKey(error)) return undefined
        if (range && statusOf(error) === 416) return new Uint8Array(0)
        if (statusOf(error) === 412) throw replaced(path, s3Error(error, {}).cause)
        throw this.#session.translate(error, { path, attempts }, signal)
      }
    })
  }

  async head(path: string, options: StoreOptions = {}): Promise<ObjectInfo | undefined> {
    const { signal } = options
    try {
      const reply = await this.#session.ask(this.#counting('head'), signal, ({ repeating }, http) =>
        repeating.headObject(this.#object(path), http),
      )
      return { path, sizeBytes: reply.ContentLength ?? 0, modifiedAtMs: reply.LastModified?.getTime() ?? 0 }
    } catch (error) {
      if (!signal?.aborted && isNoSuchKey(error)) return undefined
      throw this.#session.translate(error, { path }, signal)
    }
  }

  async putIfAbsent(path: string, bytes: Uint8Array, options: CreateOptions = {}): Promise<'created' | 'exists'> {
    const { signal, after } = options
    await after
    const object = { ...this.#object(path), Body: bytes, IfNoneMatch: '*' }
    const requestTimeout = putTimeoutMs(this.#session.settings, bytes.length)
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#session.ask(this.#counting('put'), signal, ({ once }, http) =>
          once.putObject(object, { ...http, requestTimeout }),
        )
        this.meter.carry(0, bytes.length)
        return 'created'
      } catch (error) {
        if (signal?.aborted) throw signal.reason
        if (statusOf(error) === 412) return 'exists'
        if (statusOf(error) === 501) throw unsafe(this.uri, error)
        // Rivals are at work on this name and nothing was written: the only refusal that asks for the same put again.
        const isBusy = reasonOf(error) === 'ConditionalRequestConflict'
        if (!isBusy || attempt === TRIES) throw this.#session.translate(error, { path }, signal)
      }
      await this.#pause(signal)
    }
  }

  async put(path: string, bytes: Uint8Array, options: StoreOptions = {}): Promise<void> {
    const object = { ...this.#object(path), Body: bytes }
    const requestTimeout = putTimeoutMs(this.#session.settings, bytes.length)
    await this.#session.send(this.#counting('put'), { path }, options.signal, ({ repeating }, http) =>
      repeating.putObject(object, { ...http, requestTimeout }),
    )
    this.meter.carry(0, bytes.length)
  }

  async putFile(path: string, localFile: string, options: StoreOptions = {}): Promise<void> {
    const { signal } = options
    const object = this.#object(path)
    signal?.throwIfAborted()
    const sizeBytes = localFileSize(localFile)
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#upload(object, localFile, sizeBytes, signal)
        return
      } catch (error) {
        const failure = this.#session.translate(error, { path }, signal)
        const isWorthAnother = failure instanceof DeltaError && failure.code === 'STORE_UNAVAILABLE' && attempt < TRIES
        if (signal?.aborted || !isWorthAnother) throw failure
      }
      await this.#pause(signal)
    }
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    yield* listObjects(this.#lister, this.#folder(prefix), prefix, options)
  }

  async listFolders(prefix: string, options: StoreOptions = {}): Promise<readonly string[]> {
    return await listFolderNames(this.#lister, this.#folder(prefix), prefix, options.signal)
  }

  async delete(paths: readonly string[], options: StoreOptions = {}): Promise<void> {
    const { signal } = options
    const objects = [...new Set(paths)].map((path) => ({ Key: this.#object(path).Key }))
    signal?.throwIfAborted()
    for (let at = 0; at < objects.length; at += DELETE_MAX) {
      const batch = { Bucket: this.#session.bucket, Delete: { Quiet: true, Objects: objects.slice(at, at + DELETE_MAX) } }
      const reply = await this.#session.send(this.#counting('delete'), { objects: paths.length }, signal, ({ repeating }, http) =>
        repeating.deleteObjects(batch, http),
      )
      const failed = reply.Errors?.find(({ Code }) => Code !== 'NoSuchKey')
      if (failed) throw s3Error({ name: failed.Code, message: failed.Message }, { bucket: this.#session.bucket, key: failed.Key })
    }
  }

  async removeEmptyFolders(_paths: readonly string[], options: StoreOptions = {}): Promise<number> {
    options.signal?.throwIfAborted()
    return 0
  }

  localPath(path: string): undefined {
    checkPath(path)
  }

  child(prefix: string): S3Store {
    const below = joinPath(this.#prefix, checkPrefix(prefix))
    return new S3Store({ bucket: this.#session.bucket, prefix: below }, {}, this)
  }

  async ensureSafe(options: StoreOptions = {}): Promise<void> {
    const { clock, random } = this.#session
    const probe = { racing: true, rounds: 1, bytes: 100, clock, random }
    await this.#session.ensureSafe(options.signal, async () => (await probeStore(this.#root, probe)).safe)
  }

  /** Ends the connections of the store and its children; a child's own close leaves them open. */
  async close(): Promise<void> {
    if (this.#root !== this) return
    await Promise.all([this.#session.close(), this.elsewhere?.close()])
  }

  async #upload(
    object: { Bucket: string; Key: string },
    localFile: string,
    sizeBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const broken = new AbortController()
    const stream = createReadStream(localFile).on('error', (error) => broken.abort(error))
    const request = { ...object, Body: stream, ContentLength: sizeBytes }
    const requestTimeout = putTimeoutMs(this.#session.settings, sizeBytes)
    const either = signal ? AbortSignal.any([signal, broken.signal]) : broken.signal
    try {
      await this.#session.ask(this.#counting('put'), either, ({ once }, http) =>
        once.putObject(request, { ...http, requestTimeout }),
      )
      this.meter.carry(0, sizeBytes)
    } finally {
      stream.destroy()
    }
  }

  #counting(kind: RequestKind): (times: number) => void {
    return (times) => this.meter.count(kind, times)
  }

  get #lister(): Lister {
    return { session: this.#session, count: this.#counting('list') }
  }

  #object(path: string): { Bucket: string; Key: string } {
    return { Bucket: this.#session.bucket, Key: joinPath(this.#prefix, checkPath(path)) }
  }

  #folder(prefix: string): string {
    const folder = joinPath(this.#prefix, checkPrefix(prefix))
    return folder === '' ? '' : `${folder}/`
  }

  async #pause(signal: AbortSignal | undefined): Promise<void> {
    await this.#session.clock.sleep(PAUSE_MS * (0.5 + this.#session.random.next()), signal)
  }
}

function unsafe(uri: string, cause: unknown): DeltaError {
  const hint = 'commits need conditional puts (If-None-Match); use a server that has them'
  return new DeltaError('STORE_UNSAFE', 'the store has no conditional puts', { uri }, { hint, cause: s3Error(cause, {}).cause })
}
