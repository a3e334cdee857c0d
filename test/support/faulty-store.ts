import { DeltaError } from '../../src/base/errors.js'
import { joinPath } from '../../src/storage/path.js'
import type { ByteRange, CreateOptions, ListOptions, ObjectInfo, ObjectStore, StoreOptions } from '../../src/storage/store.js'

/** The port's calls as the journal names them. */
export type StoreCall =
  | 'get'
  | 'head'
  | 'put-if-absent'
  | 'put'
  | 'put-file'
  | 'list'
  | 'list-folders'
  | 'delete'
  | 'remove-folders'
  | 'ensure-safe'

export interface Fault {
  /** Which calls count. @defaultValue all that match `path` */
  readonly call?: StoreCall | readonly StoreCall[] | undefined
  /** Which of these calls fails, from 1 on. */
  readonly nth: number
  /** Whether the work is left undone, or done and its reply lost. */
  readonly when: 'before' | 'after'
  /** Only calls of a path that it matches count. Paths are relative to the outermost `FaultyStore`. */
  readonly path?: RegExp | undefined
  /** The process dies of it: no later call does anything. */
  readonly crash?: boolean | undefined
  /** @defaultValue `STORE_UNAVAILABLE` */
  readonly error?: (() => unknown) | undefined
}

interface Script {
  readonly journal: string[]
  readonly faults: { readonly fault: Fault; calls: number }[]
  crashed: boolean
}

const WRITES: readonly StoreCall[] = ['put-if-absent', 'put', 'put-file', 'delete']

/** Wraps a store, writes a journal of its calls and makes chosen ones fail. Children share both. */
export class FaultyStore implements ObjectStore {
  readonly #inner: ObjectStore
  readonly #prefix: string
  readonly #script: Script

  constructor(inner: ObjectStore, faults: readonly Fault[] = [], parent?: FaultyStore, prefix = '') {
    this.#inner = inner
    this.#prefix = parent ? joinPath(parent.#prefix, prefix) : ''
    this.#script = parent ? parent.#script : { journal: [], faults: faults.map((fault) => ({ fault, calls: 0 })), crashed: false }
  }

  get uri(): string {
    return this.#inner.uri
  }

  /** Every call so far, such as `put-if-absent _delta_log/00000000000000000000.json`, failed ones included. */
  get journal(): readonly string[] {
    return this.#script.journal
  }

  /** Adds a fault, which counts calls from now on. */
  fail(fault: Fault): void {
    this.#script.faults.push({ fault, calls: 0 })
  }

  async get(
    path: string,
    options: StoreOptions & { readonly range?: ByteRange | undefined } = {},
  ): Promise<Uint8Array | undefined> {
    return await this.#call('get', path, async () => await this.#inner.get(path, options))
  }

  async head(path: string, options: StoreOptions = {}): Promise<ObjectInfo | undefined> {
    return await this.#call('head', path, async () => await this.#inner.head(path, options))
  }

  async putIfAbsent(path: string, bytes: Uint8Array, options: CreateOptions = {}): Promise<'created' | 'exists'> {
    return await this.#call('put-if-absent', path, async () => await this.#inner.putIfAbsent(path, bytes, options))
  }

  async put(path: string, bytes: Uint8Array, options: StoreOptions = {}): Promise<void> {
    await this.#call('put', path, async () => await this.#inner.put(path, bytes, options))
  }

  async putFile(path: string, localFile: string, options: StoreOptions = {}): Promise<void> {
    await this.#call('put-file', path, async () => await this.#inner.putFile(path, localFile, options))
  }

  /** A fault `after` lets every object through and then fails, as a listing does whose last page is lost. */
  async *list(prefix: string, options: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const fault = this.#enter('list', prefix)
    if (fault?.when === 'before') throw errorOf(fault)
    yield* this.#inner.list(prefix, options)
    if (fault) throw errorOf(fault)
  }

  async listFolders(prefix: string, options: StoreOptions = {}): Promise<readonly string[]> {
    return await this.#call('list-folders', prefix, async () => await this.#inner.listFolders(prefix, options))
  }

  async delete(paths: readonly string[], options: StoreOptions = {}): Promise<void> {
    const full = paths.map((path) => joinPath(this.#prefix, path)).join(' ')
    await this.#call('delete', full, async () => await this.#inner.delete(paths, options), true)
  }

  async removeEmptyFolders(paths: readonly string[], options: StoreOptions = {}): Promise<number> {
    return await this.#call('remove-folders', '', async () => await this.#inner.removeEmptyFolders(paths, options))
  }

  localPath(path: string): string | undefined {
    return this.#inner.localPath(path)
  }

  child(prefix: string): FaultyStore {
    return new FaultyStore(this.#inner.child(prefix), [], this, prefix)
  }

  async ensureSafe(options: StoreOptions = {}): Promise<void> {
    await this.#call('ensure-safe', '', async () => await this.#inner.ensureSafe(options))
  }

  async close(): Promise<void> {
    await this.#inner.close()
  }

  async #call<T>(call: StoreCall, path: string, work: () => Promise<T>, isFull = false): Promise<T> {
    const fault = this.#enter(call, path, isFull)
    if (fault?.when === 'before') throw errorOf(fault)
    const result = await work()
    if (fault) throw errorOf(fault)
    return result
  }

  #enter(call: StoreCall, path: string, isFull = false): Fault | undefined {
    const full = isFull ? path : joinPath(this.#prefix, path)
    this.#script.journal.push(full === '' ? call : `${call} ${full}`)
    if (this.#script.crashed) return { nth: 0, when: 'before' }
    let due: Fault | undefined
    for (const counted of this.#script.faults) {
      if (!isMeant(counted.fault, call, full)) continue
      counted.calls++
      if (counted.calls === counted.fault.nth) due ??= counted.fault
    }
    this.#script.crashed = due?.crash === true
    return due
  }
}

/**
 * Every single fault that a run with this journal can meet in its writes (or in `calls`): each one left undone, and each
 * one done with its reply lost. Run once without faults for the journal, then once with each.
 */
export function everyFault(journal: readonly string[], calls: readonly StoreCall[] = WRITES): readonly Fault[] {
  const count = journal.filter((entry) => calls.some((call) => entry === call || entry.startsWith(`${call} `))).length
  return Array.from({ length: count }, (_, at) => at + 1).flatMap((nth) => [
    { call: calls, nth, when: 'before' as const },
    { call: calls, nth, when: 'after' as const },
  ])
}

function isMeant(fault: Fault, call: StoreCall, path: string): boolean {
  const calls = fault.call === undefined ? [call] : [fault.call].flat()
  return calls.includes(call) && (fault.path === undefined || fault.path.test(path))
}

function errorOf(fault: Fault): unknown {
  if (fault.error) return fault.error()
  return new DeltaError('STORE_UNAVAILABLE', 'a scripted fault', { nth: fault.nth, when: fault.when })
}
