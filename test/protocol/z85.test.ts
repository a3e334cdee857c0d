import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeZ85, encodeZ85 } from '../../src/protocol/z85.js'

describe('Z85', () => {
  it('has the digits of its specification', () => {
    const bytes = Uint8Array.from([0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b])
    expect(encodeZ85(bytes)).toBe('HelloWorld')
    expect(decodeZ85('HelloWorld')).toEqual(bytes)
  })

  it('decodes what it encodes, padded with zeros to four bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4)
        padded.set(bytes)
        expect(decodeZ85(encodeZ85(bytes))).toEqual(padded)
      }),
    )
  })

  it.each(['abcd', 'abcd ', 'abcd"', '#####'])('takes no text that is none: %s', (text) => {
    expect(decodeZ85(text)).toBeUndefined()
  })
})
