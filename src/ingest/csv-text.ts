import { open } from 'node:fs/promises'
import { DeltaError } from '../base/errors.js'

/** How a CSV file is written, read off its first line rather than guessed from its rows. */
export interface CsvDialect {
  readonly delimiter: string
  readonly header: readonly string[]
  /** Blank lines before the header. */
  readonly blankLines: number
}

const HEADER_BYTES_MAX = 1024 * 1024
const DELIMITERS = [',', '\t', ';', '|']

/**
 * The columns are what the first line that is not blank says. They are separated by commas, or, where there is none, by
 * tabs, semicolons or bars.
 *
 * @throws {DeltaError} `ROWS_INVALID` for a header that names a column twice, or does not end.
 */
export async function csvDialect(path: string): Promise<CsvDialect> {
  await using file = await open(path)
  const { bytesRead, buffer } = await file.read(Buffer.alloc(HEADER_BYTES_MAX), 0, HEADER_BYTES_MAX, 0)
  const text = buffer.toString('utf8', 0, bytesRead).replace(/^\ufeff/, '')
  const blank = /^(?:\r\n|\r|\n)*/.exec(text)?.[0] ?? ''
  const rest = text.slice(blank.length)
  const delimiter = DELIMITERS.find((candidate) => fieldsOfLine(rest, candidate).fields.length > 1) ?? ','
  const { fields: header, ended } = fieldsOfLine(rest, delimiter)
  const repeated = header.find((name, index) => header.indexOf(name) !== index)
  if (repeated !== undefined) throw new DeltaError('ROWS_INVALID', 'the header names a column twice', { column: repeated })
  if (!ended && bytesRead === HEADER_BYTES_MAX) throw new DeltaError('ROWS_INVALID', 'the header does not end')
  return { delimiter, header: rest === '' ? [] : header, blankLines: blank.match(/\r\n|\r|\n/g)?.length ?? 0 }
}

function fieldsOfLine(text: string, delimiter: string): { readonly fields: string[]; readonly ended: boolean } {
  const fields: string[] = []
  for (let at = 0; ; ) {
    const quoted = text[at] === '"' ? /^"((?:[^"]|"")*)"/.exec(text.slice(at)) : null
    const plain = quoted ? '' : (/^[^\r\n]*/.exec(text.slice(at))?.[0].split(delimiter)[0] ?? '')
    fields.push(quoted ? (quoted[1] ?? '').replaceAll('""', '"') : plain)
    at += (quoted?.[0] ?? plain).length
    if (text[at] !== delimiter) return { fields, ended: at < text.length }
    at++
  }
}

/**
 * The line, from 1, on which each record of a CSV file begins, in order, with whether it is blank. A record may be
 * longer than a line, as quotes may hold line breaks.
 */
export async function* csvRecords(path: string): AsyncGenerator<{ readonly line: number; readonly blank: boolean }> {
  await using file = await open(path)
  let line = 1
  let startLine = 1
  let length = 0
  let quoted = false
  let afterReturn = false
  const chunk = Buffer.alloc(256 * 1024)
  for (;;) {
    const { bytesRead } = await file.read(chunk)
    if (bytesRead === 0) break
    for (let at = 0; at < bytesRead; at++) {
      const byte = chunk[at]
      const isBreak = byte === 0x0a || byte === 0x0d
      if (byte === 0x0a && afterReturn) {
        afterReturn = false
        continue
      }
      afterReturn = byte === 0x0d
      if (isBreak) line++
      if (isBreak && !quoted) {
        yield { line: startLine, blank: length === 0 }
        startLine = line
        length = 0
      } else {
        // A doubled quote closes and opens again, which comes to the same.
        if (byte === 0x22) quoted = !quoted
        length++
      }
    }
  }
  if (length > 0) yield { line: startLine, blank: false }
}

/** The lines on which rows begin, by the rows' places after the header; blank lines are no rows where there are several columns. */
export async function csvLinesOf(path: string, dialect: CsvDialect, places: ReadonlySet<number>): Promise<Map<number, number>> {
  const found = new Map<number, number>()
  let place = -1 - dialect.blankLines
  for await (const { line, blank } of csvRecords(path)) {
    if (place >= 0 && blank && dialect.header.length > 1) continue
    if (places.has(place)) found.set(place, line)
    if (found.size === places.size) break
    place++
  }
  return found
}

/** The line on which the `nth` record begins, from 1, where blank ones count. */
export async function csvLineOf(path: string, nth: number): Promise<number> {
  let at = 0
  for await (const { line } of csvRecords(path)) if (++at === nth) return line
  return nth
}
