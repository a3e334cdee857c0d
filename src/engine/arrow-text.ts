import type { Data, DataType } from 'apache-arrow'
import { DeltaError } from '../base/errors.js'
import { type Column, dataOf, isValid, Validity, withRoom } from './arrow-column.js'
import type { Source } from './arrow-source.js'

/** What a column of text or bytes has in common: offsets of 32 bits, and the bytes between them. */
abstract class BytesColumn implements Column {
  readonly #type: DataType
  protected readonly validity = new Validity()
  /** `offsets[rows]` is where the next value goes. */
  protected offsets = new Int32Array(1)
  protected values = new Uint8Array(0)
  /** What the last batch took: the next one mostly takes about as much, and need not grow. */
  private lastBytes = 0

  constructor(type: DataType) {
    this.#type = type
  }

  get bytes(): number {
    return this.offsets[this.validity.rows] as number
  }

  append(source: Source, start: number, count: number): void {
    const from = this.validity.rows
    if (this.offsets.length <= from + count) {
      const grown = new Int32Array(Math.max(from + count + 1, this.offsets.length * 2))
      grown.set(this.offsets)
      this.offsets = grown
    }
    this.copy(source, start, count, from)
    this.validity.append(source, start, count)
  }

  finish(): Data {
    const valueOffsets = this.offsets.subarray(0, this.validity.rows + 1)
    const data = this.values.subarray(0, this.bytes)
    this.lastBytes = this.bytes
    this.offsets = new Int32Array(this.offsets.length)
    this.values = new Uint8Array(0)
    return dataOf({ type: this.#type, valueOffsets, data, ...this.validity.finish() })
  }

  /** Writes the offsets and bytes of `count` values, from row `start` of `source` to row `to` of the column; a null has no bytes. */
  protected abstract copy(source: Source, start: number, count: number, to: number): void

  /** Makes room for values up to `end`, and a few bytes behind. */
  protected reserve(end: number): void {
    if (end > OFFSET_MAX) {
      throw new DeltaError(
        'MEMORY_LIMIT',
        'a column holds more text in one batch than Arrow can address',
        { bytes: end, bytesMax: OFFSET_MAX },
        {
          hint: 'shorten the values with SQL',
        },
      )
    }
    this.values = withRoom(this.values, end + INLINE_MAX, this.lastBytes + (this.lastBytes >> 4))
  }
}

/**
 * VARCHAR, BLOB and JSON, copied as bytes and never decoded.
 *
 * DuckDB holds a string in 16 bytes: its length, then either the string itself (up to 12 bytes) or a prefix and a pointer.
 */
export class StringColumn extends BytesColumn {
  protected override copy(source: Source, start: number, count: number, to: number): void {
    const stored = source.bytes(16)
    const words = new Uint32Array(stored.buffer)
    const { mask } = source
    const { offsets } = this
    const heap = new Heap(source)
    let end = offsets[to] as number
    for (let row = 0; row < count; row++) {
      const word = (start + row) * 4
      const length = isValid(mask, start + row) ? (words[word] as number) : 0
      if (length > INLINE_MAX) heap.expect(words[word + 2] as number, words[word + 3] as number, length)
      end += length
      offsets[to + row + 1] = end
    }
    this.reserve(end)
    const view = new DataView(this.values.buffer)
    for (let row = 0; row < count; row++) {
      const at = offsets[to + row] as number
      const length = (offsets[to + row + 1] as number) - at
      if (length > INLINE_MAX) {
        heap.copyNext(length, this.values, at)
      } else if (length > 0) {
        // Whole words: what goes past the end of this value is overwritten by the next, or lies in the reserve.
        const word = (start + row) * 4
        view.setUint32(at, words[word + 1] as number, true)
        if (length > 4) view.setUint32(at + 4, words[word + 2] as number, true)
        if (length > 8) view.setUint32(at + 8, words[word + 3] as number, true)
      }
    }
    heap.flush(this.values)
  }
}

/** ENUM: the text of each value is encoded once. */
export class EnumColumn extends BytesColumn {
  readonly #texts: readonly Uint8Array[]
  readonly #storedWidth: 1 | 2 | 4

  constructor(type: DataType, values: readonly string[], storedWidth: 1 | 2 | 4) {
    super(type)
    this.#texts = values.map((value) => Buffer.from(value))
    this.#storedWidth = storedWidth
  }

  protected override copy(source: Source, start: number, count: number, to: number): void {
    const stored = source.bytes(this.#storedWidth)
    const codes = new CODES[this.#storedWidth](stored.buffer)
    const { mask } = source
    const { offsets } = this
    let end = offsets[to] as number
    for (let row = 0; row < count; row++) {
      if (isValid(mask, start + row)) end += (this.#texts[codes[start + row] as number] as Uint8Array).length
      offsets[to + row + 1] = end
    }
    this.reserve(end)
    for (let row = 0; row < count; row++) {
      if (isValid(mask, start + row))
        this.values.set(this.#texts[codes[start + row] as number] as Uint8Array, offsets[to + row] as number)
    }
  }
}

/** UUID: 16 bytes with the first bit flipped and the highest byte last, written as 36 characters. */
export class UuidColumn extends BytesColumn {
  protected override copy(source: Source, start: number, count: number, to: number): void {
    const stored = source.bytes(16)
    const { mask } = source
    const { offsets } = this
    this.reserve((offsets[to] as number) + count * 36)
    const { values } = this
    let at = offsets[to] as number
    for (let row = 0; row < count; row++) {
      if (isValid(mask, start + row)) {
        for (let byte = 15; byte >= 0; byte--) {
          if (byte === 11 || byte === 9 || byte === 7 || byte === 5) values[at++] = DASH
          const bits = (stored[(start + row) * 16 + byte] as number) ^ (byte === 15 ? 0x80 : 0)
          values[at++] = HEX[bits >> 4] as number
          values[at++] = HEX[bits & 15] as number
        }
      }
      offsets[to + row + 1] = at
    }
  }
}

/**
 * The long strings of a vector, which lie in memory that the vector points to.
 *
 * To read memory costs a call into the binding, about 0.5 µs. In the chunks of a result one string mostly begins where the one
 * before ends, so such neighbours are read in one call, and written in one step where they are neighbours in Arrow too.
 */
class Heap {
  readonly #source: Source
  /** Of each run of neighbours: the low and high word of its address, and its length in bytes. */
  readonly #runs: number[] = []
  #endOfRun = Number.NaN
  #run = 0
  #bytes: Uint8Array = NO_BYTES
  /** What of `#bytes` has been asked for: all before `#asked`, of which from `#pending` on is still to be written, to `#target`. */
  #asked = 0
  #pending = 0
  #target = 0

  constructor(source: Source) {
    this.#source = source
  }

  /** Tells of a string to come. */
  expect(addressLow: number, addressHigh: number, length: number): void {
    // An address fits a double: user space ends far below 2^53.
    const address = addressHigh * 2 ** 32 + addressLow
    const runs = this.#runs
    if (address === this.#endOfRun && (runs[runs.length - 1] as number) + length <= RUN_MAX) {
      runs[runs.length - 1] = (runs[runs.length - 1] as number) + length
    } else {
      runs.push(addressLow, addressHigh, length)
    }
    this.#endOfRun = address + length
  }

  /** Copies the next string that `expect` told of, perhaps only when `flush` is called. */
  copyNext(length: number, target: Uint8Array, at: number): void {
    const isRunOver = this.#asked === this.#bytes.length
    if (isRunOver || at !== this.#target + this.#asked - this.#pending) {
      this.flush(target)
      this.#target = at
    }
    if (isRunOver) {
      this.#bytes = this.#readRun()
      this.#asked = 0
      this.#pending = 0
    }
    this.#asked += length
  }

  flush(target: Uint8Array): void {
    if (this.#asked > this.#pending) target.set(this.#bytes.subarray(this.#pending, this.#asked), this.#target)
    this.#pending = this.#asked
  }

  #readRun(): Uint8Array {
    ADDRESS[0] = this.#runs[this.#run++] as number
    ADDRESS[1] = this.#runs[this.#run++] as number
    return this.#source.heap(ADDRESS, this.#runs[this.#run++] as number)
  }
}

/** A string of up to this many bytes stands in the vector itself. */
const INLINE_MAX = 12
/** Up to this many bytes are read in one call. */
const RUN_MAX = 16 * 2 ** 20
const OFFSET_MAX = 2 ** 31 - 1 - INLINE_MAX
const CODES = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array } as const
const ADDRESS = new Uint32Array(2)
const NO_BYTES = new Uint8Array(0)
const HEX = Buffer.from('0123456789abcdef')
const DASH = 0x2d
