import { DeltaError } from '../base/errors.js'
import type { ByteRange } from './store.js'

/**
 * Gives the range back when both ends are whole numbers from 0 on. An end before the start is an empty range.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`
 */
export function checkRange(range: ByteRange): ByteRange {
  const { start, endExclusive } = range
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(endExclusive) || start < 0 || endExclusive < 0) {
    throw new DeltaError('ARGUMENT_INVALID', 'a byte range needs whole numbers from 0 on', { start, endExclusive })
  }
  return range
}

/** The part of `range` (everything when there is none) that an object of `sizeBytes` has; empty when it has none of it. */
export function clampRange(range: ByteRange | undefined, sizeBytes: number): ByteRange {
  if (!range) return { start: 0, endExclusive: sizeBytes }
  checkRange(range)
  const start = Math.min(range.start, sizeBytes)
  return { start, endExclusive: Math.max(start, Math.min(range.endExclusive, sizeBytes)) }
}
