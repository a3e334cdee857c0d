import fc from 'fast-check'
import { expect, it } from 'vitest'
import { KeyIndex } from '../../src/views/key-index.js'

const text = fc.string({ maxLength: 12 })
const step = fc.oneof(
  fc.record({ do: fc.constant('set' as const), key: text, row: fc.string({ maxLength: 40 }) }),
  fc.record({ do: fc.constant('delete' as const), key: text }),
)

it('answers as a map does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const [index, map] = [new KeyIndex(), new Map<string, string>()]
      for (const one of steps) {
        if (one.do === 'set') {
          index.set(Buffer.from(one.key), Buffer.from(one.row))
          map.set(one.key, one.row)
        } else {
          index.delete(Buffer.from(one.key))
          map.delete(one.key)
        }
      }
      expect(index.size).toBe(map.size)
      for (const { key } of steps) {
        const found = index.get(Buffer.from(key))
        expect(found && Buffer.from(found).toString()).toBe(map.get(key))
      }
    }),
    { numRuns: 50 },
  )
})

it('takes at most 200 bytes a key beyond its texts, and finds each of 200,000', () => {
  const index = new KeyIndex()
  let texts = 0
  const rowOf = (at: number) => Buffer.from(`{"url":"/page/${at}","hits":${at % 977}}`)
  for (let at = 0; at < 200_000; at++) {
    const [key, row] = [Buffer.from(`/page/${at}`), rowOf(at)]
    texts += key.length + row.length
    index.set(key, row)
  }
  expect((index.bytes - texts) / index.size).toBeLessThan(200)
  for (let at = 0; at < 200_000; at += 37)
    expect(rowOf(at).equals(index.get(Buffer.from(`/page/${at}`)) ?? Buffer.alloc(0))).toBe(true)
  expect(index.get(Buffer.from('/page/200000'))).toBeUndefined()
})
