import type { DuckDBResult } from '@duckdb/node-api'
import { AsyncByteQueue, makeData, RecordBatch, RecordBatchStreamWriter, type Schema, Struct } from 'apache-arrow'
import { assert } from '../base/errors.js'
import { appendChunk } from './arrow-column.js'
import { arrowSchema } from './arrow-types.js'
import { columnOf } from './arrow-vectors.js'
import { dataChunks, type ReadingOptions } from './data-chunks.js'

export { arrowSchema } from './arrow-types.js'

export interface RecordBatchesOptions extends ReadingOptions {
  /** A batch is full at this many rows; it may hold up to a data chunk (2,048 rows) more. At least 1. @defaultValue 65,536 */
  readonly rowsPerBatch?: number | undefined
}

/**
 * The rows of `result` that were not yet fetched, in order, as Arrow batches of the schema `arrowSchema` makes of its columns.
 *
 * Batches own their memory and are never empty; one is also cut when it holds 64 MiB. They are read as `dataChunks` are.
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
  for await (const chunk of dataChunks(result, options)) {
    rows += appendChunk(chunk, columns)
    if (rows >= rowsPerBatch || columns.reduce((sum, column) => sum + column.bytes, 0) >= BATCH_BYTES_MAX) {
      yield finish(rows)
      signal?.throwIfAborted()
      rows = 0
    }
  }
  if (rows > 0) yield finish(rows)
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
