import { assert } from '../base/errors.js'
import { recordBatches } from '../engine/arrow-out.js'
import type { Connection, Parameters } from '../engine/database.js'
import type { Spool } from '../engine/spool.js'
import { globLiteral, literal } from '../engine/sql-text.js'
import { RowBitmap } from '../protocol/row-bitmap.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'

/** A query for rows of a table, bound and ready: the session has what it names. */
export interface RowQuery {
  readonly snapshot: Snapshot
  readonly session: Connection
  /**
   * Gives `"__file"`, a file as the session names it, and `"__row"`, a position in it, each row once; further columns are
   * the caller's. A position that is NULL stands for every row of the file.
   */
  readonly text: string
  readonly params: Parameters | undefined
  /** A condition over the files relation, false only for files without such a row. */
  readonly condition: string
  /** The files that the query reads, by the names that the session has for them. */
  readonly files: ReadonlyMap<string, SnapshotFile>
}

/** The rows that were found in one file. */
export interface FileRows {
  readonly name: string
  readonly file: SnapshotFile
  /** `undefined` for every row. */
  readonly rows: number | undefined
}

/** The rows that a query found, in a Parquet file of this machine, ordered by file and position. */
export class FoundRows {
  /** Columns `__file`, `__row`, and the query's further ones. */
  readonly path: string
  readonly files: readonly FileRows[]
  private readonly query: RowQuery
  private readonly spool: Spool

  private constructor(query: RowQuery, spool: Spool, path: string, files: readonly FileRows[]) {
    this.query = query
    this.spool = spool
    this.path = path
    this.files = files
  }

  /** Runs the query, once. The engine sorts, and spills what does not fit. Remove what it found. */
  static async find(query: RowQuery, spool: Spool, signal: AbortSignal | undefined): Promise<FoundRows> {
    const { session, params } = query
    const path = spool.file('parquet')
    try {
      const ordered = `SELECT * FROM (${query.text}\n) ORDER BY "__file", "__row"`
      await session.run(`COPY (${ordered}) TO ${literal(path)} (FORMAT parquet, COMPRESSION snappy)`, { params, signal })
      const counted = await session.rows<{ name: string; rows: bigint; whole: boolean }>(
        `SELECT "__file" AS name, count(*) AS rows, bool_or("__row" IS NULL) AS whole FROM read_parquet(${globLiteral(path)}) GROUP BY 1 ORDER BY 1`,
        { signal },
      )
      const files = counted.map(({ name, rows, whole }) => {
        const file = query.files.get(name)
        assert(file, 'rows are found in files that are read')
        return { name, file, rows: whole ? undefined : Number(rows) }
      })
      return new FoundRows(query, spool, path, files)
    } catch (error) {
      await spool.remove(path)
      throw error
    }
  }

  /** The positions in each file of which not every row was found, in the order of `files`. Dispose the bitmaps. */
  async *bitmaps(signal: AbortSignal | undefined): AsyncGenerator<{ readonly found: FileRows; readonly bitmap: RowBitmap }> {
    const wanted = this.files.filter(({ rows }) => rows !== undefined).values()
    const positions = `SELECT "__row" FROM read_parquet(${globLiteral(this.path)}) WHERE "__row" IS NOT NULL`
    let found = wanted.next().value
    let left = found?.rows ?? 0
    let bitmap = new RowBitmap()
    try {
      for await (const batch of recordBatches(await this.query.session.stream(positions, { signal }), { signal })) {
        const rows = batch.getChildAt(0)?.toArray() as BigInt64Array
        for (let from = 0; from < rows.length && found; ) {
          const part = rows.subarray(from, from + left)
          bitmap.add(part)
          from += part.length
          left -= part.length
          if (left > 0) continue
          const full = bitmap
          bitmap = new RowBitmap()
          yield { found, bitmap: full }
          found = wanted.next().value
          left = found?.rows ?? 0
        }
      }
      assert(found === undefined, 'every row that was counted is read')
    } finally {
      bitmap.dispose()
    }
  }

  async remove(): Promise<void> {
    await this.spool.remove(this.path)
  }
}
