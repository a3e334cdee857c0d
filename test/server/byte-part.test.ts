import { describe, expect, it } from 'vitest'
import { partOf, partsOf, rangeOf } from '../../server/byte-part.js'

describe('rangeOf', () => {
  it.each([
    ['bytes=0-9', { start: 0, endExclusive: 10 }],
    ['bytes=5-', { start: 5, endExclusive: 100 }],
    ['bytes=-7', { start: 93, endExclusive: 100 }],
    ['bytes=-700', { start: 0, endExclusive: 100 }],
    ['bytes=90-900', { start: 90, endExclusive: 100 }],
    ['bytes=0-1,4-5', undefined],
    ['lines=0-1', undefined],
    ['bytes=-', undefined],
    [undefined, undefined],
  ])('reads %s of 100 bytes', (header, part) => {
    expect(rangeOf(header, 100)).toEqual(part)
  })

  it.each(['bytes=100-', 'bytes=5-4', 'bytes=-0'])('finds nothing of %s in 100 bytes', (header) => {
    expect(() => rangeOf(header, 100)).toThrow(new RangeError('bytes */100'))
  })
})

describe('partOf', () => {
  it('cuts a body so that its parts in order are the body', () => {
    for (const bytes of [0, 1, 9, 10, 11, 25]) {
      const parts = Array.from({ length: partsOf(bytes, 10) }, (_, at) => partOf(at + 1, bytes, 10))
      expect(parts[0]?.start).toBe(0)
      expect(parts.at(-1)?.endExclusive).toBe(bytes)
      for (const [at, part] of parts.entries()) expect(part.start).toBe(parts[at - 1]?.endExclusive ?? 0)
    }
  })

  it('refuses a part that there is not', () => {
    expect(() => partOf(4, 25, 10)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID', details: { part: 4, parts: 3 } }))
  })
})
