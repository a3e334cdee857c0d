import { createReadStream } from 'node:fs'
import { DeltaError } from '../base/errors.js'

/** Deeper than any table's types, and far from where the engine's stack ends. */
const DEPTH_MAX = 200

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT, LINE_FEED] = Buffer.from('"\\[]{}\n')

/**
 * Refuses JSON that is nested without end: guessing the columns of such text overflows the engine's stack, which ends the
 * process. A string ends at its line's end at the latest, and in NDJSON so does everything else: a broken line hides
 * nothing of the next.
 *
 * @throws {DeltaError} `ROWS_INVALID`.
 */
export async function checkNesting(path: string, format: 'ndjson' | 'json'): Promise<void> {
  let depth = 0
  let isInString = false
  let isEscaped = false
  for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 }) as AsyncIterable<Buffer>) {
    for (const byte of chunk) {
      if (byte === LINE_FEED) {
        isInString = false
        if (format === 'ndjson') depth = 0
      } else if (isInString) {
        if (isEscaped) isEscaped = false
        else if (byte === BACKSLASH) isEscaped = true
        else if (byte === QUOTE) isInString = false
      } else if (byte === QUOTE) {
        isInString = true
        isEscaped = false
      } else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
        if (++depth > DEPTH_MAX) throw new DeltaError('ROWS_INVALID', 'the data is nested too deeply', { depthMax: DEPTH_MAX })
      } else if ((byte === CLOSE_LIST || byte === CLOSE_OBJECT) && depth > 0) depth--
    }
  }
}
