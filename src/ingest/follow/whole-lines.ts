const [LINE_FEED, QUOTE] = [0x0a, 0x22]

/** The part of some text that is whole lines. */
export interface WholeLines {
  /** Behind the last line feed that ends a record. */
  readonly endExclusive: number
  readonly lines: number
}

/**
 * How much of a text that may end within a line is whole lines, at most `linesMax`.
 *
 * @param quotes whether line feeds between double quotes are part of a record, as in CSV. The text begins with a record.
 */
export function wholeLines(text: Uint8Array, linesMax: number, quotes: boolean): WholeLines {
  let [endExclusive, lines, isQuoted] = [0, 0, false]
  for (let start = 0; lines < linesMax; ) {
    const feed = text.indexOf(LINE_FEED, start)
    if (feed < 0) break
    if (quotes) for (let at = start; at < feed; at++) if (text[at] === QUOTE) isQuoted = !isQuoted
    start = feed + 1
    if (isQuoted) continue
    endExclusive = start
    lines++
  }
  return { endExclusive, lines }
}

/**
 * Whether a text without a line feed is a whole line of NDJSON all the same. An object that was cut short is no object, so
 * there is nothing to wait for.
 */
export function isWholeObject(text: Uint8Array): boolean {
  try {
    const value: unknown = JSON.parse(Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}
