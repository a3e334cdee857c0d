import { DeltaError } from '../base/errors.js'
import type { Connection, RunOptions } from '../engine/database.js'
import { ident, literal } from '../engine/sql-text.js'
import type { Metadata } from '../protocol/actions.js'
import {
  type IdentityColumn,
  type IdentityMarks,
  identityColumns,
  isLong,
  nextNumber,
  withIdentityMarks,
} from '../protocol/identity.js'
import { formatSchema, parseSchema, type StructType } from '../protocol/schema.js'

/** Columns whose rows get numbers now. */
export interface RowNumbers {
  /** A column's value, in the engine's SQL over the rows as they were given. */
  readonly values: ReadonlyMap<string, string>
  /**
   * The marks once so many rows were numbered.
   *
   * @throws {DeltaError} `ROWS_INVALID` when a column has no number left for the last of them.
   */
  marksAfter(rows: number): IdentityMarks
}

export interface NumberingOptions extends RunOptions {
  /** The columns that the query gives. Without, it is all but those that are always numbered. */
  readonly given?: readonly string[] | undefined
  /** Given columns in which NULL says that nothing is given. */
  readonly open?: readonly string[] | undefined
  /** Where to go on from, instead of the table's own marks. Without it, no rows may be numbered. */
  readonly identityMarks?: IdentityMarks | undefined
}

/**
 * How the rows of a query are numbered, beyond the table's high-water marks.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH` for values of a column that is always numbered; `FEATURE_UNSUPPORTED` for rows
 * without a number where none are given out.
 */
export async function rowNumbers(
  connection: Connection,
  query: string,
  schema: StructType,
  { given, open = [], identityMarks, ...run }: NumberingOptions,
): Promise<RowNumbers> {
  const values = new Map<string, string>()
  const numbered: { readonly column: IdentityColumn; readonly first: bigint }[] = []
  for (const column of identityColumns(schema)) {
    const { name, allowExplicitInsert } = column
    const isOpen = given === undefined ? allowExplicitInsert : open.includes(name)
    const isGiven = given === undefined ? allowExplicitInsert : given.includes(name)
    if (identityMarks === undefined) {
      if (given && !given.includes(name)) throw notNumbered(name)
      continue
    }
    if (isGiven && !isOpen) {
      if (!allowExplicitInsert) throw numberGiven(name)
      continue
    }
    if (isGiven && allowExplicitInsert && !(await hasNulls(connection, query, name, run))) continue
    const first = nextNumber({ ...column, highWaterMark: identityMarks.get(name) ?? column.highWaterMark })
    const next = `TRY_CAST(${first}::HUGEINT + ${column.step}::HUGEINT * (row_number() OVER () - 1) AS BIGINT)`
    numbered.push({ column, first })
    const otherwise = allowExplicitInsert ? ident(name) : `error(${literal(numberGiven(name).message)})`
    values.set(name, isGiven ? `CASE WHEN ${ident(name)} IS NULL THEN ${next} ELSE ${otherwise} END` : next)
  }
  const marksAfter = (rows: number): IdentityMarks => {
    const marks = new Map(identityMarks)
    for (const { column, first } of rows === 0 ? [] : numbered) {
      const last = first + column.step * BigInt(rows - 1)
      if (!isLong(first) || !isLong(last))
        throw new DeltaError('ROWS_INVALID', 'a column that numbers the rows has no number left for them', {
          column: column.name,
          rows,
        })
      marks.set(column.name, last)
    }
    return marks
  }
  return { values, marksAfter }
}

/** A table's metadata once numbers up to these marks are given out; itself where there are none. */
export function withMarks(metadata: Metadata, marks: IdentityMarks | undefined): Metadata {
  if (!marks || marks.size === 0) return metadata
  return { ...metadata, schemaString: formatSchema(withIdentityMarks(parseSchema(metadata.schemaString), marks)) }
}

async function hasNulls(connection: Connection, query: string, name: string, run: RunOptions): Promise<boolean> {
  const found = await connection.rows(`SELECT 1 AS one FROM (${query}) WHERE ${ident(name)} IS NULL LIMIT 1`, run)
  return found.length > 0
}

function numberGiven(column: string): DeltaError {
  return new DeltaError(
    'SCHEMA_MISMATCH',
    'the table numbers its rows in this column, and takes no values for it',
    { column },
    { hint: 'leave the column out' },
  )
}

function notNumbered(column: string): DeltaError {
  return new DeltaError('FEATURE_UNSUPPORTED', 'deltaic does not number new rows in this kind of statement', { column })
}
