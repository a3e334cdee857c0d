import { DeltaError, isDeltaError } from '../base/errors.js'
import { LOG_FOLDER } from '../protocol/log-path.js'
import type { TableRequest } from '../sql/planner.js'
import type { ObjectStore } from '../storage/store.js'
import type { DeltaTable } from '../table/delta-table.js'
import { checkTableName } from './names.js'
import type { TableSummary } from './options.js'
import type { PinnedTable } from './query-runner.js'
import type { Table } from './table.js'

export interface CatalogSettings {
  /** Whether tables may be named by location. */
  readonly locations: boolean
  /** Throws when the lakehouse is closed. */
  checkOpen(): void
  /** The store of a location. */
  openStore(uri: string): ObjectStore
  deltaTable(store: ObjectStore): DeltaTable
  tableOf(name: string, delta: DeltaTable): Table
}

interface OpenTable {
  readonly delta: DeltaTable
  readonly table: Table
}

/** The tables of a lakehouse: by name those in the folders of its root, by location any, where that is allowed. */
export class TableCatalog {
  private readonly store: ObjectStore
  private readonly settings: CatalogSettings
  private readonly opened = new Map<string, OpenTable>()
  /** Names whose tables callers hold, whether there is one or not. */
  private readonly handedOut = new Set<string>()
  private readonly outside = new Map<string, DeltaTable>()

  constructor(store: ObjectStore, settings: CatalogSettings) {
    this.store = store
    this.settings = settings
  }

  /** The table of a name, whether there is one or not; nothing is asked of the store. @throws {DeltaError} `NAME_INVALID`, `CLOSED`. */
  open(name: string): OpenTable {
    this.settings.checkOpen()
    const held = this.opened.get(name)
    if (held) return held
    const delta = this.settings.deltaTable(this.store.child(checkTableName(name)))
    const opened = { delta, table: this.settings.tableOf(name, delta) }
    this.opened.set(name, opened)
    return opened
  }

  /** The same for a caller, who then holds it. */
  handOut(name: string): Table {
    const { table } = this.open(name)
    this.handedOut.add(name)
    return table
  }

  /** Those that are open, by their names. */
  get held(): readonly (readonly [name: string, delta: DeltaTable])[] {
    return [...this.opened].map(([name, { delta }]) => [name, delta] as const)
  }

  /** By name. */
  async list(): Promise<readonly TableSummary[]> {
    this.settings.checkOpen()
    const folders = (await this.store.listFolders('')).filter((name) => isTableName(name))
    const found = await Promise.all(
      folders.map(async (name) =>
        (await hasAny(this.store.list(`${name}/${LOG_FOLDER}`))) ? [{ name, uri: this.store.child(name).uri }] : [],
      ),
    )
    return found.flat()
  }

  /** Pins a version in as few requests as it takes: only a name that is not found is looked up in the listing. */
  async pin(request: TableRequest, signal: AbortSignal | undefined): Promise<PinnedTable | undefined> {
    const select = { version: request.version, timestampMs: request.timestampMs, orLatest: request.orLatest }
    if (request.schema === '' && isTableName(request.name)) {
      const table = this.open(request.name).delta
      try {
        return { table, snapshot: await table.snapshot(select, { signal }) }
      } catch (error) {
        if (!(isDeltaError(error) && error.code === 'TABLE_NOT_FOUND')) throw error
      }
    }
    const table = await this.find(request)
    return table && { table, snapshot: await table.snapshot(select, { signal }) }
  }

  /** By its name, whatever the letter case; by location where that is allowed. */
  async find({ schema, name }: TableRequest): Promise<DeltaTable | undefined> {
    if (schema === 'delta') {
      const delta = this.at(name)
      return (await delta.exists()) ? delta : undefined
    }
    if (schema !== '' || !isTableName(name)) return undefined
    const { delta } = this.open(name)
    if (await delta.exists()) return delta
    // A handle that a caller has is this lakehouse's to close; of names that are only asked for, none is kept.
    if (!this.handedOut.has(name)) this.opened.delete(name)
    const same = (await this.list()).find((table) => table.name.toLowerCase() === name.toLowerCase())
    return same && this.open(same.name).delta
  }

  /** The table of a location, whether there is one or not. @throws {DeltaError} `SQL_FORBIDDEN` where locations are not allowed. */
  at(uri: string): DeltaTable {
    if (!this.settings.locations) refuseLocation({ schema: 'delta', name: uri })
    const delta = this.outside.get(uri) ?? this.settings.deltaTable(this.settings.openStore(uri))
    this.outside.set(uri, delta)
    return delta
  }

  /** Closes the table of a name, for all who hold it. */
  async release(name: string): Promise<void> {
    await this.opened.get(name)?.table.close()
    this.opened.delete(name)
    this.handedOut.delete(name)
  }

  /** Deletes a table with all its files. @returns false when there was none. */
  async drop(name: string): Promise<boolean> {
    const list = () => this.store.list(checkTableName(name))
    if (!(await hasAny(list()))) return false
    await this.release(name)
    // Listed once what was written behind the last commit is there.
    const paths: string[] = []
    for await (const { path } of list()) paths.push(path)
    // The log goes first, the newest commit before the older ones: a table that is half deleted never reads as a whole one.
    const log = paths
      .filter((path) => path.startsWith(`${name}/${LOG_FOLDER}/`))
      .sort()
      .reverse()
    await this.store.delete(log)
    await this.store.delete(paths.filter((path) => !log.includes(path)))
    return true
  }

  async close(): Promise<void> {
    for (const { table } of this.opened.values()) await table.close()
    for (const delta of this.outside.values()) await delta.close()
  }
}

/** @throws {DeltaError} `SQL_FORBIDDEN` for a request that names a location. */
export function refuseLocation(request: TableRequest): TableRequest {
  if (request.schema !== 'delta') return request
  const hint = 'use the name of a table'
  throw new DeltaError('SQL_FORBIDDEN', 'SQL here names tables of the lakehouse, not locations', {}, { hint })
}

function isTableName(name: string): boolean {
  try {
    checkTableName(name)
    return true
  } catch {
    return false
  }
}

async function hasAny(items: AsyncIterable<unknown>): Promise<boolean> {
  for await (const _ of items) return true
  return false
}
