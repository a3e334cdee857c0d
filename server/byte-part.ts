import { DeltaError } from '../src/index.js'

/** The bytes from `start` on, up to `endExclusive`. */
export interface BytePart {
  readonly start: number
  readonly endExclusive: number
}

/**
 * What a `Range` header asks of a body; `undefined` is all of it, as it is for several ranges and for units other than bytes.
 *
 * @throws {RangeError} when the body has nothing of it.
 */
export function rangeOf(header: string | undefined, bytes: number): BytePart | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? '') ?? []
  if (first === '' && last === '') return undefined
  const part =
    first === ''
      ? { start: Math.max(0, bytes - Number(last)), endExclusive: bytes }
      : { start: Number(first), endExclusive: last === '' ? bytes : Math.min(bytes, Number(last) + 1) }
  if (part.start >= part.endExclusive) throw new RangeError(`bytes */${bytes}`)
  return part
}

/** The n-th part, from 1. @throws {DeltaError} `ARGUMENT_INVALID` when there is none. */
export function partOf(part: number, bytes: number, partBytes: number): BytePart {
  const parts = partsOf(bytes, partBytes)
  if (part > parts) throw new DeltaError('ARGUMENT_INVALID', 'the result has no such part', { part, parts })
  return { start: (part - 1) * partBytes, endExclusive: Math.min(part * partBytes, bytes) }
}

/** At least one, which may be empty. */
export function partsOf(bytes: number, partBytes: number): number {
  return Math.max(1, Math.ceil(bytes / partBytes))
}
