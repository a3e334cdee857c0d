import { setImmediate } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { Serial } from '../base/serial.js'
import { type PinnedSource, type ViewReading, viewAt } from '../views/exact.js'
import { KeyIndex } from '../views/key-index.js'
import { viewOf } from '../views/view.js'
import type { TableHost } from './table-host.js'
import { changedSince, fillIndex, put } from './view-held.js'
import type { KeyValues, LookupKey } from './view-lookup.js'
import { pinNewest, ViewLooks, type ViewPins } from './view-pins.js'
import { viewReading } from './view-reads.js'
import { hasTextStates } from './view-states.js'
import { keyText, type TextRows } from './view-texts.js'

/** A row of a view as JSON, and the versions that it is of. */
export interface IndexedRow {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly versions: Readonly<Record<string, number>>
  /** An object with the view's columns; `undefined` for a key that is not there. */
  readonly json: Uint8Array | undefined
}

/** Rows of one version of everything, to be taken before anything is awaited. */
interface IndexedRows {
  readonly versions: Readonly<Record<string, number>>
  get(key: Uint8Array): Uint8Array | undefined
}

/** A view's rows in memory, at a version of each of its sources. */
interface Indexed extends IndexedRows {
  readonly definition: object
  readonly index: KeyIndex
  /** The table that each source was. */
  readonly ids: Readonly<Record<string, string>>
}

/** Rows that are about to be of newer versions: those of all but the touched keys are so already. */
interface Pending {
  readonly rows: Indexed
  readonly touched: KeyIndex
}

/** Work on one index, an advance at a time. */
interface Work {
  readonly serial: Serial
  /** An advance that has not begun. */
  queued: Advance | undefined
  running: Advance | undefined
}

interface Advance {
  /** Resolves as soon as the touched keys are known; to `undefined` where they never are. */
  readonly told: Promise<Pending | undefined>
  readonly done: Promise<Indexed | undefined>
}

const INDEXES_BYTES_MAX = 512 * 1024 * 1024
const VIEWS_MAX = 64
const PREFIX = '__index_'
/** A change that touches more keys than this, and more than a quarter of all, is no less work than all of them. */
const TOUCHED_MAX = 20_000
const COPIED_AT_ONCE = 20_000

/**
 * Views held in memory to be served by key: built when first asked for, brought up to each new version of their sources by the
 * keys that this touched, and let go of when others need the room. What they answer is exact at the versions that they name.
 */
export class ViewIndexes {
  private readonly host: TableHost
  private readonly looks: ViewLooks
  private readonly onFailure: (view: string, error: unknown) => void
  private readonly indexed = new LRUCache<string, Indexed>({
    max: VIEWS_MAX,
    maxSize: INDEXES_BYTES_MAX,
    sizeCalculation: ({ index }) => index.bytes,
  })
  /** Views that have no room, by their definition. */
  private readonly tooLarge = new WeakSet<object>()
  private readonly work = new Map<string, Work>()

  constructor(host: TableHost, onFailure: (view: string, error: unknown) => void) {
    this.host = host
    this.looks = new ViewLooks(host)
    this.onFailure = onFailure
  }

  /** Waits for indexes that are being built. */
  async close(): Promise<void> {
    await Promise.all([...this.work.values()].map(({ serial }) => serial.run(async () => undefined)))
    this.indexed.clear()
  }

  /**
   * The row of a key, exact as of now.
   *
   * @returns `undefined` for a view that is not held in memory: one without a key, over other views, or too large; and for a key
   * that has to be read by the engine first.
   */
  async lookup(name: string, key: LookupKey): Promise<IndexedRow | undefined> {
    const pins = await this.looks.newest(name)
    if (!pins || Object.keys(key).length !== pins.view.key.length) return undefined
    const values = pins.view.key.map((column) => key[column])
    const text = values.includes(undefined) ? undefined : keyText(pins.view, values as KeyValues)
    const rows = text && (await this.rowsWith(text, pins))
    const json = text && rows?.get(text)
    // A copy, for the index writes over its rows.
    return rows && { columns: pins.view.plan.columns, versions: rows.versions, json: json && Buffer.from(json) }
  }

  /** Rows by the texts of their keys, as of now; `undefined` for a view that is not held in memory. */
  async newest(pins: ViewPins): Promise<IndexedRows | undefined> {
    return this.current(pins) ?? (await this.advanceOf(pins)?.done)
  }

  /** The same, where the row of one key will do: a key that the newest changes do not touch does not wait for them. */
  private async rowsWith(key: Uint8Array, pins: ViewPins): Promise<IndexedRows | undefined> {
    const current = this.current(pins)
    if (current) return current
    const running = this.work.get(pins.name)?.running
    const soon = await running?.told
    const advance = soon && isAt(soon.rows, pins) ? running : this.advanceOf(pins)
    const pending = await advance?.told
    return pending && !pending.touched.has(key) ? pending.rows : await advance?.done
  }

  private current(pins: ViewPins): Indexed | undefined {
    const known = this.indexed.get(pins.name)
    return known && isAt(known, pins) ? known : undefined
  }

  private advanceOf(pins: ViewPins): Advance | undefined {
    if (!canHold(pins) || this.tooLarge.has(pins.pinned.snapshot.metadata)) return undefined
    const advance = this.advance(pins.name)
    // The first to ask does not wait for all rows.
    return this.indexed.has(pins.name) ? advance : undefined
  }

  /** Those who ask while one advance runs share the next. */
  private advance(name: string): Advance {
    const work = this.work.get(name) ?? { serial: new Serial(), queued: undefined, running: undefined }
    this.work.set(name, work)
    if (work.queued) return work.queued
    let tell: (pending: Pending | undefined) => void = () => undefined
    const told = new Promise<Pending | undefined>((resolve) => {
      tell = resolve
    })
    const done = work.serial.run(async () => {
      work.running = advance
      work.queued = undefined
      try {
        return await this.bringUp(name, tell)
      } catch (error) {
        this.onFailure(name, error)
        this.indexed.delete(name)
        return undefined
      } finally {
        work.running = undefined
        tell(undefined)
      }
    })
    const advance: Advance = { told, done }
    work.queued = advance
    return advance
  }

  private async bringUp(name: string, onPending: (pending: Pending) => void): Promise<Indexed | undefined> {
    const pins = await pinNewest(this.host, name)
    if (!pins || !canHold(pins)) return undefined
    const known = this.indexed.get(name)
    if (known && isAt(known, pins)) return known
    const onTouched = (touched: KeyIndex) => known && onPending({ rows: indexedAt(pins, known.index), touched })
    const changes = known && (await this.changesSince(known, pins, onTouched))
    const index = changes ? await this.roomy(known.index) : await this.build(pins)
    if (!index) return undefined
    // At once, so that nobody sees some of it: rows and the versions they are of.
    for (const some of changes ?? []) put(index, some)
    const indexed = indexedAt(pins, index)
    this.indexed.set(name, indexed)
    return indexed
  }

  private async build(pins: ViewPins): Promise<KeyIndex | undefined> {
    const { host, pinned, view } = pins
    const { groups } = view.plan
    if (!groups) return undefined
    const index = new KeyIndex()
    const at = await viewAt(readingOf(pins), stateOf(pins), PREFIX)
    if (await fillIndex(host, at, { view, groups }, PREFIX, index, () => index.bytes > INDEXES_BYTES_MAX)) return index
    this.tooLarge.add(pinned.snapshot.metadata)
    return undefined
  }

  /** Groups that a change touched, as they are now; `undefined` when it is better to build the index anew. */
  private async changesSince(
    known: Indexed,
    pins: ViewPins,
    onTouched: (touched: KeyIndex) => void,
  ): Promise<readonly TextRows[] | undefined> {
    const { host, pinned, view, sources } = pins
    const { groups } = view.plan
    const isSame = sources.every(({ name, pinned: { snapshot } }) => known.ids[name] === snapshot.metadata.id)
    if (!groups || !isSame || known.definition !== pinned.snapshot.metadata) return undefined
    const since = new Map(Object.entries(known.versions))
    const at = await viewAt({ ...readingOf(pins), since }, stateOf(pins), PREFIX)
    if (at.isBeyond) return undefined
    if (at.changes.plus.length + at.changes.minus.length === 0) return []
    const most = Math.max(TOUCHED_MAX, known.index.size / 4)
    return changedSince(host, at, { view, groups }, known.index, most, onTouched)
  }

  /** An index without the texts that were replaced, once they are most of it. */
  private async roomy(index: KeyIndex): Promise<KeyIndex> {
    if (index.wastedBytes <= index.bytes / 2) return index
    const other = new KeyIndex()
    for (let from: number | undefined = 0; from !== undefined; await setImmediate())
      from = index.copyTo(other, from, COPIED_AT_ONCE)
    return other
  }
}

function indexedAt({ pinned, sources }: ViewPins, index: KeyIndex): Indexed {
  const ofSources = <T>(of: (source: ViewPins['sources'][number]['pinned']['snapshot']) => T) =>
    Object.fromEntries(sources.map(({ name, pinned: { snapshot } }) => [name, of(snapshot)]))
  return {
    definition: pinned.snapshot.metadata,
    index,
    ids: ofSources((source) => source.metadata.id),
    versions: ofSources((source) => source.version),
    get: (text) => index.get(text),
  }
}

function readingOf({ host }: ViewPins): ViewReading {
  return viewReading(host, (source) => host.pin({ schema: '', name: source }, undefined), undefined)
}

function stateOf({ name, pinned: { table, snapshot } }: ViewPins): PinnedSource {
  return { name, table, snapshot }
}

/** Whether a view has a key, and reads tables alone. */
function canHold({ view, sources }: ViewPins): boolean {
  const { columns, groups } = view.plan
  if (!groups || columns.some(({ type }) => type.includes('VARIANT')) || !hasTextStates(groups)) return false
  if (view.key.length === 0 || view.key.length !== groups.keys.length) return false
  return sources.length === view.sources.length && !sources.some(({ pinned }) => viewOf(pinned.snapshot))
}

function isAt({ definition, versions, ids }: Indexed, { pinned, sources }: ViewPins): boolean {
  if (definition !== pinned.snapshot.metadata) return false
  return sources.every(
    ({ name, pinned: { snapshot } }) => versions[name] === snapshot.version && ids[name] === snapshot.metadata.id,
  )
}
