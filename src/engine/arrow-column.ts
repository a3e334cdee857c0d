import type { DuckDBDataChunk } from '@duckdb/node-api'
import duckdb from '@duckdb/node-bindings'
import { type Data, type DataType, makeData } from 'apache-arrow'
import { Copies, Source } from './arrow-source.js'

/** One Arrow column in the making: gathers rows of DuckDB vectors into memory of its own. */
export interface Column {
  /** Adds the rows `start` to `start + count` (exclusive) of `source`, which must hold the type the column was made for. */
  append(source: Source, start: number, count: number): void
  /** About how many bytes of values were added since the column last started anew. */
  readonly bytes: number
  /** The rows added so far, as Arrow data that shares no memory with DuckDB or later batches. The column starts anew. */
  finish(): Data
}

/**
 * Adds the rows of a data chunk to a column for each of its vectors.
 *
 * @returns how many they are.
 */
export function appendChunk(chunk: DuckDBDataChunk, columns: readonly Column[]): number {
  const rows = chunk.rowCount
  const copies = new Copies()
  for (const [index, column] of columns.entries())
    column.append(new Source(duckdb.data_chunk_get_vector(chunk.chunk, index), rows, copies), 0, rows)
  copies.free()
  return chunk.rowCount // Asked again, since a vector does not keep its chunk from the collector.
}

/** The buffers of a finished column. */
export interface Parts {
  readonly type: DataType
  readonly length: number
  readonly nullCount: number
  readonly nullBitmap: Uint8Array | null
  readonly data?: ArrayBufferView
  readonly valueOffsets?: Int32Array
  readonly child?: Data
  readonly children?: readonly Data[]
}

/** `makeData` for a type that is known only at run time, which its overloads have no signature for. */
export function dataOf(parts: Parts): Data {
  return makeData(parts as never)
}

export function isValid(mask: Uint8Array | undefined, row: number): boolean {
  return mask === undefined || ((mask[row >> 3] as number) & (1 << (row & 7))) !== 0
}

/**
 * `bytes` when it can hold `length` of them, else a copy with at least that room and zeros behind.
 *
 * @param expected how many there may be in the end.
 */
export function withRoom(bytes: Uint8Array<ArrayBuffer>, length: number, expected = 1024): Uint8Array<ArrayBuffer> {
  if (length <= bytes.length) return bytes
  const grown = new Uint8Array(Math.max(length, bytes.length * 2, expected))
  grown.set(bytes)
  return grown
}

/** The Arrow validity bitmap of a column in the making. Costs nothing until the first vector with a mask. */
export class Validity {
  #bits: Uint8Array<ArrayBuffer> | undefined
  #nulls = 0
  #rows = 0

  get rows(): number {
    return this.#rows
  }

  /** Adds rows as `Column.append` does. */
  append({ mask }: Source, start: number, count: number): void {
    if (mask && !this.#bits) {
      this.#bits = withRoom(EMPTY, bitmapBytes(this.#rows + count))
      copyBits(this.#bits, 0, undefined, 0, this.#rows)
    }
    if (this.#bits) {
      this.#bits = withRoom(this.#bits, bitmapBytes(this.#rows + count))
      this.#nulls += count - copyBits(this.#bits, this.#rows, mask, start, count)
    }
    this.#rows += count
  }

  finish(): { length: number; nullCount: number; nullBitmap: Uint8Array | null } {
    const nullBitmap = this.#bits && this.#nulls > 0 ? this.#bits.subarray(0, (this.#rows + 7) >> 3) : null
    const finished = { length: this.#rows, nullCount: this.#nulls, nullBitmap }
    this.#bits = undefined
    this.#nulls = 0
    this.#rows = 0
    return finished
  }
}

/** Bytes for `rows` bits and the one byte behind them that `copyBits` may touch. */
function bitmapBytes(rows: number): number {
  return (rows >> 3) + 2
}

/**
 * Copies `count` bits from bit `from` of `source` (all ones when there is none) to bit `to` of `target`, whose bits from there
 * on are zero.
 *
 * @returns how many of them are set
 */
function copyBits(target: Uint8Array, to: number, source: Uint8Array | undefined, from: number, count: number): number {
  let set = 0
  for (let done = 0; done < count; done += 8) {
    const at = from + done
    const pair = source ? (source[at >> 3] as number) | ((source[(at >> 3) + 1] ?? 0) << 8) : 0xffff
    let byte = (pair >> (at & 7)) & 0xff
    if (count - done < 8) byte &= (1 << (count - done)) - 1
    set += BITS_SET[byte] as number
    const word = byte << ((to + done) & 7)
    const index = (to + done) >> 3
    target[index] = (target[index] as number) | (word & 0xff)
    if (word > 0xff) target[index + 1] = (target[index + 1] as number) | (word >> 8)
  }
  return set
}

const EMPTY = new Uint8Array(0)
const BITS_SET = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length)
