import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  deletionVectorPath,
  describeDeletionVector,
  frame,
  locateDeletionVector,
  unframe,
} from '../../src/protocol/deletion-vector.js'
import { RowBitmap } from '../../src/protocol/row-bitmap.js'

const vector = (storageType: string, pathOrInlineDv: string, sizeInBytes = 36, offset?: number) => ({
  storageType,
  pathOrInlineDv,
  sizeInBytes,
  cardinality: 1,
  ...(offset === undefined ? {} : { offset }),
})
const DAMAGED = expect.objectContaining({ code: 'DELETION_VECTOR_DAMAGED', kind: 'corrupt' })
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'))

function rowsOf(bytes: Uint8Array): number[] {
  const bitmap = RowBitmap.parse(bytes, 'f')
  try {
    return [...bitmap.rows()].map(Number)
  } finally {
    bitmap.dispose()
  }
}

describe('the place of a deletion vector', () => {
  it('is a file named by a UUID, in the folder that its prefix names', () => {
    expect(locateDeletionVector(vector('u', 'ab^-aqEH.-t@S}K{vb[*k^', 36, 4))).toEqual({
      kind: 'file',
      path: 'ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin',
      offset: 4,
    })
    expect(locateDeletionVector(vector('u', '^-aqEH.-t@S}K{vb[*k^', 36, 4))).toMatchObject({
      path: 'deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin',
    })
  })

  it('is an absolute URI, percent-encoded', () => {
    expect(locateDeletionVector(vector('p', 's3://b/a%20b.bin', 36, 7))).toEqual({
      kind: 'file',
      path: 's3://b/a b.bin',
      offset: 7,
    })
  })

  it('is behind the version byte where no offset is told', () => {
    expect(locateDeletionVector(vector('p', '/a.bin'))).toMatchObject({ offset: 1 })
    expect(locateDeletionVector(vector('p', '/a.bin', 36, 0))).toMatchObject({ offset: 1 })
  })

  it('is in the log itself, cut to its size', () => {
    const text = '^Bg9^0rr910000000000iXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L'
    const place = locateDeletionVector(vector('i', text, 44))
    expect(place.kind).toBe('inline')
    expect(rowsOf(place.kind === 'inline' ? place.bytes : new Uint8Array())).toEqual([3, 4, 7, 11, 18, 29])
    const cut = locateDeletionVector(vector('i', text, 42))
    expect(cut.kind === 'inline' && cut.bytes.length).toBe(42)
  })

  it.each([
    ['another storage type', vector('x', 'abc')],
    ['a name that is no Z85', vector('u', '"""""""""""""""""""" ')],
    ['a name that is too short', vector('u', 'abcde')],
    ['an inline text with fewer bytes than it says', vector('i', '00000', 5)],
    ['a negative size', vector('p', '/a.bin', -1)],
    ['a negative offset', vector('p', '/a.bin', 1, -1)],
  ])('is refused for %s', (_, damaged) => {
    expect(() => locateDeletionVector(damaged)).toThrow(DAMAGED)
  })

  it('is found again from what describes it', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat(), (uuid, offset) => {
        const described = describeDeletionVector(uuid, offset + 1, 36, 2)
        expect(locateDeletionVector(described)).toEqual({
          kind: 'file',
          path: deletionVectorPath('', uuid),
          offset: offset + 1,
        })
      }),
    )
  })
})

describe('the frame of a deletion vector', () => {
  const file = bytesOf('01 00000024 d1d339640100000000000000000000003a30000001000000000001001000000000000900 2a671846')

  it('is what Spark writes', () => {
    const bytes = unframe(file.subarray(1), vector('u', ''), 'f', crc32)
    expect(rowsOf(bytes)).toEqual([0, 9])
    expect(frame(bytes, crc32)).toEqual(file.subarray(1))
  })

  it('shows every byte that was changed or cut off', () => {
    for (let at = 1; at < file.length; at++) {
      const changed = file.slice(1)
      changed[at - 1] = (changed[at - 1] ?? 0) ^ 0x10
      expect(() => unframe(changed, vector('u', ''), 'f', crc32)).toThrow(DAMAGED)
      expect(() => unframe(file.subarray(1, at), vector('u', ''), 'f', crc32)).toThrow(DAMAGED)
    }
  })
})
