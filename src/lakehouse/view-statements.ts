import { DeltaError } from '../base/errors.js'
import type { TableName } from '../sql/statements/names.js'
import type { ViewStatement } from '../sql/statements/views.js'
import { commandResult } from './query-runner.js'
import { type RefreshedView, refreshViews } from './refresh-views.js'
import { one, text } from './relations.js'
import type { QueryResult } from './result.js'
import type { TableHost } from './table-host.js'
import { createView, dropView, listViews, rebuildView, type ViewCatalog } from './views.js'

/** Runs a statement about views. */
export async function runViewStatement(
  catalog: ViewCatalog,
  host: TableHost,
  statement: ViewStatement,
  signal: AbortSignal | undefined,
): Promise<QueryResult> {
  switch (statement.kind) {
    case 'showViews': {
      const views = await listViews(catalog, signal)
      const columns = [text('name'), text('uri'), { name: 'sources', type: 'VARCHAR[]' }, text('definition')]
      return commandResult(
        host,
        columns,
        views.map(({ name, uri, sources, definition }) => ({ name, uri, sources, definition })),
      )
    }
    case 'createView': {
      const made = await createView(host, catalog, await canonical(catalog, nameOf(statement.view)), statement, signal)
      return one(host, {
        created: ['BOOLEAN', made.created],
        version: ['BIGINT', made.version],
        rows_added: ['BIGINT', made.rowsAdded],
        maintenance: ['VARCHAR', made.maintenance],
      })
    }
    case 'rebuildView': {
      const made = await rebuildView(host, catalog, await canonical(catalog, nameOf(statement.view)), statement.as, signal)
      return one(host, {
        version: ['BIGINT', made.version],
        rows_added: ['BIGINT', made.rowsAdded],
        maintenance: ['VARCHAR', made.maintenance],
      })
    }
    case 'refreshViews': {
      const names: string[] = []
      for (const view of statement.views) names.push(await canonical(catalog, nameOf(view)))
      const done = await refreshViews(host, names, { full: statement.full, signal })
      return commandResult(host, REFRESHED, done.map(refreshedRow))
    }
    case 'dropView': {
      const name = await canonical(catalog, nameOf(statement.view))
      return one(host, { dropped: ['BOOLEAN', await dropView(host, catalog, name, statement.ifExists, signal)] })
    }
  }
}

const REFRESHED = [
  text('view'),
  text('outcome'),
  text('how'),
  { name: 'version', type: 'BIGINT' },
  { name: 'sources', type: 'MAP(VARCHAR, BIGINT)' },
  ...['rows_added', 'rows_removed', 'files_added', 'files_removed', 'files_marked', 'bytes_read'].map((name) => ({
    name,
    type: 'BIGINT',
  })),
]

/** @throws what kept the view from it. */
function refreshedRow(refreshed: RefreshedView) {
  if ('error' in refreshed) throw refreshed.error
  const { result } = refreshed
  return {
    view: refreshed.view,
    outcome: result.outcome,
    how: result.how,
    version: result.version,
    sources: result.sources,
    rows_added: result.rowsAdded,
    rows_removed: result.rowsRemoved ?? null,
    files_added: result.filesAdded,
    files_removed: result.filesRemoved,
    files_marked: result.filesMarked,
    bytes_read: result.bytesRead,
  }
}

/** @throws {DeltaError} `VIEW_READ_ONLY` for a view, which is dropped as one. */
export async function checkNoView(host: TableHost, name: string, hint = 'write DROP MATERIALIZED VIEW'): Promise<void> {
  const pinned = await host.pin({ schema: '', name }, undefined)
  if (pinned?.snapshot.properties.isView) throw new DeltaError('VIEW_READ_ONLY', 'this is a view', { view: name }, { hint })
}

/** The name that is there, whatever the letter case. */
async function canonical(catalog: ViewCatalog, name: string): Promise<string> {
  const same = (await catalog.tables()).filter((table) => table.name.toLowerCase() === name.toLowerCase())
  return (same.find((table) => table.name === name) ?? same[0])?.name ?? name
}

function nameOf(view: TableName): string {
  if ('name' in view) return view.name
  throw new DeltaError(
    'STATEMENT_UNSUPPORTED',
    'a view goes by its name, not by location',
    {},
    { hint: 'open a lakehouse at the folder above it' },
  )
}
