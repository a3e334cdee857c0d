import { DeltaError, isDeltaError } from '../base/errors.js'
import { Serial } from '../base/serial.js'
import type { Connection } from '../engine/database.js'
import type { AddFile } from '../protocol/actions.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { stageFiles } from '../table/stage.js'
import { type BatchId, findFirstResult } from './batches.js'
import type { SpooledBody } from './body.js'
import { writeDirectly } from './direct.js'
import type { InputFormat } from './formats.js'
import { openInput } from './input.js'
import { EVERY_LINE, type MergedBody, mergeBodies, type OwnedRows, type Part, stageParts } from './parts.js'
import type { RejectedLine } from './staging.js'

/** Rows of one request, taken in whole. */
export interface IngestRequest {
  readonly body: SpooledBody
  readonly format: InputFormat
  readonly onError: 'fail' | 'reject'
  readonly batch: BatchId | undefined
}

export interface IngestResult {
  /** The rows are durable, and visible from this version on. */
  readonly version: number
  readonly rows: number
  readonly rejected: number
  /** True when the batch had been there before: nothing was written. */
  readonly replayed: boolean
  /** The first 100. */
  readonly rejects: readonly RejectedLine[]
}

export interface GroupCommitOptions {
  /** How long requests are gathered, in milliseconds. */
  readonly lingerMs: number
  /** Keeps lines that were not taken, durably, before their request is answered. */
  readonly keepRejects: (rejects: readonly RejectedLine[], batch: BatchId | undefined) => Promise<void>
}

interface Waiting {
  readonly request: IngestRequest
  resolve(result: IngestResult): void
  reject(error: unknown): void
}

/** A request of a group, with what became of its lines. */
interface Accepted {
  readonly waiting: Waiting
  readonly rows: number
  readonly rejects: readonly RejectedLine[]
}

interface Prepared {
  readonly snapshot: Snapshot
  readonly accepted: readonly Accepted[]
  readonly adds: readonly AddFile[]
}

const GROUP_BYTES_MAX = 64 * 1024 * 1024
const GROUP_REQUESTS_MAX = 4096
/** Groups that are read at one time. */
const LANES = 2
/** Less than this is not worth a second lane. */
const LANE_BYTES_MIN = 512 * 1024
export const REJECTS_SHOWN = 100

/**
 * Many small requests, one Parquet file and one commit: each request is answered when its own rows are durable and
 * visible, and fails alone when its own lines are broken. While one group commits the next is being read.
 */
export class GroupCommit {
  private readonly table: DeltaTable
  private readonly options: GroupCommitOptions
  private waiting: Waiting[] = []
  private gathering = false
  /** Groups that are being read. */
  private reading = 0
  private readonly committing = new Serial()
  private readonly inFlight = new Map<string, Promise<IngestResult>>()
  private readonly running = new Set<Promise<void>>()
  private readonly rejectsKept = new WeakSet<Waiting>()
  private closed = false

  constructor(table: DeltaTable, options: GroupCommitOptions) {
    this.table = table
    this.options = options
  }

  /**
   * @throws {DeltaError} `ROWS_INVALID` with `lines` (the first 100) and `rejected`; `SCHEMA_MISMATCH`; `VALUE_NULL` for a
   * partition column that takes no NULL; `SEQUENCE_OUT_OF_ORDER`; `CLOSED`; whatever a commit throws.
   */
  async ingest(request: IngestRequest): Promise<IngestResult> {
    if (this.closed) throw new DeltaError('CLOSED', 'the table is closed')
    const { batch } = request
    if (!batch) return this.enqueue(request)
    const key = JSON.stringify([batch.appId, batch.version])
    const first = this.inFlight.get(key)
    if (first) return { ...(await first), replayed: true }
    const result = this.enqueue(request)
    this.inFlight.set(key, result)
    try {
      return await result
    } finally {
      this.inFlight.delete(key)
    }
  }

  /** Waits for everything that was taken, and takes nothing more. */
  async close(): Promise<void> {
    this.closed = true
    while (this.waiting.length > 0 || this.running.size > 0) await Promise.all([...this.running, this.table.deps.clock.sleep(1)])
  }

  private enqueue(request: IngestRequest): Promise<IngestResult> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ request, resolve, reject })
      this.gather()
    })
  }

  private gather(): void {
    if (this.gathering || this.waiting.length === 0 || this.reading >= LANES) return
    this.gathering = true
    const work: Promise<void> = this.table.deps.clock
      .sleep(this.options.lingerMs)
      .catch((error: unknown) =>
        this.table.deps.events({ type: 'degraded', table: this.table.uri, what: 'gather requests', error }),
      )
      .then(() => {
        this.gathering = false
        this.runGroup(this.takeGroup())
        this.gather()
      })
      .finally(() => this.running.delete(work))
    this.running.add(work)
  }

  /** Reads a group beside others, and commits it after those that were taken before it: a producer's batches keep their order. */
  private runGroup(group: readonly Waiting[]): void {
    if (group.length === 0) return
    this.reading++
    const prepared = this.attempt(group, () => this.prepare(group)).finally(() => {
      this.reading--
      this.gather()
    })
    const work: Promise<void> = this.committing
      .run(async () => {
        const ready = await prepared
        if (ready) await this.attempt(group, () => this.commit(ready))
      })
      .finally(() => this.running.delete(work))
    this.running.add(work)
  }

  /** The next requests: all that fit, or their share when there is work for other lanes too. */
  private takeGroup(): readonly Waiting[] {
    const waitingBytes = this.waiting.reduce((sum, { request }) => sum + request.body.sizeBytes, 0)
    const share = waitingBytes > LANE_BYTES_MIN ? waitingBytes / (LANES - this.reading) : waitingBytes
    const bytesMax = Math.min(GROUP_BYTES_MAX, share)
    let bytes = 0
    let count = 0
    for (const { request } of this.waiting) {
      bytes += request.body.sizeBytes
      if (count > 0 && (bytes > bytesMax || count >= GROUP_REQUESTS_MAX)) break
      count++
    }
    return this.waiting.splice(0, count)
  }

  private async attempt<T>(group: readonly Waiting[], work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      for (const waiting of group) waiting.reject(error)
      return undefined
    }
  }

  private async prepare(group: readonly Waiting[]): Promise<Prepared> {
    const fresh = await this.withoutReplays(group)
    const { snapshot } = await this.table.transaction(await this.table.knownSnapshot())
    const engine = this.table.deps.engineFor(fresh.reduce((sum, { request }) => sum + request.body.sizeBytes, 0))
    return engine.use((connection) => this.read(connection, snapshot, fresh))
  }

  private async read(connection: Connection, snapshot: Snapshot, fresh: readonly Waiting[]): Promise<Prepared> {
    const files: string[] = []
    try {
      const bodies = fresh.map((waiting) => ({ owner: waiting, body: waiting.request.body, format: waiting.request.format }))
      const parts: Part<Waiting>[] = []
      for (const merged of mergeBodies(bodies)) parts.push(await this.spooled(merged, files))
      const direct = await this.readDirectly(connection, snapshot, parts)
      if (direct) return direct
      const staged = await stageParts(connection, this.table.deps.spool, parts, snapshot.schema.fields)
      try {
        for (const { owner, error } of staged.failed) owner.reject(error)
        const taken: OwnedRows<Waiting>[] = []
        for (const owned of staged.owned) {
          if (owned.rejects.length > 0 && owned.owner.request.onError === 'fail') {
            owned.leaveOut()
            owned.owner.reject(rowsInvalid(owned.rejects))
          } else taken.push(owned)
        }
        return { snapshot, ...(await this.write(connection, snapshot, taken, staged.select())) }
      } finally {
        await staged.drop()
      }
    } finally {
      for (const file of files) await this.table.deps.spool.remove(file)
    }
  }

  /** The common case: all bodies are one file of lines, and every line is a row. */
  private async readDirectly(
    connection: Connection,
    snapshot: Snapshot,
    parts: readonly Part<Waiting>[],
  ): Promise<Prepared | undefined> {
    const [part] = parts
    const lines = part?.owners.at(-1)?.lines.endExclusive
    if (!part || parts.length > 1 || part.format !== 'ndjson' || lines === undefined || lines === EVERY_LINE.endExclusive)
      return undefined
    const input = await openInput(connection, this.table.deps.spool, part.format, part.path)
    const written = await writeDirectly(this.table.deps, connection, input, lines - 1, snapshot)
    if (!written) return undefined
    const accepted = part.owners.map(({ owner, lines: own }) => ({
      waiting: owner,
      rows: own.endExclusive - own.start,
      rejects: [],
    }))
    return { snapshot, accepted, adds: written.adds }
  }

  /** Puts a body into a file, unless it is in one; the bodies that are merged in it can be read one by one too. */
  private async spooled(merged: MergedBody<Waiting>, files: string[]): Promise<Part<Waiting>> {
    const { spool } = this.table.deps
    const { format, owners } = merged
    const fileOf = async (chunks: readonly Uint8Array[]) => {
      const path = spool.file('body')
      files.push(path)
      await spool.write(path, chunks)
      return path
    }
    const apart = async () => {
      const parts: Part<Waiting>[] = []
      for (const { owner, chunks } of owners)
        parts.push({ path: await fileOf(chunks), format, owners: [{ owner, lines: EVERY_LINE }] })
      return parts
    }
    return { path: merged.path ?? (await fileOf(owners.flatMap(({ chunks }) => chunks))), format, owners, apart }
  }

  /** Writes the rows of all; when the table refuses them, those of each, so that one request's rows fail it alone. */
  private async write(connection: Connection, snapshot: Snapshot, taken: readonly OwnedRows<Waiting>[], all: string | undefined) {
    const accepted = taken.map(({ owner, rows, rejects }) => ({ waiting: owner, rows, rejects }))
    if (all === undefined) return { accepted, adds: [] }
    try {
      return { accepted, adds: (await stageFiles(this.table.deps, connection, all, snapshot)).adds }
    } catch (error) {
      if (taken.length === 1 || !isDeltaError(error, 'invalid')) throw error
    }
    const kept: Accepted[] = []
    const adds: AddFile[] = []
    for (const [index, owned] of taken.entries()) {
      try {
        if (owned.rows > 0) adds.push(...(await stageFiles(this.table.deps, connection, owned.select(), snapshot)).adds)
        kept.push(...accepted.slice(index, index + 1))
      } catch (error) {
        if (!isDeltaError(error, 'invalid')) throw error
        owned.owner.reject(error)
      }
    }
    return { accepted: kept, adds }
  }

  private async commit(prepared: Prepared): Promise<void> {
    const { accepted } = prepared
    const waiting = accepted.map((one) => one.waiting)
    const fresh = await this.withoutReplays(waiting)
    const still = await this.withRejectsKept(accepted.filter((one) => fresh.includes(one.waiting)))
    // Rows share files, so when a batch turns out to be in the table already the others are read again without it.
    if (still.length < accepted.length) return this.again(still)
    const rows = accepted.reduce((sum, one) => sum + one.rows, 0)
    const batched = accepted.some(({ waiting }) => waiting.request.batch)
    let version = prepared.snapshot.version
    if (prepared.adds.length > 0 || batched) {
      const transaction = (await this.table.transaction(prepared.snapshot)).add(prepared.adds)
      for (const one of accepted) {
        const { batch } = one.waiting.request
        if (batch) transaction.setTransaction({ ...batch, rows: one.rows, rejected: one.rejects.length })
      }
      const outcome = await transaction.describe(writeOperation(prepared, rows)).commit()
      if (outcome.kind === 'conflict') {
        if (outcome.conflict.reason === 'sameProducer') return this.again(still)
        throw new DeltaError(
          'COMMIT_CONFLICT',
          'the table changed while rows came in',
          { reason: outcome.conflict.reason },
          { hint: 'send the rows again' },
        )
      }
      version = outcome.version
    }
    for (const one of accepted)
      one.waiting.resolve({
        version,
        rows: one.rows,
        rejected: one.rejects.length,
        replayed: false,
        rejects: one.rejects.slice(0, REJECTS_SHOWN),
      })
  }

  /** Reads a group anew. */
  private async again(group: readonly Waiting[]): Promise<void> {
    if (group.length > 0) await this.commit(await this.prepare(group))
  }

  /** Keeps each request's rejected lines, once; a request whose lines cannot be kept fails alone. */
  private async withRejectsKept(accepted: readonly Accepted[]): Promise<readonly Waiting[]> {
    const still: Waiting[] = []
    for (const { waiting, rejects } of accepted) {
      try {
        if (rejects.length > 0 && !this.rejectsKept.has(waiting)) await this.options.keepRejects(rejects, waiting.request.batch)
        this.rejectsKept.add(waiting)
        still.push(waiting)
      } catch (error) {
        waiting.reject(error)
      }
    }
    return still
  }

  /** Answers batches that are in the table already, and gives the others back. */
  private async withoutReplays(group: readonly Waiting[]): Promise<readonly Waiting[]> {
    const fresh: Waiting[] = []
    for (const waiting of group) {
      const { batch } = waiting.request
      try {
        const first = batch && (await findFirstResult(this.table, batch))
        if (first)
          waiting.resolve({ version: first.committedAt, rows: first.rows, rejected: first.rejected, replayed: true, rejects: [] })
        else fresh.push(waiting)
      } catch (error) {
        waiting.reject(error)
      }
    }
    return fresh
  }
}

export function rowsInvalid(rejects: readonly RejectedLine[]): DeltaError {
  const [first] = rejects
  return new DeltaError(
    'ROWS_INVALID',
    `line ${first?.line}: ${first?.reason}`,
    { rejected: rejects.length, lines: rejects.slice(0, REJECTS_SHOWN) },
    { hint: 'mend the lines and send all of them again: nothing was taken; or choose to reject broken lines' },
  )
}

function writeOperation(prepared: Prepared, rows: number) {
  return {
    name: 'WRITE',
    parameters: { mode: 'Append', partitionBy: JSON.stringify(prepared.snapshot.partitionColumns) },
    metrics: {
      numFiles: prepared.adds.length,
      numOutputRows: rows,
      numOutputBytes: prepared.adds.reduce((sum, file) => sum + file.size, 0),
    },
  }
}
