import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { clampRange } from '../../src/storage/byte-range.js'
import { checkPath, checkPrefix, compareBytes, isPath, joinPath } from '../../src/storage/path.js'

const unicode = fc.string({ unit: 'binary' })

describe('path', () => {
  it.each(['a', 'a/b', 'a b/c=d/é', '..a', 'a..', '%2e%2e/x', '~'])('%j stays in the store', (path) => {
    expect(checkPath(path)).toBe(path)
  })

  it.each(['', '/', '/a', 'a/', 'a//b', '.', '..', 'a/../b', 'a\\b', 'a\0'])('%j does not', (path) => {
    expect(isPath(path)).toBe(false)
    expect(() => checkPath(path)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }))
  })

  it('takes the root for a folder', () => {
    expect(checkPrefix('')).toBe('')
    expect(() => checkPrefix('/')).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }))
  })

  it('joins with the root on either side', () => {
    expect([joinPath('', 'a'), joinPath('a', ''), joinPath('a', 'b/c'), joinPath('', '')]).toEqual(['a', 'a', 'a/b/c', ''])
  })

  it('compareBytes(a, b) has the sign of comparing the UTF-8 bytes', () => {
    fc.assert(
      fc.property(unicode, unicode, unicode, (shared, a, b) => {
        const expected = Buffer.compare(Buffer.from(shared + a), Buffer.from(shared + b))
        expect(Math.sign(compareBytes(shared + a, shared + b))).toBe(expected)
      }),
      { numRuns: 2_000 },
    )
  })

  it('orders a surrogate pair after U+FFFD', () => {
    expect(['😀', '\u{fffd}', 'z', ''].toSorted(compareBytes)).toEqual(['', 'z', '\u{fffd}', '😀'])
  })
})

describe('clampRange', () => {
  it('slices as an array of that length does', () => {
    fc.assert(
      fc.property(fc.nat(20), fc.nat(30), fc.nat(30), (size, start, endExclusive) => {
        const bytes = Array.from({ length: size }, (_, at) => at)
        const clamped = clampRange({ start, endExclusive }, size)
        expect(bytes.slice(clamped.start, clamped.endExclusive)).toEqual(bytes.slice(start, endExclusive))
        expect(clamped.endExclusive - clamped.start).toBe(bytes.slice(start, endExclusive).length)
      }),
    )
  })
})
