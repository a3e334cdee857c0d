import { DeltaError } from '../base/errors.js'
import { restore } from '../ops/restore.js'
import { momentOf } from '../sql/moments.js'
import type { Statement } from '../sql/statement.js'
import type { Optimize } from '../sql/statements/maintenance.js'
import type { TableName } from '../sql/statements/names.js'
import type { StoreOptions } from '../storage/store.js'
import { checkpoint } from '../table/checkpoint.js'
import type { DeltaTable } from '../table/delta-table.js'
import { alter } from './alter.js'
import { type ChangedTable, deleteFrom, updateIn } from './change-rows.js'
import { cloneStatement } from './clone.js'
import { copyInto } from './copy.js'
import { runCreate } from './create-statement.js'
import { describe, history } from './describe.js'
import { explainQuery } from './explain.js'
import { insertQuery } from './insert.js'
import { fsckStatement, vacuumStatement } from './maintenance.js'
import type { ConvertOptions, ConvertTableResult } from './maintenance-options.js'
import { mergeInto } from './merge.js'
import type {
  AppendInput,
  AppendOptions,
  AppendResult,
  ChangeRowsResult,
  OptimizeOptions,
  OptimizeResult,
  SqlOptions,
  TableSummary,
} from './options.js'
import { overwriteQuery, overwriteScope } from './overwrite.js'
import { commandResult, runQuery } from './query-runner.js'
import { one, text } from './relations.js'
import type { QueryResult } from './result.js'
import { describeExtended, showColumns, showCreateTable, showPartitions, showProperties } from './show.js'
import type { TableHost } from './table-host.js'
import { undoStatement } from './undo.js'
import { statementUnsupported } from './unsupported.js'
import { checkNoView, runViewStatement } from './view-statements.js'
import { describeView } from './views.js'

/** What statements do to a catalog. */
export interface Catalog {
  tables(): Promise<readonly TableSummary[]>
  table(name: string): {
    append(input: AppendInput, options: AppendOptions): Promise<AppendResult>
    optimize(options: OptimizeOptions): Promise<OptimizeResult>
  }
  dropTable(name: string, options: { readonly ifExists?: boolean }): Promise<boolean>
  renameTable(name: string, to: string, options: StoreOptions): Promise<void>
  convert(location: string, options: ConvertOptions): Promise<ConvertTableResult>
  deltaOf(name: string): DeltaTable
  /** @throws {DeltaError} `SQL_FORBIDDEN` where locations are not allowed. */
  deltaAt(location: string): DeltaTable
  /** Makes sure that tables here are safe to commit to. */
  beforeTable(options: StoreOptions): Promise<void>
}

/** Runs one statement. Everything but queries has happened when this resolves. */
export async function runStatement(
  catalog: Catalog,
  host: TableHost,
  statement: Statement,
  options: SqlOptions,
): Promise<QueryResult> {
  const { params, signal, onProgress, rowsMax, bytesMax, onPinned } = options
  switch (statement.kind) {
    case 'query':
      return runQuery(host, {
        text: statement.text,
        params,
        signal,
        staleOk: options.stale === 'ok',
        rowsMax,
        bytesMax,
        onPinned,
        onProgress,
      })
    case 'explain':
      return explainQuery(host, { text: statement.text, params, signal, staleOk: options.stale === 'ok' }, statement.analyze)
    case 'createTable': {
      if ('location' in statement.table) {
        const { location } = statement.table
        // Refuses locations where they are not allowed.
        await host.find({ schema: 'delta', name: location })
        return runCreate(host, catalog.deltaAt(location), location, statement, options, async () => undefined)
      }
      const name = await canonical(catalog, catalogName(statement.table))
      return runCreate(host, catalog.deltaOf(name), name, statement, options, () => catalog.beforeTable({ signal }))
    }
    case 'insert': {
      const table = await existing(host, statement.table)
      const request = { text: statement.query, params, signal }
      const target = { ...statement, evolution: statement.withSchemaEvolution ? ('merge' as const) : undefined }
      if (statement.mode !== 'append') {
        const scope = overwriteScope(statement, options.partitionOverwriteMode)
        const result = await overwriteQuery(host, await changedTable(host, statement), target, scope, request)
        return one(host, {
          rows_added: ['BIGINT', result.rowsAdded],
          version: ['BIGINT', result.version],
          files_added: ['BIGINT', result.filesAdded],
          files_removed: ['BIGINT', result.filesRemoved],
        })
      }
      const { rowsAdded, version, filesAdded } = await insertQuery(host, table, target, request)
      return one(host, { rows_added: ['BIGINT', rowsAdded], version: ['BIGINT', version], files_added: ['BIGINT', filesAdded] })
    }
    case 'copy': {
      await existing(host, statement.table)
      const name = await canonical(catalog, catalogName(statement.table))
      const { rowsAdded, rowsRejected, version } = await copyInto(host, catalog.table(name), statement, options)
      return one(host, {
        rows_added: ['BIGINT', rowsAdded],
        rows_rejected: ['BIGINT', rowsRejected],
        version: ['BIGINT', version],
      })
    }
    case 'describe': {
      const table = await existing(host, statement.table)
      const name = nameIn(statement.table) ?? table.uri
      const snapshot = await table.snapshot()
      if (statement.what === 'extended') return describeExtended(host, name, table.uri, snapshot)
      const isView = statement.what === 'detail' && snapshot.properties.isView && nameIn(statement.table) !== undefined
      return describe(
        host,
        name,
        table.uri,
        snapshot,
        statement.what,
        isView ? await describeView(host, name, signal) : undefined,
      )
    }
    case 'history':
      return history(host, await existing(host, statement.table), statement.limit ?? 1000, signal)
    case 'showTables': {
      const columns = [text('name'), text('uri')]
      return commandResult(
        host,
        columns,
        (await catalog.tables()).map(({ name, uri }) => ({ name, uri })),
      )
    }
    case 'showProperties':
      return showProperties(host, await (await existing(host, statement.table)).snapshot(), statement.key)
    case 'showColumns':
      return showColumns(host, await (await existing(host, statement.table)).snapshot())
    case 'showPartitions':
      return showPartitions(host, await (await existing(host, statement.table)).snapshot())
    case 'showCreateTable': {
      const table = await existing(host, statement.table)
      return showCreateTable(host, nameIn(statement.table) ?? table.uri, table)
    }
    case 'reorg':
    case 'optimize': {
      await existing(host, statement.table)
      const name = nameIn(statement.table)
      if (name === undefined) throw new DeltaError('STATEMENT_UNSUPPORTED', 'a table is optimized by its name, not by location')
      const result = await catalog.table(await canonical(catalog, name)).optimize({
        where: statement.where,
        ...(statement.kind === 'reorg' ? { purge: true } : { full: statement.full, ...zorderOf(statement) }),
        signal,
        onProgress,
      })
      return one(host, {
        version: ['BIGINT', result.version],
        files_added: ['BIGINT', result.filesAdded],
        files_removed: ['BIGINT', result.filesRemoved],
        bytes_added: ['BIGINT', result.bytesAdded],
        bytes_removed: ['BIGINT', result.bytesRemoved],
      })
    }
    case 'clone': {
      const source = await existing(host, statement.source)
      return cloneStatement(catalog, host, source, await canonical(catalog, catalogName(statement.table)), statement, options)
    }
    case 'convert': {
      const { location, partitionBy, collectStats } = statement
      await host.find({ schema: 'delta', name: location })
      const result = await catalog.convert(location, { partitionBy, statistics: collectStats, signal })
      return one(host, {
        converted: ['BOOLEAN', result.converted],
        version: ['BIGINT', result.version],
        files: ['BIGINT', result.files],
        rows: ['BIGINT', result.rows],
      })
    }
    case 'fsck':
      return fsckStatement(host, await existing(host, statement.table), statement, options)
    case 'vacuum':
      return vacuumStatement(host, await existing(host, statement.table), statement, options)
    case 'merge': {
      const merged = await mergeInto(host, await changedTable(host, statement), statement, { params, signal, onProgress })
      return one(host, {
        rows_updated: ['BIGINT', merged.rowsUpdated],
        rows_deleted: ['BIGINT', merged.rowsDeleted ?? null],
        rows_inserted: ['BIGINT', merged.rowsInserted],
        ...changeColumns(merged),
      })
    }
    case 'delete':
    case 'truncate': {
      const changed = await changedTable(host, statement)
      const where = statement.kind === 'delete' ? statement.where : undefined
      const result = await deleteFrom(host, changed, where, { params, signal, onProgress })
      return one(host, { rows_deleted: ['BIGINT', result.rowsDeleted ?? null], ...changeColumns(result) })
    }
    case 'update': {
      const result = await updateIn(host, await changedTable(host, statement), statement.set, statement.where, {
        params,
        signal,
        onProgress,
      })
      return one(host, { rows_updated: ['BIGINT', result.rowsUpdated], ...changeColumns(result) })
    }
    case 'alterTable': {
      const { change } = statement
      const table = await existing(host, statement.table)
      if (change.kind === 'rename') {
        const [from, to] = [nameIn(statement.table), nameIn(change.to)]
        if (from === undefined || to === undefined)
          throw new DeltaError('STATEMENT_UNSUPPORTED', 'a table is renamed by its name, not by location')
        await catalog.renameTable(await canonical(catalog, from), to, { signal })
        return one(host, { renamed: ['BOOLEAN', true] })
      }
      return one(host, { version: ['BIGINT', await alter(host, table, change, { signal })] })
    }
    case 'dropTable': {
      const name = nameIn(statement.table)
      if (name === undefined) throw new DeltaError('STATEMENT_UNSUPPORTED', 'a table is dropped by its name, not by location')
      await checkNoView(host, name)
      return one(host, {
        dropped: ['BOOLEAN', await catalog.dropTable(await canonical(catalog, name), { ifExists: statement.ifExists })],
      })
    }
    case 'restore': {
      const table = await existing(host, statement.table)
      const target = await momentOf(host.engines.binder, statement.asOf, params, signal)
      const result = await restore(table, target, { signal })
      return one(host, {
        version: ['BIGINT', result.version],
        restored_version: ['BIGINT', result.restoredVersion],
        files_added: ['BIGINT', result.filesAdded],
        files_removed: ['BIGINT', result.filesRemoved],
        bytes_added: ['BIGINT', result.bytesAdded],
        bytes_removed: ['BIGINT', result.bytesRemoved],
      })
    }
    case 'undo':
      return undoStatement(host, await changedTable(host, statement), statement, options)
    case 'checkpoint': {
      const { version, size, sizeInBytes } = await checkpoint(await existing(host, statement.table), { signal })
      return one(host, { version: ['BIGINT', version], actions: ['BIGINT', size], bytes: ['BIGINT', sizeInBytes] })
    }
    case 'createView':
    case 'dropView':
    case 'refreshViews':
    case 'rebuildView':
    case 'showViews':
      return runViewStatement(catalog, host, statement, signal)
    default:
      throw statementUnsupported(statement)
  }
}

async function changedTable(
  host: TableHost,
  { table, alias }: { readonly table: TableName; readonly alias?: string | undefined },
): Promise<ChangedTable> {
  return { table: await existing(host, table), name: alias ?? nameIn(table) ?? 'target', isLocation: nameIn(table) === undefined }
}

function changeColumns(result: ChangeRowsResult) {
  return {
    version: ['BIGINT', result.version],
    files_added: ['BIGINT', result.filesAdded],
    files_removed: ['BIGINT', result.filesRemoved],
    files_marked: ['BIGINT', result.filesMarked],
  } as const
}

function zorderOf({ zorderBy }: Optimize): Pick<OptimizeOptions, 'zorderBy'> {
  return zorderBy.length === 0 ? {} : { zorderBy: zorderBy.map((path) => path.join('.')) }
}

async function existing(host: TableHost, name: TableName): Promise<DeltaTable> {
  const request = 'location' in name ? { schema: 'delta', name: name.location } : { schema: '', name: name.name }
  const table = await host.find(request)
  if (!table)
    throw new DeltaError(
      'TABLE_NOT_FOUND',
      'there is no such table',
      { table: request.name },
      { hint: 'SHOW TABLES lists the tables' },
    )
  return table
}

/** The name of the table that is there, whatever the letter case: as queries find it. */
async function canonical(catalog: Catalog, name: string): Promise<string> {
  const same = (await catalog.tables()).filter((table) => table.name.toLowerCase() === name.toLowerCase())
  return (same.find((table) => table.name === name) ?? same[0])?.name ?? name
}

function nameIn(table: TableName): string | undefined {
  return 'name' in table ? table.name : undefined
}

function catalogName(table: TableName): string {
  const name = nameIn(table)
  if (name === undefined)
    throw new DeltaError(
      'STATEMENT_UNSUPPORTED',
      'a table is created by its name, not by location',
      {},
      { hint: 'open a lakehouse at the folder above it' },
    )
  return name
}
