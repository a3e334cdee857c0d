import { tmpdir, totalmem } from 'node:os'
import { join, resolve, sep } from 'node:path'
import { Database } from '../engine/database.js'
import { KeptSessions } from '../engine/kept-sessions.js'
import { type CacheUse, RangeCache } from '../engine/range-cache.js'
import { Spool } from '../engine/spool.js'
import type { RowChanges } from '../ops/row-changes.js'
import { PLANNER_DISABLED_OPTIMIZERS, Planner } from '../sql/planner.js'
import type { ObjectStore, StorePlace } from '../storage/store.js'
import { DeletionVectors } from '../table/deletion-vectors.js'
import { FileSource } from '../table/file-source.js'
import { Footers } from '../table/footers.js'
import { UniformFiles } from '../table/uniform-files.js'
import { CommitCache } from '../views/commits.js'
import type { LakehouseOptions } from './options.js'

const GIB = 2 ** 30
const SMALL_BYTES = 8 * 2 ** 20
const PLANNER_MEMORY_BYTES = GIB / 4
/**
 * What a join knows of its keys goes down to the scan of the other side, in this engine past a LIMIT too: of other rows than the
 * query's, the first are taken then.
 */
const UNSOUND_OPTIMIZERS = 'join_filter_pushdown'

/** Changed rows that were read once, for all who read them again. */
export interface SharedRows {
  /** A query for them with the columns of their table; `undefined` where it asks for one that was not read. */
  select(columns: ReadonlySet<string> | undefined): string | undefined
}

/**
 * The SQL engines of a lakehouse, one for each degree of trust: `work` reads and writes files for this library, `queries`
 * runs SQL that users wrote and reaches only the lakehouse's own folders, `binder` parses and binds that SQL and reaches nothing.
 */
export class Engines {
  readonly work: Database
  /** The same for few rows, on one thread. */
  readonly small: Database
  readonly queries: Database
  readonly sessions: KeptSessions
  /** Where SQL is parsed and bound. */
  readonly binder: Database
  readonly planner: Planner
  readonly spool: Spool
  readonly source: FileSource
  readonly uniformFiles = new UniformFiles()
  readonly commits = new CommitCache()
  /** Of views that are refreshed together. */
  readonly sharedChanges = new WeakMap<RowChanges, SharedRows>()
  /** Of the lakehouse. */
  private readonly uri: string
  /** The lakehouse's own folder, where it is on disk. */
  private readonly root: string | undefined
  private readonly cache: RangeCache
  private readonly outside: () => Promise<Database>
  private opened: Promise<{ readonly database: Database; readonly sessions: KeptSessions }> | undefined

  private constructor(
    parts: { work: Database; small: Database; queries: Database; binder: Database; spool: Spool; cache: RangeCache },
    uri: string,
    root: string | undefined,
    outside: () => Promise<Database>,
  ) {
    this.work = parts.work
    this.small = parts.small
    this.queries = parts.queries
    this.sessions = new KeptSessions(parts.queries)
    this.binder = parts.binder
    this.planner = new Planner(parts.binder)
    this.spool = parts.spool
    this.cache = parts.cache
    this.source = new FileSource(parts.cache, new DeletionVectors(parts.spool), new Footers(parts.work))
    this.uri = uri
    this.root = root
    this.outside = outside
  }

  static async open(store: ObjectStore, options: LakehouseOptions): Promise<Engines> {
    const root = store.localPath('_')?.replace(/[/\\]_$/, '')
    const temp = resolve(options.tempFolder ?? (root === undefined ? join(tmpdir(), 'deltaic') : join(root, '.deltaic')))
    const memory = options.memoryLimitBytes ?? Math.min(totalmem() / 2, 8 * GIB)
    const spool = await Spool.create(temp)
    const settings = { memoryLimitBytes: memory / 3, threads: options.threads }
    // Each engine names its spilled files as if it were alone.
    const spill = (name: string) => ({ tempFolder: join(spool.folder, `spill-${name}`) })
    const [work, small, queries, binder] = await Promise.all([
      Database.open({ ...settings, ...spill('work') }),
      Database.open({ ...settings, ...spill('small'), threads: 1 }),
      Database.open({
        ...settings,
        ...spill('queries'),
        sandboxFolders: [spool.folder, ...(root === undefined ? [] : [root])],
        cachesFiles: root !== undefined,
        disabledOptimizers: UNSOUND_OPTIMIZERS,
      }),
      Database.open({
        memoryLimitBytes: PLANNER_MEMORY_BYTES,
        threads: 1,
        disabledOptimizers: PLANNER_DISABLED_OPTIMIZERS,
        sandboxFolders: [],
      }),
    ])
    const cache = new RangeCache({ folder: spool.folder, maxBytes: options.cacheBytesMax ?? 4 * GIB, database: work })
    return new Engines({ work, small, queries, binder, spool, cache }, store.uri, root, () =>
      Database.open({ ...settings, ...spill('locations'), disabledOptimizers: UNSOUND_OPTIMIZERS }),
    )
  }

  get cacheUse(): CacheUse {
    return this.cache.use
  }

  /** Whether a file lies in the lakehouse: there, queries may read it. */
  holds({ store, path }: StorePlace): boolean {
    const local = store.localPath(path)
    if (local === undefined) return `${store.uri}/${path}`.startsWith(`${this.uri}/`)
    return this.root !== undefined && resolve(local).startsWith(`${this.root}${sep}`)
  }

  /** Runs queries over tables outside the lakehouse, for callers who may reach them anyway. */
  async forLocations(): Promise<KeptSessions> {
    this.opened ??= this.outside().then((database) => ({ database, sessions: new KeptSessions(database) }))
    return (await this.opened).sessions
  }

  /** On few bytes threads cost more than they bring: 1,000 rows are read and written in half the processor time on one. */
  readonly forBytes = (bytes: number): Database => (bytes < SMALL_BYTES ? this.small : this.work)

  async close(): Promise<void> {
    const opened = await this.opened
    this.planner.close()
    for (const sessions of [this.sessions, opened?.sessions]) sessions?.close()
    for (const database of [this.queries, this.binder, this.small, this.work, opened?.database]) database?.close()
    await this.cache.close()
    await this.spool.close()
  }
}
