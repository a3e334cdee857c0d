import { DeltaError } from '../base/errors.js'
import type { Connection } from '../engine/database.js'
import { ident } from '../engine/sql-text.js'
import { field } from '../protocol/schema.js'
import { completeRows, inputFields, isComputed } from '../table/row-columns.js'
import { type RowRule, rowRules } from '../table/row-rules.js'
import type { Snapshot } from '../table/snapshot.js'
import { givenFields, provenanceOf } from './provenance.js'
import { REJECTS_MAX } from './staging.js'

/** The column of a row's place among the lines of its input. */
export const PLACE = '__place'

/** A line that is a row, and one that the table does not take. */
export interface RuleBreaker {
  readonly place: number
  readonly reason: string
  /** The row as JSON. */
  readonly row: string
}

/**
 * Which rows a table's rules keep out.
 *
 * @param placed a query of rows as input gives them, with `PLACE`.
 * @throws {DeltaError} `ROWS_INVALID` for more than `REJECTS_MAX` of them.
 */
export async function ruleBreakers(connection: Connection, placed: string, snapshot: Snapshot): Promise<readonly RuleBreaker[]> {
  const { schema, properties } = snapshot
  const rules = [...(await rowRules(connection, schema, properties)), ...namelessPartitions(snapshot)]
  if (rules.length === 0) return []
  const fields = givenFields(await inputFields(connection, schema), provenanceOf(snapshot, 0))
  const given = [...fields.map(({ name }) => name), PLACE]
  const open = schema.fields.filter(isComputed).map(({ name }) => name)
  const placedSchema = { ...schema, fields: [...schema.fields, field(PLACE, 'long')] }
  const complete = await completeRows(connection, placed, placedSchema, given, { open })
  const broken = rules.map(({ violated }, index) => `WHEN ${violated} THEN ${index}`)
  const members = schema.fields.map(({ name }) => `${ident(name)} := ${ident(name)}`)
  const found = await connection.rows<{ place: bigint; rule: number; row: string }>(
    `SELECT ${PLACE} AS place, rule, to_json(struct_pack(${members.join(', ')}))::VARCHAR AS row ` +
      `FROM (SELECT *, CASE ${broken.join(' ')} END AS rule FROM (${complete})) WHERE rule IS NOT NULL ORDER BY place LIMIT ${REJECTS_MAX + 1}`,
  )
  if (found.length > REJECTS_MAX)
    throw new DeltaError('ROWS_INVALID', 'too many lines break a rule of the table', { rejectedMin: REJECTS_MAX })
  return found.map(({ place, rule, row }) => ({ place: Number(place), reason: reasonOf(rules[rule] as RowRule), row }))
}

function reasonOf({ kind, name, expression }: RowRule): string {
  if (kind === 'notNull') return `field ${JSON.stringify(name)} takes no NULL`
  return `it breaks the rule ${JSON.stringify(name)}: ${expression}`
}

/** An empty text has no place in a partition's values: it reads as NULL. */
function namelessPartitions({ schema, partitionColumns }: Snapshot): RowRule[] {
  return schema.fields
    .filter(({ name, nullable, type }) => !nullable && type === 'string' && partitionColumns.includes(name))
    .map(({ name }) => ({
      kind: 'notNull',
      name,
      expression: `${name} IS NOT NULL`,
      violated: `nullif(${ident(name)}, '') IS NULL`,
    }))
}
