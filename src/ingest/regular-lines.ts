import { globLiteral, ident, literal } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { InputField } from '../table/row-columns.js'

/** More bytes would hold up other work of this thread for a millisecond or two. */
export const REGULAR_BYTES_MAX = 1024 * 1024

/** As much text as becomes a string at one time: larger ones have pages of their own, which cost more than looking at them. */
const PIECE_BYTES = 16 * 1024
const LINE_FEED = 0x0a

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
 * NDJSON as programs write it: every line has the same fields in the same order, with values of the table's types. A text is
 * looked at here, so that the engine need not: it reads and writes in half the time.
 */
export class RegularLines {
  private readonly line: RegExp
  private readonly fields: readonly InputField[]
  private readonly given: readonly InputField[]

  private constructor(line: RegExp, fields: readonly InputField[], given: readonly InputField[]) {
    this.line = line
    this.fields = fields
    this.given = given
  }

  /** @returns `undefined` for fields that are not the table's, and for a table with other columns or defaults. */
  static of(fields: readonly InputField[], firstFields: readonly string[]): RegularLines | undefined {
    if (firstFields.length === 0 || fields.some((f) => f.missing !== undefined)) return undefined
    if (fields.some(({ name, nullable }) => !nullable && !firstFields.includes(name))) return undefined
    const given: InputField[] = []
    const members: string[] = []
    for (const name of firstFields) {
      const found = fields.find((f) => f.name === name)
      const written = typeof found?.type === 'string' ? WRITTEN[found.type] : undefined
      // A name that is not plain text can be written in several ways.
      if (!found || written === undefined || !/^[\w .-]+$/.test(name)) return undefined
      given.push(found)
      members.push(`"${name.replaceAll('.', '\\.')}": ?(?:${written}${found.nullable ? '|null' : ''})`)
    }
    return new RegularLines(new RegExp(`\\{${members.join(', ?')}\\}\\n`, 'y'), fields, given)
  }

  /** Whether it tells of these fields, first ones first. */
  isFor(fields: readonly InputField[], firstFields: readonly string[]): boolean {
    const isSame = (f: InputField, at: number) => {
      const own = this.fields[at]
      return f.name === own?.name && f.type === own.type && f.nullable === own.nullable && f.missing === own.missing
    }
    return (
      fields.length === this.fields.length &&
      firstFields.length === this.given.length &&
      firstFields.every((name, at) => name === this.given[at]?.name) &&
      fields.every(isSame)
    )
  }

  /** The lines of a text, when each is written so and ends; `undefined` otherwise. */
  count(text: Uint8Array): number | undefined {
    const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength)
    const { line } = this
    let lines = 0
    for (let start = 0; start < bytes.length; ) {
      const end = endOfPiece(bytes, start)
      // One character a byte: what lies beyond ASCII stands in strings, and any of it may.
      const characters = bytes.toString('latin1', start, end)
      for (line.lastIndex = 0; line.lastIndex < characters.length; lines++) if (!line.test(characters)) return undefined
      start = end
    }
    return lines
  }

  /** A query of the rows of a file that holds such lines and no others. */
  rows(file: string): string {
    const columns = this.given.map((f) => `${literal(f.name)}: ${literal(duckdbType(f.type))}`)
    const values = this.fields.map((f) =>
      this.given.includes(f) ? ident(f.name) : `NULL::${duckdbType(f.type)} AS ${ident(f.name)}`,
    )
    return (
      `SELECT ${values.join(', ')} FROM read_json(${globLiteral(file)}, format = 'newline_delimited', compression = 'uncompressed', ` +
      `hive_partitioning = false, auto_detect = false, records = 'true', columns = {${columns.join(', ')}})`
    )
  }
}

/** Behind the last line that ends within a piece, or the first one that ends at all. */
function endOfPiece(bytes: Buffer, start: number): number {
  if (bytes.length - start <= PIECE_BYTES) return bytes.length
  const last = bytes.lastIndexOf(LINE_FEED, start + PIECE_BYTES - 1)
  if (last >= start) return last + 1
  const next = bytes.indexOf(LINE_FEED, start + PIECE_BYTES)
  return next < 0 ? bytes.length : next + 1
}

/**
 * The rows of NDJSON of which every line is regular, and like the first one.
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
  const regular = RegularLines.of(fields, firstFields)
  return regular && chunks.every((chunk) => regular.count(chunk) !== undefined) ? regular.rows(file) : undefined
}
