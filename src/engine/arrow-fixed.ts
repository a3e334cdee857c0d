import duckdb from '@duckdb/node-bindings'
import { type Data, type DataType, makeData, Null } from 'apache-arrow'
import { DeltaError } from '../base/errors.js'
import { type Column, dataOf, isValid, Validity, withRoom } from './arrow-column.js'
import type { Source } from './arrow-source.js'

/** A column whose values DuckDB and Arrow lay out alike, `width` bytes each. */
export class FixedColumn implements Column {
  protected readonly type: DataType
  protected readonly width: number
  protected values = new Uint8Array(0)
  protected readonly validity = new Validity()
  /** What the last batch took: the next one mostly takes as much, and need not grow. */
  private lastBytes = 0

  constructor(type: DataType, width: number) {
    this.type = type
    this.width = width
  }

  get bytes(): number {
    return this.validity.rows * this.width
  }

  append(source: Source, start: number, count: number): void {
    this.values = withRoom(this.values, (this.validity.rows + count) * this.width, this.lastBytes)
    this.copy(source, start, count, this.validity.rows)
    this.validity.append(source, start, count)
  }

  finish(): Data {
    const { bytes, type } = this
    const data = new type.ArrayType(this.values.buffer, 0, bytes / type.ArrayType.BYTES_PER_ELEMENT)
    this.values = new Uint8Array(0)
    this.lastBytes = bytes
    return dataOf({ type, data, ...this.validity.finish() })
  }

  /** Writes `count` values from row `start` of `source` to `values`, from row `to` on. */
  protected copy(source: Source, start: number, count: number, to: number): void {
    this.values.set(source.bytes(this.width).subarray(start * this.width, (start + count) * this.width), to * this.width)
  }
}

/** DECIMAL of up to 18 digits: integers of 2, 4 or 8 bytes that Arrow holds in 16. */
export class NarrowDecimalColumn extends FixedColumn {
  readonly #storedWidth: 2 | 4 | 8

  constructor(type: DataType, storedWidth: 2 | 4 | 8) {
    super(type, 16)
    this.#storedWidth = storedWidth
  }

  protected override copy(source: Source, start: number, count: number, to: number): void {
    const stored = source.bytes(this.#storedWidth)
    const words = new Int32Array(this.values.buffer, to * 16, count * 4)
    const isWide = this.#storedWidth === 8
    const integers = this.#storedWidth === 2 ? new Int16Array(stored.buffer) : new Int32Array(stored.buffer)
    for (let row = 0; row < count; row++) {
      const low = integers[isWide ? (start + row) * 2 : start + row] as number
      const next = isWide ? (integers[(start + row) * 2 + 1] as number) : low >> 31
      words[row * 4] = low
      words[row * 4 + 1] = next
      words[row * 4 + 2] = next >> 31
      words[row * 4 + 3] = next >> 31
    }
  }
}

/** INTERVAL: months, days and microseconds, which Arrow holds as nanoseconds. */
export class IntervalColumn extends FixedColumn {
  constructor(type: DataType) {
    super(type, 16)
  }

  override append(source: Source, start: number, count: number): void {
    const from = this.validity.rows
    this.values = withRoom(this.values, (from + count) * 16)
    this.copy(source, start, count, from)
    this.validity.append(source, start, count)
    const halves = new BigInt64Array(this.values.buffer, from * 16, count * 2)
    for (let row = 0; row < count; row++) {
      if (!isValid(source.mask, start + row)) continue
      const nanos = (halves[row * 2 + 1] as bigint) * 1000n
      if (BigInt.asIntN(64, nanos) !== nanos) {
        throw new DeltaError(
          'TYPE_UNSUPPORTED',
          'an interval has more time in it than Arrow can count in nanoseconds',
          {},
          {
            hint: 'CAST the column to VARCHAR',
          },
        )
      }
      halves[row * 2 + 1] = nanos
    }
  }
}

/** BOOLEAN: a byte a row in DuckDB, a bit a row in Arrow. */
export class BoolColumn implements Column {
  readonly #type: DataType
  readonly #validity = new Validity()
  #bits = new Uint8Array(0)

  constructor(type: DataType) {
    this.#type = type
  }

  get bytes(): number {
    return this.#validity.rows >> 3
  }

  append(source: Source, start: number, count: number): void {
    const from = this.#validity.rows
    this.#bits = withRoom(this.#bits, (from + count + 7) >> 3)
    const stored = source.bytes(duckdb.sizeof_bool)
    for (let row = 0; row < count; row++) {
      if (stored[(start + row) * duckdb.sizeof_bool] === 0) continue
      const index = (from + row) >> 3
      this.#bits[index] = (this.#bits[index] as number) | (1 << ((from + row) & 7))
    }
    this.#validity.append(source, start, count)
  }

  finish(): Data {
    const data = this.#bits.subarray(0, (this.#validity.rows + 7) >> 3)
    this.#bits = new Uint8Array(0)
    return dataOf({ type: this.#type, data, ...this.#validity.finish() })
  }
}

/** A column of nothing: `SELECT NULL`. */
export class NullColumn implements Column {
  readonly bytes = 0
  #rows = 0

  append(_source: Source, _start: number, count: number): void {
    this.#rows += count
  }

  finish(): Data {
    const length = this.#rows
    this.#rows = 0
    return makeData({ type: new Null(), length })
  }
}
