import { DeltaError } from '../base/errors.js'
import { type CloneResult, cloneTable } from '../ops/clone.js'
import { momentOf } from '../sql/moments.js'
import type { Clone } from '../sql/statements/clone.js'
import type { StoreOptions } from '../storage/store.js'
import type { DeltaTable, VersionSelector } from '../table/delta-table.js'
import type { CloneTableOptions } from './maintenance-options.js'
import { checkTableName, tableExists } from './names.js'
import type { SqlOptions } from './options.js'
import { one } from './relations.js'
import type { QueryResult } from './result.js'
import type { TableHost } from './table-host.js'

/** What cloning needs of a catalog. */
interface CloneCatalog {
  deltaOf(name: string): DeltaTable
  beforeTable(options: StoreOptions): Promise<void>
}

/** @returns `undefined` when there is a table of this name, with `ifNotExists`. */
export async function cloneInto(
  catalog: CloneCatalog,
  source: DeltaTable,
  version: VersionSelector,
  name: string,
  options: CloneTableOptions,
): Promise<CloneResult | undefined> {
  const { signal } = options
  const target = catalog.deltaOf(checkTableName(name))
  await catalog.beforeTable({ signal })
  const cloned = (await target.exists())
    ? undefined
    : await cloneTable(target, source, await source.snapshot(version, { signal }), {
        isDeep: !options.shallow,
        sourceName: `delta.\`${source.uri}\``,
        properties: options.properties,
        signal,
        onProgress: (done, total) => options.onProgress?.({ phase: 'clone', done, total, unit: 'files' }),
      })
  if (!cloned && !options.ifNotExists) throw tableExists(name)
  return cloned
}

/** CREATE TABLE … CLONE, in Spark's columns. */
export async function cloneStatement(
  catalog: CloneCatalog,
  host: TableHost,
  source: DeltaTable,
  name: string,
  statement: Clone,
  { params, signal, onProgress }: SqlOptions,
): Promise<QueryResult> {
  const { asOf, ifNotExists, isDeep, location, mode, properties } = statement
  if (mode !== 'create' || location !== undefined)
    throw new DeltaError(
      'STATEMENT_UNSUPPORTED',
      'a clone is a new table, in the folder of its name',
      {},
      { hint: 'leave OR REPLACE and LOCATION out' },
    )
  const version = asOf ? await momentOf(host.engines.binder, asOf, params, signal) : {}
  const cloned = await cloneInto(catalog, source, version, name, {
    shallow: !isDeep,
    properties,
    ifNotExists,
    signal,
    onProgress,
  })
  return one(host, {
    source_table_size: ['BIGINT', cloned?.bytes ?? 0],
    source_num_of_files: ['BIGINT', cloned?.files ?? 0],
    num_copied_files: ['BIGINT', cloned?.filesCopied ?? 0],
    copied_files_size: ['BIGINT', cloned?.bytesCopied ?? 0],
  })
}
