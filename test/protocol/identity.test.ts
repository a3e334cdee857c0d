import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type IdentityColumn,
  identityMetadata,
  identityOf,
  nextNumber,
  syncedMark,
  withIdentityMarks,
  withoutIdentityMarks,
} from '../../src/protocol/identity.js'
import { field, formatSchema, parseSchema } from '../../src/protocol/schema.js'

const long = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const column = fc.record({
  name: fc.constant('id'),
  start: long,
  step: fc.oneof(fc.bigInt({ min: -9n, max: 9n }), long).filter((step) => step !== 0n),
  highWaterMark: fc.option(fc.oneof(long, fc.bigInt({ min: -50n, max: 50n })), { nil: undefined }),
  allowExplicitInsert: fc.boolean(),
})
const beyond = ({ step }: IdentityColumn, a: bigint, b: bigint) => (step > 0n ? a > b : a < b)

describe('the next number of an identity column', () => {
  it('is the first on its grid beyond the mark', () => {
    fc.assert(
      fc.property(column, (c) => {
        const next = nextNumber(c)
        expect((next - c.start) % c.step).toBe(0n)
        expect(beyond(c, c.start, next)).toBe(false)
        const mark = c.highWaterMark
        if (mark !== undefined) expect(beyond(c, next, mark)).toBe(true)
        if (next !== c.start) expect(mark !== undefined && !beyond(c, next - c.step, mark)).toBe(true)
      }),
    )
  })

  it('lies beyond every value there is, once the mark is synced', () => {
    fc.assert(
      fc.property(column, long, (c, farthest) => {
        const mark = syncedMark(c, farthest)
        const next = nextNumber({ ...c, highWaterMark: mark })
        expect(next).not.toBe(farthest)
        expect(beyond(c, farthest, next)).toBe(false)
        if (c.highWaterMark !== undefined) expect(beyond(c, next, c.highWaterMark)).toBe(true)
      }),
    )
  })
})

describe('the metadata of an identity column', () => {
  it('is read from a schema as it was written to it, however large its numbers', () => {
    fc.assert(
      fc.property(column, fc.string(), (c, comment) => {
        const metadata = { comment: `${comment},"delta.identity.start":1234567890123456789`, ...identityMetadata(c) }
        const bare = { type: 'struct' as const, fields: [field('id', 'long', true, metadata), field('v', 'string')] }
        const schema = c.highWaterMark === undefined ? bare : withIdentityMarks(bare, new Map([['id', c.highWaterMark]]))
        const text = formatSchema(schema)
        expect(parseSchema(text)).toEqual(schema)
        expect(identityOf(parseSchema(text).fields[0] as never)).toEqual(c)
        expect(withoutIdentityMarks(text)).toBe(formatSchema(bare))
      }),
    )
  })
})
