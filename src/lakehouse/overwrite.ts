import { ident } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { type OverwriteScope, overwrite, type TableReads } from '../ops/overwrite.js'
import type { Insert } from '../sql/statements/insert.js'
import { withMarks } from '../table/row-numbers.js'
import type { RowRule } from '../table/row-rules.js'
import type { Snapshot } from '../table/snapshot.js'
import type { StagedFiles } from '../table/stage.js'
import type { ChangedTable } from './change-rows.js'
import { fixedColumns, type InsertTarget, readyInsert, stageQuery } from './insert.js'
import type { OverwriteResult } from './options.js'
import type { RunContext, RunRequest } from './query-runner.js'
import { readyRows } from './row-query.js'
import { rowCondition } from './where.js'

/** The rows whose place new ones take, as it was asked for. */
export type RowsReplaced =
  | { readonly kind: 'all' | 'partitions' }
  | { readonly kind: 'where'; readonly where: string; readonly text: string }
  /** Those of the partitions that have the values which PARTITION (…) gives. */
  | { readonly kind: 'fixed'; readonly partition: Insert['partition'] }

/** What INSERT OVERWRITE and INSERT … REPLACE WHERE replace, as Spark has it. */
export function overwriteScope({ where, partition }: Insert, mode: 'static' | 'dynamic' = 'static'): RowsReplaced {
  if (where !== undefined) return { kind: 'where', where, text: where }
  // New rows have the values of PARTITION (…) themselves: the partitions that they come with are among those.
  if (mode === 'dynamic') return { kind: 'partitions' }
  return partition.some(({ value }) => value !== undefined) ? { kind: 'fixed', partition } : { kind: 'all' }
}

/** INSERT OVERWRITE … query: the rows go from the query to Parquet inside the engine, and take the place of others. */
export async function overwriteQuery(
  context: RunContext,
  changed: ChangedTable,
  target: InsertTarget,
  scope: RowsReplaced,
  request: RunRequest,
): Promise<OverwriteResult> {
  return overwriteRows(context, changed, scope, request.signal, async (snapshot, rules) => {
    const { ready, base, targets, open, reads } = await readyInsert(context, changed.table, snapshot, target, request)
    try {
      const { signal } = request
      return {
        base,
        staged: await stageQuery(changed.table, ready, base, targets, { signal, rules, open, identityMarks: new Map() }),
        reads,
      }
    } finally {
      ready.release(false)
    }
  })
}

/**
 * Stages rows, and puts them in the place of others.
 *
 * @param stage is given what new rows are held to beside the table's own rules, and tells what it wrote them for.
 */
export async function overwriteRows(
  context: RunContext,
  { table, ...named }: ChangedTable,
  asked: RowsReplaced,
  signal: AbortSignal | undefined,
  stage: (
    snapshot: Snapshot,
    rules: readonly RowRule[],
  ) => Promise<{ readonly staged: StagedFiles; readonly base: Snapshot; readonly reads?: TableReads | undefined }>,
): Promise<OverwriteResult> {
  const startedAtMs = context.clock.now()
  const { snapshot } = await table.transaction(undefined, { signal })
  const scope = asked.kind === 'fixed' ? fixedScope(snapshot, asked.partition) : asked
  const done = async (of: OverwriteScope, { staged, base, reads }: Awaited<ReturnType<typeof stage>>) => {
    const metadata = withMarks(base.metadata, staged.identityMarks)
    const numbered = metadata === base.metadata ? undefined : metadata
    const result = await overwrite(table, context.engines.source, base, staged, of, { signal, reads, metadata: numbered })
    return { ...result, elapsedMs: context.clock.now() - startedAtMs }
  }
  if (scope.kind !== 'where') return done(scope, await stage(snapshot, []))
  const where = await rowCondition(context, scope.where)
  const violated = `(${where}\n) IS NOT TRUE`
  const staged = await stage(snapshot, [{ kind: 'scope', name: 'REPLACE WHERE', expression: scope.text, violated }])
  const ready = await readyRows(context, table, staged.base, { ...named, where, signal })
  try {
    return await done({ kind: 'where', query: ready.query, text: scope.text }, staged)
  } finally {
    ready.release(false)
  }
}

function fixedScope(snapshot: Snapshot, partition: Insert['partition']): RowsReplaced & { kind: 'where' } {
  const { fields } = snapshot.schema
  const conditions = fixedColumns(fields, snapshot.partitionColumns, partition).map(({ column, value }) => {
    const type = fields.find(({ name }) => name === column)?.type ?? 'string'
    return /^null$/i.test(value.trim())
      ? `${ident(column)} IS NULL`
      : `${ident(column)} = CAST((${value}\n) AS ${duckdbType(type)})`
  })
  return { kind: 'where', where: conditions.join(' AND '), text: conditions.join(' AND ') }
}
