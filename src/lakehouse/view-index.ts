import type { Data, Utf8 } from 'apache-arrow'
import { LRUCache } from 'lru-cache'
import { Serial } from '../base/serial.js'
import { recordBatches } from '../engine/arrow-out.js'
import { ident } from '../engine/sql-text.js'
import { namedParts, viewAt } from '../views/exact.js'
import { KeyIndex } from '../views/key-index.js'
import { partials } from '../views/maintain-sql.js'
import { type View, viewOf } from '../views/view.js'
import { jsonSql } from './json-sql.js'
import { type PinnedRelation, type PinnedTable, readyQuery } from './query-runner.js'
import type { TableHost } from './table-host.js'
import type { LookupKey } from './view-lookup.js'
import { viewReading } from './view-reads.js'

/** A row of a view as JSON, and the versions that it is of. */
export interface IndexedRow {
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  readonly versions: Readonly<Record<string, number>>
  /** An object with the view's columns; `undefined` for a key that is not there. */
  readonly json: Uint8Array | undefined
}

/** The newest versions of a view and its sources. */
interface Pins {
  readonly pinned: PinnedTable
  readonly view: View
  readonly sources: readonly { readonly name: string; readonly pinned: PinnedTable }[]
  readonly host: TableHost
}

/** A view's rows in memory, at a version of each of its sources. */
interface Indexed {
  readonly definition: object
  readonly index: KeyIndex
  readonly versions: ReadonlyMap<string, { readonly id: string; readonly version: number }>
}

type TextPair = readonly [key: Uint8Array, row: Uint8Array | undefined]

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
    const pins = await this.pin(name)
    const text = pins && keyText(pins.view, key)
    if (!pins || !text || this.tooLarge.has(pins.pinned.snapshot.metadata)) return undefined
    const known = this.indexed.get(name)
    if (!known) {
      // The first to ask does not wait for all rows.
      void this.advance(name)
      return undefined
    }
    const indexed = isAt(known, pins) ? known : await this.advance(name)
    if (!indexed) return undefined
    const versions = Object.fromEntries([...indexed.versions].map(([source, { version }]) => [source, version]))
    return { columns: pins.view.plan.columns, versions, json: indexed.index.get(text) }
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
    const pins = await this.pin(name)
    if (!pins) return undefined
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

  private async build(name: string, { host, pinned, view }: Pins): Promise<KeyIndex | undefined> {
    const index = new KeyIndex()
    const rows = `SELECT ${keySql(view)} AS "__key", ${rowSql(view)} AS "__row" FROM ${ident(name)} AS v`
    for await (const [key, row] of texts(host, new Map(), rows)) {
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
    { host, pinned, view, sources }: Pins,
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
    for await (const [key, row] of texts(host, new Map([['__touched', { sql, parts }]]), rows))
      all.push([key.slice(), row?.slice()])
    return all
  }

  private async pin(name: string): Promise<Pins | undefined> {
    const pinned = new Map<string, Promise<PinnedTable | undefined>>()
    const host: TableHost = {
      ...this.host,
      pin: (wanted, signal) => {
        if (wanted.version !== undefined || wanted.timestampMs !== undefined) return this.host.pin(wanted, signal)
        const key = JSON.stringify([wanted.schema, wanted.name.toLowerCase()])
        const found = pinned.get(key) ?? this.host.pin(wanted, signal)
        pinned.set(key, found)
        return found
      },
    }
    const state = await host.pin({ schema: '', name }, undefined)
    const view = state && viewOf(state.snapshot)
    if (!state || !view || view.plan.columns.some(({ type }) => type.includes('VARIANT'))) return undefined
    if (view.key.length === 0 || view.key.length !== view.plan.groups?.keys.length) return undefined
    const sources: { name: string; pinned: PinnedTable }[] = []
    for (const source of view.sources) {
      const found = await host.pin({ schema: '', name: source }, undefined)
      if (!found || viewOf(found.snapshot)) return undefined
      sources.push({ name: source, pinned: found })
    }
    return { pinned: state, view, sources, host }
  }
}

function isAt({ definition, versions }: Indexed, { pinned, sources }: Pins): boolean {
  return (
    definition === pinned.snapshot.metadata &&
    sources.every(({ name, pinned: { snapshot } }) => {
      const at = versions.get(name)
      return at?.version === snapshot.version && at.id === snapshot.metadata.id
    })
  )
}

/** Pairs of texts as the engine has them, for as long as the next is not asked for. */
async function* texts(host: TableHost, relations: ReadonlyMap<string, PinnedRelation>, text: string): AsyncGenerator<TextPair> {
  const { plan, session, release } = await readyQuery(host, { text, relations })
  try {
    for await (const batch of recordBatches(await session.stream(plan.text, { params: plan.params }), {})) {
      const [keys, rows] = [batch.getChildAt(0)?.data[0], batch.getChildAt(1)?.data[0]]
      for (let at = 0; at < batch.numRows; at++) yield [textAt(keys, at) ?? NO_TEXT, textAt(rows, at)]
    }
  } finally {
    release(false)
  }
}

const NO_TEXT = new Uint8Array()

function textAt(column: Data | undefined, at: number): Uint8Array | undefined {
  if (!column?.getValid(at)) return undefined
  const { values, valueOffsets } = column as Data<Utf8>
  return values.subarray(valueOffsets[at] ?? 0, valueOffsets[at + 1] ?? 0)
}

/** A row of the view as JSON, as answers to queries have it. */
function rowSql({ plan }: View): string {
  const members = plan.columns.map(({ name, type }) => `${ident(name)} := ${jsonSql(type, `v.${ident(name)}`)}`)
  return `to_json(struct_pack(${members.join(', ')}))::VARCHAR`
}

function keySql({ key }: View): string {
  return key.map((name) => partSql(`v.${ident(name)}`)).join(' || ')
}

/** A part of a key, with its length before it, so that no two keys have one text. */
function partSql(value: string): string {
  return `CASE WHEN ${value} IS NULL THEN 'n' ELSE strlen(${value}::VARCHAR)::VARCHAR || ':' || ${value}::VARCHAR END`
}

/** A key as `keySql` writes it; `undefined` for one that is not given as the engine writes its values. */
function keyText({ key, plan }: View, values: LookupKey): Uint8Array | undefined {
  if (Object.keys(values).length !== key.length) return undefined
  const parts = key.map((name) => {
    const value = values[name]
    if (value === null) return 'n'
    const type = plan.columns.find((column) => column.name === name)?.type ?? ''
    const text = value === undefined ? undefined : String(value)
    return text === undefined || !isCanonical(type, text) ? undefined : `${Buffer.byteLength(text)}:${text}`
  })
  return parts.includes(undefined) ? undefined : Buffer.from(parts.join(''))
}

function isCanonical(type: string, text: string): boolean {
  if (type === 'VARCHAR') return true
  if (type === 'BOOLEAN') return text === 'true' || text === 'false'
  if (/^(TINYINT|SMALLINT|INTEGER|BIGINT)$/.test(type)) return /^(0|-?[1-9]\d{0,17})$/.test(text)
  return type === 'DATE' && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))
}
