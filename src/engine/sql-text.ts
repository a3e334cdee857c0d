/** An identifier, always quoted: a name may be a keyword (`at`) or hold anything. */
export function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A text as a constant: a literal, or where it holds NUL, at which the engine's parser stops, an expression. */
export function literal(text: string): string {
  if (text.includes('\0')) return `(${text.split('\0').map(literal).join(' || chr(0) || ')})`
  return `'${text.replaceAll("'", "''")}'`
}

/** A list of string literals. */
export function literalList(texts: Iterable<string>): string {
  return `[${[...texts].map(literal).join(', ')}]`
}

/** A file name for `read_parquet` and its like, in which glob characters stand for themselves. */
export function globLiteral(path: string): string {
  return literal(escapeGlob(path))
}

export function escapeGlob(path: string): string {
  return path.replace(/[*?[]/g, (character) => `[${character}]`)
}
