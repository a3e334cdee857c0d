import { DeltaError } from '../base/errors.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
import { checkTableName, tableExists } from './names.js'
import type { StreamRegistry } from './stream-registry.js'
import type { TableHost } from './table-host.js'
import { checkNoView } from './view-statements.js'
import { type ViewCatalog, viewsOver } from './views.js'

interface Renaming {
  readonly store: ObjectStore
  readonly catalog: ViewCatalog
  readonly host: TableHost
  readonly registry: StreamRegistry
  /** Closes what this process holds of the table, after what it has taken in. */
  release(): Promise<void>
}

/** The table `name` is `to` from now on; see `Lakehouse.renameTable`. */
export async function renameTable(
  { store, catalog, host, registry, release }: Renaming,
  name: string,
  to: string,
  options: StoreOptions,
): Promise<void> {
  checkTableName(name)
  const tables = (await catalog.tables()).map((table) => table.name)
  if (!tables.includes(name)) throw new DeltaError('TABLE_NOT_FOUND', 'there is no such table', { table: name })
  const taken = tables.find((table) => table !== name && table.toLowerCase() === checkTableName(to).toLowerCase())
  if (taken !== undefined || to === name) throw tableExists(taken ?? name)
  if (!store.moveFolder)
    throw new DeltaError(
      'STATEMENT_UNSUPPORTED',
      'this store renames objects one by one, so a table cannot take another name at once',
      { store: store.uri },
      { hint: 'CREATE TABLE … DEEP CLONE … makes a table of another name, then DROP TABLE' },
    )
  await checkNoView(host, name, 'a view keeps its name: make it anew under the other, then DROP MATERIALIZED VIEW')
  const views = await viewsOver(catalog, name, options.signal)
  const streams = (await registry.list()).filter(({ table }) => table.toLowerCase() === name.toLowerCase())
  if (views.length + streams.length > 0)
    throw new DeltaError(
      'SCHEMA_CHANGE_REFUSED',
      'views or streams know the table by its name',
      { table: name, views: views.map((view) => view.name), streams: streams.map(({ id }) => id) },
      { hint: 'drop them first, and make them anew for the other name' },
    )
  await release()
  const moved = await store.moveFolder(name, to, options)
  // Somebody may have asked for it meanwhile.
  await release()
  if (!moved) throw new DeltaError('TABLE_EXISTS', 'there is a folder of this name, and it is not empty', { table: to })
}
