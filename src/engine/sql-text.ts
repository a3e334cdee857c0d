/** An identifier, always quoted: a name may be a keyword (`at`) or hold anything. */
export function ident(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A string literal. */
export function literal(text: string): string {
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
