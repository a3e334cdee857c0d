import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DataType, field } from '../../src/protocol/schema.js'
import { type ColumnStatistics, formatStats, leafKey, truncateMax, truncateMin } from '../../src/protocol/stats.js'

const character = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('a', 'z', '~', '\u007f', '\u0080', '\ud7ff', '\uffff', '😀', '\u{10ffff}') },
  fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
)
const text = fc.array(character, { maxLength: 80 }).map((characters) => characters.join(''))
const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))

describe('string bounds', () => {
  it('truncateMin(text) ≤ text, by UTF-8 bytes, with at most 32 characters', () => {
    fc.assert(
      fc.property(text, (value) => {
        const min = truncateMin(value)
        expect(compare(min, value)).toBeLessThanOrEqual(0)
        expect([...min].length).toBeLessThanOrEqual(32)
      }),
      { numRuns: 1000 },
    )
  })

  it('text ≤ truncateMax(text), by UTF-8 bytes, and short texts are their own bounds', () => {
    fc.assert(
      fc.property(text, (value) => {
        const max = truncateMax(value)
        if ([...value].length <= 32) expect([truncateMin(value), max]).toEqual([value, value])
        if (max === undefined) return
        expect(compare(value, max)).toBeLessThanOrEqual(0)
        expect([...max].length).toBeLessThanOrEqual(64)
      }),
      { numRuns: 1000 },
    )
  })

  it('bound every text with the same beginning', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 33, maxLength: 33 }), text, (head, tail) => {
        const value = `${head.join('')}${tail}`
        const max = truncateMax(value)
        if (max !== undefined) expect(compare(value, max)).toBeLessThanOrEqual(0)
      }),
    )
  })

  it('take 33 characters unless the cut falls on the last character there is', () => {
    expect([...(truncateMax('a'.repeat(100)) ?? '')].length).toBe(33)
    expect(truncateMax(`${'a'.repeat(32)}b`)).toBe(`${'a'.repeat(32)}\u007f`)
    expect(truncateMax(`${'a'.repeat(32)}é`)).toBe(`${'a'.repeat(32)}\u{10ffff}`)
    expect(truncateMax('\u{10ffff}'.repeat(65))).toBeUndefined()
  })

  it('never cut a character in two', () => {
    expect(truncateMin('😀'.repeat(40))).toBe('😀'.repeat(32))
  })
})

function statsOf(type: DataType, column: ColumnStatistics) {
  return formatStats([field('c', type)], 3, new Map([[leafKey(['c']), column]]), { columnsMax: 32 })
}

describe('statistics', () => {
  it.each([
    ['long', '9007199254740993', '9223372036854775807', '9007199254740993', '9223372036854775807'],
    [
      'decimal(38,18)',
      '-12345678901234567890.123456789012345678',
      '0.000000000000000001',
      '-12345678901234567890.123456789012345678',
      '0.000000000000000001',
    ],
    ['double', '1e-7', '1.7976931348623157e308', '1e-7', '1.7976931348623157e308'],
    ['double', '-0.0', '2.0', '-0.0', '2.0'],
    ['date', '1969-12-31', '2024-02-29', '"1969-12-31"', '"2024-02-29"'],
    ['string', 'it"s', 'z\n', '"it\\"s"', '"z\\n"'],
    [
      'timestamp',
      '1969-12-31 23:59:59.999999+00',
      '2024-01-01 00:00:00+00',
      '"1969-12-31T23:59:59.999Z"',
      '"2024-01-01T00:00:00.000Z"',
    ],
    [
      'timestamp_ntz',
      '2024-01-01 00:00:00.1239',
      '2024-01-01 00:00:00.5',
      '"2024-01-01T00:00:00.123"',
      '"2024-01-01T00:00:00.500"',
    ],
  ])('keep all of a %s from %s to %s', (type, min, max, low, high) => {
    expect(statsOf(type, { min, max, nullCount: 1 })).toBe(
      `{"numRecords":3,"minValues":{"c":${low}},"maxValues":{"c":${high}},"nullCount":{"c":1}}`,
    )
  })

  it.each<[string, DataType, ColumnStatistics]>([
    ['a column with NaN', 'double', { min: '1.0', max: '2.0', hasNan: true }],
    ['infinities', 'float', { min: '-inf', max: 'inf' }],
    ['booleans', 'boolean', { min: 'false', max: 'true' }],
    ['bytes', 'binary', { min: 'a', max: 'b' }],
    ['lists', { type: 'array', elementType: 'long', containsNull: true }, { min: '1', max: '2' }],
    ['years of five digits', 'date', { min: '12024-01-01', max: '12024-01-01' }],
    ['times before Christ', 'timestamp', { min: '0044-03-15 (BC) 00:00:00+00', max: '0044-03-15 (BC) 00:00:00+00' }],
    ['endless time', 'timestamp', { min: 'infinity', max: 'infinity' }],
    ['nothing known', 'long', {}],
  ])('have no bounds for %s', (_, type, column) => {
    expect(JSON.parse(statsOf(type, { ...column, nullCount: 2 }))).toEqual({
      numRecords: 3,
      minValues: {},
      maxValues: {},
      nullCount: { c: 2 },
    })
  })

  it('nest as the columns do, and count leaves one by one', () => {
    const inner: DataType = { type: 'struct', fields: [field('x', 'long'), field('y "q"', 'string')] }
    const fields = [field('a', 'long'), field('s', inner), field('z', 'long')]
    const column = { min: '1', max: '2', nullCount: 0 }
    const statistics = new Map([['a'], ['s', 'x'], ['s', 'y "q"'], ['z']].map((path) => [leafKey(path), column] as const))
    expect(JSON.parse(formatStats(fields, 1, statistics, { columnsMax: -1 })).maxValues).toEqual({
      a: 2,
      s: { x: 2, 'y "q"': '2' },
      z: 2,
    })
    expect(JSON.parse(formatStats(fields, 1, statistics, { columnsMax: 2 })).maxValues).toEqual({ a: 2, s: { x: 2 } })
    expect(JSON.parse(formatStats(fields, 1, statistics, { columnsMax: 0 })).nullCount).toEqual({})
  })

  it('are of the columns that the table names, before any number, with texts as long as it says', () => {
    const inner: DataType = { type: 'struct', fields: [field('x', 'long'), field('y', 'string')] }
    const fields = [field('a', 'string'), field('s', inner), field('z', 'string')]
    const column = { min: 'abcdef', max: 'abcdef', nullCount: 0 }
    const statistics = new Map([['a'], ['s', 'x'], ['s', 'y'], ['z']].map((path) => [leafKey(path), column] as const))
    const scope = { columnsMax: 0, columns: [['s'], ['z']], prefixLength: 3, tight: true }
    expect(JSON.parse(formatStats(fields, 1, statistics, scope))).toEqual({
      numRecords: 1,
      minValues: { s: { y: 'abc' }, z: 'abc' },
      maxValues: { s: { y: 'abc\u007f' }, z: 'abc\u007f' },
      nullCount: { s: { x: 0, y: 0 }, z: 0 },
      tightBounds: true,
    })
    expect(JSON.parse(formatStats(fields, 1, statistics, { columnsMax: -1, columns: [['s', 'x']] })).nullCount).toEqual({
      s: { x: 0 },
    })
  })

  it('are JSON, whatever the strings are', () => {
    fc.assert(
      fc.property(text, (value) => {
        const parsed = JSON.parse(statsOf('string', { min: value, max: value }))
        expect(parsed.minValues.c).toBe(truncateMin(value))
        expect(parsed.maxValues.c).toBe(truncateMax(value))
      }),
    )
  })
})
