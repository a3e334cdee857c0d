import { DeltaError, isDeltaError } from '../base/errors.js'
import type { Connection } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import type { StructField } from '../protocol/schema.js'
import type { InputFormat } from './formats.js'
import { lineReason } from './line-reason.js'
import { LINE_BYTES_MAX, type RowReader, rowType } from './readers.js'

/** A line that is no row. */
export interface RejectedLine {
  /** From 1. */
  readonly line: number
  readonly reason: string
  /** As it came, cut to 1,000 characters. */
  readonly raw: string
}

/** Lines from `start` on, before `endExclusive`, from 1. Where records may be longer than a line, each counts as one. */
export interface LineRange {
  readonly start: number
  readonly endExclusive: number
}

/** Columns that rows have beside what their lines say, and their values, in the engine's SQL, from a line on. */
export interface RowSources {
  readonly columns: readonly string[]
  /** Ascending; the first one is not behind the first row. */
  readonly from: readonly { readonly start: number; readonly values: readonly string[] }[]
}

/** Rows that were read and checked, held in the engine until they are written. */
export interface StagedRows {
  /** All lines. */
  readonly places: number
  /** All lines that hold something. */
  readonly lines: number
  /** By line. */
  readonly rejects: readonly RejectedLine[]
  /** How many of some lines were rejected. */
  rejectedIn(range: LineRange): number
  /** A query of the rows, but those of lines in `without`. */
  select(without?: readonly LineRange[], sources?: RowSources): string
  /** A query of the rows of some lines, but those at some places. */
  selectRange(range: LineRange, sources?: RowSources, withoutPlaces?: readonly number[]): string
  /** The same with the places of rows, from 0, in a column of that name. */
  selectPlaced(range: LineRange, placeColumn: string): string
  /** The lines at some places. */
  linesAt(places: ReadonlySet<number>): Promise<ReadonlyMap<number, number>>
  drop(): Promise<void>
}

/** More broken lines than this, and the data is taken for something else. */
export const REJECTS_MAX = 10_000
export const RAW_CHARACTERS_MAX = 1000
/** What is looked at for the reason; longer lines are looked at whole, as long as they are few. */
const REASON_CHARACTERS_MAX = 4000
const LONG_REASONS_MAX = 100

let stagings = 0

/**
 * Reads a source into the engine, each line checked against the table's columns.
 *
 * The order of lines is kept, so a row's place tells its line without a column for it.
 *
 * @throws {DeltaError} `ROWS_INVALID` for text that is not UTF-8 or lines that are too long, and for more than
 * `REJECTS_MAX` broken lines.
 */
export async function stageRows(
  session: Connection,
  reader: RowReader,
  fields: readonly StructField[],
  format: InputFormat,
  signal?: AbortSignal,
): Promise<StagedRows> {
  const first = `staged_${++stagings}`
  const second = `${first}_again`
  const made = [first]
  const drop = async () => {
    for (const table of made) await session.run(`DROP TABLE IF EXISTS ${table}`)
  }
  try {
    await unreadable(reader, format, () => session.run(`CREATE TEMP TABLE ${first} AS ${reader.sql}`, { signal }))
    const filled = "raw IS NOT NULL AND trim(raw, ' ' || chr(9) || chr(13)) <> ''"
    const counts = await countLines(session, first, filled)
    const { odd } = counts
    if (odd > 0) {
      const lines = `SELECT rowid AS place, raw FROM ${first} WHERE r IS NULL AND (${filled})`
      const again = reader.secondChance
        ? reader.secondChance(lines)
        : `SELECT place, NULL::${rowType(fields)} AS r, raw FROM (${lines})`
      made.push(second)
      await session.run(`CREATE TEMP TABLE ${second} AS ${again}`, { signal })
    }
    const rejected = odd > 0 ? await rejectsOf(session, second, reader, fields, format) : []
    const kept = (condition: string) => {
      const firstRows = `SELECT rowid AS place, r FROM ${first}`
      const all = odd > 0 ? `${firstRows} WHERE r IS NOT NULL UNION ALL SELECT place, r FROM ${second}` : firstRows
      return `FROM (${all}) WHERE r IS NOT NULL${condition}`
    }
    const rows = (condition: string, sources?: RowSources) =>
      sources ? withSources(`SELECT place, r ${kept(condition)}`, sources, reader.firstLine) : `SELECT r.* ${kept(condition)}`
    const from = ({ start }: LineRange) => start - reader.firstLine
    const until = ({ endExclusive }: LineRange) => endExclusive - reader.firstLine
    const places = (range: LineRange) => `place >= ${from(range)} AND place < ${until(range)}`
    return {
      places: counts.places,
      lines: counts.lines,
      rejects: rejected.map(({ reject }) => reject),
      rejectedIn: (range) => rejected.filter(({ place }) => place >= from(range) && place < until(range)).length,
      select: (without = [], sources) => rows(without.map((range) => ` AND NOT (${places(range)})`).join(''), sources),
      selectRange: (range, sources, withoutPlaces = []) =>
        rows(
          ` AND ${places(range)}${withoutPlaces.length > 0 ? ` AND place NOT IN (${withoutPlaces.join(', ')})` : ''}`,
          sources,
        ),
      selectPlaced: (range, placeColumn) => `SELECT r.*, place AS ${ident(placeColumn)} ${kept(` AND ${places(range)}`)}`,
      linesAt: async (some) =>
        (await reader.linesOf?.(some)) ?? new Map([...some].map((place) => [place, place + reader.firstLine])),
      drop,
    }
  } catch (error) {
    await drop()
    throw error
  }
}

/** Rows by their places, each with the values of the last line before it, or at it, that has some. */
function withSources(rows: string, { columns, from }: RowSources, firstLine: number): string {
  const names = columns.map(ident)
  const [only, ...others] = from
  if (only && others.length === 0)
    return `SELECT r.*, ${only.values.map((value, at) => `${value} AS ${names[at]}`).join(', ')} FROM (${rows})`
  const values = from.map((one) => `(${[`${one.start - firstLine}::BIGINT`, ...one.values].join(', ')})`)
  return (
    `SELECT r.*, ${names.map((name) => `"__source".${name}`).join(', ')} FROM (${rows}) AS "__rows" ` +
    `ASOF JOIN (VALUES ${values.join(', ')}) AS "__source"("__start", ${names.join(', ')}) ON "__rows".place >= "__source"."__start"`
  )
}

/** Where every line is a row, which a count of NULLs tells, no text is looked at. */
async function countLines(session: Connection, table: string, filled: string) {
  const [found] = await session.rows<{ places: bigint; good: bigint; doubtful: bigint }>(
    `SELECT count(*) AS places, count(r) AS good, count(raw) AS doubtful FROM ${table}`,
  )
  const [places, good] = [Number(found?.places ?? 0), Number(found?.good ?? 0)]
  if (found?.doubtful === 0n) return { places, lines: good, odd: 0 }
  const [odd] = await session.rows<{ lines: bigint }>(`SELECT count(*) AS lines FROM ${table} WHERE r IS NULL AND (${filled})`)
  return { places, lines: good + Number(odd?.lines ?? 0), odd: Number(odd?.lines ?? 0) }
}

async function rejectsOf(
  session: Connection,
  table: string,
  reader: RowReader,
  fields: readonly StructField[],
  format: InputFormat,
) {
  const bad = `FROM ${ident(table)} WHERE r IS NULL`
  // One thing inside a TRY: what stands in it twice, the engine works out before and outside of it.
  const keys = format === 'ndjson' || format === 'json' ? 'TRY(json_keys(raw))' : 'NULL::VARCHAR[]'
  const rows = await session.rows<{ place: bigint; start: string; whole: boolean; repeated: boolean | null }>(
    `SELECT place, left(raw, ${REASON_CHARACTERS_MAX}) AS start, length(raw) <= ${REASON_CHARACTERS_MAX} AS whole, ` +
      `len(keys) > len(list_distinct(keys)) AS repeated FROM (SELECT place, raw, ${keys} AS keys ${bad} ORDER BY place LIMIT ${REJECTS_MAX + 1}) ORDER BY place`,
  )
  if (rows.length > REJECTS_MAX)
    throw new DeltaError(
      'ROWS_INVALID',
      'too many lines are no rows of the table',
      { rejectedMin: REJECTS_MAX, format },
      {
        hint: 'is this the right format, and the right table?',
      },
    )
  const linesOf = await reader.linesOf?.(new Set(rows.map(({ place }) => Number(place))))
  const rejects: { place: number; reject: RejectedLine }[] = []
  for (const [index, { place, start, whole, repeated }] of rows.entries()) {
    const isLookedAt = whole || index < LONG_REASONS_MAX
    const text = isLookedAt && !whole ? await wholeLine(session, bad, place) : start
    const reject = {
      line: linesOf?.get(Number(place)) ?? Number(place) + reader.firstLine,
      reason: isLookedAt ? lineReason(format, text, fields, repeated === true) : 'not a row of this table',
      raw: start.slice(0, RAW_CHARACTERS_MAX),
    }
    rejects.push({ place: Number(place), reject })
  }
  return rejects
}

async function wholeLine(session: Connection, bad: string, place: bigint): Promise<string> {
  const [found] = await session.rows<{ raw: string }>(`SELECT raw ${bad} AND place = ${place}`)
  return found?.raw ?? ''
}

/** What the engine says of a text that it cannot read, with the line it stopped at. */
async function unreadable<T>(reader: RowReader, format: InputFormat, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!isDeltaError(cause, 'invalid', 'corrupt')) throw cause
    const nth = /^CSV Error on Line: (\d+)/.exec(cause.message)?.[1]
    const reason = readingReason(cause.message)
    if (nth === undefined)
      throw new DeltaError('ROWS_INVALID', `the data cannot be read as ${format}: ${reason}`, { format }, { cause })
    const line = (await reader.lineOf?.(Number(nth))) ?? Number(nth)
    throw new DeltaError(
      'ROWS_INVALID',
      `line ${line}: ${reason}`,
      { format, rejected: 1, lines: [{ line, reason, raw: '' }] },
      { cause, hint: 'mend the line and send all of them again: nothing was taken' },
    )
  }
}

const REASONS: readonly (readonly [RegExp, string])[] = [
  [/Expected Number of Columns: (\d+) Found: (\d+)/, 'it has $2 values, and the header names $1'],
  [/unterminated quote/, 'a quote does not end, or has text behind it'],
  [/Invalid unicode/, 'not UTF-8'],
  [/Maximum line size/, `longer than ${LINE_BYTES_MAX / 2 ** 20} MiB`],
  [/reached an invalid state/, 'its lines end in different ways, or a quote is out of place'],
]

function readingReason(message: string): string {
  for (const [pattern, reason] of REASONS) {
    const match = pattern.exec(message)
    if (match) return reason.replace(/\$(\d)/g, (_, index: string) => match[Number(index)] ?? '')
  }
  return message.split('\n')[0] ?? ''
}
