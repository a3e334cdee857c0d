import { globLiteral, ident, literal } from '../engine/sql-text.js'
import type { AddCDCFile } from '../protocol/actions.js'
import { fileOnlyField } from '../protocol/column-mapping.js'
import { scanSql } from '../table/scan-sql.js'
import { stageFiles } from '../table/stage.js'
import type { FoundRows } from './found-rows.js'
import { keptRowIds } from './kept-row-ids.js'
import type { TakeOutContext } from './take-out.js'

/** Rows of one kind of change: a query with the table's columns. */
export interface ChangedRows {
  readonly kind: 'insert' | 'update_preimage' | 'update_postimage' | 'delete'
  readonly rows: string
}

/** Gives `work` the query of the rows that were found. */
export type RowReader = <T>(context: TakeOutContext, found: FoundRows, work: (rowsFound: string) => Promise<T>) => Promise<T>

const FOLDER = '_change_data'

/**
 * Writes the change files of a commit: its rows as they were, and what they became.
 *
 * @param changes is given the query of the rows that were found, with the table's columns and `"__file"` and `"__row"`.
 * @param read gives that query.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#change-data-files
 */
export async function stageChanges(
  context: TakeOutContext,
  found: FoundRows,
  changes: (rowsFound: string) => readonly ChangedRows[] | Promise<readonly ChangedRows[]>,
  read: RowReader = withFoundRows,
): Promise<readonly AddCDCFile[]> {
  const { table, snapshot, signal } = context
  const { schema, partitionColumns, properties, mapping, protocol } = snapshot
  const target = {
    schema: {
      type: 'struct' as const,
      fields: [...schema.fields.map((f) => ({ ...f, nullable: true })), fileOnlyField('_change_type', 'string')],
    },
    partitionColumns,
    properties,
    mapping,
    protocol,
  }
  const columns = schema.fields.map((f) => ident(f.name)).join(', ')
  return read(context, found, async (rowsFound) => {
    const parts = (await changes(rowsFound)).map(
      ({ kind, rows }) => `SELECT ${columns}, ${literal(kind)} AS "_change_type" FROM (${rows})`,
    )
    const staged = await table.deps.database.use((connection) =>
      stageFiles(table.deps, connection, parts.join(' UNION ALL '), target, { signal, dataChange: false, folder: FOLDER }),
    )
    return staged.adds.map(({ path, partitionValues, size }) => ({ path, partitionValues, size, dataChange: false as const }))
  })
}

/**
 * Gives `work` the query of the rows that were found, whole files left out: the table's columns as they are, `"__file"`,
 * `"__row"`, `"__row_id"` where the table tracks rows, and what else was found of each.
 */
export async function withFoundRows<T>(
  { table, source, snapshot, signal }: TakeOutContext,
  found: FoundRows,
  work: (rowsFound: string) => Promise<T>,
): Promise<T> {
  const files = found.files.map(({ file }) => file)
  const held = await source.open(table.deps.store, files, snapshot, undefined, { signal })
  try {
    const shape = { ...keptRowIds(snapshot).shape, address: true }
    return await work(
      `SELECT * FROM (${scanSql(shape, held.files)}) AS "__old" JOIN read_parquet(${globLiteral(found.path)}) AS "__found" ` +
        'USING ("__file", "__row")',
    )
  } finally {
    held.release()
  }
}
