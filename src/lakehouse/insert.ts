import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { type BatchId, findFirstResult } from '../ingest/batches.js'
import { commitRows, type LoadedPart, replayedPart } from '../ingest/load.js'
import type { StructField } from '../protocol/schema.js'
import type { DeltaTable } from '../table/delta-table.js'
import { type StagedFiles, type StageTarget, stageFiles } from '../table/stage.js'
import type { AppendResult } from './options.js'
import { type ReadyQuery, type RunContext, type RunRequest, readyQuery } from './query-runner.js'

/**
 * INSERT INTO … query: the rows go from the query to Parquet inside the engine.
 *
 * Without column names the query's columns are the table's, in order; columns that are not named get their default or are
 * computed, and are NULL otherwise.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH` when the counts differ or a name is unknown.
 */
export async function insertQuery(
  context: RunContext,
  table: DeltaTable,
  columns: readonly string[] | undefined,
  request: RunRequest,
  batch?: BatchId,
): Promise<Omit<AppendResult, 'elapsedMs'>> {
  const { snapshot } = await table.transaction(undefined, { signal: request.signal })
  const first = batch && replayedPart(await findFirstResult(table, batch))
  if (first) return insertResult(first, snapshot.version)
  const ready = await readyQuery(context, request)
  try {
    const targets = targetColumns(snapshot.schema.fields, columns, ready.plan.columns.length)
    const staged = await stageQuery(table, ready, snapshot, targets, request.signal)
    return insertResult(await commitRows(table, staged, batch && { ...batch, rejected: 0 }, request.signal), snapshot.version)
  } finally {
    ready.release(false)
  }
}

function insertResult(part: LoadedPart, versionBefore: number): Omit<AppendResult, 'elapsedMs'> {
  return { ...part, version: part.version ?? versionBefore, rowsRejected: 0, rejects: [] }
}

/** Writes a ready query's rows as files of a table; `targets` names the column that each of the query's goes to. */
export async function stageQuery(
  table: DeltaTable,
  ready: ReadyQuery,
  target: StageTarget,
  targets: readonly string[],
  signal: AbortSignal | undefined,
): Promise<StagedFiles> {
  const given = targets.map((name, index) => `c${index} AS ${ident(name)}`)
  const query = `SELECT ${given.join(', ')} FROM (${ready.plan.text}\n) AS q(${targets.map((_, index) => `c${index}`).join(', ')})`
  return stageFiles(table.deps, ready.session, query, target, { params: ready.plan.params, signal, given: targets })
}

function targetColumns(fields: readonly StructField[], columns: readonly string[] | undefined, given: number): readonly string[] {
  const names = columns?.map((name) => {
    const found = fields.find((field) => field.name.toLowerCase() === name.toLowerCase())
    if (!found) throw new DeltaError('SCHEMA_MISMATCH', 'the table has no such column', { column: name })
    return found.name
  })
  const targets = names ?? fields.map((field) => field.name)
  if (targets.length !== given)
    throw new DeltaError(
      'SCHEMA_MISMATCH',
      'the query has another number of columns than the table',
      { query: given, table: targets.length },
      {
        hint: `name the columns: INSERT INTO … (${fields.map((field) => field.name).join(', ')})`,
      },
    )
  if (new Set(targets).size !== targets.length) throw new DeltaError('SCHEMA_MISMATCH', 'a column is named twice')
  return targets
}
