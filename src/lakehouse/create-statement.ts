import { DeltaError } from '../base/errors.js'
import { field } from '../protocol/schema.js'
import { parseType } from '../protocol/type-text.js'
import type { CreateTable } from '../sql/statements/create.js'
import type { DeltaTable } from '../table/delta-table.js'
import { checkDesign, fieldOf, type TableDesign } from './create.js'
import { stageQuery } from './insert.js'
import { type Made, makeTable } from './make-table.js'
import { tableExists } from './names.js'
import type { SqlOptions } from './options.js'
import { readyQuery } from './query-runner.js'
import { one } from './relations.js'
import type { QueryResult } from './result.js'
import type { TableHost } from './table-host.js'

/**
 * CREATE TABLE, CREATE OR REPLACE TABLE and REPLACE TABLE, with the columns of the statement or with those and the rows of
 * a query. The table and its rows come in one commit: nobody sees it empty.
 *
 * @param beforeTable makes sure that tables here are safe to commit to.
 */
export async function runCreate(
  host: TableHost,
  delta: DeltaTable,
  name: string,
  statement: CreateTable,
  { params, signal }: SqlOptions,
  beforeTable: () => Promise<void>,
): Promise<QueryResult> {
  if (statement.location !== undefined && !isOwnPlace(host, delta, statement.location)) throw placeIsGiven()
  const { mode, ifNotExists } = statement
  const isThere = mode !== 'createOrReplace' && (await delta.exists())
  if (isThere && mode === 'create') {
    if (!ifNotExists) throw tableExists(name)
    return answer(host, statement, { created: false, version: (await delta.snapshot()).version, filesRemoved: 0 }, 0)
  }
  const options = { mode, ifNotExists, signal }
  if (statement.as === undefined) {
    const design = checkDesign({ ...clausesOf(statement), fields: statement.columns.map(fieldOf) })
    await beforeTable()
    return answer(host, statement, await makeTable(delta, name, design, undefined, options), 0)
  }
  const ready = await readyQuery(host, { text: statement.as, params, signal })
  try {
    const fields = ready.plan.columns.map(({ name: column, type }) => field(column, parseType(type, 'duckdb')))
    const design = checkDesign({ ...clausesOf(statement), fields })
    await beforeTable()
    const names = fields.map((f) => f.name)
    const staged = await stageQuery(delta, ready, design, names, { signal })
    const made = await makeTable(delta, name, design, staged, options)
    return await answer(host, statement, made, made.created ? staged.rows : 0)
  } finally {
    ready.release(false)
  }
}

function clausesOf({ partitionBy, clusterBy, properties, comment, constraints }: CreateTable): Omit<TableDesign, 'fields'> {
  return {
    partitionBy,
    clusterBy,
    properties,
    comment,
    constraints: constraints.map(({ name, check }) => ({ name, expression: check })),
  }
}

function answer(host: TableHost, { mode, as }: CreateTable, made: Made, rows: number): Promise<QueryResult> {
  return one(host, {
    created: ['BOOLEAN', made.created],
    version: ['BIGINT', made.version],
    ...(as === undefined ? {} : { rows_added: ['BIGINT', rows] as const }),
    ...(mode === 'create' ? {} : { files_removed: ['BIGINT', made.filesRemoved] as const }),
  })
}

/** Whether LOCATION says where the table lies anyway. */
function isOwnPlace(host: TableHost, delta: DeltaTable, location: string): boolean {
  return host.locations && host.openStore(location).uri === delta.uri
}

function placeIsGiven(): DeltaError {
  return new DeltaError(
    'STATEMENT_UNSUPPORTED',
    'a table of the lakehouse lies in the folder of its name, and LOCATION says otherwise',
    {},
    { hint: 'leave LOCATION out, or make a table without a name: CREATE TABLE delta.`location`' },
  )
}
