import {
  DuckDBBlobValue,
  type DuckDBConnection,
  type DuckDBDataChunk,
  DuckDBInstance,
  type DuckDBMaterializedResult,
  type DuckDBPreparedStatement,
  type DuckDBResult,
  DuckDBTimestampTZValue,
  type DuckDBValue,
  JSDuckDBValueConverter,
} from '@duckdb/node-api'
import { DeltaError } from '../base/errors.js'
import { engineError } from './engine-error.js'
import { literal, literalList } from './sql-text.js'

export type Parameters = readonly DuckDBValue[] | Readonly<Record<string, DuckDBValue>>

export interface DatabaseSettings {
  /** Memory that the engine may hold, in bytes; beyond it spills to `tempFolder`. */
  readonly memoryLimitBytes?: number | undefined
  readonly threads?: number | undefined
  readonly tempFolder?: string | undefined
  /** Keep blocks of the files that were read: not of files that the range cache is still filling in. @defaultValue false */
  readonly cachesFiles?: boolean | undefined
  /** Optimizers to leave out, as DuckDB names them. */
  readonly disabledOptimizers?: string | undefined
  /**
   * Lock the engine down: no file outside these folders, no network, no extension, no setting can be changed. It is the
   * second wall for SQL that users wrote; the first is the allow-list on the parsed statement.
   */
  readonly sandboxFolders?: readonly string[] | undefined
}

export interface RunOptions {
  readonly params?: Parameters | undefined
  readonly signal?: AbortSignal | undefined
  /** Whether errors may quote the statement: only where it is the caller's own text. @defaultValue false */
  readonly quote?: boolean | undefined
}

/** An answer that comes in chunks. */
export type StreamedResult = DuckDBResult

/** How often an interrupt is repeated: one that comes before the query has a thread to run on is lost. */
export const INTERRUPT_EVERY_MS = 20

/** One DuckDB in this process. Its zone is UTC. */
export class Database {
  private readonly instance: DuckDBInstance
  private readonly idle: DuckDBConnection[] = []
  private readonly open = new Set<DuckDBConnection>()
  private readonly prepared = new WeakMap<DuckDBConnection, Map<string, DuckDBPreparedStatement>>()
  private closed = false

  private constructor(instance: DuckDBInstance) {
    this.instance = instance
  }

  static async open(settings: DatabaseSettings = {}): Promise<Database> {
    const instance = await DuckDBInstance.create(':memory:', {
      ...(settings.threads ? { threads: String(settings.threads) } : {}),
      ...(settings.memoryLimitBytes ? { memory_limit: `${Math.floor(settings.memoryLimitBytes / 2 ** 20)}MiB` } : {}),
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    })
    const database = new Database(instance)
    await database.use(async (connection) => {
      const statements = [
        "SET GLOBAL TimeZone = 'UTC'",
        'SET GLOBAL parquet_metadata_cache = true',
        `SET GLOBAL enable_external_file_cache = ${settings.cachesFiles ?? false}`,
        'SET GLOBAL preserve_insertion_order = true',
        settings.tempFolder ? `SET GLOBAL temp_directory = ${literal(settings.tempFolder)}` : "SET GLOBAL temp_directory = ''",
        settings.disabledOptimizers ? `SET GLOBAL disabled_optimizers = ${literal(settings.disabledOptimizers)}` : '',
        ...(settings.sandboxFolders ? lockDown(settings.sandboxFolders) : []),
      ]
      for (const statement of statements.filter(Boolean)) await connection.run(statement)
    })
    return database
  }

  /** Lends a connection for as long as `work` runs. Connections are used again: leave no temporary object behind. */
  async use<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    const raw = this.idle.pop() ?? (await this.connect())
    try {
      return await work(new Connection(raw))
    } finally {
      if (this.closed) this.release(raw)
      else this.idle.push(raw)
    }
  }

  /** A connection of the caller's own, with its own temporary objects. Close it. */
  async session(): Promise<Session> {
    const raw = await this.connect()
    return new Session(raw, () => this.release(raw))
  }

  /** Runs one statement on a lent connection; see `Connection.rows`. */
  async rows<T = Record<string, unknown>>(sql: string, options?: RunOptions): Promise<T[]> {
    return this.use((connection) => connection.rows<T>(sql, options))
  }

  /**
   * The same for one of the few statements that are asked all the time: each connection keeps it prepared, which is most of what
   * a small one costs.
   */
  async ask<T>(sql: string, params: Parameters): Promise<T[]> {
    return this.use(async ({ raw }) => {
      const kept = this.prepared.get(raw) ?? new Map<string, DuckDBPreparedStatement>()
      this.prepared.set(raw, kept)
      try {
        const statement = kept.get(sql) ?? (await raw.prepare(sql))
        kept.set(sql, statement)
        statement.bind(values(params) ?? [])
        const rows = (await statement.runAndReadAll()).getRowObjectsJS() as T[]
        statement.clearBindings()
        return rows
      } catch (error) {
        throw engineError(error, false)
      }
    })
  }

  /** Interrupts what runs and frees the engine. */
  close(): void {
    this.closed = true
    for (const connection of this.open) connection.interrupt()
    for (const connection of this.idle.splice(0)) this.release(connection)
    if (this.open.size === 0) this.instance.closeSync()
  }

  private async connect(): Promise<DuckDBConnection> {
    if (this.closed) throw new DeltaError('CLOSED', 'the lakehouse is closed')
    const connection = await this.instance.connect()
    this.open.add(connection)
    return connection
  }

  private release(connection: DuckDBConnection): void {
    if (!this.open.delete(connection)) return
    connection.closeSync()
    if (this.closed && this.open.size === 0) this.instance.closeSync()
  }
}

/** What runs SQL. Failures reject with a DeltaError; an abort interrupts the engine and rejects with the signal's reason. */
export class Connection {
  readonly raw: DuckDBConnection

  constructor(raw: DuckDBConnection) {
    this.raw = raw
  }

  async run(sql: string, options: RunOptions = {}): Promise<void> {
    await this.guard(options, () => this.raw.run(sql, values(options.params)))
  }

  /** Every row as an object of JavaScript values (64-bit integers as bigint). For answers known to be small. */
  async rows<T = Record<string, unknown>>(sql: string, options: RunOptions = {}): Promise<T[]> {
    return this.guard(options, async () => {
      const result = await this.raw.run(sql, values(options.params))
      const names = result.deduplicatedColumnNames()
      const rows: Record<string, unknown>[] = []
      for (const chunk of chunksOf(result))
        for (const values of chunk.convertRows(JSDuckDBValueConverter))
          rows.push(Object.fromEntries(names.map((name, at) => [name, values[at]])))
      return rows as T[]
    })
  }

  /** Every column as a list of JavaScript values. For answers known to be small. */
  async columns(sql: string, options: RunOptions = {}): Promise<unknown[][]> {
    return this.guard(options, async () => {
      const result = await this.raw.run(sql, values(options.params))
      const columns: unknown[][] = Array.from({ length: result.columnCount }, () => [])
      for (const chunk of chunksOf(result)) {
        for (const [at, values] of chunk.convertColumns(JSDuckDBValueConverter).entries())
          for (const value of values) columns[at]?.push(value)
      }
      return columns
    })
  }

  /**
   * The result, to be read chunk by chunk. An empty chunk is no proof of the end: a query that failed half way shows it
   * in `returnType` alone, so read it with `recordBatches` or `textPieces`.
   */
  async stream(sql: string, options: RunOptions = {}): Promise<StreamedResult> {
    return this.guard(options, async () => {
      const statement = await this.raw.prepare(sql)
      try {
        statement.bind(values(options.params) ?? [])
        return await statement.stream()
      } finally {
        statement.destroySync()
      }
    })
  }

  /** Ends what runs, which rejects; where nothing does, it does nothing. */
  interrupt(): void {
    this.raw.interrupt()
  }

  /** Names and types of what a query answers, without running it. */
  async describe(sql: string, options: RunOptions = {}): Promise<readonly { readonly name: string; readonly type: string }[]> {
    const found = await this.rows<{ column_name: string; column_type: string }>(`${DESCRIBE}${sql}`, {
      ...options,
      quote: true,
    }).catch((error: unknown) => {
      throw withoutPrefix(error)
    })
    return found.map((column) => ({ name: column.column_name, type: column.column_type }))
  }

  private async guard<T>(options: RunOptions, work: () => Promise<T>): Promise<T> {
    const { signal } = options
    signal?.throwIfAborted()
    let repeat: NodeJS.Timeout | undefined
    const interrupt = () => {
      this.raw.interrupt()
      repeat = setInterval(() => this.raw.interrupt(), INTERRUPT_EVERY_MS)
    }
    signal?.addEventListener('abort', interrupt, { once: true })
    try {
      return await work()
    } catch (error) {
      signal?.throwIfAborted()
      throw engineError(error, options.quote ?? false)
    } finally {
      clearInterval(repeat)
      signal?.removeEventListener('abort', interrupt)
    }
  }
}

/** The chunks of a result that is there already: to be given each by another thread takes as long as a small query. */
function chunksOf(result: DuckDBMaterializedResult): DuckDBDataChunk[] {
  return Array.from({ length: result.chunkCount }, (_, at) => result.getChunk(at))
}

/** A connection that its holder closes. */
export class Session extends Connection {
  private readonly release: () => void
  private isCounting = false

  constructor(raw: DuckDBConnection, release: () => void) {
    super(raw)
    this.release = release
  }

  /** Counts the rows that operators read from now on, for `progress`. It costs nothing that can be measured. */
  async countRows(): Promise<void> {
    if (this.isCounting) return
    for (const statement of COUNTING) await this.raw.run(statement)
    this.isCounting = true
  }

  /** Of the statement that runs: rows read by its operators, and how many there will be. Zeros where nothing can be told. */
  get progress(): { readonly rows: number; readonly rowsTotal: number } {
    const { rows_processed, total_rows_to_process } = this.raw.progress
    return { rows: Number(rows_processed), rowsTotal: Number(total_rows_to_process) }
  }

  close(): void {
    this.release()
  }
}

const COUNTING = ['SET enable_progress_bar = true', 'SET enable_progress_bar_print = false', 'SET progress_bar_time = 0']

/** An instant as a parameter. */
export function instantValue(ms: number): DuckDBValue {
  return new DuckDBTimestampTZValue(BigInt(Math.round(ms * 1000)))
}

/** Bytes as a parameter. */
export function bytesValue(bytes: Uint8Array): DuckDBValue {
  return new DuckDBBlobValue(bytes)
}

function lockDown(folders: readonly string[]): string[] {
  return [
    `SET GLOBAL allowed_directories = ${literalList(folders)}`,
    'SET GLOBAL enable_external_access = false',
    'SET GLOBAL allow_community_extensions = false',
    "SET GLOBAL allowed_configs = ['enable_progress_bar', 'enable_progress_bar_print', 'progress_bar_time']",
    'SET GLOBAL lock_configuration = true',
  ]
}

const DESCRIBE = 'DESCRIBE '

/** Error messages show the statement with a mark below it; the word before the caller's text is ours. */
function withoutPrefix(error: unknown): unknown {
  if (!(error instanceof DeltaError)) return error
  const indent = ' '.repeat(DESCRIBE.length)
  const message = error.message
    .replace(`LINE 1: ${DESCRIBE}`, 'LINE 1: ')
    .replace(new RegExp(`(\\nLINE 1: .*\\n)${indent}`), '$1')
  return new DeltaError(error.code, message, error.details, { cause: error.cause, hint: error.hint })
}

/** A statement without parameters runs in one step instead of several: then there are none, not an empty list of them. */
function values(params: Parameters | undefined): DuckDBValue[] | Record<string, DuckDBValue> | undefined {
  return Array.isArray(params) && params.length === 0
    ? undefined
    : (params as DuckDBValue[] | Record<string, DuckDBValue> | undefined)
}
