import { createReadStream } from 'node:fs'
import { Table as ArrowTable, type RecordBatch, type Schema } from 'apache-arrow'
import type { Clock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import { arrowSchema, ipcStream, recordBatches } from '../engine/arrow-out.js'
import type { ReadingOptions } from '../engine/data-chunks.js'
import type { Session, StreamedResult } from '../engine/database.js'
import type { Spool } from '../engine/spool.js'
import { textPieces } from '../engine/text-out.js'
import type { BoundValues } from '../sql/parameters.js'
import { AnswerLimits } from './answer-limits.js'
import type { Progress, ResultColumn, ResultFormat, ScanStats, SqlOptions, ViewRead } from './options.js'
import { renderMarkdown, renderTable } from './render.js'
import { copySql, distinctNames, jsonTextSql, limitedSql, namedSql, shownSql } from './result-sql.js'

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
/** So much of a text is there before its first byte goes out: what fails until then, fails before anybody has seen of it. */
const PIECE_BYTES = 2 ** 20
const PROGRESS_MS = 200
const BRACKET = 0x5b

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
  private rowsRead = 0
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
    yield* this.streamed(this.parts.text, (result, reading) => this.counted(recordBatches(result, reading), rowsOfBatch))
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
   * The answer as bytes. `csv` and `parquet` are rendered whole before the first byte, and `json` and `ndjson` as far as the first
   * MiB, so a query that fails by then fails before it; `json` that breaks off later has no closing bracket, an `arrow` stream no end
   * marker. `table` and `markdown` show at most `maxRows` rows (1,000 by default) and say when there are more.
   */
  async *bytes(
    format: ResultFormat,
    options: { readonly maxRows?: number | undefined } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (format === 'arrow') yield* this.arrowStream()
    else if (format === 'ndjson') yield* this.jsonText('', '\n')
    else if (format === 'json') yield* this.jsonArray()
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
    const names = this.columns.map((column) => column.name)
    yield* this.streamed(this.parts.text, (result, reading) =>
      ipcStream(arrowSchema(names, result.columnTypes()), this.counted(recordBatches(result, reading), rowsOfBatch)),
    )
  }

  /** Rows as JSON objects, each between two texts, as the engine renders them. */
  private async *jsonText(before: string, after: string): AsyncGenerator<Uint8Array, void, undefined> {
    const text = jsonTextSql(this.parts.text, this.columns, before, after)
    const pieces = this.streamed(text, (result, reading) =>
      this.counted(textPieces(result, { ...reading, bytesPerPiece: PIECE_BYTES }), ({ rows }) => rows),
    )
    for await (const { bytes } of pieces) {
      this.limits.checkBytes(bytes.length)
      yield bytes
    }
  }

  /** Parts of the answer to `text`, which go out while the engine makes more of them. */
  private async *streamed<T>(
    text: string,
    read: (result: StreamedResult, reading: ReadingOptions) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, undefined> {
    try {
      const { session, params, signal } = this.readable()
      const stopTelling = await this.tellProgress()
      try {
        const result = await session.stream(text, { params, signal })
        yield* read(result, { signal, interrupt: () => session.interrupt() })
      } finally {
        stopTelling()
      }
      this.count = this.rowsRead
      this.done = true
    } finally {
      await this.close()
    }
  }

  private async *counted<T>(parts: AsyncIterable<T>, rowsOf: (part: T) => number): AsyncGenerator<T, void, undefined> {
    for await (const part of parts) {
      this.rowsRead += rowsOf(part)
      this.limits.checkRows(this.rowsRead)
      yield part
    }
  }

  private async *jsonArray(): AsyncGenerator<Uint8Array, void, undefined> {
    let isFirst = true
    for await (const piece of this.jsonText(',\n\t', '')) {
      if (isFirst) piece[0] = BRACKET
      isFirst = false
      yield piece
    }
    yield Buffer.from(isFirst ? '[]\n' : '\n]\n')
  }

  private async *rendered(format: 'csv' | 'parquet'): AsyncGenerator<Uint8Array, void, undefined> {
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

function rowsOfBatch({ numRows }: RecordBatch): number {
  return numRows
}
