import { readFile } from 'node:fs/promises'
import type { Clock } from '../../src/base/clock.js'
import { DeltaError } from '../../src/base/errors.js'
import { clampRange } from '../../src/storage/byte-range.js'
import { compareBytes, joinPath } from '../../src/storage/path.js'
import type { ByteRange, CreateOptions, ListOptions, ObjectInfo, ObjectStore, StoreOptions } from '../../src/storage/store.js'
import type { Scheduler } from './scheduler.js'

interface Stored {
  readonly bytes: Uint8Array
  readonly writtenAtMs: number
  readonly writer: Process | undefined
  /** Whether it outlives its writer. */
  readonly synced: boolean
}

/** What was deleted, or lost, and when. */
export interface Gone {
  readonly path: string
  readonly bytes: Uint8Array
  readonly writtenAtMs: number
  readonly goneAtMs: number
}

/** How often what goes wrong, from 0 to 1. */
export interface Weather {
  /** The request is lost, nothing is done. */
  readonly lost: number
  /** The work is done, its reply lost. */
  readonly replyLost: number
  /** The request is given up, and arrives later. */
  readonly late: number
  readonly throttled: number
  /** What others wrote in the last seconds does not show yet, which the port does not allow. */
  readonly stale: number
  /** The process dies in the middle of the call. */
  readonly crash: number
  /** A call takes up to half a minute. */
  readonly stall: number
}

export const CALM: Weather = { lost: 0, replyLost: 0, late: 0, throttled: 0, stale: 0, crash: 0, stall: 0 }

/** Faults of a store that an engine cannot live with; planted to see that they are found. */
export interface Plants {
  /** A put of what is there already answers `created` and replaces it. */
  readonly unconditional?: boolean | undefined
  /** Writes are answered before they outlive a crash. */
  readonly ackFirst?: boolean | undefined
}

const STALE_MS = 2000
const LATE_MS = 3000
const STALL_MS = 30_000

/** Where all processes write: an S3 bucket, or the disk of a machine that outlives them. */
export class Disk {
  weather = CALM
  readonly scheduler: Scheduler
  readonly gone: Gone[] = []
  readonly objects = new Map<string, Stored>()
  readonly plants: Plants
  /** Every call of a process, in order. */
  readonly journal: string[] = []

  constructor(scheduler: Scheduler, plants: Plants) {
    this.scheduler = scheduler
    this.plants = plants
  }

  set(path: string, bytes: Uint8Array, writer: Process | undefined, synced: boolean): void {
    this.forget(path)
    const { nowMs: writtenAtMs } = this.scheduler
    this.objects.set(path, { bytes: Uint8Array.from(bytes), writtenAtMs, writer, synced: synced && !this.plants.ackFirst })
  }

  /** Keeps what goes, for the checker. */
  forget(path: string): void {
    const before = this.objects.get(path)
    if (!before) return
    this.objects.delete(path)
    this.gone.push({ path, bytes: before.bytes, writtenAtMs: before.writtenAtMs, goneAtMs: this.scheduler.nowMs })
  }

  /** What the process had not synced is gone, or cut short. */
  crashed(process: Process): void {
    for (const [path, { bytes, writer, synced }] of [...this.objects]) {
      if (writer !== process || synced || this.scheduler.chance(0.3)) continue
      this.forget(path)
      if (this.scheduler.chance(0.5)) this.set(path, bytes.slice(0, this.scheduler.below(bytes.length)), undefined, true)
    }
  }
}

/** A process with a clock of its own. Once dead, it does nothing any more. */
export class Process implements Clock {
  readonly name: string
  readonly disk: Disk
  isAlive = true
  skewMs = 0

  constructor(name: string, disk: Disk) {
    this.name = name
    this.disk = disk
  }

  now(): number {
    return Math.round(this.disk.scheduler.nowMs + this.skewMs)
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.check()
    signal?.throwIfAborted()
    await this.disk.scheduler.park(ms)
    this.check()
  }

  crash(): void {
    if (!this.isAlive) return
    this.isAlive = false
    this.disk.crashed(this)
  }

  check(): void {
    if (!this.isAlive) throw new DeltaError('STORE_UNAVAILABLE', 'the process is dead', { process: this.name })
  }
}

/** The disk as one process sees it, through a network of its own. */
export class SimulatedStore implements ObjectStore {
  readonly uri: string
  private readonly process: Process
  private readonly prefix: string

  constructor(process: Process, uri: string, prefix = '') {
    this.process = process
    this.uri = uri
    this.prefix = prefix
  }

  async get(
    path: string,
    { range }: StoreOptions & { readonly range?: ByteRange | undefined } = {},
  ): Promise<Uint8Array | undefined> {
    return this.call('get', path, (key) => {
      const found = this.see(key)
      if (!found) return undefined
      const { start, endExclusive } = clampRange(range, found.bytes.length)
      return found.bytes.slice(start, endExclusive)
    })
  }

  async head(path: string): Promise<ObjectInfo | undefined> {
    return this.call('head', path, (key) => {
      const found = this.see(key)
      return found && { path, sizeBytes: found.bytes.length, modifiedAtMs: found.writtenAtMs }
    })
  }

  async putIfAbsent(
    path: string,
    bytes: Uint8Array,
    { durable = true, after }: CreateOptions = {},
  ): Promise<'created' | 'exists'> {
    await after
    return this.call('put', path, (key) => {
      if (this.disk.objects.has(key) && !this.disk.plants.unconditional) return 'exists'
      this.disk.set(key, bytes, this.process, durable)
      return 'created'
    })
  }

  async put(path: string, bytes: Uint8Array): Promise<void> {
    return this.call('put', path, (key) => this.disk.set(key, bytes, this.process, true))
  }

  async putFile(path: string, localFile: string): Promise<void> {
    const bytes = await readFile(localFile)
    return this.call('put', path, (key) => this.disk.set(key, bytes, this.process, true))
  }

  async *list(prefix: string, { startAfter }: ListOptions = {}): AsyncGenerator<ObjectInfo> {
    const folder = joinPath(this.prefix, prefix) === '' ? '' : `${joinPath(this.prefix, prefix)}/`
    const found = await this.call('list', prefix, () =>
      [...this.disk.objects.keys()].filter((key) => key.startsWith(folder)).sort(compareBytes),
    )
    // Pages come one after the other, and one may be lost.
    const cut = this.disk.scheduler.chance(this.disk.weather.lost) ? this.disk.scheduler.below(found.length + 1) : undefined
    for (const [at, key] of found.entries()) {
      if (at === cut) throw unavailable('a page of a listing is lost')
      const stored = this.see(key)
      const name = key.slice(folder.length)
      if (!stored || (startAfter !== undefined && compareBytes(name, startAfter) <= 0)) continue
      yield { path: joinPath(prefix, name), sizeBytes: stored.bytes.length, modifiedAtMs: stored.writtenAtMs }
    }
  }

  async listFolders(prefix: string): Promise<readonly string[]> {
    const names = new Set<string>()
    for await (const { path } of this.list(prefix)) {
      const [name, below] = path.slice(prefix === '' ? 0 : prefix.length + 1).split('/')
      if (name !== undefined && below !== undefined) names.add(name)
    }
    return [...names].toSorted(compareBytes)
  }

  async delete(paths: readonly string[]): Promise<void> {
    for (const path of paths) await this.call('delete', path, (key) => this.disk.forget(key))
  }

  async removeEmptyFolders(): Promise<number> {
    return 0
  }

  localPath(): undefined {}

  child(prefix: string): SimulatedStore {
    return new SimulatedStore(this.process, joinPath(this.uri, prefix), joinPath(this.prefix, prefix))
  }

  async ensureSafe(): Promise<void> {}

  async close(): Promise<void> {}

  private get disk(): Disk {
    return this.process.disk
  }

  /** An object, unless it is so new that this process need not see it yet. */
  private see(key: string): Stored | undefined {
    const found = this.disk.objects.get(key)
    const { scheduler, weather } = this.disk
    const isHidden = found && found.writer !== this.process && found.writtenAtMs > scheduler.nowMs - STALE_MS
    return isHidden && scheduler.chance(weather.stale) ? undefined : found
  }

  private async call<T>(kind: 'get' | 'head' | 'list' | 'put' | 'delete', path: string, work: (key: string) => T): Promise<T> {
    const { scheduler, weather } = this.disk
    const key = joinPath(this.prefix, path)
    const writes = kind === 'put' || kind === 'delete'
    this.process.check()
    this.disk.journal.push(`${this.process.name} ${kind} ${key}`)
    await scheduler.park(scheduler.chance(weather.stall) ? scheduler.between(0, STALL_MS) : scheduler.between(1, 20))
    this.process.check()
    if (scheduler.chance(weather.throttled)) throw unavailable('slow down')
    if (scheduler.chance(weather.crash)) {
      if (writes && scheduler.chance(0.5)) work(key)
      this.process.crash()
    }
    this.process.check()
    if (scheduler.chance(weather.lost)) throw unavailable('the request is lost')
    if (writes && scheduler.chance(weather.late)) {
      void scheduler.park(scheduler.between(0, LATE_MS)).then(() => work(key))
      throw unavailable('the request is given up')
    }
    const answer = work(key)
    await scheduler.park(scheduler.between(1, 20))
    this.process.check()
    if (scheduler.chance(weather.replyLost)) throw unavailable('the reply is lost')
    return answer
  }
}

function unavailable(why: string): DeltaError {
  return new DeltaError('STORE_UNAVAILABLE', why)
}
