import { DeltaError } from '../base/errors.js'
import type { Connection } from '../engine/database.js'
import { conflictError, differOnlyInMarks } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import { evolvedFor, type SchemaEvolution } from '../table/evolve.js'
import { inputFields } from '../table/row-columns.js'
import { withMarks } from '../table/row-numbers.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import { type StagedFiles, type StageOptions, stageFiles } from '../table/stage.js'
import type { Transaction } from '../table/transaction.js'
import { type BatchId, type FirstResult, findFirstResult } from './batches.js'
import { writeDirectly } from './direct.js'
import { REJECTS_SHOWN, rowsInvalid } from './group-read.js'
import { type Input, inferFields, meterLines, readerFor } from './input.js'
import { givenFields, type Provenance, provenanceOf } from './provenance.js'
import { PLACE, ruleBreakers } from './rule-breakers.js'
import { RAW_CHARACTERS_MAX, type RejectedLine, type RowSources, type StagedRows, stageRows } from './staging.js'

export interface LoadOptions {
  /** The table as it is when the input is taken. @defaultValue its newest version */
  readonly snapshot?: Promise<Snapshot> | undefined
  readonly onError: 'fail' | 'reject'
  /** Commit every this many lines, instead of once. */
  readonly batchRows?: number | undefined
  /** The first commit's batch; later ones count on from its version. */
  readonly batch?: BatchId | undefined
  readonly keepRejects: (rejects: readonly RejectedLine[], batch: BatchId | undefined) => Promise<void>
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((rowsDone: number, rowsTotal: number) => void) | undefined
}

export interface LoadResult {
  readonly version: number
  readonly commits: number
  readonly rowsAdded: number
  readonly rowsRejected: number
  readonly rejects: readonly RejectedLine[]
  readonly filesAdded: number
  readonly bytesAdded: number
  readonly attempts: number
  readonly replayed: boolean
}

/**
 * Appends the rows of an input, in one commit or in several of `batchRows` lines each.
 *
 * Every line is read and checked before the first commit, so that an input which fails takes nothing. With a batch id
 * each commit happens once: a repeat of a load that broke off goes on where it stopped.
 */
export async function loadInput(table: DeltaTable, input: Input, options: LoadOptions): Promise<LoadResult> {
  const { snapshot } = await table.transaction(await options.snapshot, { signal: options.signal })
  return table.deps.engineFor(input.sizeBytes).use(async (connection) => {
    const provenance = provenanceOf(snapshot, table.deps.clock.now())
    const direct = provenance.columns.length > 0 ? undefined : await loadDirectly(table, snapshot, connection, input, options)
    if (direct) return direct
    const fields = givenFields(await inputFields(connection, snapshot.schema), provenance)
    const reader = readerFor(input, fields)
    const staged = await stageRows(connection, reader, fields, input.format, options.signal)
    try {
      return await commitStaged(table, snapshot, connection, staged, reader.firstLine, provenance, options)
    } finally {
      await staged.drop()
    }
  })
}

/**
 * Writes the rows of an input as files of a table, each line checked, and commits nothing.
 *
 * @returns what they were made for, too: the snapshot, or what it becomes by them.
 */
export async function stageInput(
  table: DeltaTable,
  newest: Snapshot,
  input: Input,
  { evolution, ...options }: Pick<StageOptions, 'signal' | 'rules'> & { readonly evolution?: SchemaEvolution | undefined } = {},
): Promise<{ readonly staged: StagedFiles; readonly base: Snapshot }> {
  return table.deps.engineFor(input.sizeBytes).use(async (connection) => {
    const snapshot = await snapshotFor(table, newest, connection, input, evolution)
    const provenance = provenanceOf(snapshot, table.deps.clock.now())
    const fields = givenFields(await inputFields(connection, snapshot.schema), provenance)
    const staged = await stageRows(connection, readerFor(input, fields), fields, input.format, options.signal)
    try {
      if (staged.rejects.length > 0) throw rowsInvalid(staged.rejects)
      const rows = staged.select([], rowSources(provenance, undefined))
      const files = await stageFiles(table.deps, connection, rows, snapshot, { ...options, identityMarks: new Map() })
      return { staged: files, base: snapshot }
    } finally {
      await staged.drop()
    }
  })
}

/** The snapshot as it is once it takes the columns of an input, where it is to. */
async function snapshotFor(
  table: DeltaTable,
  snapshot: Snapshot,
  connection: Connection,
  input: Input,
  evolution: SchemaEvolution | undefined,
): Promise<Snapshot> {
  if (!evolution) return snapshot
  return evolvedFor(table, snapshot, { type: 'struct', fields: await inferFields(connection, input) }, evolution)
}

/** One commit of lines that are all rows: what most appends are. */
async function loadDirectly(
  table: DeltaTable,
  snapshot: Snapshot,
  connection: Connection,
  input: Input,
  options: LoadOptions,
): Promise<LoadResult | undefined> {
  if (options.batchRows !== undefined || options.batch || input.format !== 'ndjson') return undefined
  const lines = input.meter ?? (await meterLines(input.files[0] ?? ''))
  if (lines === undefined) return undefined
  const done = await commitRows(
    table,
    snapshot,
    (base) => writeDirectly(table.deps, connection, input, lines, base, { signal: options.signal }),
    undefined,
    { signal: options.signal },
  )
  if (!done) return undefined
  options.onProgress?.(done.rowsAdded, done.rowsAdded)
  return { ...done, version: done.version ?? snapshot.version, rowsRejected: 0, rejects: [] }
}

async function commitStaged(
  table: DeltaTable,
  snapshot: Snapshot,
  connection: Connection,
  staged: StagedRows,
  firstLine: number,
  provenance: Provenance,
  options: LoadOptions,
): Promise<LoadResult> {
  const step = options.batchRows ?? Number.MAX_SAFE_INTEGER
  if (!(step >= 1)) throw new DeltaError('ARGUMENT_INVALID', 'a batch has at least one row', { batchRows: step })
  const places = Math.max(staged.places, 1)
  const isWhole = options.onError === 'fail' && step >= places
  const breakers = isWhole ? [] : await breakersOf(connection, staged, firstLine, snapshot)
  const rejects = [...staged.rejects, ...breakers.map(({ reject }) => reject)].toSorted((a, b) => a.line - b.line)
  if (rejects.length > 0 && options.onError === 'fail') throw rowsInvalid(rejects)
  let result: LoadResult = {
    version: snapshot.version,
    commits: 0,
    rowsAdded: 0,
    rowsRejected: rejects.length,
    rejects: rejects.slice(0, REJECTS_SHOWN),
    filesAdded: 0,
    bytesAdded: 0,
    attempts: 0,
    replayed: options.batch !== undefined,
  }
  let areRejectsKept = rejects.length === 0
  for (let start = 0, index = 0; start < places; start += step, index++) {
    options.signal?.throwIfAborted()
    const batch = options.batch && { appId: options.batch.appId, version: options.batch.version + index }
    let done = batch && replayedPart(await findFirstResult(table, batch))
    if (!done) {
      if (!areRejectsKept) await options.keepRejects(rejects, batch)
      areRejectsKept = true
      const range = { start: start + firstLine, endExclusive: Math.min(start + step, places) + firstLine }
      const broken = breakers.filter(({ place }) => place >= start && place < start + step).map(({ place }) => place)
      const rejected = staged.rejectedIn(range) + broken.length
      const { signal } = options
      const stage = (base: Snapshot) =>
        stageFiles(table.deps, connection, staged.selectRange(range, rowSources(provenance, batch), broken), base, {
          signal,
          identityMarks: new Map(),
        })
      done = await commitRows(table, snapshot, stage, batch && { ...batch, rejected }, { signal })
    }
    result = {
      ...result,
      version: done.version ?? result.version,
      commits: result.commits + done.commits,
      rowsAdded: result.rowsAdded + done.rowsAdded,
      filesAdded: result.filesAdded + done.filesAdded,
      bytesAdded: result.bytesAdded + done.bytesAdded,
      attempts: result.attempts + done.attempts,
      replayed: result.replayed && done.replayed,
    }
    options.onProgress?.(Math.min(start + step, staged.places), staged.places)
  }
  return result
}

/** Rows that break a rule of the table, by their places, before anything of the input is committed. */
async function breakersOf(connection: Connection, staged: StagedRows, firstLine: number, snapshot: Snapshot) {
  const all = { start: firstLine, endExclusive: staged.places + firstLine }
  const breakers = await ruleBreakers(connection, staged.selectPlaced(all, PLACE), snapshot)
  if (breakers.length === 0) return []
  const lines = await staged.linesAt(new Set(breakers.map(({ place }) => place)))
  return breakers.map(({ place, reason, row }) => ({
    place,
    reject: { line: lines.get(place) ?? place + firstLine, reason, raw: row.slice(0, RAW_CHARACTERS_MAX) },
  }))
}

function rowSources({ columns, valuesOf }: Provenance, batch: BatchId | undefined): RowSources | undefined {
  return columns.length === 0 ? undefined : { columns, from: [{ start: 0, values: valuesOf(batch) }] }
}

/** What became of one commit's rows. */
export interface LoadedPart {
  /** Absent when there was nothing to commit. */
  readonly version: number | undefined
  readonly commits: number
  readonly rowsAdded: number
  readonly filesAdded: number
  readonly bytesAdded: number
  readonly attempts: number
  readonly replayed: boolean
}

/** A batch that is in the table already, as the answer to its repeat. */
export function replayedPart(first: FirstResult | undefined): LoadedPart | undefined {
  if (!first) return undefined
  return {
    version: first.committedAt,
    rowsAdded: first.rows,
    commits: 0,
    filesAdded: 0,
    bytesAdded: 0,
    attempts: 0,
    replayed: true,
  }
}

export interface CommitRowsOptions {
  readonly signal?: AbortSignal | undefined
  /** What of the snapshot the rows were made from, where that is the table itself. */
  readonly read?: { readonly conditions: readonly string[]; readonly files: readonly SnapshotFile[] } | undefined
}

const STAGINGS_MAX = 20

/**
 * Stages rows and commits them as an append; nothing is committed for no rows of no batch. When others took the numbers
 * that staged rows have, both are done again. A batch that came in by another way meanwhile is answered as it was there.
 *
 * @param snapshot what the rows were read for: they are staged for it, or for a later version that is like it.
 * @param stage writes the rows, numbered on from a snapshot's marks.
 * @returns `undefined` when nothing was staged.
 * @throws {DeltaError} `COMMIT_CONFLICT` when the table's schema changed since `snapshot`, or what was read did.
 */
export async function commitRows<Staged extends StagedFiles | undefined>(
  table: DeltaTable,
  snapshot: Snapshot,
  stage: (base: Snapshot) => Promise<Staged>,
  batch: (BatchId & { readonly rejected: number }) | undefined,
  { signal, read }: CommitRowsOptions = {},
): Promise<LoadedPart | Extract<Staged, undefined>> {
  for (let attempts = 0, stagings = 1; ; stagings++) {
    const base = read || snapshot.evolvedFrom ? snapshot : await latestLike(table, snapshot)
    const staged = await stage(base)
    if (!staged) return undefined as Extract<Staged, undefined>
    const { adds, rows, bytes } = staged
    const added = { rowsAdded: rows, filesAdded: adds.length, bytesAdded: bytes, replayed: false }
    if (rows === 0 && !batch && !base.evolvedFrom) return { ...added, version: undefined, commits: 0, attempts: 0 }
    const transaction = appendStaged(await table.transaction(base, { signal }), staged, batch)
    for (const condition of read?.conditions ?? []) transaction.readWhere(condition)
    if (read) transaction.readFiles(read.files)
    const outcome = await transaction.commit({ signal })
    attempts += outcome.attempts
    if (outcome.kind === 'committed') return { ...added, version: outcome.version, commits: 1, attempts }
    const { conflict } = outcome
    const first = batch && conflict.reason === 'sameProducer' ? replayedPart(await findFirstResult(table, batch)) : undefined
    if (first) return first
    const isNumbered = (staged.identityMarks?.size ?? 0) > 0 && !read
    const mayStageAgain = isNumbered && conflict.reason === 'metadataChanged' && stagings < STAGINGS_MAX
    if (!mayStageAgain || (await latestLike(table, snapshot)) === snapshot) throw conflictError(table.uri, conflict)
  }
}

/** The newest known version, when rows for a snapshot are rows for it too. */
async function latestLike(table: DeltaTable, snapshot: Snapshot): Promise<Snapshot> {
  const known = await table.knownSnapshot()
  return known.version > snapshot.version && differOnlyInMarks(known, snapshot) ? known : snapshot
}

function appendStaged(
  transaction: Transaction,
  { adds, rows, bytes, identityMarks, stored }: StagedFiles,
  batch: (BatchId & { readonly rejected: number }) | undefined,
): Transaction {
  const { partitionColumns, metadata } = transaction.snapshot
  if (batch) transaction.setTransaction({ appId: batch.appId, version: batch.version, rows, rejected: batch.rejected })
  if (identityMarks && identityMarks.size > 0) transaction.setMetadata(withMarks(metadata, identityMarks))
  return transaction
    .add(adds)
    .after(stored)
    .describe({
      name: 'WRITE',
      parameters: { mode: 'Append', partitionBy: JSON.stringify(partitionColumns) },
      metrics: { numFiles: adds.length, numOutputRows: rows, numOutputBytes: bytes },
    })
}
