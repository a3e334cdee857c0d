import { DeltaError, isDeltaError } from '../base/errors.js'
import type { Session } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import type { StructField } from '../protocol/schema.js'
import type { InputFormat } from './formats.js'
import { lineReason } from './line-reason.js'
import { type RowReader, rowType } from './readers.js'

/** A line that is no row. */
export interface RejectedLine {
  /** From 1. */
  readonly line: number
  readonly reason: string
  /** As it came, cut to 1,000 characters. */
  readonly raw: string
}

/** Lines from `start` on, before `endExclusive`, from 1. */
export interface LineRange {
  readonly start: number
  readonly endExclusive: number
}

/** Rows that were read and checked, held in the engine until they are written. */
export interface StagedRows {
  /** All lines that hold something. */
  readonly lines: number
  /** By line. */
  readonly rejects: readonly RejectedLine[]
  /** A query of the rows, but those of lines in `without`. */
  select(without?: readonly LineRange[]): string
  /** A query of the rows of some lines. */
  selectRange(range: LineRange): string
  drop(): Promise<void>
}

/** More broken lines than this, and the data is taken for something else. */
export const REJECTS_MAX = 10_000
const RAW_CHARACTERS_MAX = 1000

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
  session: Session,
  reader: RowReader,
  fields: readonly StructField[],
  format: InputFormat,
  signal?: AbortSignal,
): Promise<StagedRows> {
  const first = `staged_${++stagings}`
  const second = `${first}_again`
  const drop = async () => {
    await session.run(`DROP TABLE IF EXISTS ${first}`)
    await session.run(`DROP TABLE IF EXISTS ${second}`)
  }
  try {
    await unreadable(format, () => session.run(`CREATE TEMP TABLE ${first} AS ${reader.sql}`, { signal }))
    const filled = "raw IS NOT NULL AND trim(raw, ' ' || chr(9) || chr(13)) <> ''"
    const [counts] = await session.rows<{ lines: bigint; odd: bigint }>(
      `SELECT count(*) FILTER (r IS NOT NULL OR (${filled})) AS lines, count(*) FILTER (r IS NULL AND (${filled})) AS odd FROM ${first}`,
    )
    const odd = Number(counts?.odd ?? 0)
    if (odd > 0)
      await session.run(
        `CREATE TEMP TABLE ${second} AS SELECT rowid AS place, ${reader.secondChance ?? `NULL::${rowType(fields)}`} AS r, raw FROM ${first} WHERE r IS NULL AND (${filled})`,
        { signal },
      )
    const rejects = odd > 0 ? await rejectsOf(session, second, reader, fields, format) : []
    const rows = (condition: string) => {
      const firstRows = `SELECT rowid AS place, r FROM ${first}`
      const all = odd > 0 ? `${firstRows} WHERE r IS NOT NULL UNION ALL SELECT place, r FROM ${second}` : firstRows
      return `SELECT r.* FROM (${all}) WHERE r IS NOT NULL${condition}`
    }
    const places = ({ start, endExclusive }: LineRange) =>
      `place >= ${start - reader.firstLine} AND place < ${endExclusive - reader.firstLine}`
    return {
      lines: Number(counts?.lines ?? 0),
      rejects,
      select: (without = []) => rows(without.map((range) => ` AND NOT (${places(range)})`).join('')),
      selectRange: (range) => rows(` AND ${places(range)}`),
      drop,
    }
  } catch (error) {
    await drop()
    throw error
  }
}

async function rejectsOf(
  session: Session,
  table: string,
  reader: RowReader,
  fields: readonly StructField[],
  format: InputFormat,
) {
  const rows = await session.rows<{ place: bigint; raw: string }>(
    `SELECT place, left(raw, ${RAW_CHARACTERS_MAX * 4}) AS raw FROM ${ident(table)} WHERE r IS NULL ORDER BY place LIMIT ${REJECTS_MAX + 1}`,
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
  return rows.map(({ place, raw }) => ({
    line: Number(place) + reader.firstLine,
    reason: lineReason(format, raw, fields),
    raw: raw.slice(0, RAW_CHARACTERS_MAX),
  }))
}

async function unreadable<T>(format: InputFormat, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!isDeltaError(cause, 'invalid', 'corrupt')) throw cause
    throw new DeltaError(
      'ROWS_INVALID',
      `the data cannot be read as ${format}: ${cause.message.split('\n')[0]}`,
      { format },
      { cause },
    )
  }
}
