import type { Connection } from '../engine/database.js'
import { tableProperties } from '../protocol/properties.js'
import { rowRules } from '../table/row-rules.js'
import type { Snapshot } from '../table/snapshot.js'
import { type Alteration, refusedAlteration } from './alter.js'

const CONSTRAINT = 'delta.constraints.'

/**
 * Adds a CHECK constraint, in Spark SQL, to which the rows of the table are held first.
 *
 * @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` for a name that is taken, `FEATURE_UNSUPPORTED` for a condition that is not
 * computed here as in Spark.
 */
export async function addingConstraint(
  connection: Connection,
  snapshot: Snapshot,
  name: string,
  expression: string,
): Promise<Alteration> {
  const key = `${CONSTRAINT}${name.toLowerCase()}`
  const { metadata, schema } = snapshot
  const taken = constraintKey(snapshot, name)
  if (taken !== undefined)
    throw refusedAlteration(
      'the table has a constraint of this name',
      { constraint: name, expression: metadata.configuration[taken] },
      'drop it first, or choose another name',
    )
  const configuration = { ...metadata.configuration, [key]: expression }
  const constraints = new Map([...tableProperties({ [key]: expression }).constraints])
  const rules = (await rowRules(connection, schema, { constraints })).filter((rule) => constraints.has(rule.name))
  return {
    metadata: { ...metadata, configuration },
    rules: rules.filter(({ kind }) => kind === 'constraint'),
    operation: { name: 'ADD CONSTRAINT', parameters: { name, expr: expression } },
  }
}

/** @throws {DeltaError} `SCHEMA_CHANGE_REFUSED` when there is none of this name, unless `ifExists`. */
export function droppingConstraint(snapshot: Snapshot, name: string, ifExists: boolean): Alteration | undefined {
  const key = constraintKey(snapshot, name)
  if (key === undefined) {
    if (ifExists) return undefined
    throw refusedAlteration('the table has no constraint of this name', { constraint: name })
  }
  const { [key]: expr = '', ...configuration } = snapshot.metadata.configuration
  return {
    metadata: { ...snapshot.metadata, configuration },
    operation: { name: 'DROP CONSTRAINT', parameters: { name, expr, existed: 'true' } },
  }
}

function constraintKey({ metadata }: Snapshot, name: string): string | undefined {
  const wanted = `${CONSTRAINT}${name}`.toLowerCase()
  return Object.keys(metadata.configuration).find((key) => key.toLowerCase() === wanted)
}
