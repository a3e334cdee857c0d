import { DeltaError } from '../base/errors.js'
import type { Connection, RunOptions } from '../engine/database.js'
import { ident, literal } from '../engine/sql-text.js'
import type { StructField } from '../protocol/schema.js'
import type { RowRule } from './row-rules.js'

const EXAMPLES_MAX = 10
const MARK = 'deltaic: a row breaks rule '

/**
 * The same rows, in a query that fails on one that breaks a rule. That costs no pass of its own; what is wrong with which
 * rows, `violation` finds out when it has failed.
 */
export function guarded(query: string, fields: readonly StructField[], rules: readonly RowRule[]): string {
  if (rules.length === 0) return query
  const checks = rules.map(({ violated }, index) => `WHEN ${violated} THEN error(${literal(`${MARK}${index}`)})`)
  const [first, ...others] = fields.map(({ name }) => ident(name))
  return `SELECT CASE ${checks.join(' ')} ELSE ${first} END AS ${[first, ...others].join(', ')} FROM (${query})`
}

/**
 * What `guarded` failed of, as an error that says which rows break the first broken rule; `undefined` for another failure.
 *
 * @param query the rows without the guard.
 */
export async function violation(
  connection: Connection,
  failure: unknown,
  query: string,
  rules: readonly RowRule[],
  options: RunOptions,
): Promise<DeltaError | undefined> {
  const at = failure instanceof DeltaError ? failure.message.indexOf(MARK) : -1
  if (at < 0) return undefined
  const hit = rules[Number.parseInt((failure as DeltaError).message.slice(at + MARK.length), 10)]
  const counts = rules.map(({ violated }, index) => `count(*) FILTER (WHERE ${violated})::INTEGER AS r${index}`)
  const [found = {}] = await connection.rows<Record<string, number>>(`SELECT ${counts.join(', ')} FROM (${query})`, options)
  // A query whose rows are others each time may have none of the broken ones now.
  const index = rules.findIndex((_, each) => Number(found[`r${each}`]) > 0)
  const rule = rules[index] ?? hit
  return rule && broken(connection, rule, query, index < 0 ? 1 : Number(found[`r${index}`]), options)
}

/** A broken rule as an error, with the first rows that break it. */
export async function broken(
  connection: Connection,
  { kind, name, expression, violated }: RowRule,
  query: string,
  rows: number,
  options: RunOptions,
): Promise<DeltaError> {
  const found = await connection.rows<{ row: string }>(
    `SELECT to_json("__row")::VARCHAR AS row FROM (${query}) AS "__row" WHERE ${violated} LIMIT ${EXAMPLES_MAX}`,
    options,
  )
  const examples = found.map(({ row }) => row)
  if (kind === 'notNull')
    return new DeltaError('VALUE_NULL', 'a column that takes no NULL got one', { column: name, rows, examples })
  if (kind === 'scope')
    return new DeltaError(
      'ROWS_INVALID',
      'new rows are outside of what they are to replace',
      { condition: expression, rows, examples },
      { hint: 'make the condition true of every new row, or leave such rows out' },
    )
  return new DeltaError(
    'CONSTRAINT_VIOLATED',
    'rows break a rule of the table',
    { constraint: name, expression, rows, examples },
    { hint: 'nothing was written; examples in the details are the first of these rows' },
  )
}
