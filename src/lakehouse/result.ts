import { createReadStream } from 'node:fs'
import { Table as ArrowTable, type RecordBatch, type Schema } from 'apache-arrow'
import type { Clock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import { arrowSchema, ipcStream, recordBatches } from '../engine/arrow-out.js'
import type { Session } from '../engine/database.js'
import type { Spool } from '../engine/spool.js'
import type { BoundValues } from '../sql/parameters.js'
import { AnswerLimits } from './answer-limits.js'
import type { Progress, ResultColumn, ResultFormat, ScanStats, SqlOptions, ViewRead } from './options.js'
import { renderMarkdown, renderTable } from './render.js'
import { copySql, distinctNames, limitedSql, namedSql, shownSql } from './result-sql.js'

export interface ResultParts {
  readonly session: Session
  readonly spool: Spool
  readonly clock: Clock
  readonly startedAtMs: number
  readonly text: string
  readonly params: BoundValues
  readonly columns: readonly ResultColumn[]
  readonly versions: Readonly<Record<string, number>>
  readonly views: readonly ViewRead[]
  readonly stats: ScanStats
  readonly statement: 'query' | 'command'
  readonly signal: AbortSignal | undefined
  readonly limits?: Pick<SqlOptions, 'rowsMax' | 'bytesMax'> | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Lets go of session and files. @param isDone whether the query was read to its end. */
  readonly release: (isDone: boolean) => void
}

const SHOWN_ROWS_MAX = 1000
const PROGRESS_MS = 200

/**
 * The answer to a statement. It is computed while it is read, once: ask for one form of it. Read it to the end or
 * close it, as it holds files and a connection.
 *
 * An abort, or `close` while it is read, rejects the reading; an answer is never short without an error.
 */
export class QueryResult {
  readonly columns: readonly ResultColumn[]
  /** The version of each table that was read; another version of the same table goes by `name@v12`. */
  readonly versions: Readonly<Record<string, number>>
  /** The views that were read, and from what. */
  readonly views: readonly ViewRead[]
  readonly stats: ScanStats
  readonly statement: 'query' | 'command'
  private readonly parts: ResultParts
  private readonly limits: AnswerLimits
  private count: number | undefined
  private done = false
  private closed = false

  /** @internal */
  constructor(parts: ResultParts) {
    const { rowsMax } = parts.limits ?? {}
    this.parts = rowsMax === undefined ? parts : { ...parts, text: limitedSql(parts.text, rowsMax + 1) }
    this.limits = new AnswerLimits(parts.limits ?? {})
    this.columns = distinctNames(parts.columns)
    this.versions = parts.versions
    this.views = parts.views
    this.stats = parts.stats
    this.statement = parts.statement
  }

  /** Rows of the answer, once it has been read to its end. */
  get rowCount(): number | undefined {
    return this.count
  }

  /** Milliseconds since the statement began. */
  get elapsedMs(): number {
    return this.parts.clock.now() - this.parts.startedAtMs
  }

  /** Arrow batches of about 64K rows, in the answer's order. */
  async *batches(): AsyncGenerator<RecordBatch, void, undefined> {
    try {
      const { session, text, params, signal } = this.readable()
      let rows = 0
      const stopTelling = await this.tellProgress()
      try {
        for await (const batch of recordBatches(await session.stream(text, { params, signal }), { signal })) {
          rows += batch.numRows
          this.limits.checkRows(rows)
          yield batch
        }
      } finally {
        stopTelling()
      }
      this.count = rows
      this.done = true
    } finally {
      await this.close()
    }
  }

  /** The whole answer as an Arrow table, in memory. */
  async toArrow(): Promise<ArrowTable> {
    try {
      const schema = await this.schema()
      const batches: RecordBatch[] = []
      for await (const batch of this.batches()) batches.push(batch)
      return batches.length > 0 ? new ArrowTable(batches) : new ArrowTable(schema)
    } finally {
      await this.close()
    }
  }

  /** Every row as an object, whole numbers of 64 bits as bigint: for answers known to be small. */
  async rows<T = Record<string, unknown>>(): Promise<T[]> {
    try {
      const { session, text, params, signal } = this.readable()
      const isPlain = this.columns.every((column, index) => column === this.parts.columns[index])
      const sql = isPlain ? text : namedSql(text, this.columns)
      const rows = await this.telling(() => session.rows<T>(sql, { params, signal }))
      this.limits.checkRows(rows.length)
      this.count = rows.length
      this.done = true
      return rows
    } finally {
      await this.close()
    }
  }

  /**
   * The answer as bytes. `json`, `ndjson`, `csv` and `parquet` are rendered whole before the first byte, so a failing
   * query fails before it; an `arrow` stream that breaks off has no end marker. `table` and `markdown` show at most
   * `maxRows` rows (1,000 by default) and say when there are more.
   */
  async *bytes(
    format: ResultFormat,
    options: { readonly maxRows?: number | undefined } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (format === 'arrow') yield* this.arrowStream()
    else if (format === 'table' || format === 'markdown')
      yield Buffer.from(await this.shown(format, options.maxRows ?? SHOWN_ROWS_MAX))
    else yield* this.rendered(format)
  }

  /** The Arrow schema of the answer, without its rows. */
  async schema(): Promise<Schema> {
    const { session, text, params, signal } = this.readable()
    const empty = await session.stream(`SELECT * FROM (${text}\n) LIMIT 0`, { params, signal })
    return arrowSchema(
      this.columns.map((column) => column.name),
      empty.columnTypes(),
    )
  }

  /** Lets go of files and connection; a reading under way is interrupted. Calling it again does nothing. */
  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.parts.release(this.done)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private async telling<T>(work: () => Promise<T>): Promise<T> {
    const stop = await this.tellProgress()
    try {
      return await work()
    } finally {
      stop()
    }
  }

  /** Tells how far the engine is, until the function that it gives back is called. */
  private async tellProgress(): Promise<() => void> {
    const { session, onProgress } = this.parts
    if (!onProgress) return () => {}
    await session.countRows()
    const timer = setInterval(() => {
      const { rows, rowsTotal } = session.progress
      if (rowsTotal > 0) onProgress({ phase: 'query', done: rows, total: rowsTotal, unit: 'rows' })
    }, PROGRESS_MS)
    return () => clearInterval(timer)
  }

  private readable(): ResultParts {
    if (this.closed) throw new DeltaError('CLOSED', 'an answer is read once, and not after it was closed')
    return this.parts
  }

  private async *arrowStream(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* ipcStream(await this.schema(), this.batches())
    } finally {
      await this.close()
    }
  }

  private async *rendered(format: 'json' | 'ndjson' | 'csv' | 'parquet'): AsyncGenerator<Uint8Array, void, undefined> {
    const { session, text, params, signal, spool } = this.readable()
    const file = spool.file(format)
    try {
      const copy = (abort: AbortSignal | undefined) =>
        session.rows<{ Count: bigint }>(copySql(text, this.columns, format, file), { params, signal: abort })
      const [copied] = await this.telling(() => this.limits.whileWriting(file, signal, copy))
      this.limits.checkRows(Number(copied?.Count ?? 0))
      this.count = Number(copied?.Count ?? 0)
      this.done = true
      await this.close()
      for await (const chunk of createReadStream(file, { signal, highWaterMark: 256 * 1024 })) yield chunk as Uint8Array
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      await this.close()
      await spool.remove(file)
    }
  }

  private async shown(format: 'table' | 'markdown', maxRows: number): Promise<string> {
    try {
      const { session, text, params, signal } = this.readable()
      const sql = shownSql(text, this.columns, maxRows + 1)
      const columns = (await this.telling(() => session.columns(sql, { params, signal }))) as (string | null)[][]
      const rows = columns[0]?.length ?? 0
      this.count = rows > maxRows ? undefined : rows
      this.done = true
      const cut = columns.map((values) => values.slice(0, maxRows))
      return (format === 'table' ? renderTable : renderMarkdown)(this.columns, cut, rows > maxRows)
    } finally {
      await this.close()
    }
  }
}
