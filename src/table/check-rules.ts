import type { Connection } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import type { TableProperties } from '../protocol/properties.js'
import type { StructType } from '../protocol/schema.js'
import { guarded } from './row-checks.js'
import { completeRows } from './row-columns.js'
import { rowRules } from './row-rules.js'

/**
 * Checks that rows can be written to a table with such rules, defaults and generated columns, without writing any.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for an expression that is not computed here as in Spark, `ARGUMENT_INVALID` for
 * one that names no column of the table, `SQL_INVALID` for one whose types do not fit.
 */
export async function checkRules(
  connection: Connection,
  schema: StructType,
  properties: Pick<TableProperties, 'constraints'>,
): Promise<void> {
  const rules = await rowRules(connection, schema, properties)
  const nothing = schema.fields.map((f) => `NULL::${duckdbType(f.type)} AS ${ident(f.name)}`)
  for (const given of [undefined, []]) {
    const rows = await completeRows(connection, `SELECT ${nothing.join(', ')} WHERE false`, schema, given)
    await connection.describe(guarded(rows, schema.fields, rules))
  }
}
