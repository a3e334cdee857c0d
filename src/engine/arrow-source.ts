import { MessageChannel, type MessagePort } from 'node:worker_threads'
import duckdb from '@duckdb/node-bindings'

/**
 * A vector of one of DuckDB's data chunks. Its memory is copied when it is first asked for, and only once. It is good for as
 * long as `appendChunk` runs.
 */
export class Source {
  readonly #vector: duckdb.Vector
  readonly #rows: number
  readonly #copies: Copies
  readonly #entries: Source[] = []
  #bytes: Uint8Array<ArrayBuffer> | undefined
  #mask: Uint8Array | null | undefined
  #items: Source | undefined

  constructor(vector: duckdb.Vector, rows: number, copies: Copies) {
    this.#vector = vector
    this.#rows = rows
    this.#copies = copies
  }

  /** The values of all rows, of `width` bytes each. */
  bytes(width: number): Uint8Array<ArrayBuffer> {
    if (this.#rows === 0) return EMPTY
    this.#bytes ??= this.#copies.keep(duckdb.vector_get_data(this.#vector, this.#rows * width))
    return this.#bytes
  }

  /** Which rows hold a value, one bit a row, lowest bit first; `undefined` when all do. To be asked with `isValid`. */
  get mask(): Uint8Array | undefined {
    // The binding answers null for a vector without a mask, whatever its declaration says.
    if (this.#mask === undefined) {
      const copy = duckdb.vector_get_validity(this.#vector, Math.ceil(this.#rows / 64) * 8) as Uint8Array | null
      this.#mask = copy && this.#copies.keep(copy)
    }
    return this.#mask ?? undefined
  }

  /** What a string of the vector points to. @param address its low and its high word. */
  heap(address: Uint32Array<ArrayBuffer>, length: number): Uint8Array {
    return this.#copies.keep(duckdb.get_data_from_pointer(address.buffer, 0, length))
  }

  /** An entry of a vector of structs. */
  entry(index: number): Source {
    this.#entries[index] ??= new Source(duckdb.struct_vector_get_child(this.#vector, index), this.#rows, this.#copies)
    return this.#entries[index]
  }

  /** The items that the rows of a vector of lists point into. */
  get items(): Source {
    this.#items ??= new Source(
      duckdb.list_vector_get_child(this.#vector),
      duckdb.list_vector_get_size(this.#vector),
      this.#copies,
    )
    return this.#items
  }
}

/**
 * The copies that the binding made of a chunk's memory. V8 counts them and marks its whole heap each time that they come to 64 MB, which
 * costs more than all else that is done with them, so they are given back at once.
 */
export class Copies {
  readonly #buffers: ArrayBuffer[] = []

  keep(copy: Uint8Array): Uint8Array<ArrayBuffer> {
    const { buffer } = copy as Uint8Array<ArrayBuffer>
    // A part of a buffer may share it with others.
    if (buffer.byteLength === copy.byteLength) this.#buffers.push(buffer)
    return copy as Uint8Array<ArrayBuffer>
  }

  free(): void {
    NOBODY.postMessage(null, this.#buffers)
  }
}

/** What is sent to a closed port is freed. */
const NOBODY = closedPort()

function closedPort(): MessagePort {
  const { port1 } = new MessageChannel()
  port1.close()
  return port1
}

const EMPTY = new Uint8Array(0)
