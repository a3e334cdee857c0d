import { DeltaError, isDeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import type { View } from '../views/view.js'
import type { TableHost } from './table-host.js'
import type { IndexedRow, ViewIndexes } from './view-index.js'
import { areKeys, KEYS_MAX, type KeyValues, keyValues, type LookupKey } from './view-lookup.js'
import { pinNewest, type ViewPins } from './view-pins.js'
import { keySql, keyText, keyTextOf, queriedTexts, rowSql } from './view-texts.js'
import { Watcher } from './watcher.js'

export interface WatchOptions {
  /** Ends it. */
  readonly signal?: AbortSignal | undefined
  /**
   * How often storage is asked for commits of other processes, in milliseconds; those of this one are noticed at once. Of all who
   * watch a view the shortest counts. @defaultValue 50
   */
  readonly pollMs?: number | undefined
}

type Report = (view: string, error: unknown) => void

const POLL_MS = 50
/** Commits that come within it share a look. */
const GATHER_MS = 10
const RETRY_MS = 1000

/** Views that are watched, each looked at once a commit for all keys that somebody watches. */
export class ViewWatches {
  private readonly host: TableHost
  private readonly indexes: ViewIndexes
  private readonly report: Report
  private readonly watched = new Map<string, WatchedView>()

  constructor(host: TableHost, indexes: ViewIndexes, report: Report) {
    this.host = host
    this.indexes = indexes
    this.report = report
  }

  /** See `Lakehouse.watchJson`. */
  async watch(
    name: string,
    key: LookupKey,
    { signal, pollMs = POLL_MS }: WatchOptions,
  ): Promise<AsyncGenerator<IndexedRow, void>> {
    if (!(pollMs >= 1)) throw new DeltaError('ARGUMENT_INVALID', 'pollMs is too small', { pollMs, min: 1 })
    const pins = await pinNewest(this.host, name)
    if (!pins) throw viewNotFound(name)
    const values = keyValues(name, pins.view, key)
    const text = keyText(pins.view, values) ?? (await keyTextOf(this.host, pins.view, values))
    return this.follow(pins.name, { text, values, shape: shapeOf(pins.view) }, pollMs, signal)
  }

  /** Hears that a table has a new version. */
  committed(uri: string): void {
    for (const view of this.watched.values()) view.committed(uri)
  }

  /** Ends all that are watched. */
  async close(): Promise<void> {
    await Promise.all([...this.watched.values()].map((view) => view.close()))
  }

  private async *follow(
    name: string,
    key: AskedKey,
    pollMs: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<IndexedRow, void> {
    const view =
      this.watched.get(name) ??
      new WatchedView(name, this.host, this.indexes, { report: this.report, onIdle: () => this.watched.delete(name) })
    this.watched.set(name, view)
    const watcher = new Watcher()
    const end = () => watcher.end()
    signal?.addEventListener('abort', end, { once: true })
    if (signal?.aborted) watcher.end()
    view.join(watcher, key, pollMs)
    try {
      for (let row = await watcher.next(); row; row = await watcher.next()) yield row
    } finally {
      signal?.removeEventListener('abort', end)
      view.leave(watcher, key)
    }
  }
}

interface AskedKey {
  /** As `keySql` writes it. */
  readonly text: Uint8Array
  readonly values: KeyValues
  /** The key columns that it has values for. */
  readonly shape: string
}

interface WatchedKey extends AskedKey {
  readonly watchers: Set<Watcher>
  /** As of the last look. */
  row: IndexedRow | undefined
}

/** A view and the keys of it that are watched. It looks for as long as there are any. */
class WatchedView {
  private readonly name: string
  private readonly host: TableHost
  private readonly indexes: ViewIndexes
  private readonly told: { readonly report: Report; readonly onIdle: () => void }
  private readonly keys = new Map<string, WatchedKey>()
  /** Those who came after the last look began: they get what the next one sees, whether it is new to others or not. */
  private joined = new Set<Watcher>()
  private marks: readonly unknown[] = []
  private uris: ReadonlySet<string> = new Set()
  private pollMs = Number.POSITIVE_INFINITY
  private wake = () => {}
  private running: Promise<void> | undefined
  private closed = false

  constructor(
    name: string,
    host: TableHost,
    indexes: ViewIndexes,
    told: { readonly report: Report; readonly onIdle: () => void },
  ) {
    this.name = name
    this.host = host
    this.indexes = indexes
    this.told = told
  }

  join(watcher: Watcher, asked: AskedKey, pollMs: number): void {
    const id = nameOf(asked.text)
    const key = this.keys.get(id) ?? { ...asked, watchers: new Set(), row: undefined }
    this.keys.set(id, key)
    key.watchers.add(watcher)
    this.joined.add(watcher)
    this.pollMs = Math.min(this.pollMs, pollMs)
    this.wake()
    this.running ??= this.run()
  }

  leave(watcher: Watcher, { text }: AskedKey): void {
    const id = nameOf(text)
    const key = this.keys.get(id)
    this.joined.delete(watcher)
    key?.watchers.delete(watcher)
    if (key?.watchers.size === 0) this.keys.delete(id)
    if (this.keys.size === 0) this.wake()
  }

  committed(uri: string): void {
    if (this.uris.has(uri)) this.wake()
  }

  async close(): Promise<void> {
    this.closed = true
    this.wake()
    for (const watcher of this.watchers()) watcher.end()
    await this.running
  }

  private async run(): Promise<void> {
    const { clock } = this.host
    while (this.keys.size > 0 && !this.closed) {
      const woken = new Promise<void>((resolve) => {
        this.wake = resolve
      })
      const waitMs = await this.lookOrFail()
      await clock.sleep(Math.min(GATHER_MS, waitMs))
      await Promise.race([woken, clock.sleep(waitMs)])
    }
    this.running = undefined
    this.told.onIdle()
  }

  /** @returns how long nobody has to look again. */
  private async lookOrFail(): Promise<number> {
    const joined = this.joined
    this.joined = new Set()
    try {
      await this.look(joined)
      return this.pollMs
    } catch (error) {
      if (isDeltaError(error) && PASSING.has(error.kind) && !this.closed) {
        this.told.report(this.name, error)
        for (const watcher of joined) this.joined.add(watcher)
        return RETRY_MS
      }
      for (const watcher of this.watchers()) watcher.fail(error)
      this.keys.clear()
      return this.pollMs
    }
  }

  private async look(joined: ReadonlySet<Watcher>): Promise<void> {
    const pins = await pinNewest(this.host, this.name)
    if (!pins) throw viewNotFound(this.name)
    this.uris = new Set([pins.pinned, ...pins.tables.map(({ pinned }) => pinned)].map(({ table }) => table.uri))
    this.failOthers(pins.view)
    const isSame = pins.marks.length === this.marks.length && pins.marks.every((mark, at) => mark === this.marks[at])
    const asked = [...this.keys.values()].filter(({ row }) => !isSame || row === undefined)
    if (asked.length > 0) {
      const rows = await this.rowsOf(pins, asked)
      for (const [at, key] of asked.entries()) this.settle(key, rows[at] as IndexedRow)
    }
    this.marks = pins.marks
    for (const { row, watchers } of this.keys.values())
      for (const watcher of watchers) if (row && joined.has(watcher)) watcher.offer(row)
  }

  /** A view that is made anew may have another key. */
  private failOthers(view: View): void {
    const shape = shapeOf(view)
    for (const [id, key] of this.keys) {
      if (key.shape === shape) continue
      const hint = `the key is ${view.key.join(', ')}`
      const error = new DeltaError('ARGUMENT_INVALID', 'the key of the view is another one now', { view: this.name }, { hint })
      for (const watcher of key.watchers) watcher.fail(error)
      this.keys.delete(id)
    }
  }

  private settle(key: WatchedKey, row: IndexedRow): void {
    const isNew = key.row === undefined || !isSameText(key.row.json, row.json)
    key.row = row
    if (!isNew) return
    for (const watcher of key.watchers) if (!this.joined.has(watcher)) watcher.offer(row)
  }

  /** All of one version, in the order of the keys. */
  private async rowsOf(pins: ViewPins, keys: readonly WatchedKey[]): Promise<readonly IndexedRow[]> {
    const { columns } = pins.view.plan
    const held = await this.indexes.newest(pins)
    // A copy, for the index writes over its rows.
    const copyOf = (bytes: Uint8Array | undefined) => bytes && Uint8Array.from(bytes)
    if (held) return keys.map(({ text }) => ({ columns, versions: held.versions, json: copyOf(held.get(text)) }))
    const versions = Object.fromEntries(pins.tables.map(({ name, pinned }) => [name, pinned.snapshot.version]))
    const found = new Map<string, Uint8Array>()
    for (let from = 0; from < keys.length; from += KEYS_MAX) {
      const some = keys.slice(from, from + KEYS_MAX).map(({ values }) => values)
      const { condition, params } = areKeys(pins.view, some)
      const text = `SELECT ${keySql(pins.view)}, ${rowSql(pins.view)} FROM ${ident(pins.name)} AS v WHERE ${condition}`
      for await (const rows of queriedTexts(pins.host, { text, params }))
        for (let at = 0; at < rows.rows; at++) {
          const [key, row] = [rows.text(at, 0), rows.text(at, 1)]
          if (key && row) found.set(nameOf(key), row)
        }
    }
    return keys.map(({ text }) => ({ columns, versions, json: found.get(nameOf(text)) }))
  }

  private watchers(): readonly Watcher[] {
    return [...this.keys.values()].flatMap(({ watchers }) => [...watchers])
  }
}

/** Kinds of failure that pass without anybody's doing. */
const PASSING: ReadonlySet<string> = new Set(['unavailable', 'limit', 'conflict', 'cancelled'])

function shapeOf({ key, plan }: View): string {
  return JSON.stringify(key.map((name) => plan.columns.find((column) => column.name === name)))
}

function nameOf(text: Uint8Array): string {
  return Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('latin1')
}

function isSameText(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && Buffer.compare(a, b) === 0)
}

function viewNotFound(view: string): DeltaError {
  return new DeltaError('VIEW_NOT_FOUND', 'there is no such view', { view }, { hint: 'SHOW VIEWS lists the views' })
}
