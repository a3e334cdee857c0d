import type { Data, DataType } from 'apache-arrow'
import { type Column, dataOf, isValid, Validity } from './arrow-column.js'
import type { Source } from './arrow-source.js'

/** STRUCT: a column for each entry, of as many rows. */
export class StructColumn implements Column {
  readonly #type: DataType
  readonly #entries: readonly Column[]
  readonly #validity = new Validity()

  constructor(type: DataType, entries: readonly Column[]) {
    this.#type = type
    this.#entries = entries
  }

  get bytes(): number {
    return this.#entries.reduce((sum, entry) => sum + entry.bytes, 0)
  }

  append(source: Source, start: number, count: number): void {
    for (const [index, entry] of this.#entries.entries()) entry.append(source.entry(index), start, count)
    this.#validity.append(source, start, count)
  }

  finish(): Data {
    return dataOf({ type: this.#type, children: this.#entries.map((entry) => entry.finish()), ...this.#validity.finish() })
  }
}

/**
 * LIST, and MAP, which is a list of structs.
 *
 * A row of DuckDB's is an offset and a length into the child vector: rows may overlap, leave gaps, stand in any order, and a null
 * holds whatever it holds. Arrow wants the items of row after row, so they are gathered, runs of neighbours in one step.
 */
export class ListColumn implements Column {
  readonly #type: DataType
  readonly #items: Column
  readonly #validity = new Validity()
  #offsets = new Int32Array(1)

  constructor(type: DataType, items: Column) {
    this.#type = type
    this.#items = items
  }

  get bytes(): number {
    return this.#items.bytes + this.#validity.rows * 4
  }

  append(source: Source, start: number, count: number): void {
    const from = this.#validity.rows
    const offsets = this.#reserve(from + count)
    const { mask, items } = source
    // Offset and length are 64 bits wide, the vectors they point into never that long: the low words say it all.
    const words = new Uint32Array(source.bytes(16).buffer)
    let runStart = 0
    let runEnd = 0
    for (let row = 0; row < count; row++) {
      const word = (start + row) * 4
      const length = isValid(mask, start + row) ? (words[word + 2] as number) : 0
      offsets[from + row + 1] = (offsets[from + row] as number) + length
      if (length === 0) continue
      const offset = words[word] as number
      if (offset !== runEnd) {
        if (runEnd > runStart) this.#items.append(items, runStart, runEnd - runStart)
        runStart = offset
      }
      runEnd = offset + length
    }
    if (runEnd > runStart) this.#items.append(items, runStart, runEnd - runStart)
    this.#validity.append(source, start, count)
  }

  finish(): Data {
    const valueOffsets = this.#offsets.subarray(0, this.#validity.rows + 1)
    this.#offsets = new Int32Array(this.#offsets.length)
    return dataOf({ type: this.#type, valueOffsets, child: this.#items.finish(), ...this.#validity.finish() })
  }

  #reserve(rows: number): Int32Array {
    if (this.#offsets.length <= rows) {
      const grown = new Int32Array(Math.max(rows + 1, this.#offsets.length * 2))
      grown.set(this.#offsets)
      this.#offsets = grown
    }
    return this.#offsets
  }
}
