import { isArrowRecordBatch, isArrowTable } from 'apache-arrow'
import { DeltaError } from '../base/errors.js'
import type { ArrowInput } from '../engine/arrow-in.js'
import type { Connection } from '../engine/database.js'
import type { BatchId } from '../ingest/batches.js'
import { type SpooledBody, smallBody, spoolBody } from '../ingest/body.js'
import { type Compression, type InputFormat, inputKind } from '../ingest/formats.js'
import { GroupCommit } from '../ingest/group-commit.js'
import type { IngestResult } from '../ingest/group-read.js'
import { type Input, inferFields, openArrow, openInput } from '../ingest/input.js'
import { loadInput, stageInput } from '../ingest/load.js'
import type { RowSink } from '../ingest/row-sink.js'
import type { StructField } from '../protocol/schema.js'
import type { DeltaTable } from '../table/delta-table.js'
import { evolveForInput, isMisfit } from './evolve-input.js'
import { insertQuery } from './insert.js'
import type { AppendInput, AppendOptions, AppendResult, OverwriteOptions, OverwriteResult } from './options.js'
import { overwriteQuery, overwriteRows, type RowsReplaced } from './overwrite.js'
import { type RejectsSource, rejectsNdjson, rejectsTableName } from './rejects.js'
import type { RoomOwner } from './spool-room.js'
import type { TableHost } from './table-host.js'

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

/** How rows come into a table from outside; its methods are those of `Table`. */
export class TableInput {
  private readonly name: string
  private readonly delta: DeltaTable
  private readonly host: TableHost
  private readonly group: GroupCommit

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
    // The log is asked while the input comes in.
    let newest = options.create ? undefined : this.delta.snapshot({}, { signal: options.signal })
    newest?.catch(() => undefined)
    try {
      const opened = await engine.use((connection) => this.openAppendInput(connection, input, options, spooled))
      try {
        if (options.create && !(await this.delta.exists()))
          await this.host.create(this.name, await engine.use((connection) => inferFields(connection, opened)))
        const load = (onError: 'fail' | 'reject') => {
          const snapshot = newest
          newest = undefined
          return loadInput(this.delta, opened, {
            snapshot,
            onError,
            batchRows: options.batchRows,
            batch: options.txn,
            keepRejects: (rejects) => this.keepRejects(rejects, typeof input === 'string' ? input : 'append'),
            signal: options.signal,
            onProgress: (rows, total) => options.onProgress?.({ phase: 'append', done: rows, total, unit: 'rows' }),
          })
        }
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

  async ingest(body: AsyncIterable<Uint8Array> | Uint8Array, options: IngestOptions = {}): Promise<IngestResult> {
    const { format = 'ndjson', compression = 'none', bytesMax: sizeBytesMax = BODY_BYTES_MAX, signal } = options
    const room = this.host.spoolRoom.enter(ownersOf(this.delta.uri, options.txn))
    let spooled: SpooledBody | undefined
    try {
      spooled = smallBody(body, { compression, sizeBytesMax })
      if (spooled) {
        room.take(spooled.sizeBytes)
        signal?.throwIfAborted()
      } else {
        const onBytes = (count: number) => room.take(count)
        spooled = await spoolBody(body, this.delta.deps.spool, { compression, sizeBytesMax, signal, onBytes })
      }
      if (options.create && !(await this.delta.exists())) await this.createFor(spooled, format)
      const result = await this.takeWhole(spooled, format, options)
      this.host.ingested.count(result, spooled.sizeBytes)
      return result
    } finally {
      room.leave()
      if (spooled?.kind === 'file') await this.delta.deps.spool.remove(spooled.path)
    }
  }

  /** The table as sources see it, which keep their places in it. */
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

  /** Waits for what was taken in. */
  async close(): Promise<void> {
    await this.group.close()
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
    const path = body.kind === 'bytes' && kind.format === 'ndjson' ? await spool.lend(body.chunks) : await spool.take(body)
    spooled.push(path)
    return openInput(connection, spool, kind.format, path, body.kind === 'bytes' ? body.chunks : undefined)
  }

  private takeWhole(body: SpooledBody, format: InputFormat, options: IngestOptions): Promise<IngestResult> {
    const take = (onError: 'fail' | 'reject') => this.group.ingest({ body, format, onError, batch: options.txn })
    if (options.schema !== 'evolve') return take(options.onError ?? 'fail')
    return this.evolving(options, take, () =>
      this.withInput(body, format, (connection, input) =>
        evolveForInput(this.delta, this.host.engines.source, connection, input, options.signal),
      ),
    )
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
