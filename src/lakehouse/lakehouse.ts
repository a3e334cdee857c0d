import type { Clock } from '../base/clock.js'
import { systemClock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import { type EventSink, ignoreEvents } from '../base/events.js'
import { systemRandom } from '../base/random.js'
import type { StreamStatus } from '../ingest/kafka/stream.js'
import { convert } from '../ops/convert.js'
import { LOG_FOLDER } from '../protocol/log-path.js'
import type { StructField } from '../protocol/schema.js'
import { isReading, parseStatement } from '../sql/statement.js'
import { splitStatements, tokenize } from '../sql/tokens.js'
import { StoreMeter } from '../storage/meter.js'
import { openStore } from '../storage/open.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
import { DeltaTable } from '../table/delta-table.js'
import { OpenLogs } from '../table/open-logs.js'
import { AutoMaintenance } from './auto-maintenance.js'
import { cloneInto } from './clone.js'
import { checkDesign, createDeltaTable, fieldOf } from './create.js'
import { Engines } from './engines.js'
import { freshEnough } from './fresh-enough.js'
import type {
  CloneTableOptions,
  CloneTableResult,
  ConvertOptions,
  ConvertTableResult,
  MaintenanceOptions,
} from './maintenance-options.js'
import { makeTable } from './make-table.js'
import { checkTableName } from './names.js'
import { checkNewRoot } from './new-root.js'
import type { AsOf, CreateTableOptions, LakehouseOptions, SqlOptions, StorageUse, TableSummary } from './options.js'
import { pinView } from './pinned-view.js'
import { type RefreshedView, refreshView, refreshViews, type TimedRefresh } from './refresh-views.js'
import { Refresher } from './refresher.js'
import { REJECTS_FIELDS, rejectsTableName } from './rejects.js'
import { renameTable } from './rename-table.js'
import type { QueryResult } from './result.js'
import { SpoolRoom } from './spool-room.js'
import { runStatement } from './statements.js'
import { CommitTotals, IngestTotals, type LakehouseStats, lakehouseStats } from './stats.js'
import { type StreamOptions, type StreamSettings, streamInto } from './stream.js'
import { type StreamInfo, streamInfo } from './stream-info.js'
import { type StreamDefinition, StreamRegistry, streamId } from './stream-registry.js'
import { Table } from './table.js'
import { refuseLocation, TableCatalog } from './table-catalog.js'
import { existingFile, readFile, type TableHost } from './table-host.js'
import { versionSelector } from './table-snapshot.js'
import { ViewHandle } from './view-handle.js'
import { type IndexedRow, ViewIndexes } from './view-index.js'
import { type LookupKey, type LookupOptions, lookupSql } from './view-lookup.js'
import type { RefreshOptions } from './view-refresh.js'
import { ViewWatches, type WatchOptions } from './view-watch.js'
import {
  type CreateViewOptions,
  createView,
  describeView,
  dropView,
  listViews,
  type MadeView,
  rebuildView,
  type ViewDetail,
  type ViewSummary,
  viewsOver,
} from './views.js'

const SPOOL_BYTES_MAX = 2 ** 30
const LOG_FILES_MAX = 4_000_000
const NOTHING_ASKED = new StoreMeter()
const LINGER_MS = 2
const LINGER_MS_MAX = 100

/**
 * Opens a lakehouse: a folder, or a prefix of a bucket, whose folders are Delta tables. Nothing is written before the
 * first table is made.
 *
 * @param root a path, `file:///…`, `s3://bucket/prefix` or `memory:name`.
 * @throws {DeltaError} `ARGUMENT_INVALID` for another scheme or a setting out of range.
 */
export async function openLakehouse(root: string, options: LakehouseOptions = {}): Promise<Lakehouse> {
  const store = openStore(root, { s3: options.s3, clock: options.clock, random: options.random })
  return Lakehouse.open(store, options)
}

/** Opens a table without a lakehouse. Closing it closes all that was opened for it. */
export async function openTable(uri: string, options: LakehouseOptions = {}): Promise<Table> {
  const store = openStore(uri, { s3: options.s3, clock: options.clock, random: options.random })
  const lake = await Lakehouse.open(store, options)
  return lake.wholeAsTable()
}

export interface DefineStreamOptions extends StreamSettings {
  /** @defaultValue the table's name and the topic's: `views.page-views` */
  readonly id?: string | undefined
  /** @defaultValue 'server' */
  readonly runs?: StreamDefinition['runs'] | undefined
}

/** Tables under one root, and SQL over them. */
export class Lakehouse {
  /** Whether SQL may name tables by location. */
  readonly locations: boolean
  private readonly store: ObjectStore
  private readonly registry: StreamRegistry
  private readonly openLogs: OpenLogs
  private readonly options: LakehouseOptions
  private readonly host: TableHost
  private readonly withoutLocations: TableHost
  private readonly catalog: TableCatalog
  private readonly indexes: ViewIndexes
  private readonly watches: ViewWatches
  private readonly committed = new CommitTotals()
  private readonly listeners = new Set<EventSink>()
  private rootCheck: Promise<void> | undefined
  private readonly refreshers = new Set<Refresher>()
  private closed = false
  private maintenance: AutoMaintenance | undefined

  private constructor(store: ObjectStore, options: LakehouseOptions, engines: Engines, clock: Clock) {
    const lingerMs = options.lingerMs ?? LINGER_MS
    if (!(lingerMs >= 0 && lingerMs <= LINGER_MS_MAX))
      throw new DeltaError('ARGUMENT_INVALID', 'lingerMs is out of range', { lingerMs, min: 0, max: LINGER_MS_MAX })
    const { logFilesMax = LOG_FILES_MAX } = options
    if (!Number.isSafeInteger(logFilesMax) || logFilesMax < 1)
      throw new DeltaError('ARGUMENT_INVALID', 'logFilesMax is not a whole number from 1', { logFilesMax })
    this.openLogs = new OpenLogs(logFilesMax)
    this.store = store
    this.registry = new StreamRegistry(store)
    this.options = options
    this.locations = options.locations ?? true
    this.host = {
      engines,
      clock,
      locations: this.locations,
      lingerMs,
      spoolRoom: new SpoolRoom(options.spoolBytesMax ?? SPOOL_BYTES_MAX, clock),
      ingested: new IngestTotals(),
      find: (request) => this.catalog.find(request),
      pin: (request, signal) => this.catalog.pin(request, signal),
      rejectsTable: async (of) => {
        const name = rejectsTableName(of)
        await this.create(name, REJECTS_FIELDS)
        return this.table(name)
      },
      create: (name, fields) => this.create(name, fields),
      tableClosed: async () => undefined,
      viewsOver: (name, signal) => viewsOver(this, name, signal),
      openStore: (uri) => openStore(uri, { s3: options.s3, clock: options.clock }),
      existingFile,
      readFile,
    }
    this.catalog = new TableCatalog(store, {
      locations: this.locations,
      checkOpen: () => this.checkOpen(),
      openStore: this.host.openStore,
      deltaTable: (of) => this.deltaTable(of),
      tableOf: (name, delta) => new Table(name, delta, this.host),
    })
    const degraded = (what: string) => (view: string, error: unknown) =>
      (options.events ?? ignoreEvents)({ type: 'degraded', table: view, what, error })
    this.indexes = new ViewIndexes(this.host, degraded('keep a view in memory'))
    this.watches = new ViewWatches(this.host, this.indexes, degraded('watch a view'))
    this.withoutLocations = {
      ...this.host,
      locations: false,
      find: async (request) => this.catalog.find(refuseLocation(request)),
      pin: async (request, signal) => this.catalog.pin(refuseLocation(request), signal),
    }
  }

  /** @internal @param engines opened already; closing the lakehouse closes them. */
  static async open(store: ObjectStore, options: LakehouseOptions, engines?: Engines): Promise<Lakehouse> {
    return new Lakehouse(store, options, engines ?? (await Engines.open(store, options)), options.clock ?? systemClock)
  }

  get uri(): string {
    return this.store.uri
  }

  /** The requests and bytes that storage was asked for; a request to list the lakehouse is no table's. */
  get storageUse(): StorageUse {
    const whole = (this.store.meter ?? NOTHING_ASKED).use
    const tables = this.catalog.held.map(([name, { deps }]) => [name, (deps.store.meter ?? NOTHING_ASKED).use] as const)
    return { ...whole, tables: Object.fromEntries(tables), cache: this.host.engines.cacheUse }
  }

  /** What this process did with the lakehouse so far. */
  get stats(): LakehouseStats {
    return lakehouseStats(this.host.ingested, this.committed, this.host.spoolRoom)
  }

  /** Tells of what tables do from now on, beside the `events` that it was opened with. @returns how to end that. */
  listen(sink: EventSink): () => void {
    this.listeners.add(sink)
    return () => this.listeners.delete(sink)
  }

  /** Asks the store for a trifle. @throws {DeltaError} `STORE_UNAVAILABLE`, `STORE_DENIED`, `CLOSED`. */
  async ping(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.checkOpen()
    await this.store.head(LOG_FOLDER, options)
  }

  /** A folder of this process for files that need not outlive it. It goes when the lakehouse closes, or after a crash when one is opened. */
  get tempFolder(): string {
    return this.host.engines.spool.folder
  }

  /**
   * Runs statements separated by `;`, in order, each its own transaction, and gives the last one's answer. A query is
   * planned and bound now, and executed while its answer is read.
   *
   * @throws {DeltaError} `SQL_INVALID` (with `position`), `SQL_FORBIDDEN`, `STATEMENT_UNSUPPORTED`, `TABLE_NOT_FOUND`, and
   * what the statement itself throws.
   */
  async sql(text: string, options: SqlOptions = {}): Promise<QueryResult> {
    this.checkOpen()
    const statements = splitStatements(tokenize(text)).map((tokens) =>
      parseStatement(text.slice(0, tokens.at(-1)?.endExclusive), tokens),
    )
    if (statements.length === 0) throw new DeltaError('SQL_INVALID', 'there is no statement')
    if (options.readOnly && !statements.every(isReading))
      throw new DeltaError(
        'SQL_FORBIDDEN',
        'only queries are allowed here',
        {},
        { hint: 'send statements that change something with POST' },
      )
    const host = freshEnough(options.locations === false ? this.withoutLocations : this.host, options.minVersions)
    const own = statements.length === 1 ? options : { ...options, onPinned: undefined }
    let result: QueryResult | undefined
    for (const statement of statements) {
      await result?.close()
      result = await runStatement(this, host, statement, own)
    }
    return result as QueryResult
  }

  /** The table of a name; nothing is asked of the store. @throws {DeltaError} `NAME_INVALID`. */
  table(name: string): Table {
    return this.catalog.handOut(name)
  }

  /** By name. */
  async tables(): Promise<readonly TableSummary[]> {
    return this.catalog.list()
  }

  /**
   * @returns the table's newest version, and whether this call made it.
   * @throws {DeltaError} `TABLE_EXISTS` unless `ifNotExists` or `orReplace`; `NAME_INVALID`, `ARGUMENT_INVALID`,
   * `TYPE_UNSUPPORTED`, `FEATURE_UNSUPPORTED`, `STORE_UNSAFE`.
   */
  async createTable(name: string, options: CreateTableOptions): Promise<{ readonly created: boolean; readonly version: number }> {
    const { ifNotExists = false, orReplace = false, signal } = options
    if (ifNotExists && orReplace) throw new DeltaError('ARGUMENT_INVALID', 'either orReplace or ifNotExists, not both')
    const design = checkDesign({ ...options, fields: options.columns.map(fieldOf) })
    const { delta } = this.catalog.open(checkTableName(name))
    await this.beforeTable({ signal })
    const mode = orReplace ? 'createOrReplace' : 'create'
    const { created, version } = await makeTable(delta, name, design, undefined, { mode, ifNotExists, signal })
    return { created, version }
  }

  /**
   * Deletes a table with all its files.
   *
   * @returns false when there was none, with `ifExists`.
   * @throws {DeltaError} `TABLE_NOT_FOUND` otherwise.
   */
  async dropTable(name: string, options: { readonly ifExists?: boolean | undefined } = {}): Promise<boolean> {
    this.checkOpen()
    if (await this.catalog.drop(name)) return true
    if (options.ifExists) return false
    throw new DeltaError('TABLE_NOT_FOUND', 'there is no such table', { table: name })
  }

  /**
   * Gives a table another name: its folder, in one action. Handles of the old name are closed; other processes that were about to
   * commit to it get `TABLE_NOT_FOUND`.
   *
   * @throws {DeltaError} `TABLE_NOT_FOUND`, `TABLE_EXISTS`, `NAME_INVALID`; `VIEW_READ_ONLY` for a view; `SCHEMA_CHANGE_REFUSED`
   * for a table that views read or streams write; `STATEMENT_UNSUPPORTED` on a store that renames objects one by one.
   */
  async renameTable(name: string, to: string, options: StoreOptions = {}): Promise<void> {
    this.checkOpen()
    const { store, host, registry } = this
    await renameTable({ store, catalog: this, host, registry, release: () => this.catalog.release(name) }, name, to, options)
  }

  /** The materialized views, by name; those `over` a table, directly or through other views, in the order of a refresh. */
  async views(
    options: { readonly over?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<readonly ViewSummary[]> {
    this.checkOpen()
    const { over, signal } = options
    return over === undefined ? listViews(this, signal) : viewsOver(this, over, signal)
  }

  /** The view of a name; nothing is asked of the store. @throws {DeltaError} `NAME_INVALID`. */
  view(name: string): ViewHandle {
    this.checkOpen()
    return new ViewHandle(checkTableName(name), this)
  }

  /** What there is to say about a view. @throws {DeltaError} `VIEW_NOT_FOUND`. */
  async describeView(name: string, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<ViewDetail> {
    this.checkOpen()
    return describeView(this.host, name, options.signal)
  }

  /**
   * The rows of a view with these keys, exact as of now; `stale: 'ok'` asks for those of its state. A key that is not there
   * has no row.
   *
   * @throws {DeltaError} `VIEW_NOT_FOUND`; `ARGUMENT_INVALID` for columns that are not the view's key, and for more than 1,000
   * keys; `SQL_INVALID` for a value that is none of the column's type.
   */
  async lookup(view: string, keys: LookupKey | readonly LookupKey[], options: LookupOptions = {}): Promise<QueryResult> {
    this.checkOpen()
    const { view: found } = await pinView(this.host, view, options.signal)
    const { text, params } = lookupSql(view, found, Array.isArray(keys) ? keys : [keys as LookupKey])
    return this.sql(text, { ...options, params, readOnly: true })
  }

  /**
   * The row of a key as JSON, exact as of now, out of memory. A view is taken into memory when it is first asked for, and
   * follows its sources from then on.
   *
   * @returns `undefined` where `lookup` has to be asked: before the view is in memory, and for one that is not kept there, since
   * it has no key, reads other views, compares structs or maps, or is larger than 512 MiB.
   */
  async lookupJson(view: string, key: LookupKey): Promise<IndexedRow | undefined> {
    this.checkOpen()
    return this.indexes.lookup(view, key)
  }

  /**
   * The row of a key as JSON, exact as of now, and again whenever it is another one; of those that come while nobody asks, the
   * newest. It ends when `signal` aborts or the lakehouse is closed, without an error. One look serves all that watch a view.
   *
   * @throws {DeltaError} `VIEW_NOT_FOUND`, also later, when the view is dropped; `ARGUMENT_INVALID` for columns that are not the view's
   * key; `SQL_INVALID` for a value that is none of the column's type.
   */
  async watchJson(view: string, key: LookupKey, options: WatchOptions = {}): Promise<AsyncGenerator<IndexedRow, void>> {
    this.checkOpen()
    return this.watches.watch(view, key, options)
  }

  /**
   * Makes a materialized view, with its state as of now.
   *
   * @throws {DeltaError} `TABLE_EXISTS` unless `ifNotExists` or `orReplace`; `VIEW_INVALID`, `NAME_INVALID`, and what the query throws.
   */
  async createView(name: string, options: CreateViewOptions): Promise<MadeView> {
    this.checkOpen()
    const { as, orReplace = false, ifNotExists = false, clusterBy = [], comment, properties = {}, signal } = options
    const request = { as, orReplace, ifNotExists, clusterBy, comment, properties }
    return createView(this.host, this, checkTableName(name), request, signal)
  }

  /** Brings a view's stored state up to its sources. Reads are exact without. @throws {DeltaError} `VIEW_NOT_FOUND`. */
  async refreshView(name: string, options: RefreshOptions = {}): Promise<TimedRefresh> {
    this.checkOpen()
    const startedAtMs = this.host.clock.now()
    return { ...(await refreshView(this.host, name, options)), elapsedMs: this.host.clock.now() - startedAtMs }
  }

  /**
   * Brings the stored states of several views up to their sources: those over the same table read what changed there in one pass.
   *
   * @returns what became of each, in the order of the names; one that fails keeps no other from it.
   */
  async refreshViews(names: readonly string[], options: RefreshOptions = {}): Promise<readonly RefreshedView[]> {
    this.checkOpen()
    return refreshViews(this.host, names, options)
  }

  /**
   * Derives a view from the raw rows again, by another definition where one is given. The old state answers until then.
   *
   * @throws {DeltaError} `VIEW_NOT_FOUND`, `VIEW_INVALID`.
   */
  async rebuildView(
    name: string,
    options: { readonly as?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<MadeView> {
    this.checkOpen()
    return rebuildView(this.host, this, name, options.as, options.signal)
  }

  /**
   * Refreshes views by their policies from now on, until it is closed or the lakehouse is.
   *
   * @param everyMs how often it looks. @defaultValue 5,000
   */
  keepViewsFresh(options: { readonly everyMs?: number | undefined } = {}): { close(): Promise<void> } {
    this.checkOpen()
    const refresher = new Refresher(
      this,
      { clock: this.host.clock, events: this.options.events ?? ignoreEvents },
      options.everyMs,
    )
    this.refreshers.add(refresher)
    return refresher
  }

  /** Deletes a view with its state. @throws {DeltaError} `VIEW_NOT_FOUND`. */
  async dropView(name: string): Promise<void> {
    this.checkOpen()
    await dropView(this.host, this, name)
  }

  /**
   * Makes a table of the files of another, at one of its versions: with copies of them, or by reference.
   *
   * @throws {DeltaError} `TABLE_EXISTS` unless `ifNotExists`; `TABLE_NOT_FOUND`, `VERSION_NOT_FOUND`; `FEATURE_UNSUPPORTED` for
   * references on other stores than a disk.
   */
  async cloneTable(source: string, name: string, options: CloneTableOptions & AsOf = {}): Promise<CloneTableResult> {
    const cloned = await cloneInto(this, this.deltaOf(source), versionSelector(options), name, options)
    return { created: cloned !== undefined, files: 0, bytes: 0, filesCopied: 0, bytesCopied: 0, ...cloned }
  }

  /**
   * Makes a Delta table of a folder of Parquet files, which stay as they are; a Delta table stays what it is.
   *
   * @param location a path or URI, in this lakehouse or not.
   * @throws {DeltaError} `SQL_FORBIDDEN` where locations are not allowed; `ARGUMENT_INVALID` for a folder that is no table;
   * `TYPE_UNSUPPORTED`, `DATA_FILE_DAMAGED`.
   */
  async convert(location: string, options: ConvertOptions = {}): Promise<ConvertTableResult> {
    this.checkOpen()
    const { partitionBy = [], statistics = true, signal } = options
    return convert(this.deltaAt(location), this.host.engines.source, {
      partitionBy: partitionBy.map(fieldOf),
      statistics,
      signal,
    })
  }

  /**
   * Begins to look after the tables that this lakehouse has open, by their properties; see `AutoMaintenance`. It ends with the
   * lakehouse, or when it is closed.
   */
  maintain(options: MaintenanceOptions = {}): AutoMaintenance {
    this.checkOpen()
    if (this.maintenance && !this.maintenance.isClosed) return this.maintenance
    this.maintenance = new AutoMaintenance(
      {
        tables: () => this.catalog.held,
        source: this.host.engines.source,
        engine: this.host.engines.small,
      },
      options,
    ).start()
    return this.maintenance
  }

  /**
   * Takes the records of a topic into a table until `signal` aborts: then what was being taken is, and it resolves.
   *
   * The next offset of each partition is in the table, in the commit of its rows: whatever broke off, the next call goes on where
   * the rows end.
   *
   * @param source `kafka://host:port/topic`, or `kafkas:` over TLS.
   * @throws {DeltaError} `OFFSET_OUT_OF_RANGE`, `SOURCE_NOT_FOUND`, `ARGUMENT_INVALID`, and `ROWS_INVALID` and `SCHEMA_MISMATCH` as
   * an ingest does.
   */
  async stream(source: string, table: string, options: StreamOptions = {}): Promise<StreamStatus> {
    const held = this.catalog.handOut(checkTableName(table))
    const { delta } = this.catalog.open(table)
    return streamInto(delta, held.sink(options), source, options)
  }

  /**
   * Keeps a stream beside the tables, in the place of one of the same name; servers of the lakehouse run it from then on.
   *
   * @throws {DeltaError} `ARGUMENT_INVALID`, `NAME_INVALID`.
   */
  async defineStream(source: string, table: string, options: DefineStreamOptions = {}): Promise<StreamDefinition> {
    this.checkOpen()
    const { id = streamId(source, table), runs = 'server', ...settings } = options
    return this.registry.put({ id, source, table, runs, settings })
  }

  /** The streams that are kept, and how far each is, by its table and its brokers. */
  async streams(): Promise<readonly StreamInfo[]> {
    const definitions = await this.streamDefinitions()
    return Promise.all(definitions.map((one) => streamInfo(this.catalog.open(one.table).delta, one, this.host.clock)))
  }

  /** The streams that are kept, by name. */
  async streamDefinitions(): Promise<readonly StreamDefinition[]> {
    this.checkOpen()
    return this.registry.list()
  }

  /** Forgets a stream; servers that run it end it. Its places stay in the table. @throws {DeltaError} `STREAM_NOT_FOUND`. */
  async dropStream(id: string): Promise<void> {
    this.checkOpen()
    await this.registry.drop(id)
  }

  /** Finishes what was taken in, stops what runs, and frees everything. Calling it again does nothing. */
  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await this.maintenance?.close()
    for (const refresher of this.refreshers) await refresher.close()
    await this.watches.close()
    await this.indexes.close()
    await this.catalog.close()
    await this.host.engines.close()
    await this.store.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal The root itself as a table. */
  wholeAsTable(): Table {
    const name = this.store.uri.split('/').at(-1) ?? 'table'
    const closing = {
      ...this.host,
      rejectsTable: () => this.siblingRejects(name),
      tableClosed: () => this.close(),
      viewsOver: async () => [],
    }
    return new Table(name, this.deltaTable(this.store), closing)
  }

  /** @internal */
  deltaOf(name: string): DeltaTable {
    return this.catalog.open(name).delta
  }

  /** @internal */
  deltaAt(location: string): DeltaTable {
    return this.catalog.at(location)
  }

  /** @internal Makes sure, once, that tables here are safe to commit to. */
  beforeTable(options: StoreOptions = {}): Promise<void> {
    this.rootCheck ??= checkNewRoot(this.store, async () => (await this.tables()).length > 0, options)
    this.rootCheck.catch(() => {
      this.rootCheck = undefined
    })
    return this.rootCheck
  }

  private deltaTable(store: ObjectStore): DeltaTable {
    const { events = ignoreEvents, random = systemRandom } = this.options
    return new DeltaTable({
      store,
      database: this.host.engines.work,
      engineFor: this.host.engines.forBytes,
      spool: this.host.engines.spool,
      events: (event) => {
        this.committed.count(event)
        if (event.type === 'committed') this.watches.committed(event.table)
        events(event)
        for (const listener of this.listeners) listener(event)
      },
      clock: this.host.clock,
      random,
      openLogs: this.openLogs,
    })
  }

  private async create(name: string, fields: readonly StructField[]): Promise<void> {
    const { delta } = this.catalog.open(checkTableName(name))
    if (await delta.exists()) return
    await this.beforeTable()
    await createDeltaTable(delta, checkDesign({ fields }), { name: 'CREATE TABLE' })
  }

  private async siblingRejects(name: string): Promise<Table> {
    const uri = this.store.uri.replace(/[^/]+$/, rejectsTableName(name))
    const delta = this.deltaTable(openStore(uri, { s3: this.options.s3, clock: this.options.clock }))
    if (!(await delta.exists())) await createDeltaTable(delta, checkDesign({ fields: REJECTS_FIELDS }), { name: 'CREATE TABLE' })
    return new Table(rejectsTableName(name), delta, this.host)
  }

  private checkOpen(): void {
    if (this.closed) throw new DeltaError('CLOSED', 'the lakehouse is closed')
  }
}
