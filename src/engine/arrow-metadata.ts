/**
 * Whether the metadata of an Arrow IPC message is safe to decode: every table and vector in it that decoders walk lies within it.
 *
 * apache-arrow believes lengths as it finds them, and reads zeros past the end: a vector that claims two billion entries takes all
 * memory, and the process with it. So lengths are looked at first. What the values mean is not judged.
 *
 * @see https://flatbuffers.dev/internals
 * @see https://github.com/apache/arrow/blob/main/format/Message.fbs
 */
export function isSoundMetadata(metadata: Uint8Array): boolean {
  return isSound(() => new Walk(metadata).message())
}

/**
 * The footer of an Arrow IPC file without its lists of batches, so that whoever opens it finds a schema and nothing to follow.
 *
 * @returns `undefined` for a footer that is not sound, in the sense of `isSoundMetadata`
 */
export function schemaFooter(footer: Uint8Array): Uint8Array | undefined {
  const copy = new Uint8Array(footer)
  return isSound(() => new Walk(copy).dropBlocks()) ? copy : undefined
}

function isSound(walk: () => void): boolean {
  try {
    walk()
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

/** A walk over flatbuffer tables. Every method throws a RangeError for what lies outside. */
class Walk {
  readonly #view: DataView
  /** Offsets may lead to one table from many places, so a short message can spell out an endless tree. */
  #tablesLeft = TABLES_MAX

  constructor(bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  message(): void {
    const message = this.#view.getUint32(0, true)
    this.#tables(message, 4) // custom metadata
    const type = this.#field(message, 1)
    const header = this.#reference(message, 2)
    if (type === undefined || header === undefined) throw new RangeError('a message has a header')
    const kind = this.#view.getUint8(type)
    if (kind === SCHEMA) this.#schema(header)
    if (kind === DICTIONARY) this.#batch(this.#reference(header, 1))
    if (kind === BATCH) this.#batch(header)
  }

  dropBlocks(): void {
    const footer = this.#view.getUint32(0, true)
    const schema = this.#reference(footer, 1)
    if (schema === undefined) throw new RangeError('a footer has a schema')
    this.#schema(schema)
    this.#tables(footer, 4) // custom metadata
    for (const slot of [2, 3]) {
      const blocks = this.#reference(footer, slot)
      if (blocks !== undefined) this.#view.setUint32(blocks, 0, true)
    }
  }

  #schema(schema: number): void {
    this.#tables(schema, 1, (field) => this.#schemaField(field, 0))
    this.#tables(schema, 2) // custom metadata
    this.#vector(schema, 3, 8) // features
  }

  #schemaField(field: number, depth: number): void {
    if (depth > DEPTH_MAX) throw new RangeError('a field is not nested as deeply')
    const type = this.#field(field, 2)
    const isUnion = type !== undefined && this.#view.getUint8(type) === UNION
    const details = this.#reference(field, 3)
    if (isUnion && details !== undefined) this.#vector(details, 1, 4) // type ids
    this.#tables(field, 5, (child) => this.#schemaField(child, depth + 1))
    this.#tables(field, 6) // custom metadata
  }

  #batch(batch: number | undefined): void {
    if (batch === undefined) throw new RangeError('a dictionary has values')
    this.#vector(batch, 1, 16) // nodes
    this.#vector(batch, 2, 16) // buffers
    this.#vector(batch, 4, 8) // variadic buffer counts
  }

  /** Walks the tables of a vector. */
  #tables(table: number, slot: number, visit: (table: number) => void = () => {}): void {
    const vector = this.#vector(table, slot, 4)
    if (vector === undefined) return
    for (let index = 0; index < vector.length; index++) {
      if (--this.#tablesLeft < 0) throw new RangeError('a message has fewer tables')
      const at = vector.start + index * 4
      visit(at + this.#view.getUint32(at, true))
    }
  }

  #vector(table: number, slot: number, size: number): { start: number; length: number } | undefined {
    const at = this.#reference(table, slot)
    if (at === undefined) return undefined
    const length = this.#view.getUint32(at, true)
    if (at + 4 + length * size > this.#view.byteLength) throw new RangeError('a vector ends within its message')
    return { start: at + 4, length }
  }

  /** Where the table or vector in a slot begins. */
  #reference(table: number, slot: number): number | undefined {
    const at = this.#field(table, slot)
    return at === undefined ? undefined : at + this.#view.getUint32(at, true)
  }

  /** Where the value of a slot stands; `undefined` for a slot that is not set. */
  #field(table: number, slot: number): number | undefined {
    const slots = table - this.#view.getInt32(table, true)
    const at = 4 + slot * 2
    if (at >= this.#view.getUint16(slots, true)) return undefined
    const offset = this.#view.getUint16(slots + at, true)
    return offset === 0 ? undefined : table + offset
  }
}

// Of the unions MessageHeader and Type.
const SCHEMA = 1
const DICTIONARY = 2
const BATCH = 3
const UNION = 14
const TABLES_MAX = 100_000
const DEPTH_MAX = 64
