import { DeltaError } from '../base/errors.js'
import type { IngestResult } from '../ingest/group-read.js'
import type { RowSink } from '../ingest/row-sink.js'
import { compact } from '../ops/optimize.js'
import { restore } from '../ops/restore.js'
import { checkpoint } from '../table/checkpoint.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { HistoryEntry } from '../table/history.js'
import type { Transaction } from '../table/transaction.js'
import { deleteFrom, updateIn } from './change-rows.js'
import { type ChangesOptions, changesOf } from './changes.js'
import { tableDetail } from './detail.js'
import { type FollowOptions, type FollowResult, followInto } from './follow.js'
import { checkTable, vacuumTable } from './maintenance.js'
import type { FsckOptions, FsckResult } from './maintenance-options.js'
import { mergeByOptions } from './merge.js'
import type {
  AppendInput,
  AppendOptions,
  AppendResult,
  AsOf,
  ChangeRowsOptions,
  ChangeRowsResult,
  CheckpointResult,
  MergeOptions,
  MergeRowsResult,
  OptimizeOptions,
  OptimizeResult,
  OverwriteOptions,
  OverwriteResult,
  RestoreOptions,
  RestoreResult,
  TableDetail,
  VacuumOptions,
  VacuumResult,
} from './options.js'
import type { QueryResult } from './result.js'
import type { TableHost } from './table-host.js'
import { type IngestOptions, TableInput } from './table-input.js'
import { givenSelector, TableSnapshot, versionSelector } from './table-snapshot.js'
import { undoIn } from './undo.js'
import type { UndoOptions, UndoResult } from './undo-options.js'
import { fileCondition } from './where.js'

/** A Delta table. Opening one asks nothing of the store; its methods reject with `TABLE_NOT_FOUND` when there is none. */
export class Table {
  readonly name: string
  private readonly delta: DeltaTable
  private readonly host: TableHost
  private readonly input: TableInput

  /** @internal */
  constructor(name: string, delta: DeltaTable, host: TableHost) {
    this.name = name
    this.delta = delta
    this.host = host
    this.input = new TableInput(name, delta, host)
  }

  get uri(): string {
    return this.delta.uri
  }

  async exists(): Promise<boolean> {
    return this.delta.exists()
  }

  /**
   * Appends rows, in one commit unless `batchRows` asks for several. Nothing is taken when a line fails the append.
   *
   * @throws {DeltaError} `ROWS_INVALID` (with `lines`), `SCHEMA_MISMATCH`, `VALUE_NULL`, `INPUT_FORMAT_UNKNOWN`,
   * `FILE_NOT_FOUND`, `COMMIT_CONFLICT`, `SEQUENCE_OUT_OF_ORDER`.
   */
  async append(input: AppendInput, options: AppendOptions = {}): Promise<AppendResult> {
    return this.input.append(input, options)
  }

  /**
   * Puts rows in the place of others, in one commit: of all, of those for which a condition is true, or of those in the
   * partitions that the new rows come with.
   *
   * @throws {DeltaError} `ROWS_INVALID` (with `lines`, or with `examples` of rows for which the condition is not true),
   * `TABLE_APPEND_ONLY`, `COMMIT_CONFLICT`, and what `append` throws.
   */
  async overwrite(input: AppendInput, options: OverwriteOptions = {}): Promise<OverwriteResult> {
    return this.input.overwrite(input, options)
  }

  /**
   * Takes in one request of many: concurrent calls share one Parquet file and one commit. It resolves when the rows
   * are durable and visible. A broken line fails its own request alone.
   *
   * @throws {DeltaError} `ROWS_INVALID` (with `lines`), `BODY_TOO_LARGE`, `TOO_BUSY` (with `retryAfterMs`), and what `append` throws.
   */
  async ingest(body: AsyncIterable<Uint8Array> | Uint8Array, options: IngestOptions = {}): Promise<IngestResult> {
    return this.input.ingest(body, options)
  }

  /**
   * Takes in what is written to a file, or the files of a folder or of a prefix of a bucket, each once, until `signal` aborts:
   * then what was being taken is, and it resolves.
   *
   * A file's place is in the table, in the commit of its rows: whatever broke off, the next call goes on where the rows end.
   *
   * @param source a path, `file:///…` or `s3://bucket/prefix`.
   * @throws {DeltaError} `FILE_NOT_FOUND`, `INPUT_FORMAT_UNKNOWN`, and `ROWS_INVALID` and `SCHEMA_MISMATCH` naming the file.
   */
  async follow(source: string, options: FollowOptions = {}): Promise<FollowResult> {
    return followInto(this.host, this.delta, this.sink(options), source, options)
  }

  /** @throws {DeltaError} `VERSION_NOT_FOUND` */
  async snapshot(asOf: AsOf = {}): Promise<TableSnapshot> {
    return new TableSnapshot(await this.delta.snapshot(versionSelector(asOf)), this.delta, this.host)
  }

  /**
   * What changed since a version or time up to another one, both included: the table's columns, then `_change_type`
   * (`insert`, `update_preimage`, `update_postimage`, `delete`), `_commit_version` and `_commit_timestamp`, in no order.
   *
   * A time stands for the first version from then on as `from`, and for the last one until then as `to`.
   *
   * @throws {DeltaError} `CHANGES_NOT_RECORDED`, `VERSION_NOT_FOUND`, `SCHEMA_MISMATCH` when columns changed within the
   * range, `DATA_FILE_MISSING` when files of it were vacuumed.
   */
  async changes(options: ChangesOptions): Promise<QueryResult> {
    return changesOf(this.host, this.delta, options)
  }

  async detail(asOf: AsOf = {}): Promise<TableDetail> {
    return tableDetail(this.name, this.uri, await this.delta.snapshot(versionSelector(asOf)))
  }

  /** What each version did, newest first. */
  async history(
    options: { readonly limit?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<readonly HistoryEntry[]> {
    const limit = options.limit ?? 1000
    if (!Number.isSafeInteger(limit) || limit < 1)
      throw new DeltaError('ARGUMENT_INVALID', 'a limit is a whole number from 1', { limit })
    return this.delta.history(limit, { signal: options.signal })
  }

  /** Rewrites small files into larger ones. No row changes, and nothing that is appended meanwhile is in its way. */
  async optimize(options: OptimizeOptions = {}): Promise<OptimizeResult> {
    const startedAtMs = this.delta.deps.clock.now()
    const condition =
      options.where === undefined ? undefined : await fileCondition(this.host, await this.delta.snapshot(), options.where)
    const result = await compact(this.delta, this.host.engines.source, {
      condition,
      predicate: options.where,
      targetFileSizeBytes: options.targetFileSizeBytes,
      zorderBy: options.zorderBy?.map((column) => column.split('.')),
      purge: options.purge,
      full: options.full,
      signal: options.signal,
      onProgress: (done, total) => options.onProgress?.({ phase: 'optimize', done, total, unit: 'files' }),
    })
    return { ...result, elapsedMs: this.delta.deps.clock.now() - startedAtMs }
  }

  /**
   * Deletes files that no version within the retention needs. Versions older than that can no longer be read.
   *
   * @throws {DeltaError} `ARGUMENT_INVALID` for a retention below the table's own, unless it is forced.
   */
  async vacuum(options: VacuumOptions = {}): Promise<VacuumResult> {
    return vacuumTable(this.delta, options)
  }

  /**
   * Deletes the rows for which a SQL condition is true; all rows without one. A row for which it is NULL stays.
   *
   * @throws {DeltaError} `SQL_INVALID`, `TABLE_APPEND_ONLY`, `COMMIT_CONFLICT` when others kept changing the same rows.
   */
  async delete(where?: string, options: ChangeRowsOptions = {}): Promise<ChangeRowsResult> {
    return deleteFrom(this.host, { table: this.delta, name: this.name }, where, options)
  }

  /**
   * Sets columns of the rows for which a SQL condition is true; of all rows without one. Each value is a SQL expression, which
   * sees the row as it was; a field of a struct is named with dots.
   *
   * @throws {DeltaError} `SQL_INVALID`, `SCHEMA_MISMATCH`, `VALUE_NULL`, `TABLE_APPEND_ONLY`, `COMMIT_CONFLICT` when others kept
   * changing the same rows.
   */
  async update(
    set: Readonly<Record<string, string>>,
    where?: string,
    options: ChangeRowsOptions = {},
  ): Promise<ChangeRowsResult> {
    const clauses = Object.entries(set).map(([column, value]) => ({ column: column.split('.'), value }))
    return updateIn(this.host, { table: this.delta, name: this.name }, clauses, where, options)
  }

  /**
   * Makes the table what it was at an earlier version, in a commit of its own: nothing of its history is lost.
   *
   * @throws {DeltaError} `ARGUMENT_INVALID` without a version or a time; `VERSION_NOT_FOUND`; `DATA_FILE_MISSING` when files
   * of that version were vacuumed; `COMMIT_CONFLICT` when somebody else committed meanwhile; `TABLE_APPEND_ONLY`.
   */
  async restore(asOf: AsOf, options: RestoreOptions = {}): Promise<RestoreResult> {
    const startedAtMs = this.delta.deps.clock.now()
    const result = await restore(this.delta, givenSelector(asOf), { signal: options.signal })
    return { ...result, elapsedMs: this.delta.deps.clock.now() - startedAtMs }
  }

  /**
   * Takes back what some commits added: their rows that are still there go, wherever they have moved since, in one commit, once
   * it is proven that those are the rows that were written. Of a version that is an undo itself, its rows come back.
   *
   * @throws {DeltaError} `ROWS_NOT_TRACKED` for a table, or versions of it, without `delta.enableRowTracking`;
   * `VERSION_NOT_FOUND` when the log no longer holds them; `PROOF_FAILED`, after which nothing has changed; `SQL_INVALID`,
   * `TABLE_APPEND_ONLY`, `COMMIT_CONFLICT` when others kept changing the same rows.
   */
  async undo(options: UndoOptions): Promise<UndoResult> {
    return undoIn(this.host, { table: this.delta, name: this.name }, options)
  }

  /** Writes the newest version's state beside the log. Writers do so by themselves every `delta.checkpointInterval` versions. */
  async checkpoint(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<CheckpointResult> {
    const startedAtMs = this.delta.deps.clock.now()
    const { version, size, sizeInBytes } = await checkpoint(this.delta, { signal: options.signal })
    return { version, actions: size, bytes: sizeInBytes, elapsedMs: this.delta.deps.clock.now() - startedAtMs }
  }

  /** Holds the newest version to what its log and its files promise, and reports what does not hold. */
  async fsck(options: FsckOptions = {}): Promise<FsckResult> {
    return checkTable(this.host, this.delta, options)
  }

  /**
   * Brings rows of a source into the table: updates and deletes those that match, inserts those that do not.
   *
   * @throws {DeltaError} `SQL_INVALID`, `SCHEMA_MISMATCH`, `MERGE_AMBIGUOUS` when several rows of the source change one row,
   * `VALUE_NULL`, `COMMIT_CONFLICT` when others kept changing the same rows.
   */
  async merge(options: MergeOptions): Promise<MergeRowsResult> {
    return mergeByOptions(this.host, { table: this.delta, name: this.name }, options)
  }

  /** Begins a transaction on the newest version: stage actions, then commit; a conflict is a value. */
  async transaction(): Promise<Transaction> {
    return this.delta.transaction()
  }

  /** Waits for what was taken in, and for checkpoints on their way. */
  async close(): Promise<void> {
    await this.input.close()
    await this.delta.close()
    await this.host.tableClosed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal The table as sources see it, which keep their places in it. */
  sink(options: Pick<IngestOptions, 'onError' | 'create' | 'schema'>): RowSink {
    return this.input.sink(options)
  }
}
