import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import type { ChangeOutcome, ChangeResult } from '../ops/change-result.js'
import { deleteRows } from '../ops/delete.js'
import { updateRows } from '../ops/update.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { assignmentsOf, type SetClause } from './assignments.js'
import type { ChangeRowsOptions, ChangeRowsResult } from './options.js'
import type { RunContext } from './query-runner.js'
import { readyRows } from './row-query.js'

/** A statement is run again when somebody else's commit came between, this many times at most. */
const RUNS_MAX = 10

/** The table that a statement changes. */
export interface ChangedTable {
  readonly table: DeltaTable
  /** What conditions and expressions call it. */
  readonly name: string
  /** Whether it may lie outside of the lakehouse. @defaultValue false */
  readonly isLocation?: boolean | undefined
}

/**
 * DELETE FROM: the rows for which the condition is true; all of them without one.
 *
 * @throws {DeltaError} `COMMIT_CONFLICT` when others kept changing the same rows.
 */
export async function deleteFrom(
  context: RunContext,
  { table, ...named }: ChangedTable,
  where: string | undefined,
  options: ChangeRowsOptions = {},
): Promise<ChangeRowsResult> {
  const { params, signal, onProgress } = options
  return settled(context, table, signal, async (snapshot) => {
    const request = {
      predicate: where,
      signal,
      onProgress: (done: number, total: number) => onProgress?.({ phase: 'delete', done, total, unit: 'files' }),
    }
    if (where === undefined)
      return deleteRows(table, context.engines.source, snapshot, { ...request, query: undefined, readsWhole: true })
    const ready = await readyRows(context, table, snapshot, { ...named, where, params, signal })
    try {
      const { query, readsWhole } = ready
      return await deleteRows(table, context.engines.source, snapshot, { ...request, query, readsWhole })
    } finally {
      ready.release(false)
    }
  })
}

/**
 * UPDATE: sets columns of the rows for which the condition is true; of all rows without one. Expressions see the row as it
 * was.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH`, `VALUE_NULL`, `COMMIT_CONFLICT` when others kept changing the same rows.
 */
export async function updateIn(
  context: RunContext,
  { table, ...named }: ChangedTable,
  set: readonly SetClause[],
  where: string | undefined,
  options: ChangeRowsOptions = {},
): Promise<ChangeRowsResult> {
  const { params, signal, onProgress } = options
  return settled(context, table, signal, async (snapshot) => {
    const assignments = assignmentsOf(snapshot.schema, named.name, set)
    const values = assignments.flatMap(({ column, expression }, at) =>
      expression === undefined ? [] : [{ of: column.name, name: `__new_${at}`, expression }],
    )
    const defaults = assignments.filter(({ expression }) => expression === undefined).map(({ column }) => column.name)
    const { changeDataFeed, rowTracking } = snapshot.properties
    const isSet = (name: string) => values.some(({ of }) => of === name)
    const columnsOf = `${ident(named.name)}.`
    // Ids of rows are told by another reading of their files.
    const old = snapshot.schema.fields
      .filter(({ name }) => !rowTracking && (changeDataFeed || !isSet(name)))
      .map(({ name }, at) => ({ of: name, name: `__old_${at}`, expression: columnsOf + ident(name) }))
    const ready = await readyRows(context, table, snapshot, { ...named, where, columns: [...values, ...old], params, signal })
    try {
      return await updateRows(table, context.engines.source, snapshot, {
        query: ready.query,
        values: new Map(values.map(({ of, name }) => [of, name])),
        old: rowTracking ? undefined : new Map(old.map(({ of, name }) => [of, name])),
        defaults: new Set(defaults),
        predicate: where,
        readsWhole: ready.readsWhole,
        signal,
        onProgress: (done, total) => onProgress?.({ phase: 'update', done, total, unit: 'files' }),
      })
    } finally {
      ready.release(false)
    }
  })
}

/** Runs a statement on the newest version until no commit of others is in its way. */
export async function settled<T extends ChangeResult>(
  context: RunContext,
  table: DeltaTable,
  signal: AbortSignal | undefined,
  run: (snapshot: Snapshot) => Promise<T | Exclude<ChangeOutcome, ChangeResult>>,
): Promise<T & { readonly elapsedMs: number }> {
  const startedAtMs = context.clock.now()
  let attempts = 0
  for (let runs = 1; ; runs++) {
    const outcome = await run(await table.snapshot({}, { signal }))
    attempts += outcome.attempts
    if (!('kind' in outcome)) return { ...outcome, attempts, elapsedMs: context.clock.now() - startedAtMs }
    const { version, reason } = outcome.conflict
    if (runs === RUNS_MAX)
      throw new DeltaError(
        'COMMIT_CONFLICT',
        'others kept changing the same rows',
        { table: table.uri, version, reason, attempts },
        { hint: 'other writers are busy on this table: run it again' },
      )
  }
}
