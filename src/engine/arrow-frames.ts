import { Message, RecordBatchReader, type Schema } from 'apache-arrow'
import { DeltaError } from '../base/errors.js'
import { isSoundMetadata, schemaFooter } from './arrow-metadata.js'

/** A message of an Arrow IPC stream. `pieces` are its bytes, in order: length prefix, metadata, body. */
export type Frame = SchemaFrame | BatchFrame
export interface SchemaFrame {
  readonly kind: 'schema'
  readonly schema: Schema
  readonly pieces: readonly Uint8Array[]
}
export interface BatchFrame {
  readonly kind: 'batch' | 'dictionary'
  readonly message: Message
  /** Rows of a batch; a dictionary has none. */
  readonly rows: number
  readonly pieces: readonly [prefix: Uint8Array, metadata: Uint8Array, body: Uint8Array]
}

/** The message that opens a stream of this schema. */
export function schemaFrame(schema: Schema): SchemaFrame {
  const metadata = Message.encode(Message.from(schema))
  const padded = new Uint8Array((metadata.length + 7) & ~7)
  padded.set(metadata)
  return { kind: 'schema', schema, pieces: [new Uint8Array(Int32Array.of(CONTINUATION, padded.length).buffer), padded] }
}

/**
 * The messages of an Arrow IPC stream or file: the schema, then batches and dictionaries as they come. Bodies are not looked into.
 *
 * The end is taken for an end only with its marker, which every current writer of streams and files puts there. A file has its
 * schema at the end, so it is held in memory as a whole.
 *
 * @param source cut into chunks anywhere; iteration of it stops when the generator does
 * @throws {DeltaError} `ROWS_INVALID`, with the number of batches that came before, for bytes that are not such a stream, that end
 * before the marker or go on after it; `MEMORY_LIMIT` for a batch, or a file, of more than 256 MiB
 * @throws the reason of `signal` when it is aborted, also while it waits for bytes
 */
export async function* frames(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  signal?: AbortSignal,
): AsyncGenerator<Frame> {
  const reader = new ByteReader(source, signal)
  const seen = { batches: 0 }
  let hasSchema = false
  try {
    const start = (await reader.take(4)) ?? new Uint8Array(0)
    const isFile = Buffer.compare(start, FILE_MAGIC.subarray(0, 4)) === 0
    for await (const frame of isFile ? fileFrames(reader, seen) : streamFrames(reader, start, seen)) {
      if ((frame.kind === 'schema') === hasSchema) throw invalid('an Arrow stream needs its schema first, and once', seen)
      hasSchema = true
      yield frame
      if (frame.kind === 'batch') seen.batches++
    }
    if (!hasSchema) throw invalid('an Arrow stream has no schema', seen)
    if (!isFile && (await reader.take(1))) throw invalid('bytes follow the end of an Arrow stream', seen)
  } finally {
    reader.close()
  }
}

interface Seen {
  readonly batches: number
}

/** Up to the end-of-stream marker. `prefix` was read before: the first four bytes. */
async function* streamFrames(reader: ByteReader, prefix: Uint8Array, seen: Seen): AsyncGenerator<Frame> {
  const take = async (length: number) => {
    const bytes = await reader.take(length)
    if (!bytes) throw invalid('an Arrow stream ends in the middle: its end-of-stream marker is missing', seen)
    return bytes
  }
  for (let opening = prefix.length === 4 ? prefix : await take(4); ; opening = await take(4)) {
    const isCurrent = int32(opening) === CONTINUATION
    const length = isCurrent ? await take(4) : opening
    const metadataLength = int32(length)
    if (metadataLength === 0) return
    if (metadataLength < 0 || metadataLength > METADATA_BYTES_MAX) throw invalid('these bytes are not an Arrow stream', seen)
    const metadata = await take(metadataLength)
    const { message, header } = decode(metadata, seen)
    if (message.compression)
      throw invalid('an Arrow stream is compressed', seen, undefined, 'send it uncompressed; HTTP can compress it as a whole')
    if (!(message.bodyLength >= 0)) throw invalid('a message of an Arrow stream has a negative length', seen)
    if (message.bodyLength > BODY_BYTES_MAX) throw tooLarge('an Arrow batch is too large', 'send smaller batches')
    const body = await take(message.bodyLength)
    const pieces = [isCurrent ? Buffer.concat([opening, length]) : opening, metadata, body] as const
    if (message.isSchema()) yield { kind: 'schema', schema: header as Schema, pieces }
    else if (message.isRecordBatch()) yield { kind: 'batch', message, rows: rowsOf(header, seen), pieces }
    else if (message.isDictionaryBatch()) yield { kind: 'dictionary', message, rows: 0, pieces }
    else throw invalid('an Arrow stream holds a message that is neither schema, batch nor dictionary', seen)
  }
}

/** A file is a stream between two magic words, with a footer. Some writers leave the schema out of the stream, so it is the footer's. */
async function* fileFrames(reader: ByteReader, seen: Seen): AsyncGenerator<Frame> {
  const rest = await reader.rest(BODY_BYTES_MAX)
  if (!rest) throw tooLarge('an Arrow file is too large', 'send an Arrow stream, which is read in parts')
  if (Buffer.compare(rest.subarray(-FILE_MAGIC.length), FILE_MAGIC) !== 0)
    throw invalid('an Arrow file ends in the middle: its footer is missing', seen)
  yield schemaFrame(footerSchema(rest, seen))
  for await (const frame of streamFrames(new ByteReader([rest.subarray(4)], undefined), new Uint8Array(0), seen)) {
    if (frame.kind !== 'schema') yield frame
  }
}

/** The schema in the footer, which ends the file: the footer, its length in four bytes, the magic word. */
function footerSchema(file: Uint8Array, seen: Seen): Schema {
  const end = file.length - FILE_MAGIC.length - 4
  const length = end > 0 ? int32(file.subarray(end)) : 0
  const footer = length > 0 && length <= end ? schemaFooter(file.subarray(end - length, end)) : undefined
  if (!footer) throw invalid('the footer of an Arrow file is malformed', seen)
  try {
    return RecordBatchReader.from(Buffer.concat([FILE_MAGIC, new Uint8Array(2), footer, file.subarray(end)])).open().schema
  } catch (error) {
    throw invalid('the footer of an Arrow file cannot be read', seen, error)
  }
}

function decode(metadata: Uint8Array, seen: Seen): { message: Message; header: unknown } {
  if (!isSoundMetadata(metadata)) throw invalid('a message of an Arrow stream is malformed', seen)
  try {
    const message = Message.decode(metadata)
    return { message, header: message.header() }
  } catch (error) {
    throw invalid('a message of an Arrow stream cannot be read', seen, error)
  }
}

function rowsOf(header: unknown, seen: Seen): number {
  const { length } = header as { length: number }
  if (!(length >= 0)) throw invalid('an Arrow batch has a negative length', seen)
  // A column of nulls takes no bytes, so the length of the body does not bound the rows.
  if (length > BATCH_ROWS_MAX)
    throw new DeltaError(
      'MEMORY_LIMIT',
      'an Arrow batch has too many rows',
      { rows: length, rowsMax: BATCH_ROWS_MAX },
      { hint: 'send smaller batches' },
    )
  return length
}

function invalid(message: string, { batches }: Seen, cause?: unknown, hint?: string): DeltaError {
  return new DeltaError('ROWS_INVALID', message, { batchesBefore: batches }, { cause, hint })
}

function tooLarge(message: string, hint: string): DeltaError {
  return new DeltaError('MEMORY_LIMIT', message, { bytesMax: BODY_BYTES_MAX }, { hint })
}

/** Takes chunks of any size, gives the lengths asked for. */
class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  readonly #signal: AbortSignal | undefined
  #held: Uint8Array[] = []
  #heldBytes = 0
  #isDone = false

  constructor(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, signal: AbortSignal | undefined) {
    this.#chunks = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
    this.#signal = signal
  }

  /** The next `length` bytes, `undefined` when there are fewer. Not a copy when one chunk holds them. */
  async take(length: number): Promise<Uint8Array | undefined> {
    while (this.#heldBytes < length) {
      if (!(await this.#more())) return undefined
    }
    const [first] = this.#held
    if (first === undefined || length === 0) return new Uint8Array(0)
    const whole = first.length >= length ? first : Buffer.concat(this.#held)
    this.#held = first.length >= length ? this.#held : [whole]
    const rest = whole.subarray(length)
    if (rest.length > 0) this.#held[0] = rest
    else this.#held.shift()
    this.#heldBytes -= length
    return whole.subarray(0, length)
  }

  /** All that is left, `undefined` when that is more than `bytesMax`. */
  async rest(bytesMax: number): Promise<Uint8Array | undefined> {
    do {
      if (this.#heldBytes > bytesMax) return undefined
    } while (await this.#more())
    return this.take(this.#heldBytes)
  }

  /** Tells the source that no more is wanted. Does not wait: a source that never answers would be waited for in vain. */
  close(): void {
    if (this.#isDone) return
    this.#isDone = true
    Promise.resolve(this.#chunks.return?.()).catch(() => {}) // Nobody is left to hear of it.
  }

  async #more(): Promise<boolean> {
    this.#signal?.throwIfAborted()
    const next = await orAborted(Promise.resolve(this.#chunks.next()), this.#signal)
    if (next.done) {
      this.#isDone = true
      return false
    }
    if (next.value.length > 0) this.#held.push(next.value)
    this.#heldBytes += next.value.length
    return true
  }
}

/** Whatever comes first: the value, or the rejection with the signal's reason. */
async function orAborted<T>(value: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return value
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
  })
  try {
    return await Promise.race([value, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function int32(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true)
}

/** Opens and closes a file; its first four bytes are no length that a stream could begin with. */
const FILE_MAGIC = Buffer.from('ARROW1')
/** Stands before a length, except in streams of writers before Arrow 0.15. */
const CONTINUATION = -1
const METADATA_BYTES_MAX = 64 * 2 ** 20
const BATCH_ROWS_MAX = 2 ** 25
const BODY_BYTES_MAX = 256 * 2 ** 20
