import fc from 'fast-check'
import { RoaringBitmap32 } from 'roaring-wasm'
import { describe, expect, it } from 'vitest'
import { isDeltaError } from '../../src/base/errors.js'
import { RowBitmap } from '../../src/protocol/row-bitmap.js'

/** Rows that make every kind of container: single ones, dense runs, many with gaps; near and beyond 2^32. */
const start = fc.oneof(
  fc.bigInt(0n, 200_000n),
  fc.bigInt(2n ** 32n - 100n, 2n ** 32n + 100n),
  fc.bigInt(0n, 2n ** 40n),
  fc.constant(2n ** 63n - 200_001n),
)
const part = fc.oneof(
  { weight: 3, arbitrary: start.map((row) => [row]) },
  fc.tuple(start, fc.nat(5000)).map(([row, count]) => Array.from({ length: count }, (_, i) => row + BigInt(i))),
  fc.tuple(start, fc.nat(6000)).map(([row, count]) => Array.from({ length: count }, (_, i) => row + BigInt(i * 3))),
)
const rowSet = fc.array(part, { maxLength: 6 }).map((parts) => parts.flat())
const ascending = (rows: readonly bigint[]) =>
  BigInt64Array.from([...new Set(rows)].sort((one, other) => (one < other ? -1 : one > other ? 1 : 0)))

function with_<T>(bitmap: RowBitmap, work: (bitmap: RowBitmap) => T): T {
  try {
    return work(bitmap)
  } finally {
    bitmap.dispose()
  }
}

function bitmapOf(rows: readonly bigint[]): RowBitmap {
  const bitmap = new RowBitmap()
  bitmap.add(BigInt64Array.from(rows))
  return bitmap
}

const serialized = (rows: readonly bigint[]) => with_(bitmapOf(rows), (bitmap) => bitmap.serialize())
const parsed = (bytes: Uint8Array) => with_(RowBitmap.parse(bytes, 'f'), (bitmap) => bitmap.rows())

/** The older form: little-endian, keys dense from 0, each bitmap behind its size. */
function native(...buckets: readonly (readonly number[])[]): Uint8Array {
  const parts = buckets.map((rows) => Buffer.from(new RoaringBitmap32(rows).serialize('portable')))
  const int = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32LE(value)
    return bytes
  }
  return Buffer.concat([int(1681511376), int(parts.length), ...parts.flatMap((bytes) => [int(bytes.length), bytes])])
}

describe('a bitmap of rows', () => {
  it('parses what it serializes', () => {
    fc.assert(
      fc.property(rowSet, (rows) => {
        expect(parsed(serialized(rows))).toEqual(ascending(rows))
      }),
      { numRuns: 60 },
    )
  })

  it('holds the rows of both after a union', () => {
    fc.assert(
      fc.property(rowSet, rowSet, (some, others) =>
        with_(bitmapOf(some), (bitmap) =>
          with_(bitmapOf(others), (other) => {
            bitmap.union(other)
            expect(bitmap.rows()).toEqual(ascending([...some, ...others]))
            expect(bitmap.size).toBe(ascending([...some, ...others]).length)
          }),
        ),
      ),
      { numRuns: 40 },
    )
  })

  it('has none of the rows of another that it leaves out', () => {
    fc.assert(
      fc.property(rowSet, rowSet, (some, others) =>
        with_(bitmapOf([...some, ...others]), (bitmap) =>
          with_(bitmapOf(others), (other) => {
            bitmap.minus(other)
            const gone = new Set(others)
            const left = ascending(some.filter((row) => !gone.has(row)))
            expect(parsed(bitmap.serialize())).toEqual(left)
            expect(bitmap.size).toBe(left.length)
          }),
        ),
      ),
      { numRuns: 40 },
    )
  })

  it('writes the portable form', () => {
    expect(Buffer.from(serialized([0n, 9n])).toString('hex')).toBe(
      'd1d339640100000000000000000000003a30000001000000000001001000000000000900',
    )
  })

  it('reads the native form, and not its big-endian twin', () => {
    const bytes = native([3, 4, 7], [], [1])
    expect(parsed(bytes)).toEqual(BigInt64Array.of(3n, 4n, 7n, (2n << 32n) + 1n))
    const twin = Buffer.from(
      '6439d3d0000000010000001c3a30000001000000000005001000000003000400070b00120 01d00'.replace(' ', ''),
      'hex',
    )
    expect(() => parsed(twin)).toThrow(expect.objectContaining({ code: 'DELETION_VECTOR_DAMAGED' }))
  })

  it('answers to damaged bytes with rows in order or a typed error, whatever was changed, cut or added', () => {
    const damage = fc.record({
      rows: rowSet,
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      how: fc.constantFrom('change', 'cut', 'add'),
      byte: fc.integer({ min: 1, max: 255 }),
    })
    fc.assert(
      fc.property(damage, ({ rows, at, how, byte }) => {
        const whole = serialized(rows)
        // The headers are where a change does most.
        const place = Math.floor(at * Math.min(whole.length, 200))
        const bytes =
          how === 'cut' ? whole.slice(0, place) : how === 'add' ? Uint8Array.of(...whole.slice(0, 200), byte) : whole.slice()
        if (how === 'change') bytes[place] = (bytes[place] ?? 0) ^ byte
        try {
          const found = parsed(bytes)
          expect(ascending([...found])).toEqual(found)
        } catch (error) {
          expect(isDeltaError(error, 'corrupt'), String(error)).toBe(true)
        }
      }),
      { numRuns: 400 },
    )
  })

  it('is refused when a container lies about how many rows it holds', () => {
    const dense = serialized(Array.from({ length: 30_000 }, (_, i) => BigInt(i * 2)))
    const view = new DataView(dense.buffer)
    expect(view.getUint16(26, true)).toBe(29_999)
    view.setUint16(26, 9_999, true)
    expect(() => parsed(dense)).toThrow(expect.objectContaining({ code: 'DELETION_VECTOR_DAMAGED' }))
  })

  it('gives its memory back', () => {
    const rows = BigInt64Array.from({ length: 100_000 }, (_, i) => BigInt(i * 3))
    const before = process.memoryUsage().rss
    for (let i = 0; i < 2000; i++)
      with_(new RowBitmap(), (bitmap) => {
        bitmap.add(rows.subarray(0, 20_000))
        return bitmap.size
      })
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20)
  })
})
