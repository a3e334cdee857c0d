import type { PlannedTable } from '../sql/planner.js'
import type { FileSelection } from '../table/snapshot.js'
import type { ViewRead } from './options.js'
import { commandResult, type RunContext, type RunRequest, readyQuery, skippedByOf } from './query-runner.js'
import type { QueryResult } from './result.js'

const COLUMNS = [
  { name: 'explain_key', type: 'VARCHAR' },
  { name: 'explain_value', type: 'VARCHAR' },
]

/**
 * What a query would read, a row for each table, and the engine's plan for it.
 *
 * @param analyze runs the query, and shows what the engine's plan took.
 */
export async function explainQuery(context: RunContext, request: RunRequest, analyze: boolean): Promise<QueryResult> {
  const { plan, session, selections, stats, versions, views, release } = await readyQuery(context, request)
  try {
    const { params, signal } = { params: plan.params, signal: request.signal }
    const kind = analyze ? 'EXPLAIN ANALYZE' : 'EXPLAIN'
    const [engine] = await session.rows<{ explain_value: string }>(`${kind} ${plan.text}`, { params, signal })
    const rows = [
      ...views.map((view) => ({ explain_key: `view ${view.name}`, explain_value: describeView(view) })),
      ...plan.tables.map((table, index) => ({
        explain_key: `${table.name} (version ${table.snapshot.version})`,
        explain_value: describeSelection(table, selections[index]),
      })),
    ]
    if (stats.filesFromCache > 0) rows.push({ explain_key: 'cache', explain_value: `files at hand: ${stats.filesFromCache}` })
    rows.push({ explain_key: analyze ? 'analyzed_plan' : 'physical_plan', explain_value: engine?.explain_value ?? '' })
    return await commandResult(context, COLUMNS, rows, { versions, stats, statement: 'query' })
  } finally {
    release(false)
  }
}

function describeView({ from, stale, sources, maintenance }: ViewRead): string {
  const what = { state: 'its state', changes: 'its state and what changed since', definition: 'its definition over its sources' }
  return [
    `read from: ${what[from]}${stale ? ', which is behind' : ''}`,
    ...sources.map(
      ({ name, watermark, version }) => `state made from: ${name} at version ${watermark ?? 'none'}, now ${version}`,
    ),
    `maintained: ${maintenance}`,
  ].join('\n')
}

function describeSelection(table: PlannedTable, selection: FileSelection | undefined): string {
  if (!selection) return ''
  const { files, filesSkipped, bytesRead, bytesSkipped } = selection
  const by = Object.entries(skippedByOf([selection])).flatMap(([reason, count]) => (count > 0 ? [`${reason} ${count}`] : []))
  return [
    ...(table.changes ? ['rows that changed since the state of a view was made'] : []),
    `files considered: ${files.length + filesSkipped}, read: ${files.length}, skipped: ${filesSkipped}${by.length > 0 ? ` (by ${by.join(', ')})` : ''}`,
    `bytes considered: ${bytesRead + bytesSkipped}, read: at most ${bytesRead}, skipped: ${bytesSkipped}`,
    table.columns === undefined ? 'all columns' : `columns ${[...table.columns].join(', ') || 'none'}`,
    ...(table.condition !== 'TRUE' ? [`skipped by: ${table.condition}`] : filesSkipped === 0 ? ['skipped by: nothing'] : []),
  ].join('\n')
}
