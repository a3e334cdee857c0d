import { DeltaError } from '../base/errors.js'
import { addedRows } from '../ops/added-rows.js'
import type { FoundRows } from '../ops/found-rows.js'
import { leftWithout } from '../ops/left-without.js'
import { redoRows, undoneBy } from '../ops/redo.js'
import { commitsToUndo, type UndoOutcome, undoRows, type VersionRange } from '../ops/undo.js'
import type { Undo } from '../sql/statements/maintenance.js'
import type { Snapshot } from '../table/snapshot.js'
import { type ChangedTable, settled } from './change-rows.js'
import type { SqlOptions } from './options.js'
import type { RunContext } from './query-runner.js'
import { one } from './relations.js'
import type { QueryResult } from './result.js'
import { readyRows } from './row-query.js'
import type { TableHost } from './table-host.js'
import type { UndoOptions, UndoResult, ViewChange } from './undo-options.js'
import { viewChanges, viewProofs } from './undo-views.js'

/**
 * Takes back what some commits added, or an undo.
 *
 * @throws {DeltaError} as `Table.undo`.
 */
export async function undoIn(host: TableHost, changed: ChangedTable, options: UndoOptions): Promise<UndoResult> {
  const dry: { changes?: readonly ViewChange[] } = {}
  const isChecked = options.views !== 'skip'
  const result = await takeBack(host, changed, options, async (snapshot, found) => {
    if (!isChecked) return
    const without = await leftWithout(changed.table, snapshot, found, options.signal)
    dry.changes = await viewChanges(host, changed.name, { table: changed.table, snapshot }, without, options.signal)
  })
  const hasChanged = !result.dryRun && (result.rowsDeleted ?? 0) + result.rowsRestored > 0
  return {
    ...result,
    viewChanges: dry.changes,
    viewProofs: hasChanged ? await viewProofs(host, changed.name, isChecked, options.signal) : undefined,
  }
}

type OnDryRun = (snapshot: Snapshot, found: FoundRows) => Promise<void>

async function takeBack(context: RunContext, changed: ChangedTable, options: UndoOptions, onDryRun: OnDryRun) {
  const { table } = changed
  const { signal } = options
  const versions = rangeOf(options.versions)
  const commits = await commitsToUndo(table, versions, signal)
  const [first] = commits
  const undone = first && versions.from === versions.to ? undoneBy(first) : undefined
  if (first && undone) {
    if (options.where !== undefined)
      throw new DeltaError('ARGUMENT_INVALID', 'an undo is taken back as a whole: no condition', { version: first.version })
    const added = addedRows(await commitsToUndo(table, undone, signal))
    const request = { added, dryRun: options.dryRun ?? false, signal }
    return settled(context, table, signal, (snapshot) => redoRows(table, context.engines.source, snapshot, first, request))
  }
  const added = addedRows(commits)
  return settled(context, table, signal, (snapshot) => undo(context, changed, snapshot, added, { ...options, onDryRun }))
}

/** UNDO as a statement. */
export async function undoStatement(
  host: TableHost,
  changed: ChangedTable,
  { versions, where, changed: whatChanged, dryRun, views }: Undo,
  { params, signal, onProgress }: SqlOptions,
): Promise<QueryResult> {
  const result = await undoIn(host, changed, { versions, where, changed: whatChanged, dryRun, views, params, signal, onProgress })
  return one(host, {
    rows_deleted: ['BIGINT', result.rowsDeleted],
    rows_restored: ['BIGINT', result.rowsRestored],
    rows_added: ['BIGINT', result.rowsAdded ?? null],
    rows_gone: ['BIGINT', result.rowsGone ?? null],
    rows_changed: ['BIGINT', result.rowsChanged],
    version: ['BIGINT', result.version],
    files_added: ['BIGINT', result.filesAdded],
    files_removed: ['BIGINT', result.filesRemoved],
    files_marked: ['BIGINT', result.filesMarked],
    proven: ['BOOLEAN', result.proof?.holds ?? null],
    hash_taken: ['VARCHAR', result.proof?.hashTaken ?? null],
    hash_written: ['VARCHAR', result.proof?.hashWritten ?? null],
    view_rows: ['MAP(VARCHAR, BIGINT)', viewRows(result)],
    views_proven: ['BOOLEAN', viewsProven(result.viewProofs)],
  })
}

async function undo(
  context: RunContext,
  { table, ...named }: ChangedTable,
  snapshot: Snapshot,
  added: ReturnType<typeof addedRows>,
  {
    where,
    params,
    changed = 'keep',
    dryRun = false,
    proof,
    signal,
    onProgress,
    onDryRun,
  }: UndoOptions & { readonly onDryRun: OnDryRun },
): Promise<UndoOutcome> {
  const request = {
    added,
    changed,
    dryRun,
    onDryRun: (found: FoundRows) => onDryRun(snapshot, found),
    provesTable: proof === 'table',
    signal,
    onProgress: (done: number, total: number) => onProgress?.({ phase: 'undo', done, total, unit: 'files' }),
  }
  const { source } = context.engines
  if (where === undefined) return undoRows(table, source, snapshot, { ...request, where: undefined })
  // With a column of its own, each row is found, and never a whole file by its partition.
  const columns = [{ name: '__wanted', expression: 'true' }]
  const ready = await readyRows(context, table, snapshot, { ...named, where, columns, params, signal })
  try {
    const { query, readsWhole } = ready
    return await undoRows(table, source, snapshot, { ...request, where: { query, readsWhole, text: where } })
  } finally {
    ready.release(false)
  }
}

/** `null` where it cannot be told of some, and none is known to differ. */
function viewsProven(proofs: UndoResult['viewProofs']): boolean | null {
  if (!proofs) return null
  if (proofs.some(({ holds }) => holds === false)) return false
  return proofs.every(({ holds }) => holds) ? true : null
}

/** By view, how many rows a dry run would change, or after an undo differ from the view's definition. */
function viewRows({ viewChanges: changes = [], viewProofs: proofs = [] }: UndoResult): Readonly<Record<string, number | null>> {
  return Object.fromEntries([
    ...changes.map(({ view, rows }) => [view, rows] as const),
    ...proofs.map(({ view, rowsDiffering }) => [view, rowsDiffering ?? null] as const),
  ])
}

function rangeOf(versions: UndoOptions['versions']): VersionRange {
  return typeof versions === 'number' ? { from: versions, to: versions } : versions
}
