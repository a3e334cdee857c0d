import { type DuckDBDataChunk, type DuckDBResult, ResultReturnType } from '@duckdb/node-api'
import duckdb from '@duckdb/node-bindings'
import { AsyncByteQueue, makeData, RecordBatch, RecordBatchStreamWriter, type Schema, Struct } from 'apache-arrow'
import { assert, DeltaError } from '../base/errors.js'
import { Source } from './arrow-column.js'
import { arrowSchema } from './arrow-types.js'
import { columnOf } from './arrow-vectors.js'

export { arrowSchema } from './arrow-types.js'

export interface RecordBatchesOptions {
  /** A batch is full at this many rows; it may hold up to a data chunk (2,048 rows) more. At least 1. @defaultValue 65,536 */
  readonly rowsPerBatch?: number | undefined
  /** Looked at between data chunks. A fetch under way is the connection's to interrupt. */
  readonly signal?: AbortSignal | undefined
}

/**
 * The rows of `result` that were not yet fetched, in order, as Arrow batches of the schema `arrowSchema` makes of its columns.
 *
 * Batches own their memory and are never empty; one is also cut when it holds 64 MiB. While a data chunk is copied, DuckDB makes
 * the next: that one fetch has ended when the generator has, however it ends.
 *
 * @throws the reason of `signal` when it is aborted
 * @throws {DeltaError} `TYPE_UNSUPPORTED` before the first row, or for an interval that Arrow cannot hold; `ENGINE_FAILED` when a
 * streaming query fails on the way
 */
export async function* recordBatches(result: DuckDBResult, options: RecordBatchesOptions = {}): AsyncGenerator<RecordBatch> {
  const { rowsPerBatch = 64 * 1024, signal } = options
  const types = result.columnTypes()
  const schema = arrowSchema(result.columnNames(), types)
  const columns = schema.fields.map((field, index) => columnOf(types[index] as (typeof types)[number], field.type))
  const finish = (length: number) =>
    new RecordBatch(
      schema,
      makeData({ type: new Struct(schema.fields), length, nullCount: 0, children: columns.map((column) => column.finish()) }),
    )

  let rows = 0
  signal?.throwIfAborted()
  let fetching = fetch(result)
  try {
    for (;;) {
      const chunk = await fetching.catch((error: unknown) => {
        signal?.throwIfAborted()
        throw error
      })
      signal?.throwIfAborted()
      if (!chunk || chunk.rowCount === 0) {
        assertWhole(result)
        break
      }
      fetching = fetch(result)
      const count = chunk.rowCount
      for (const [index, column] of columns.entries())
        column.append(new Source(duckdb.data_chunk_get_vector(chunk.chunk, index), count), 0, count)
      rows += chunk.rowCount // Asked again, since a vector does not keep its chunk from the collector.
      if (rows >= rowsPerBatch || columns.reduce((sum, column) => sum + column.bytes, 0) >= BATCH_BYTES_MAX) {
        yield finish(rows)
        signal?.throwIfAborted()
        rows = 0
      }
    }
    if (rows > 0) yield finish(rows)
  } finally {
    await fetching.catch(() => {}) // Its failure was thrown above, or belongs to rows that nobody waits for.
  }
}

/**
 * `batches` as an Arrow IPC stream: the schema at once, then each batch as it comes.
 *
 * The end-of-stream marker is written only when `batches` ends well, so a reader that insists on it never takes a part for the whole.
 * Chunks may share memory with the batches.
 */
export async function* ipcStream(
  schema: Schema,
  batches: AsyncIterable<RecordBatch> | Iterable<RecordBatch>,
): AsyncGenerator<Uint8Array> {
  const sink = new ChunkSink()
  const writer = new RecordBatchStreamWriter({ autoDestroy: false })
  writer.reset(sink, schema)
  yield* sink.take()
  for await (const batch of batches) {
    assert(batch.schema.fields.length === schema.fields.length, 'a batch has the columns of its stream')
    // The writer would start a new stream for a schema that is not the one it knows.
    writer.write(batch.schema === schema ? batch : new RecordBatch(schema, batch.data))
    yield* sink.take()
  }
  writer.finish()
  yield* sink.take()
}

/**
 * A streaming query that fails, or is interrupted, after its first rows gives no error: its chunks just end. All that tells is the
 * kind of its result, which is no longer that of a query.
 */
function assertWhole(result: DuckDBResult): void {
  if (result.returnType !== ResultReturnType.INVALID) return
  throw new DeltaError(
    'ENGINE_FAILED',
    'a query failed or was interrupted after its first rows',
    {},
    {
      hint: 'a value far down may not fit a CAST: TRY_CAST and LIMIT help to find it',
    },
  )
}

function fetch(result: DuckDBResult): Promise<DuckDBDataChunk | null> {
  const fetching = result.fetchChunk()
  fetching.catch(() => {}) // Whoever awaits it sees the failure; until then it must not count as unhandled.
  return fetching
}

/** Collects what the writer writes, which is many tiny pieces (lengths, padding) and a few large ones. */
class ChunkSink extends AsyncByteQueue {
  #pieces: Uint8Array[] = []

  override write(piece: Uint8Array): void {
    this.#pieces.push(piece)
  }

  /** What was written since the last call: small pieces joined, large ones as they are. */
  *take(): Generator<Uint8Array> {
    const pieces = this.#pieces
    this.#pieces = []
    let small: Uint8Array[] = []
    for (const piece of pieces) {
      if (piece.byteLength < JOIN_BYTES_MAX) {
        small.push(piece)
        continue
      }
      if (small.length > 0) yield Buffer.concat(small)
      small = []
      yield piece
    }
    if (small.length > 0) yield Buffer.concat(small)
  }
}

const BATCH_BYTES_MAX = 64 * 2 ** 20
const JOIN_BYTES_MAX = 64 * 1024
