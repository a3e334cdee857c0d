import { ident, literal } from '../engine/sql-text.js'
import type { QueryPlan } from '../sql/planner.js'
import type { FileSelection } from '../table/snapshot.js'

/**
 * The plan of a query that sums up a table, with the part that statistics tell put into its text: what is left to read are the files
 * whose statistics do not tell. Any other plan comes back as it is.
 *
 * @param selections the files that are read for each table of the plan.
 */
export async function withFigures(
  plan: QueryPlan,
  selections: readonly FileSelection[],
  signal: AbortSignal | undefined,
): Promise<QueryPlan> {
  const [table] = plan.tables
  if (table?.shortcut?.kind !== 'summary') return plan
  const { answered, figures } = table.shortcut
  const texts = await table.snapshot.figures(
    figures.map(({ sql }) => sql),
    `(${table.condition}) AND ${answered}`,
    signal,
  )
  const known = plan.columns.map(({ type }, at) => {
    const text = texts[at] ?? null
    return text === null ? `NULL::${type}` : `${literal(text)}::${type}`
  })
  if (selections[0]?.files.length === 0) {
    const text = `SELECT ${plan.columns.map(({ name }, at) => `${known[at]} AS ${ident(name)}`).join(', ')}`
    return { ...plan, text, params: [] }
  }
  const names = figures.map((_, at) => `f${at}`).join(', ')
  const joined = plan.columns.map(({ name, type }, at) => `${figures[at]?.joined ?? 'sum'}(f${at})::${type} AS ${ident(name)}`)
  return {
    ...plan,
    text: `SELECT ${joined.join(', ')} FROM (SELECT * FROM (${plan.text}\n) UNION ALL SELECT ${known.join(', ')}) AS q(${names})`,
  }
}
