import { LRUCache } from 'lru-cache'
import { Serial } from '../base/serial.js'
import { ident } from '../engine/sql-text.js'
import { namedParts, viewAt } from '../views/exact.js'
import { KeyIndex } from '../views/key-index.js'
import { partials } from '../views/maintain-sql.js'
import { viewOf } from '../views/view.js'
import type { TableHost } from './table-host.js'
import type { KeyValues, LookupKey } from './view-lookup.js'
import { pinNewest, type ViewPins } from './view-pins.js'
import { viewReading } from './view-reads.js'
import { keySql, keyText, partSql, rowSql, type TextPair, texts } from './view-texts.js'

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
interface Indexed {
  readonly definition: object
  readonly index: KeyIndex
  readonly versions: ReadonlyMap<string, { readonly id: string; readonly version: number }>
}

const INDEXES_BYTES_MAX = 512 * 1024 * 1024
const VIEWS_MAX = 64
const PREFIX = '__index_'

/**
 * Views held in memory to be served by key: built when first asked for, brought up to each new version of their sources by the
 * keys that this touched, and let go of when others need the room. What they answer is exact at the versions that they name.
 */
export class ViewIndexes {
  private readonly host: TableHost
  private readonly onFailure: (view: string, error: unknown) => void
  private readonly indexed = new LRUCache<string, Indexed>({
    max: VIEWS_MAX,
    maxSize: INDEXES_BYTES_MAX,
    sizeCalculation: ({ index }) => index.bytes,
  })
  /** Views that have no room, by their definition. */
  private readonly tooLarge = new WeakSet<object>()
  private readonly work = new Map<string, { readonly serial: Serial; queued: Promise<Indexed | undefined> | undefined }>()

  constructor(host: TableHost, onFailure: (view: string, error: unknown) => void) {
    this.host = host
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
    const pins = await pinNewest(this.host, name)
    if (!pins || Object.keys(key).length !== pins.view.key.length) return undefined
    const values = pins.view.key.map((column) => key[column])
    const text = values.includes(undefined) ? undefined : keyText(pins.view, values as KeyValues)
    const rows = text && (await this.newest(pins))
    return rows && { columns: pins.view.plan.columns, versions: rows.versions, json: rows.get(text) }
  }

  /** Rows by the texts of their keys, as of now; `undefined` for a view that is not held in memory. */
  async newest(pins: ViewPins): Promise<IndexedRows | undefined> {
    const { name, pinned } = pins
    if (!canHold(pins) || this.tooLarge.has(pinned.snapshot.metadata)) return undefined
    const known = this.indexed.get(name)
    if (!known) {
      // The first to ask does not wait for all rows.
      void this.advance(name)
      return undefined
    }
    const indexed = isAt(known, pins) ? known : await this.advance(name)
    if (!indexed) return undefined
    const versions = Object.fromEntries([...indexed.versions].map(([source, { version }]) => [source, version]))
    return { versions, get: (text) => indexed.index.get(text) }
  }

  /** Those who ask while one advance runs share the next. */
  private advance(name: string): Promise<Indexed | undefined> {
    const work = this.work.get(name) ?? { serial: new Serial(), queued: undefined }
    this.work.set(name, work)
    work.queued ??= work.serial
      .run(async () => {
        work.queued = undefined
        return await this.bringUp(name)
      })
      .catch((error: unknown) => {
        this.onFailure(name, error)
        this.indexed.delete(name)
        return undefined
      })
    return work.queued
  }

  private async bringUp(name: string): Promise<Indexed | undefined> {
    const pins = await pinNewest(this.host, name)
    if (!pins || !canHold(pins)) return undefined
    const known = this.indexed.get(name)
    if (known && isAt(known, pins)) return known
    const changes = known && (await this.changesSince(name, known, pins))
    const index = changes ? known.index : await this.build(name, pins)
    if (!index) return undefined
    // At once, so that nobody sees some of it: rows and the versions they are of.
    for (const [key, row] of changes ?? []) {
      if (row) index.set(key, row)
      else index.delete(key)
    }
    const { metadata } = pins.pinned.snapshot
    const versions = new Map(
      pins.sources.map(({ name: source, pinned: { snapshot } }) => [
        source,
        { id: snapshot.metadata.id, version: snapshot.version },
      ]),
    )
    const indexed = { definition: metadata, index, versions }
    this.indexed.set(name, indexed)
    return indexed
  }

  private async build(name: string, { host, pinned, view }: ViewPins): Promise<KeyIndex | undefined> {
    const index = new KeyIndex()
    const rows = `SELECT ${keySql(view)} AS "__key", ${rowSql(view)} AS "__row" FROM ${ident(name)} AS v`
    for await (const [key, row] of texts(host, { text: rows })) {
      if (row) index.set(key, row)
      if (index.bytes <= INDEXES_BYTES_MAX) continue
      this.tooLarge.add(pinned.snapshot.metadata)
      return undefined
    }
    return index
  }

  /** Keys that a change touched, and their rows now; `undefined` when that cannot be told, or the index is mostly waste. */
  private async changesSince(
    name: string,
    known: Indexed,
    { host, pinned, view, sources }: ViewPins,
  ): Promise<readonly TextPair[] | undefined> {
    const { groups } = view.plan
    const { index } = known
    const isSame = sources.every(
      ({ name: source, pinned: { snapshot } }) => known.versions.get(source)?.id === snapshot.metadata.id,
    )
    if (!groups || !isSame || known.definition !== pinned.snapshot.metadata || index.wastedBytes > index.bytes / 2)
      return undefined
    const since = new Map([...known.versions].map(([source, { version }]) => [source, version]))
    const reading = viewReading(host, (source) => host.pin({ schema: '', name: source }, undefined), undefined)
    const at = await viewAt({ ...reading, since }, { name, table: pinned.table, snapshot: pinned.snapshot }, PREFIX)
    if (at.isBeyond) return undefined
    const touched = partials(groups, at.changes)
    if (touched.length === 0) return []
    const keys = groups.keys.map((_, nth) => `k${nth}`).join(', ')
    const sql = `SELECT DISTINCT ${keys} FROM (${touched.join(' UNION ALL ')})`
    const parts = await namedParts(at, sql)
    if (!parts) return undefined
    const same = groups.keys.map((key, nth) => `v.${ident(key.name)} IS NOT DISTINCT FROM t.k${nth}`).join(' AND ')
    const rows =
      `SELECT ${groups.keys.map((_, nth) => partSql(`t.k${nth}`)).join(' || ')} AS "__key", CASE WHEN v."__there" THEN ${rowSql(view)} END AS "__row" ` +
      `FROM "__touched" AS t LEFT JOIN (SELECT *, true AS "__there" FROM ${ident(name)}) AS v ON ${same}`
    const all: TextPair[] = []
    for await (const [key, row] of texts(host, { text: rows, relations: new Map([['__touched', { sql, parts }]]) }))
      all.push([key.slice(), row?.slice()])
    return all
  }
}

/** Whether a view has a key, and reads tables alone. */
function canHold({ view, sources }: ViewPins): boolean {
  if (view.plan.columns.some(({ type }) => type.includes('VARIANT'))) return false
  if (view.key.length === 0 || view.key.length !== view.plan.groups?.keys.length) return false
  return sources.length === view.sources.length && !sources.some(({ pinned }) => viewOf(pinned.snapshot))
}

function isAt({ definition, versions }: Indexed, { pinned, sources }: ViewPins): boolean {
  return (
    definition === pinned.snapshot.metadata &&
    sources.every(({ name, pinned: { snapshot } }) => {
      const at = versions.get(name)
      return at?.version === snapshot.version && at.id === snapshot.metadata.id
    })
  )
}
