/**
 * The statistics of a file some rows of which are deleted: its bounds hold still, but may be met by no row, and the number
 * of its records is that of the file. Digits of other numbers stay as they are.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#per-file-statistics
 */
export function looseStats(stats: string | undefined, numRecords: number): string {
  const kept = membersOf(stats ?? '').filter((member) => !/^"(numRecords|tightBounds)"/.test(member))
  return `{${[`"numRecords":${numRecords}`, ...kept, '"tightBounds":false'].join(',')}}`
}

/** The members of a JSON object as text; none for text that is no object. */
function membersOf(json: string): string[] {
  const text = json.trim()
  if (!text.startsWith('{') || !text.endsWith('}')) return []
  const members: string[] = []
  let depth = 0
  let isInString = false
  let start = 1
  for (let at = 1; at < text.length; at++) {
    const character = text[at]
    if (isInString) {
      if (character === '\\') at++
      else if (character === '"') isInString = false
    } else if (character === '"') isInString = true
    else if (character === '{' || character === '[') depth++
    else if ((character === ',' && depth === 0) || at === text.length - 1) {
      members.push(text.slice(start, at).trim())
      start = at + 1
    } else if (character === '}' || character === ']') depth--
  }
  return members.filter((member) => member !== '')
}
