import { ident } from '../engine/sql-text.js'
import type { RowQuery } from '../ops/found-rows.js'
import { tokenize } from '../sql/tokens.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import type { SqlParameters } from './options.js'
import { type ReadyQuery, type RunContext, readyQuery } from './query-runner.js'
import { oneCondition } from './table-snapshot.js'

/** The rows that a statement is about. */
export interface RowRequest {
  /** What conditions and expressions call the table. */
  readonly name: string
  /** Whether the table may lie outside of the lakehouse. @defaultValue false */
  readonly isLocation?: boolean | undefined
  readonly where: string | undefined
  /** Further columns, each an expression in brackets and its name. */
  readonly columns?: readonly { readonly name: string; readonly expression: string }[] | undefined
  readonly params?: SqlParameters | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ReadyRows {
  readonly query: RowQuery
  /** Whether the condition reads the table beside the row that it is about. */
  readonly readsWhole: boolean
  release(isDone: boolean): void
}

const TARGET = '__target'

/** Binds and plans what selects rows of a table at a version, and makes ready what that reads. The caller releases it. */
export async function readyRows(
  context: RunContext,
  table: DeltaTable,
  snapshot: Snapshot,
  request: RowRequest,
): Promise<ReadyRows> {
  const { name, isLocation = false, where, columns = [], params, signal } = request
  const schema = isLocation ? 'delta' : ''
  const given = ['"__file"', '"__row"', ...columns.map((column) => `${oneCondition(column.expression)} AS ${ident(column.name)}`)]
  const condition = where === undefined ? '' : ` WHERE (${oneCondition(where)}\n)`
  let readsWhole = false
  const pinned: RunContext = {
    ...context,
    pin: async (wanted, abort) => {
      if (wanted.schema === schema && wanted.name === TARGET) return { table, snapshot, address: true }
      const other = await context.pin(wanted, abort)
      if (other?.table.uri === table.uri) readsWhole = true
      return other
    },
  }
  const text = `SELECT ${given.join(', ')} FROM ${isLocation ? 'delta.' : ''}${ident(TARGET)} AS ${ident(name)}${condition}`
  const ready = await readyQuery(pinned, { text, params, signal })
  const query = addressedRows(ready, snapshot)
  const planned = ready.plan.tables.find((one) => one.address)
  const isAboutFiles = where !== undefined && columns.length === 0 && isOfPartitions(where, snapshot, planned?.columns)
  return {
    query: isAboutFiles
      ? { ...query, text: `SELECT "__file", NULL::BIGINT AS "__row" FROM (${query.text}\n) GROUP BY "__file"` }
      : query,
    readsWhole,
    release: ready.release,
  }
}

/**
 * Whether a condition answers alike for all rows of a partition. Whole files go by that, so that the plan's account of the
 * columns read is not enough: the condition may not name another column either.
 */
function isOfPartitions(where: string, { schema, partitionColumns }: Snapshot, read: ReadonlySet<string> | undefined): boolean {
  const partitions = new Set(partitionColumns.map((name) => name.toLowerCase()))
  const others = new Set(schema.fields.map(({ name }) => name.toLowerCase()).filter((name) => !partitions.has(name)))
  const names = tokenize(where).flatMap(({ kind, value }) => (kind === 'word' || kind === 'quoted' ? [value.toLowerCase()] : []))
  return (
    read !== undefined &&
    [...read].every((column) => partitions.has(column)) &&
    names.every((name) => !others.has(name) && !UNSTEADY.has(name))
  )
}

/** A ready query as one for rows of the table in it whose rows have an address. */
export function addressedRows({ plan, session, selections, scans }: ReadyQuery, snapshot: Snapshot): RowQuery {
  const at = plan.tables.findIndex((planned) => planned.address)
  const names = scans[at] ?? []
  return {
    snapshot,
    session,
    text: plan.text,
    params: plan.params,
    condition: plan.tables[at]?.condition ?? 'TRUE',
    files: new Map((selections[at]?.files ?? []).map((file, nth) => [names[nth]?.localFile ?? '', file])),
  }
}

/** What may answer differently for two rows although it reads no column of theirs. */
const UNSTEADY = new Set(['random', 'uuid', 'uuidv4', 'uuidv7', 'gen_random_uuid', 'setseed', 'nextval', '__row', '__file'])
