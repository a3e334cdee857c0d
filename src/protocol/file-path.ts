/**
 * Data file paths: percent-encoded in the log, decoded in the store.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#add-file-and-remove-file
 */

/** Encodes a store path for the log: RFC 3986 unreserved characters, `/` and a few safe delimiters stay as they are. */
export function encodeFilePath(path: string): string {
  return path.split('/').map(encodeSegment).join('/')
}

/** Decodes a log path once, as UTF-8; `+` stays `+`. A path that is not well encoded is taken as it stands. */
export function decodeFilePath(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** Whether a log path names a file by an absolute path or URI, so possibly outside the table. */
export function isAbsoluteFilePath(path: string): boolean {
  return path.startsWith('/') || /^[A-Za-z][A-Za-z0-9+.-]*:/.test(path)
}

/**
 * The folder of a partition, `column=value/…`, with Hive's escapes. Only a convention: readers take the values from the
 * log, so a very long value is cut.
 */
export function partitionFolder(columns: readonly string[], values: Readonly<Record<string, string | null>>): string {
  return columns.map((column) => `${escapeHive(column)}=${hiveValue(values[column] ?? null)}`).join('/')
}

function hiveValue(value: string | null): string {
  if (value === null || value === '') return '__HIVE_DEFAULT_PARTITION__'
  const escaped = escapeHive(value)
  return escaped.length <= 100 ? escaped : escaped.slice(0, 100).replace(/%.?$/, '')
}

function escapeHive(text: string): string {
  // Everything outside a small safe set is escaped: the folder name is then free of what globs, URIs and shells treat apart.
  return text.replace(/[^A-Za-z0-9_. -]/gu, (character) =>
    [...new TextEncoder().encode(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}

function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(/%(3D|2C|40|3A|26|24|2B)/g, (escaped) => decodeURIComponent(escaped))
}

/**
 * The one form of a log path under which a file is compared: decoded, and relative to the table where it lies inside it.
 * Writers escape differently and some refer to a file absolutely.
 *
 * @param roots the table's own location in every spelling, without a trailing slash.
 */
export function canonicalFilePath(path: string, roots: readonly string[]): string {
  const decoded = path.includes('%') ? decodeFilePath(path) : path
  if (!isAbsoluteFilePath(decoded)) return withoutDots(decoded)
  const plain = decoded.replace(/^file:\/*/, '/').replace(/^s3[an]:/, 's3:')
  for (const root of roots) if (plain.startsWith(`${root}/`)) return withoutDots(plain.slice(root.length).replace(/^\/+/, ''))
  return plain
}

/** Without segments that go nowhere: `./a//b` is `a/b`. */
function withoutDots(path: string): string {
  return path.includes('./') || path.includes('//') ? path.replace(/(^|\/)(?:\.?\/)+/g, '$1') : path
}

/** The spellings of a table's location that `canonicalFilePath` compares with. */
export function rootSpellings(uri: string): readonly string[] {
  const plain = uri.replace(/^file:\/*/, '/').replace(/^s3[an]:/, 's3:')
  // The path it is compared with has been decoded; a store writes its own location as a URI.
  return [...new Set([plain, decodeFilePath(plain)])]
}
