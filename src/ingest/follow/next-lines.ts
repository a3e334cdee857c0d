import { DeltaError } from '../../base/errors.js'
import type { InputFormat } from '../formats.js'
import { LINE_BYTES_MAX } from '../readers.js'
import type { Text } from './text.js'
import { isWholeObject, wholeLines } from './whole-lines.js'

/** Lines of a file that have not been taken. */
export interface NextLines {
  readonly bytes: Uint8Array
  /** Where they end in the file. */
  readonly endExclusive: number
  readonly lines: number
  /** Whether there are as many as fit. */
  readonly isFull: boolean
}

export interface LinesMax {
  readonly bytes: number
  readonly lines: number
  /** A place in the file that they may not go beyond. */
  readonly endExclusive: number
}

/**
 * The whole lines of a file from a place on. A last line without its line feed is whole where nothing more can follow, and in
 * NDJSON where it is an object.
 *
 * @returns `undefined` when there is none.
 * @throws {DeltaError} `ROWS_INVALID` for a line that does not end within 16 MiB.
 */
export async function nextLines(text: Text, from: number, format: InputFormat, max: LinesMax): Promise<NextLines | undefined> {
  const bytesMax = Math.max(max.bytes, LINE_BYTES_MAX + 1)
  const read = await text.read(from, Math.min(from + bytesMax, max.endExclusive))
  if (!read || read.length === 0) return undefined
  const isAtEnd = from + read.length >= text.sizeBytes
  const whole = wholeLines(read.subarray(0, Math.max(max.bytes, 0)), max.lines, format === 'csv')
  const cut = whole.endExclusive > 0 ? whole : wholeLines(read, max.lines, format === 'csv')
  const rest = read.subarray(cut.endExclusive)
  const takesRest =
    isAtEnd && rest.length > 0 && cut.lines < max.lines && (!text.mayGrow || (format === 'ndjson' && isWholeObject(rest)))
  const endExclusive = takesRest ? read.length : cut.endExclusive
  if (endExclusive > 0) {
    const lines = cut.lines + (takesRest ? 1 : 0)
    const isFull = lines >= max.lines || !isAtEnd
    return { bytes: read.subarray(0, endExclusive), endExclusive: from + endExclusive, lines, isFull }
  }
  if (read.length > LINE_BYTES_MAX)
    throw new DeltaError('ROWS_INVALID', `a line is longer than ${LINE_BYTES_MAX / 2 ** 20} MiB`, { format, position: from })
  return undefined
}

/** Where the header of a CSV file ends: behind its first line that is not blank; `undefined` when that is not whole. */
export function headerEnd(start: Uint8Array): number | undefined {
  let from = 0
  while (start[from] === 0x0a || start[from] === 0x0d) from++
  const { endExclusive } = wholeLines(start.subarray(from), 1, true)
  return endExclusive === 0 ? undefined : from + endExclusive
}
