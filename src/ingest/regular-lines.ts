import { globLiteral, ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { InputField } from '../table/row-columns.js'

/** More bytes would hold up other work of this thread for a millisecond or two. */
export const REGULAR_BYTES_MAX = 1024 * 1024

const TEXT = '"[^"\\\\\\x00-\\x1f]*(?:\\\\["\\\\/bfnrt][^"\\\\\\x00-\\x1f]*)*"'
const DAY = '\\d{4}-\\d\\d-\\d\\d'
const TIME = '\\d\\d:\\d\\d:\\d\\d(?:\\.\\d{1,6})?'

/** How a value is written of which the engine's typed reader makes what the careful reader does, or fails. */
const WRITTEN: Readonly<Record<string, string>> = {
  string: TEXT,
  long: '-?\\d{1,18}',
  integer: '-?\\d{1,9}',
  short: '-?\\d{1,4}',
  byte: '-?\\d{1,2}',
  double: '-?\\d{1,15}(?:\\.\\d{1,15})?',
  boolean: 'true|false',
  date: `"${DAY}"`,
  timestamp: `"${DAY}T${TIME}Z"`,
  timestamp_ntz: `"${DAY}T${TIME}"`,
}

/**
 * The rows of NDJSON as programs write it: every line has the fields of the first one, in its order, with values of the
 * table's types. The text is looked at here, so that the engine need not: it reads and writes in half the time.
 *
 * @param chunks the bytes of the file, whole lines each.
 * @returns `undefined` when some line is written otherwise, for a table with other columns or defaults, and for much text.
 */
export function regularRows(
  file: string,
  chunks: readonly Uint8Array[],
  fields: readonly InputField[],
  firstFields: readonly string[],
): string | undefined {
  if (chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0) > REGULAR_BYTES_MAX) return undefined
  const line = lineOf(fields, firstFields)
  if (!line || !chunks.every((chunk) => isMadeOf(chunk, line))) return undefined
  const given = fields.filter(({ name }) => firstFields.includes(name))
  const columns = given.map((f) => `${literal(f.name)}: ${literal(duckdbType(f.type))}`)
  const values = fields.map((f) => (given.includes(f) ? ident(f.name) : `NULL::${duckdbType(f.type)} AS ${ident(f.name)}`))
  return (
    `SELECT ${values.join(', ')} FROM read_json(${globLiteral(file)}, format = 'newline_delimited', compression = 'uncompressed', ` +
    `hive_partitioning = false, auto_detect = false, records = 'true', columns = {${columns.join(', ')}})`
  )
}

function lineOf(fields: readonly InputField[], firstFields: readonly string[]): RegExp | undefined {
  if (firstFields.length === 0 || fields.some((f) => f.missing !== undefined)) return undefined
  if (fields.some(({ name, nullable }) => !nullable && !firstFields.includes(name))) return undefined
  const members: string[] = []
  for (const name of firstFields) {
    const found = fields.find((f) => f.name === name)
    const written = typeof found?.type === 'string' ? WRITTEN[found.type] : undefined
    // A name that is not plain text can be written in several ways.
    if (!found || written === undefined || !/^[\w .-]+$/.test(name)) return undefined
    members.push(`"${name.replaceAll('.', '\\.')}": ?(?:${written}${found.nullable ? '|null' : ''})`)
  }
  return new RegExp(`\\{${members.join(', ?')}\\}\\n`, 'y')
}

function isMadeOf(chunk: Uint8Array, line: RegExp): boolean {
  // One character a byte: what lies beyond ASCII stands in strings, and any of it may.
  const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1')
  line.lastIndex = 0
  while (line.lastIndex < text.length) if (!line.test(text)) return false
  return true
}
