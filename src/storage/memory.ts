import { readFile } from 'node:fs/promises'
import { type Clock, systemClock } from '../base/clock.js'
import { clampRange } from './byte-range.js'
import { diskError, localFileSize } from './disk-errors.js'
import { checkTag } from './object-tag.js'
import { checkPath, checkPrefix, compareBytes, isPath, joinPath } from './path.js'
import type { CreateOptions, Elsewhere, GetOptions, ListOptions, ObjectInfo, ObjectStore, StoreOptions } from './store.js'

interface Stored {
  readonly bytes: Uint8Array
  readonly modifiedAtMs: number
  readonly etag: string
}

let unnamed = 0
let written = 0

/** The port in its simplest form: a map. Bytes are copied in and out, so nobody's later write changes an object. */
export class MemoryStore implements ObjectStore {
  readonly uri: string
  readonly elsewhere: Elsewhere | undefined
  readonly #clock: Clock
  readonly #objects: Map<string, Stored>
  readonly #prefix: string

  constructor(
    options: {
      readonly name?: string | undefined
      readonly clock?: Clock | undefined
      readonly elsewhere?: Elsewhere | undefined
    } = {},
    parent?: MemoryStore,
    prefix = '',
  ) {
    // Caches go by the URI: no two stores may share one.
    this.uri = parent ? joinPath(parent.uri, prefix) : `memory:${options.name ?? `unnamed-${++unnamed}`}`
    this.elsewhere = parent ? parent.elsewhere : options.elsewhere
    this.#clock = parent ? parent.#clock : (options.clock ?? systemClock)
    this.#objects = parent ? parent.#objects : new Map()
    this.#prefix = parent ? joinPath(parent.#prefix, prefix) : ''
  }

  async get(path: string, options: GetOptions = {}): Promise<Uint8Array | undefined> {
    const stored = this.#objects.get(await this.#key(path, options))
    if (!stored) return undefined
    checkTag(options.tag, stored.etag, path)
    const { start, endExclusive } = clampRange(options.range, stored.bytes.length)
    return stored.bytes.slice(start, endExclusive)
  }

  async head(path: string, options: StoreOptions = {}): Promise<ObjectInfo | undefined> {
    const stored = this.#objects.get(await this.#key(path, options))
    return stored && { path, sizeBytes: stored.bytes.length, modifiedAtMs: stored.modifiedAtMs }
  }

  async putIfAbsent(path: string, bytes: Uint8Array, options: CreateOptions = {}): Promise<'created' | 'exists'> {
    await options.after
    const key = await this.#key(path, options)
    if (this.#objects.has(key)) return 'exists'
    this.#set(key, bytes)
    return 'created'
  }

  async put(path: string, bytes: Uint8Array, options: StoreOptions = {}): Promise<void> {
    this.#set(await this.#key(path, options), bytes)
  }

  async putFile(path: string, localFile: string, options: StoreOptions = {}): Promise<void> {
    const key = await this.#key(path, options)
    localFileSize(localFile)
    const bytes = await readFile(localFile).catch((error: unknown) => {
      throw diskError(error, localFile)
    })
    this.#set(key, bytes)
  }

  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const folder = this.#folder(prefix)
    const paths = [...this.#objects.keys()].filter((key) => key.startsWith(folder)).map((key) => key.slice(folder.length))
    for (const path of paths.toSorted(compareBytes)) {
      options.signal?.throwIfAborted()
      if (options.startAfter !== undefined && compareBytes(path, options.startAfter) <= 0) continue
      const info = await this.head(joinPath(prefix, path), options)
      if (info && isPath(path)) yield info
    }
    options.signal?.throwIfAborted()
  }

  async listFolders(prefix: string, options: StoreOptions = {}): Promise<readonly string[]> {
    const names = new Set<string>()
    for await (const { path } of this.list(prefix, options)) {
      const [name, below] = path.slice(prefix === '' ? 0 : prefix.length + 1).split('/')
      if (name !== undefined && below !== undefined) names.add(name)
    }
    return [...names].toSorted(compareBytes)
  }

  async delete(paths: readonly string[], options: StoreOptions = {}): Promise<void> {
    for (const path of paths) checkPath(path)
    options.signal?.throwIfAborted()
    for (const path of paths) this.#objects.delete(joinPath(this.#prefix, path))
  }

  async removeEmptyFolders(_paths: readonly string[], options: StoreOptions = {}): Promise<number> {
    options.signal?.throwIfAborted()
    return 0
  }

  async moveFolder(from: string, to: string, options: StoreOptions = {}): Promise<boolean> {
    options.signal?.throwIfAborted()
    const [source, target] = [this.#folder(from), this.#folder(to)]
    const keys = [...this.#objects.keys()]
    if (keys.some((key) => key.startsWith(target))) return false
    for (const key of keys.filter((one) => one.startsWith(source))) {
      const stored = this.#objects.get(key)
      if (stored) this.#objects.set(target + key.slice(source.length), stored)
      this.#objects.delete(key)
    }
    return true
  }

  localPath(path: string): undefined {
    checkPath(path)
  }

  child(prefix: string): MemoryStore {
    return new MemoryStore({}, this, checkPrefix(prefix))
  }

  async ensureSafe(options: StoreOptions = {}): Promise<void> {
    options.signal?.throwIfAborted()
  }

  async close(): Promise<void> {}

  /** Awaits a turn, as every real store does, so that racing callers interleave. */
  async #key(path: string, options: StoreOptions): Promise<string> {
    checkPath(path)
    options.signal?.throwIfAborted()
    await Promise.resolve()
    return joinPath(this.#prefix, path)
  }

  #folder(prefix: string): string {
    const folder = joinPath(this.#prefix, checkPrefix(prefix))
    return folder === '' ? '' : `${folder}/`
  }

  #set(key: string, bytes: Uint8Array): void {
    this.#objects.set(key, { bytes: Uint8Array.from(bytes), modifiedAtMs: this.#clock.now(), etag: String(++written) })
  }
}
