import { isArrowRecordBatch, isArrowTable } from 'apache-arrow'
import { DeltaError } from '../base/errors.js'
import type { ArrowInput } from '../engine/arrow-in.js'
import type { Connection } from '../engine/database.js'
import type { BatchId } from '../ingest/batches.js'
import { type SpooledBody, spoolBody } from '../ingest/body.js'
import { type Compression, type InputFormat, inputKind } from '../ingest/formats.js'
import { GroupCommit } from '../ingest/group-commit.js'
import type { IngestResult } from '../ingest/group-read.js'
import { type Input, inferFields, openArrow, openInput } from '../ingest/input.js'
import { loadInput, stageInput } from '../ingest/load.js'
import type { RowSink } from '../ingest/row-sink.js'
import { compact } from '../ops/optimize.js'
import { restore } from '../ops/restore.js'
import type { StructField } from '../protocol/schema.js'
import { checkpoint } from '../table/checkpoint.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { HistoryEntry } from '../table/history.js'
import type { Transaction } from '../table/transaction.js'
import { deleteFrom, updateIn } from './change-rows.js'
import { type ChangesOptions, changesOf } from './changes.js'
import { tableDetail } from './detail.js'
import { evolveForInput, isMisfit } from './evolve-input.js'
import { type FollowOptions, type FollowResult, followInto } from './follow.js'
import { insertQuery } from './insert.js'
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
import { overwriteQuery, overwriteRows, type RowsReplaced } from './overwrite.js'
import { type RejectsSource, rejectsNdjson, rejectsTableName } from './rejects.js'
import type { QueryResult } from './result.js'
import type { RoomOwner } from './spool-room.js'
import type { TableHost } from './table-host.js'
import { givenSelector, TableSnapshot, versionSelector } from './table-snapshot.js'
import { undoIn } from './undo.js'
import type { UndoOptions, UndoResult } from './undo-options.js'
import { fileCondition } from './where.js'

export interface IngestOptions {
  /** @defaultValue 'ndjson' */
  readonly format?: Extract<InputFormat, 'ndjson' | 'json' | 'csv' | 'arrow' | 'parquet'> | undefined
  readonly compression?: Compression | undefined
  /** What a line that cannot be read does: fail this request, or go to the table `<name>__rejects`. @defaultValue 'fail' */
  readonly onError?: 'fail' | 'reject' | undefined
  /**
   * What fields that the table lacks do: fail their line, or become columns of it, in a commit of their own. The table's types
   * grow too where it has type widening. @defaultValue 'strict'
   */
  readonly schema?: 'strict' | 'evolve' | undefined
  /**
   * Makes the rows come in once: a repeat answers with the first result. With `follows: 'closely'` the batch is only taken
   * after the one before it, `version - 1`, and the producer's first one is 0 or 1.
   */
  readonly txn?: { readonly appId: string; readonly version: number; readonly follows?: 'closely' | undefined } | undefined
  /** Create the table from the data where there is none. @defaultValue false */
  readonly create?: boolean | undefined
  /** Refuse a body that unpacks to more. @defaultValue 256 MiB */
  readonly bytesMax?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const BODY_BYTES_MAX = 256 * 1024 * 1024

/** A Delta table. Opening one asks nothing of the store; its methods reject with `TABLE_NOT_FOUND` when there is none. */
export class Table {
  readonly name: string
  private readonly delta: DeltaTable
  private readonly host: TableHost
  private readonly group: GroupCommit

  /** @internal */
  constructor(name: string, delta: DeltaTable, host: TableHost) {
    this.name = name
    this.delta = delta
    this.host = host
    this.group = new GroupCommit(delta, {
      lingerMs: host.lingerMs,
      keepRejects: (rejects, { batch, source }) =>
        this.keepRejects(rejects, source ?? batch?.appId ?? 'request', batch?.after === undefined ? undefined : batch),
      onGroup: () => void host.ingested.groups++,
    })
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
    const startedAtMs = this.delta.deps.clock.now()
    const done = { elapsedMs: 0, rejectsTable: undefined }
    const elapsed = () => this.delta.deps.clock.now() - startedAtMs
    if (isSql(input)) {
      const inserted = await insertQuery(
        this.host,
        this.delta,
        options.schema === 'evolve' ? { byName: true, evolution: 'merge' } : {},
        { text: input.sql, params: input.params, signal: options.signal },
        options.txn,
      )
      return { ...done, ...inserted, elapsedMs: elapsed() }
    }
    const engine = this.delta.deps.engineFor(0)
    const spooled: string[] = []
    try {
      const opened = await engine.use((connection) => this.openAppendInput(connection, input, options, spooled))
      try {
        if (options.create && !(await this.delta.exists()))
          await this.host.create(this.name, await engine.use((connection) => inferFields(connection, opened)))
        const load = (onError: 'fail' | 'reject') =>
          loadInput(this.delta, opened, {
            onError,
            batchRows: options.batchRows,
            batch: options.txn,
            keepRejects: (rejects) => this.keepRejects(rejects, typeof input === 'string' ? input : 'append'),
            signal: options.signal,
            onProgress: (rows, total) => options.onProgress?.({ phase: 'append', done: rows, total, unit: 'rows' }),
          })
        const evolve = () =>
          engine.use((connection) => evolveForInput(this.delta, this.host.engines.source, connection, opened, options.signal))
        const loaded = await this.evolving(options, load, evolve)
        return {
          ...loaded,
          rejectsTable: loaded.rowsRejected > 0 ? rejectsTableName(this.name) : undefined,
          elapsedMs: elapsed(),
        }
      } finally {
        await opened.release()
      }
    } finally {
      for (const file of spooled) await this.delta.deps.spool.remove(file)
    }
  }

  /**
   * Puts rows in the place of others, in one commit: of all, of those for which a condition is true, or of those in the
   * partitions that the new rows come with.
   *
   * @throws {DeltaError} `ROWS_INVALID` (with `lines`, or with `examples` of rows for which the condition is not true),
   * `TABLE_APPEND_ONLY`, `COMMIT_CONFLICT`, and what `append` throws.
   */
  async overwrite(input: AppendInput, options: OverwriteOptions = {}): Promise<OverwriteResult> {
    const { where, partitions, signal } = options
    const evolution = EVOLUTIONS[options.schema ?? 'strict']
    if (options.schema === 'overwrite' && (where !== undefined || partitions !== undefined))
      throw new DeltaError('ARGUMENT_INVALID', 'a schema is overwritten with all of the rows')
    if (where !== undefined && partitions !== undefined)
      throw new DeltaError('ARGUMENT_INVALID', 'either a condition or the partitions of new rows say what goes, not both')
    const scope: RowsReplaced =
      where !== undefined ? { kind: 'where', where, text: where } : { kind: partitions === undefined ? 'all' : 'partitions' }
    if (isSql(input))
      return overwriteQuery(
        this.host,
        { table: this.delta, name: this.name },
        { evolution, byName: evolution !== undefined },
        scope,
        {
          text: input.sql,
          params: input.params,
          signal,
        },
      )
    const spooled: string[] = []
    try {
      const engine = this.delta.deps.engineFor(0)
      const opened = await engine.use((connection) => this.openAppendInput(connection, input, options, spooled))
      try {
        return await overwriteRows(this.host, { table: this.delta, name: this.name }, scope, signal, (snapshot, rules) =>
          stageInput(this.delta, snapshot, opened, { signal, rules, evolution }),
        )
      } finally {
        await opened.release()
      }
    } finally {
      for (const file of spooled) await this.delta.deps.spool.remove(file)
    }
  }

  /**
   * Takes in one request of many: concurrent calls share one Parquet file and one commit. It resolves when the rows
   * are durable and visible. A broken line fails its own request alone.
   *
   * @throws {DeltaError} `ROWS_INVALID` (with `lines`), `BODY_TOO_LARGE`, `TOO_BUSY` (with `retryAfterMs`), and what `append` throws.
   */
  async ingest(body: AsyncIterable<Uint8Array> | Uint8Array, options: IngestOptions = {}): Promise<IngestResult> {
    const { spool } = this.delta.deps
    const format = options.format ?? 'ndjson'
    const room = this.host.spoolRoom.enter(ownersOf(this.uri, options.txn))
    let spooled: SpooledBody | undefined
    try {
      spooled = await spoolBody(body, spool, {
        compression: options.compression ?? 'none',
        sizeBytesMax: options.bytesMax ?? BODY_BYTES_MAX,
        signal: options.signal,
        onBytes: room.take,
      })
      if (options.create && !(await this.delta.exists())) await this.createFor(spooled, format)
      const whole = spooled
      const take = (onError: 'fail' | 'reject') => this.group.ingest({ body: whole, format, onError, batch: options.txn })
      const result = await this.evolving(options, take, () =>
        this.withInput(whole, format, (connection, input) =>
          evolveForInput(this.delta, this.host.engines.source, connection, input, options.signal),
        ),
      )
      this.host.ingested.count(result, whole.sizeBytes)
      return result
    } finally {
      room.leave()
      if (spooled?.kind === 'file') await spool.remove(spooled.path)
    }
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
    await this.group.close()
    await this.delta.close()
    await this.host.tableClosed()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private async openAppendInput(
    connection: Connection,
    input: Exclude<AppendInput, { readonly sql: string }>,
    options: Pick<AppendOptions, 'format' | 'compression' | 'signal'>,
    spooled: string[],
  ): Promise<Input> {
    const { spool } = this.delta.deps
    if (typeof input !== 'string' && isArrow(input)) return openArrow(connection, spool, input)
    const said =
      typeof input === 'string'
        ? defined(options)
        : { format: 'ndjson' as const, compression: 'none' as const, ...defined(options) }
    const kind = inputKind(typeof input === 'string' ? input : '', said)
    if (typeof input === 'string' && kind.compression === 'none')
      return openInput(connection, spool, kind.format, await this.host.existingFile(input))
    const bytes = typeof input === 'string' ? await this.host.readFile(input) : input
    const body = await spoolBody(bytes, spool, {
      compression: kind.compression,
      sizeBytesMax: Number.POSITIVE_INFINITY,
      signal: options.signal,
    })
    const path = await spool.take(body)
    spooled.push(path)
    return openInput(connection, spool, kind.format, path, body.kind === 'bytes' ? body.chunks : undefined)
  }

  private async createFor(body: SpooledBody, format: InputFormat, known: readonly StructField[] = []): Promise<void> {
    const fields = await this.withInput(body, format, inferFields)
    await this.host.create(
      this.name,
      fields.map((f) => known.find(({ name }) => name === f.name) ?? f),
    )
  }

  /** Has the rows taken; where the table's columns do not fit them and may change, once more with others. */
  private async evolving<T>(
    { schema = 'strict', onError = 'fail' }: Pick<IngestOptions, 'schema' | 'onError'>,
    take: (onError: 'fail' | 'reject') => Promise<T>,
    evolve: () => Promise<void>,
  ): Promise<T> {
    if (schema === 'strict') return take(onError)
    try {
      return await take('fail')
    } catch (error) {
      if (!isMisfit(error)) throw error
      await evolve()
      return take(onError)
    }
  }

  private async withInput<T>(
    body: SpooledBody,
    format: InputFormat,
    work: (connection: Connection, input: Input) => Promise<T>,
  ): Promise<T> {
    const { spool, engineFor } = this.delta.deps
    const path = await spool.take(body)
    try {
      return await engineFor(body.sizeBytes).use(async (connection) => {
        const input = await openInput(connection, spool, format, path)
        try {
          return await work(connection, input)
        } finally {
          await input.release()
        }
      })
    } finally {
      if (body.kind === 'bytes') await spool.remove(path)
    }
  }

  private async keepRejects(rejects: RejectsSource, source: string, batch?: BatchId): Promise<void> {
    const table = await this.host.rejectsTable(this.name)
    const txn = batch && { appId: batch.appId, version: batch.version }
    await table.append(rejectsNdjson(rejects, source, this.delta.deps.clock.now()), { format: 'ndjson', txn })
  }

  /** @internal The table as sources see it, which keep their places in it. */
  sink(options: Pick<IngestOptions, 'onError' | 'create' | 'schema'>): RowSink {
    const { delta, host } = this
    const placesOf = async (table: DeltaTable) => [...(await table.refresh()).transactions()]
    return {
      places: async (...prefixes) => {
        const isAsked = ({ appId }: { readonly appId: string }) => prefixes.some((prefix) => appId.startsWith(prefix))
        if (options.create && !(await delta.exists())) return new Map()
        const rejects =
          options.onError === 'reject' ? await host.find({ schema: '', name: rejectsTableName(this.name) }) : undefined
        const rejectsVersions = new Map(rejects && (await placesOf(rejects)).map(({ appId, version }) => [appId, version]))
        return new Map(
          (await placesOf(delta))
            .filter(isAsked)
            .map(({ appId, version }) => [appId, { version, rejectsVersion: rejectsVersions.get(appId) }]),
        )
      },
      take: async ({ body, format, name, appId, version, after, fields }) => {
        const room = host.spoolRoom.enter([])
        try {
          room.take(body.sizeBytes)
          if (options.create && !(await delta.exists())) await this.createFor(body, format, fields)
          const batch = { appId, version, after }
          const take = (onError: 'fail' | 'reject') => this.group.ingest({ body, format, onError, batch, source: name })
          return await this.evolving(options, take, () =>
            this.withInput(body, format, (connection, input) => evolveForInput(delta, host.engines.source, connection, input)),
          )
        } finally {
          room.leave()
        }
      },
    }
  }
}

const EVOLUTIONS = { strict: undefined, evolve: 'merge', overwrite: 'overwrite' } as const
/** A table may hold half of the room for requests while others hold none, a producer a third. */
function ownersOf(uri: string, txn: IngestOptions['txn']): readonly RoomOwner[] {
  const table = { name: uri, share: 1 }
  return txn ? [table, { name: `${uri} ${txn.appId}`, share: 0.5 }] : [table]
}

function isSql(input: AppendInput): input is Extract<AppendInput, { readonly sql: string }> {
  return typeof input === 'object' && 'sql' in input && typeof input.sql === 'string'
}

function isArrow(
  input: Exclude<AppendInput, string>,
): input is Extract<ArrowInput, object> & Exclude<ArrowInput, Uint8Array | AsyncIterable<Uint8Array>> {
  return isArrowTable(input) || isArrowRecordBatch(input) || (typeof input === 'object' && 'readRecordBatch' in input)
}

function defined(options: Pick<AppendOptions, 'format' | 'compression'>): { format?: InputFormat; compression?: Compression } {
  return {
    ...(options.format ? { format: options.format } : {}),
    ...(options.compression ? { compression: options.compression } : {}),
  }
}
