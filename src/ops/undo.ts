import { DeltaError } from '../base/errors.js'
import { globLiteral, ident } from '../engine/sql-text.js'
import type { Commit } from '../protocol/commit-file.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import type { Snapshot } from '../table/snapshot.js'
import type { TransactionOutcome } from '../table/transaction.js'
import { type AddedRows, HINT } from './added-rows.js'
import { type BornRows, type BornRowsContext, bornQuery, bornRows } from './born-rows.js'
import { stageChanges, withFoundRows } from './change-files.js'
import { type ChangeResult, changeResult, metricsOf } from './change-result.js'
import { FoundRows, type RowQuery } from './found-rows.js'
import { plus } from './row-digest.js'
import { marksRows, takeOut } from './take-out.js'
import { TRACKED_SINCE } from './track-rows.js'
import { digestPlaces, fileOf, missingFile, prove, type UndoProof, unchangedIds, writtenRows } from './undo-proof.js'
import { vectorRebase } from './vector-rebase.js'

/** Versions from one to another, both included. */
export interface VersionRange {
  readonly from: number
  readonly to: number
}

export interface UndoRequest {
  readonly added: AddedRows
  /** Selects some of the rows that were added; `undefined` for all. */
  readonly where: { readonly query: RowQuery; readonly readsWhole: boolean; readonly text: string } | undefined
  /** What becomes of rows that later commits have changed. */
  readonly changed: 'keep' | 'remove'
  readonly dryRun: boolean
  /** Called in a dry run with the rows that would go. */
  readonly onDryRun?: ((found: FoundRows) => Promise<void>) | undefined
  /** Whether the proof adds up the whole table, and not only what changes of it. */
  readonly provesTable: boolean
  readonly signal?: AbortSignal | undefined
  /** Called after each file that keeps some of its rows. */
  readonly onProgress?: ((filesDone: number, filesTotal: number) => void) | undefined
}

/** A later commit that changed rows which are to be taken back. */
export interface ChangedSince {
  readonly version: number
  readonly rows: number
  readonly operation: string | undefined
}

export interface UndoneFile {
  /** Relative to the table where it lies inside. */
  readonly file: string
  /** Rows that go. */
  readonly rows: number
  /** Rows that stay, where statistics tell. */
  readonly rowsLeft: number | undefined
}

export interface UndoSummary extends ChangeResult {
  readonly dryRun: boolean
  /** The commits that were taken back. */
  readonly versions: VersionRange
  /** Rows that they added in all; `undefined` where their files were vacuumed. */
  readonly rowsAdded: number | undefined
  /** Of those, rows that were gone before; `undefined` also where a condition chose among the rows. */
  readonly rowsGone: number | undefined
  /** Rows that came back, of an undo that was taken back. */
  readonly rowsRestored: number
  /** Rows that they added and later commits changed: they stay, or went with the others, as was asked. */
  readonly rowsChanged: number
  readonly changedBy: readonly ChangedSince[]
  /** Some of the changed rows as they are, as JSON text. */
  readonly examples: readonly string[]
  /** Files with rows that go. */
  readonly files: readonly UndoneFile[]
  /** `undefined` for a dry run, and where nothing went. */
  readonly proof: UndoProof | undefined
}

export type UndoOutcome = UndoSummary | Extract<TransactionOutcome, { readonly kind: 'conflict' }>

export const UNDO = 'UNDO'

const COMMITS_AT_ONCE = 16
const EXAMPLES_MAX = 5

/**
 * The commits of some versions.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`, `VERSION_NOT_FOUND` when the log does not hold them, `ROWS_NOT_TRACKED` for versions
 * before the table began to track its rows.
 */
export async function commitsToUndo(
  table: DeltaTable,
  { from, to }: VersionRange,
  signal: AbortSignal | undefined,
): Promise<readonly Commit[]> {
  if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && to >= from))
    throw new DeltaError('ARGUMENT_INVALID', 'versions are whole numbers from 0, the first one first', { from, to })
  const { version, properties, metadata } = await table.snapshot({}, { signal })
  if (to > version) throw new DeltaError('VERSION_NOT_FOUND', 'version is not in the log', { version: to, latest: version })
  if (!properties.rowTracking)
    throw new DeltaError(
      'ROWS_NOT_TRACKED',
      'the table does not track its rows, so that nobody knows where those of a commit are now',
      { table: table.uri },
      { hint: `ALTER TABLE … SET TBLPROPERTIES ('delta.enableRowTracking' = 'true') tracks them from now on. ${HINT}` },
    )
  const since = Number(metadata.configuration[TRACKED_SINCE] ?? 0)
  if (from < since || !(await table.snapshot({ version: from }, { signal })).properties.rowTracking)
    throw new DeltaError(
      'ROWS_NOT_TRACKED',
      'the table did not track its rows then',
      { from, trackedSince: since },
      { hint: HINT },
    )
  const commits: Commit[] = []
  for (let next = from; next <= to; next += COMMITS_AT_ONCE) {
    signal?.throwIfAborted()
    const some = Array.from({ length: Math.min(COMMITS_AT_ONCE, to - next + 1) }, (_, index) => next + index)
    for (const [at, commit] of (await Promise.all(some.map((one) => table.commitIfKept(one)))).entries()) {
      if (!commit)
        throw new DeltaError(
          'VERSION_NOT_FOUND',
          'the log no longer holds a commit that is to be taken back',
          { version: some[at] },
          { hint: 'delta.logRetentionDuration says how long commits are kept; DELETE … WHERE takes rows out without them' },
        )
      commits.push(commit)
    }
  }
  return commits
}

/**
 * Takes back what some commits added: the rows that came with them and are still there go, wherever compaction or clustering
 * has moved them, in one commit. Rows that these commits deleted or changed stay as they are now. Before anything is
 * committed it is proven that the rows which go are the rows that were written.
 *
 * @returns a conflict when somebody else's commit came between: run it again on the newest version.
 * @throws {DeltaError} `PROOF_FAILED`, `FEATURE_UNSUPPORTED`, `TABLE_APPEND_ONLY`.
 */
export async function undoRows(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  request: UndoRequest,
): Promise<UndoOutcome> {
  const { added, where, signal } = request
  const context = { table, source, snapshot, signal }
  const born = await bornRows(context, added, where?.query)
  try {
    return await table.deps.database.use(async (session) => {
      const since = await changedSince(table, born, added.to, signal)
      const text = bornQuery(born, request.changed === 'keep' ? `"__version" <= ${added.to}` : 'TRUE')
      const rows = { snapshot, session, params: undefined, condition: 'TRUE', files: born.files }
      const examples = since.length === 0 ? [] : await changedRows(context, { ...rows, text: bornQuery(born) }, added.to)
      const found = await FoundRows.find({ ...rows, text }, table.deps.spool, signal)
      try {
        return await undoFound(context, request, found, { changedBy: since, examples })
      } finally {
        await found.remove()
      }
    })
  } finally {
    await born.release()
  }
}

async function undoFound(
  context: BornRowsContext,
  request: UndoRequest,
  found: FoundRows,
  since: Pick<UndoSummary, 'changedBy' | 'examples'>,
): Promise<UndoOutcome> {
  const { table, snapshot, signal } = context
  const { added, where, changed, dryRun } = request
  const startedAtMs = table.deps.clock.now()
  const rowsFound = sum(found.files.map(({ rows = 0 }) => rows))
  const rowsChanged = sum(since.changedBy.map(({ rows }) => rows))
  const missing = await missingFile(
    context,
    added.files.map((add) => fileOf(context, add)),
  )
  const written = missing === undefined ? await writtenRows(context, added, unchangedIds(found.path, added.to)) : undefined
  const rowsThere = rowsFound + (changed === 'keep' ? rowsChanged : 0)
  const summary = {
    dryRun,
    rowsRestored: 0,
    versions: { from: added.from, to: added.to },
    rowsAdded: written?.rows,
    rowsGone: where || !written ? undefined : written.rows - rowsThere,
    rowsChanged,
    ...since,
    files: found.files.map(({ file, rows = 0 }) => ({
      file: file.file,
      rows,
      rowsLeft: file.rows === undefined ? undefined : file.rows - rows,
    })),
  }
  if (dryRun) await request.onDryRun?.(found)
  if (dryRun || rowsFound === 0) {
    const nothing = { filesAdded: 0, filesRemoved: 0, filesMarked: 0, bytesAdded: 0, rowsUpdated: 0, attempts: 0 }
    return { ...summary, ...nothing, rowsDeleted: rowsFound, version: snapshot.version, proof: undefined }
  }
  const transaction = await table.transaction(snapshot, { signal })
  const outside = { ...context, onFile: request.onProgress }
  const taken = await takeOut(outside, found)
  const isTold = snapshot.properties.changeDataFeed && !marksRows(snapshot) && taken.adds.length > 0
  const changes = isTold ? await stageChanges(outside, found, (rows) => [{ kind: 'delete', rows }]) : []
  const alsoChanged = `SELECT "__file", "__row" FROM read_parquet(${globLiteral(found.path)}) WHERE "__version" > ${added.to}`
  const wanted =
    changed === 'keep' || rowsChanged === 0 || !written
      ? written?.asked
      : plus(written.asked, await digestPlaces(context, [...found.files.map(({ file }) => file)], alsoChanged))
  const proof = await prove(context, taken, wanted, missing, request.provesTable)
  transaction.readFiles(found.files.map(({ file }) => file))
  if (where) transaction.readWhere(where.readsWhole ? 'TRUE' : where.query.condition)
  if (!where?.readsWhole) transaction.rebaseVectors(vectorRebase(table, signal))
  const outcome = await transaction
    .remove(taken.removes)
    .add(taken.adds)
    .addChangeFiles(changes)
    .describe({
      name: UNDO,
      parameters: {
        versions: `${added.from}..${added.to}`,
        predicate: JSON.stringify(where ? [where.text] : []),
        changed,
      },
      metrics: {
        ...metricsOf(taken.tally, changes.length, table.deps.clock.now() - startedAtMs),
        numDeletedRows: rowsFound,
      },
      keepsRowIds: true,
    })
    .commit({ signal })
  if (outcome.kind === 'conflict') return outcome
  const result = changeResult(taken.tally, { rowsDeleted: rowsFound, rowsUpdated: 0 })
  return { ...summary, ...result, version: outcome.version, attempts: outcome.attempts, proof }
}

/** Rows that commits after `to` have changed, by the last one of those. */
async function changedSince(
  table: DeltaTable,
  born: BornRows,
  to: number,
  signal: AbortSignal | undefined,
): Promise<readonly ChangedSince[]> {
  const counted = await table.deps.database.rows<{ version: bigint; rows: bigint }>(
    `SELECT "__version" AS version, count(*) AS rows FROM (${bornQuery(born, `"__version" > ${to}`)}) GROUP BY 1 ORDER BY 1`,
    { signal },
  )
  const all: ChangedSince[] = []
  for (const { version, rows } of counted) {
    const commit = await table.commitIfKept(Number(version))
    all.push({ version: Number(version), rows: Number(rows), operation: commit?.commitInfo?.operation })
  }
  return all
}

async function changedRows(context: BornRowsContext, query: RowQuery, to: number): Promise<readonly string[]> {
  const { table, snapshot, signal } = context
  const text = `SELECT * FROM (${query.text}) WHERE "__version" > ${to} ORDER BY "__id" LIMIT ${EXAMPLES_MAX}`
  const found = await FoundRows.find({ ...query, text }, table.deps.spool, signal)
  try {
    const columns = snapshot.schema.fields.map((f) => ident(f.name)).join(', ')
    return await withFoundRows({ ...context, onFile: undefined }, found, async (rows) => {
      const read = await table.deps.database.rows<{ row: string }>(
        `SELECT to_json(r)::VARCHAR AS row FROM (SELECT ${columns} FROM (${rows}) ORDER BY "__id") AS r`,
        { signal },
      )
      return read.map(({ row }) => row)
    })
  } finally {
    await found.remove()
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
