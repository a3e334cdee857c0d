/**
 * The canonical text of a JSON value, over which the checksum of `_last_checkpoint` is made: every leaf as `path=value`,
 * sorted, so that neither the order of keys nor white space counts. The key `checksum` at the top is left out.
 *
 * Numbers are written as JavaScript writes them, so a text with one beyond 2^53 may give another canonical text.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#json-checksum
 */
export function canonicalJson(value: unknown): string {
  const { checksum: _, ...rest } = value as Record<string, unknown>
  const pairs = leaves(rest, []).map(([path, leaf]) => [path.join('+'), leaf] as const)
  return pairs
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map((pair) => pair.join('='))
    .join(',')
}

function leaves(value: unknown, path: readonly string[]): (readonly [path: readonly string[], leaf: string])[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => leaves(item, [...path, String(index)]))
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap(([key, member]) => leaves(member, [...path, quoted(key)]))
  return [[path, typeof value === 'string' ? quoted(value) : String(value)]]
}

function quoted(text: string): string {
  const encoded = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `"${encoded}"`
}
