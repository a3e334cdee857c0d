import { assert, DeltaError } from '../base/errors.js'
import type { Database } from '../engine/database.js'
import type { AddFile } from '../protocol/actions.js'
import { clusteredBy } from '../protocol/clustering.js'
import { type FieldPath, pathText } from '../protocol/schema-path.js'
import type { Operation } from '../table/commit-info.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { withMore } from '../table/fresh-files.js'
import { scanSql } from '../table/scan-sql.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import { stageFiles } from '../table/stage.js'
import { tombstoneOf } from '../table/tombstone.js'
import { clusteringMark, planClustering } from './clustering-plan.js'
import { byPartition, planCompaction, planRewrite } from './compaction-plan.js'
import { type KeptRowIds, keptRowIds } from './kept-row-ids.js'
import { type RowOrder, rowOrder, stageOrdered } from './zorder.js'

export interface CompactionRequest {
  /** A condition over the files relation; only files for which it may hold are rewritten. */
  readonly condition?: string | undefined
  /** It as its author wrote it, for the table's history. */
  readonly predicate?: string | undefined
  readonly targetFileSizeBytes?: number | undefined
  /** Columns by which rows are ordered along a Z curve, over all files of each partition. */
  readonly zorderBy?: readonly (readonly string[])[] | undefined
  /** Rewrite the files that have deletion vectors, whatever their size, and no others. @defaultValue false */
  readonly purge?: boolean | undefined
  /** Of a clustered table: also what was clustered by other columns. @defaultValue false */
  readonly full?: boolean | undefined
  /** Rewrite just these files of a snapshot, in this order. */
  readonly chosen?: ChosenFiles | undefined
  /** The engine that does the work. @defaultValue the table's */
  readonly engine?: Database | undefined
  readonly signal?: AbortSignal | undefined
  /** Called after each group of files. */
  readonly onProgress?: ((filesDone: number, filesTotal: number) => void) | undefined
}

export interface ChosenFiles {
  readonly snapshot: Snapshot
  readonly files: readonly SnapshotFile[]
  /** Cluster them together by these columns, which are the table's. */
  readonly clusterBy?: readonly FieldPath[] | undefined
}

export interface CompactionResult {
  readonly version: number
  readonly filesAdded: number
  readonly filesRemoved: number
  readonly bytesAdded: number
  readonly bytesRemoved: number
  readonly filesConflicted: number
  readonly attempts: number
}

/** A group of files and what they became. */
interface Rewrite {
  readonly inputs: readonly SnapshotFile[]
  readonly adds: readonly AddFile[]
}

/**
 * OPTIMIZE: rewrites small files into larger ones, and files of which many rows are deleted without those, one group at a time,
 * in one commit that changes no row; each keeps its id where the table tracks them. With `zorderBy`, all files of each
 * partition become files that are near in each of the columns, so that a condition on any of them skips files. In a clustered
 * table files become so by the columns that it is clustered by, along a Hilbert curve. With `purge` it is REORG: deleted rows
 * leave the files.
 *
 * Appends beside it never conflict. When somebody else removed a file of a group meanwhile, that group is given up and
 * the others are committed.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for columns that rows cannot be ordered by; `FEATURE_UNSUPPORTED` as `keptRowIds`.
 */
export async function compact(table: DeltaTable, source: FileSource, request: CompactionRequest = {}): Promise<CompactionResult> {
  const { signal } = request
  const snapshot = request.chosen?.snapshot ?? (await table.snapshot({}, { signal }))
  await table.transaction(snapshot, { signal })
  const target = request.targetFileSizeBytes ?? snapshot.properties.targetFileSizeBytes
  const files = request.chosen?.files ?? (await snapshot.files(request.condition, { signal })).files
  const candidates = files.map((file) => ({ ...file, deletedShare: deletedShare(file) }))
  const clustering = await clusteringOf(table, snapshot, request)
  const order = clustering
    ? rowOrder(snapshot, clustering, 'hilbert')
    : request.zorderBy && rowOrder(snapshot, request.zorderBy, 'z')
  const clusterBy = clustering?.map(pathText)
  const kept = keptRowIds(snapshot)
  const groups: SnapshotFile[][] = clusterBy
    ? request.chosen
      ? [candidates]
      : planClustering(candidates, clusterBy, request.full ?? false)
    : planned(candidates, target, request)
  const filesTotal = groups.reduce((sum, group) => sum + group.length, 0)
  let rewrites: Rewrite[] = []
  for (const inputs of groups) {
    signal?.throwIfAborted()
    const adds = await rewrite(table, source, snapshot, inputs, kept, order && { order, target }, request)
    const mark = clusterBy && clusteringMark(table.deps.random.uuid(), clusterBy)
    rewrites.push({ inputs, adds: mark ? adds.map((add) => withMore(add, mark)) : adds })
    request.onProgress?.(
      rewrites.reduce((sum, done) => sum + done.inputs.length, 0),
      filesTotal,
    )
  }
  let filesConflicted = 0
  let attempts = 0
  while (rewrites.length > 0) {
    const outcome = await commit(table, snapshot, rewrites, described(request, clusterBy), signal)
    attempts += outcome.attempts
    if (outcome.kind === 'committed') return summary(outcome.version, rewrites, filesConflicted, attempts, table)
    const gone = new Set(outcome.conflict.subjects)
    const kept = rewrites.filter(
      ({ inputs }) => outcome.conflict.reason === 'concurrentDeleteDelete' && !inputs.some((file) => gone.has(file.file)),
    )
    filesConflicted +=
      rewrites.reduce((sum, { inputs }) => sum + inputs.length, 0) - kept.reduce((sum, { inputs }) => sum + inputs.length, 0)
    rewrites = kept
  }
  return summary((await table.snapshot({}, { signal })).version, [], filesConflicted, attempts, table)
}

/** What a table is clustered by: nothing where it is not. */
export async function clusteringColumns(table: DeltaTable, snapshot: Snapshot): Promise<readonly FieldPath[]> {
  return clusteredBy((await table.known()).domainMetadata(), snapshot.schema, snapshot.mapping)
}

/**
 * What the table is clustered by, for an OPTIMIZE that is to cluster; `undefined` for any other.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for what a clustered table does not take, or only one takes.
 */
async function clusteringOf(
  table: DeltaTable,
  snapshot: Snapshot,
  { zorderBy, condition, full, purge, chosen }: CompactionRequest,
): Promise<readonly FieldPath[] | undefined> {
  if (chosen) return chosen.clusterBy
  const columns = await clusteringColumns(table, snapshot)
  const [message, hint] =
    columns.length === 0
      ? full
        ? ['only a clustered table is optimized in full', 'ALTER TABLE … CLUSTER BY (…) first']
        : []
      : zorderBy
        ? ['a clustered table is not ordered by other columns', 'ALTER TABLE … CLUSTER BY (…) changes those that it has']
        : condition !== undefined && !purge
          ? ['a clustered table has no partitions to choose from', 'leave the condition out']
          : []
  if (message !== undefined)
    throw new DeltaError('ARGUMENT_INVALID', message, { clusteredBy: columns.map(pathText).join(', ') }, { hint })
  return columns.length === 0 || purge ? undefined : columns
}

type Candidate = SnapshotFile & { readonly deletedShare: number }

function planned(files: readonly Candidate[], target: number, { zorderBy, purge, chosen }: CompactionRequest): Candidate[][] {
  if (zorderBy) return byPartition(files)
  if (chosen) return planRewrite(files, target)
  return purge
    ? planRewrite(
        files.filter((file) => file.deletionVector),
        target,
      )
    : planCompaction(files, target)
}

function deletedShare({ deletionVector, physicalRows }: SnapshotFile): number {
  if (!deletionVector) return 0
  return physicalRows ? deletionVector.cardinality / physicalRows : 1
}

async function rewrite(
  table: DeltaTable,
  source: FileSource,
  snapshot: Snapshot,
  inputs: readonly SnapshotFile[],
  kept: KeptRowIds,
  ordered: { readonly order: RowOrder; readonly target: number } | undefined,
  { signal, engine = table.deps.database }: CompactionRequest,
): Promise<readonly AddFile[]> {
  const held = await source.open(table.deps.store, inputs, snapshot, undefined, { signal })
  try {
    const query = `SELECT ${['*', ...kept.columns(true)].join(', ')} FROM (${scanSql(kept.shape, held.files)})`
    const options = { signal, dataChange: false, codec: 'zstd' } as const
    const files = Math.ceil(sum(inputs.map((file) => file.sizeBytes)) / (ordered?.target ?? 1))
    const staged = ordered
      ? await stageOrdered({ ...table.deps, database: engine }, query, ordered.order, files, kept.target, options)
      : await engine.use((connection) => stageFiles(table.deps, connection, query, kept.target, options))
    const rowsBefore = inputs.every((file) => file.rows !== undefined)
      ? inputs.reduce((sum, file) => sum + (file.rows ?? 0), 0)
      : undefined
    assert(
      rowsBefore === undefined || rowsBefore === staged.rows,
      `compaction keeps every row: ${rowsBefore} before, ${staged.rows} after`,
    )
    return staged.adds
  } finally {
    held.release()
  }
}

async function commit(
  table: DeltaTable,
  snapshot: Snapshot,
  rewrites: readonly Rewrite[],
  operation: Operation,
  signal: AbortSignal | undefined,
) {
  const transaction = await table.transaction(snapshot, { signal })
  const inputs = rewrites.flatMap((done) => done.inputs)
  const adds = rewrites.flatMap((done) => done.adds)
  return transaction
    .remove(inputs.map((file) => tombstoneOf(file, table.deps.clock.now(), false)))
    .add(adds)
    .describe({
      ...operation,
      metrics: {
        numRemovedFiles: inputs.length,
        numRemovedBytes: sum(inputs.map((file) => file.sizeBytes)),
        numDeletionVectorsRemoved: inputs.filter((file) => file.deletionVector).length,
        numAddedFiles: adds.length,
        numAddedBytes: sum(adds.map((file) => file.size)),
        ...spread(adds.map((file) => file.size)),
      },
      keepsRowIds: snapshot.properties.rowTracking ? true : undefined,
    })
    .commit({ signal })
}

/** As Spark writes it. */
function described(
  { predicate: where, zorderBy = [], purge, full = false, chosen }: CompactionRequest,
  clusterBy?: readonly string[],
): Operation {
  const predicate = JSON.stringify(where === undefined ? [] : [where])
  if (purge) return { name: 'REORG', parameters: { predicate, applyPurge: true } }
  const zOrderBy = JSON.stringify(zorderBy.map((path) => path.join('.')))
  const clustered = { clusterBy: JSON.stringify(clusterBy ?? []), ...(clusterBy ? { isFull: full } : {}) }
  return { name: 'OPTIMIZE', parameters: { predicate, zOrderBy, ...clustered, auto: chosen !== undefined } }
}

/** How large the files are, from the smallest to the largest. */
function spread(sizes: readonly number[]): Readonly<Record<string, number>> {
  const sorted = sizes.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
  return { minFileSize: at(0), p25FileSize: at(0.25), p50FileSize: at(0.5), p75FileSize: at(0.75), maxFileSize: at(1) }
}

function summary(
  version: number,
  rewrites: readonly Rewrite[],
  filesConflicted: number,
  attempts: number,
  table: DeltaTable,
): CompactionResult {
  const inputs = rewrites.flatMap((done) => done.inputs)
  const adds = rewrites.flatMap((done) => done.adds)
  if (adds.length > 0)
    table.deps.events({ type: 'optimized', table: table.uri, version, filesAdded: adds.length, filesRemoved: inputs.length })
  return {
    version,
    filesAdded: adds.length,
    filesRemoved: inputs.length,
    bytesAdded: sum(adds.map((file) => file.size)),
    bytesRemoved: sum(inputs.map((file) => file.sizeBytes)),
    filesConflicted,
    attempts,
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
