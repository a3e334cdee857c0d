/** A JSON object of a log file, and the line on which it begins, from 1. */
export interface JsonText {
  readonly text: string
  readonly line: number
}

/**
 * The lines of NDJSON that are not blank, one object each.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-log-entries
 */
export function jsonLines(text: string): JsonText[] {
  return text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [{ text: line, line: index + 1 }]))
}

/**
 * The objects of a text in which they may span lines, or share one, as some writers leave them. What is no whole object is
 * a text of its own, for the parser to refuse.
 */
export function jsonObjects(text: string): JsonText[] {
  const found: JsonText[] = []
  let [depth, start, startLine, line] = [0, 0, 1, 1]
  const end = (at: number) => {
    const part = text.slice(start, at)
    if (part.trim() !== '') found.push({ text: part, line: startLine })
    start = at
  }
  // A string, a newline, a brace: nothing else counts.
  for (const { 0: token, index } of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[\n{}]/gs)) {
    if (token === '\n') line++
    else if (token === '{') {
      if (depth++ > 0) continue
      end(index)
      startLine = line
    } else if (token === '}') {
      if (--depth === 0) end(index + 1)
      if (depth < 0) break
    }
  }
  end(text.length)
  return found
}
