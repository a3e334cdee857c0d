import { createHash } from 'node:crypto'
import type { PlannedTable, QueryPlan } from '../sql/planner.js'
import type { QueryPins, SqlParameters } from './options.js'

/** What a planned query reads. */
export function pinsOf(plan: QueryPlan, text: string, params: SqlParameters | undefined): QueryPins {
  return { versions: versionsOf(plan.tables), fingerprint: plan.isSteady ? fingerprintOf(plan, text, params) : undefined }
}

export function versionsOf(tables: readonly PlannedTable[]): Readonly<Record<string, number>> {
  const versions: Record<string, number> = {}
  for (const { name, snapshot } of tables) {
    const taken = versions[name] !== undefined && versions[name] !== snapshot.version
    versions[taken ? `${name}@v${snapshot.version}` : name] = snapshot.version
  }
  return versions
}

/**
 * A table that was dropped and made again has the versions of the first one, so tables count by their ids; of a view, what is read
 * for it, and how.
 */
function fingerprintOf({ tables, views }: QueryPlan, text: string, params: SqlParameters | undefined): string {
  const values = Object.entries(params ?? {}).map(([name, value]) => [name, kindOf(value), String(value)])
  const pinned = tables.map(({ name, snapshot, changesFrom }) => [name, snapshot.metadata.id, snapshot.version, changesFrom])
  return createHash('sha256')
    .update(JSON.stringify([text, values, pinned, views]))
    .digest('base64url')
}

function kindOf(value: unknown): string {
  return value instanceof Date ? 'date' : typeof value
}
