import { RoaringBitmap32 } from 'roaring-wasm'
import { damaged } from './deletion-vector.js'

const PORTABLE_MAGIC = 1681511377
const NATIVE_MAGIC = 1681511376
const KEY_MAX = 0x7fff_ffff
/** More rows than this are not taken out at once. */
const ROWS_MAX = 2 ** 28

/**
 * A set of row positions of a data file: Delta's 64-bit array of 32-bit Roaring bitmaps.
 *
 * Its memory is outside of JavaScript's: `dispose` it.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#deletion-vector-format
 */
export class RowBitmap {
  /** By the high 32 bits. */
  private readonly buckets = new Map<number, RoaringBitmap32>()

  /**
   * Reads the bytes of a vector, in the portable form or the older native one.
   *
   * @param file names the vector in errors.
   * @throws {DeltaError} `DELETION_VECTOR_DAMAGED`
   */
  static parse(bytes: Uint8Array, file: string): RowBitmap {
    const bitmap = new RowBitmap()
    try {
      bitmap.read(bytes)
      return bitmap
    } catch (cause) {
      bitmap.dispose()
      throw damaged(file, 'its bytes are no bitmap of rows', cause)
    }
  }

  get size(): number {
    let size = 0
    for (const bucket of this.buckets.values()) size += bucket.size
    return size
  }

  /** Adds rows: 64-bit numbers from 0, in any order, fastest when ascending. */
  add(rows: BigInt64Array): void {
    const words = new Uint32Array(rows.buffer, rows.byteOffset, rows.length * 2)
    for (let from = 0; from < rows.length; ) {
      const key = words[from * 2 + HIGH] as number
      let until = from + 1
      while (until < rows.length && words[until * 2 + HIGH] === key) until++
      const low = new Uint32Array(until - from)
      for (let i = 0; i < low.length; i++) low[i] = words[(from + i) * 2 + LOW] as number
      this.bucket(key).addMany(low)
      from = until
    }
  }

  /** Adds the rows of another set. */
  union(other: RowBitmap): void {
    for (const [key, bucket] of other.buckets) this.bucket(key).orInPlace(bucket)
  }

  /** Leaves out the rows of another set. */
  minus(other: RowBitmap): void {
    for (const [key, bucket] of other.buckets) {
      const own = this.buckets.get(key)
      if (!own?.andNotInPlace(bucket).isEmpty) continue
      own.dispose()
      this.buckets.delete(key)
    }
  }

  /** The rows, ascending. */
  rows(): BigInt64Array {
    if (this.size > ROWS_MAX) throw new RangeError(`more than ${ROWS_MAX} rows`)
    const rows = new BigInt64Array(this.size)
    const words = new Uint32Array(rows.buffer)
    let at = 0
    for (const key of this.keys())
      for (const low of this.bucket(key).toUint32Array()) {
        words[at * 2 + LOW] = low
        words[at * 2 + HIGH] = key
        at++
      }
    return rows
  }

  /** The bytes of a vector, in the portable form. */
  serialize(): Uint8Array {
    const keys = this.keys()
    const parts = keys.map((key) => {
      const bucket = this.bucket(key)
      bucket.runOptimize()
      return { key, bytes: bucket.serialize('portable') }
    })
    const out = new Uint8Array(12 + parts.reduce((sum, { bytes }) => sum + 4 + bytes.length, 0))
    const view = new DataView(out.buffer)
    view.setInt32(0, PORTABLE_MAGIC, true)
    view.setBigInt64(4, BigInt(parts.length), true)
    let at = 12
    for (const { key, bytes } of parts) {
      view.setInt32(at, key, true)
      out.set(bytes, at + 4)
      at += 4 + bytes.length
    }
    return out
  }

  /** Frees its memory; it holds no row from then on. */
  dispose(): void {
    for (const bucket of this.buckets.values()) bucket.dispose()
    this.buckets.clear()
  }

  private keys(): number[] {
    return [...this.buckets.keys()].sort((one, other) => one - other)
  }

  private bucket(key: number): RoaringBitmap32 {
    let bucket = this.buckets.get(key)
    if (!bucket) {
      bucket = new RoaringBitmap32()
      this.buckets.set(key, bucket)
    }
    return bucket
  }

  private read(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const magic = view.getInt32(0, true)
    if (magic === PORTABLE_MAGIC) this.readPortable(bytes, view)
    else if (magic === NATIVE_MAGIC) this.readNative(bytes, view)
    else throw new RangeError(`unknown magic number ${magic}`)
  }

  private readPortable(bytes: Uint8Array, view: DataView): void {
    const count = view.getBigInt64(4, true)
    let at = 12
    let last = -1
    for (let i = 0n; i < count; i++) {
      const key = view.getInt32(at, true)
      if (key <= last || key > KEY_MAX) throw new RangeError('keys do not ascend')
      const start = at + 4
      at = start + serializedSize(view, start)
      this.take(key, bytes.subarray(start, at))
      last = key
    }
    if (count < 0n || at !== bytes.length) throw new RangeError('other bytes follow the bitmaps')
  }

  /** Keys are dense from 0, and each bitmap tells its size. */
  private readNative(bytes: Uint8Array, view: DataView): void {
    const count = view.getInt32(4, true)
    let at = 8
    for (let key = 0; key < count; key++) {
      const start = at + 4
      const size = view.getInt32(at, true)
      if (size < 0 || serializedSize(view, start) !== size) throw new RangeError('a bitmap has another size than it says')
      at = start + size
      this.take(key, bytes.subarray(start, at))
    }
    if (count < 0 || at !== bytes.length) throw new RangeError('other bytes follow the bitmaps')
  }

  private take(key: number, bytes: Uint8Array): void {
    const bucket = RoaringBitmap32.deserialize(bytes, 'portable')
    this.buckets.set(key, bucket)
  }
}

const NO_RUNS = 12346
const RUNS = 12347
const ARRAY_MAX = 4096
const CONTAINER_BYTES = 8192

/**
 * The length of the 32-bit bitmap that begins at `start`, which the format does not tell. What the library behind would
 * take on trust is checked on the way.
 *
 * @throws {RangeError} when it ends beyond the bytes, is no bitmap, or holds its rows out of order.
 * @see https://github.com/RoaringBitmap/RoaringFormatSpec
 */
function serializedSize(view: DataView, start: number): number {
  const cookie = view.getUint32(start, true)
  const hasRuns = (cookie & 0xffff) === RUNS
  if (!hasRuns && cookie !== NO_RUNS) throw new RangeError(`unknown cookie ${cookie}`)
  const containers = hasRuns ? (cookie >>> 16) + 1 : view.getUint32(start + 4, true)
  const flags = hasRuns ? start + 4 : undefined
  const header = hasRuns ? start + 4 + Math.ceil(containers / 8) : start + 8
  if (containers > 0x1_0000) throw new RangeError('too many containers')
  const hasOffsets = !hasRuns || containers >= 4
  let at = header + containers * 4 + (hasOffsets ? containers * 4 : 0)
  let last = -1
  for (let i = 0; i < containers; i++) {
    const key = view.getUint16(header + i * 4, true)
    if (key <= last) throw new RangeError('containers are out of order')
    last = key
    const isRun = flags !== undefined && (view.getUint8(flags + (i >> 3)) & (1 << (i & 7))) !== 0
    const cardinality = view.getUint16(header + i * 4 + 2, true) + 1
    if (isRun) at = endOfRuns(view, at)
    else if (cardinality <= ARRAY_MAX) at = endOfArray(view, at, cardinality)
    else at = endOfBits(view, at, cardinality)
  }
  return at - start
}

function endOfRuns(view: DataView, at: number): number {
  const runs = view.getUint16(at, true)
  let last = -1
  for (let i = 0; i < runs; i++) {
    const first = view.getUint16(at + 2 + i * 4, true)
    if (first <= last) throw new RangeError('runs overlap')
    last = first + view.getUint16(at + 4 + i * 4, true)
  }
  if (last > 0xffff) throw new RangeError('a run leaves its container')
  return at + 2 + runs * 4
}

function endOfArray(view: DataView, at: number, cardinality: number): number {
  let last = -1
  for (let i = 0; i < cardinality; i++) {
    const value = view.getUint16(at + i * 2, true)
    if (value <= last) throw new RangeError('values do not ascend')
    last = value
  }
  return at + cardinality * 2
}

function endOfBits(view: DataView, at: number, cardinality: number): number {
  let bits = 0
  for (let i = 0; i < CONTAINER_BYTES; i += 4) bits += bitsIn(view.getUint32(at + i, true))
  if (bits !== cardinality) throw new RangeError('a container has other rows than it says')
  return at + CONTAINER_BYTES
}

function bitsIn(word: number): number {
  const pairs = word - ((word >>> 1) & 0x5555_5555)
  const fours = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333)
  return Math.imul((fours + (fours >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24
}

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1
const [LOW, HIGH] = IS_LITTLE_ENDIAN ? [0, 1] : [1, 0]
