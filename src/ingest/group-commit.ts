import { DeltaError } from '../base/errors.js'
import { Serial } from '../base/serial.js'
import { identityColumns } from '../protocol/identity.js'
import { type Conflict, conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import { withMarks } from '../table/row-numbers.js'
import { type BatchId, findFirstResult } from './batches.js'
import { GroupPace } from './group-pace.js'
import {
  type Accepted,
  type IngestRequest,
  type IngestResult,
  type Prepared,
  REJECTS_SHOWN,
  readGroup,
  type Waiting,
} from './group-read.js'
import { plainText } from './parts.js'
import type { RegularLines } from './regular-lines.js'
import type { RejectedLine } from './staging.js'

export interface GroupCommitOptions {
  /** How long requests are gathered, in milliseconds. */
  readonly lingerMs: number
  /** Keeps lines that were not taken, durably, before their request is answered. */
  readonly keepRejects: (rejects: readonly RejectedLine[], of: Pick<IngestRequest, 'batch' | 'source'>) => Promise<void>
  /** Called for each group that is begun. */
  readonly onGroup?: (() => void) | undefined
}

/** How often a group is read anew because the table has changed meanwhile. */
const REREADS_MAX = 10
const REREAD: ReadonlySet<Conflict['reason']> = new Set(['metadataChanged', 'protocolChanged'])
const GROUP_BYTES_MAX = 64 * 1024 * 1024
const GROUP_REQUESTS_MAX = 4096
/** Groups that are read at one time. */
const LANES = 2
/** Less than this is not worth a second lane: each group costs a statement and a commit of its own. */
const LANE_BYTES_MIN = 2 * 1024 * 1024

/**
 * Many small requests, one Parquet file and one commit: each request is answered when its own rows are durable and
 * visible, and fails alone when its own lines are broken.
 *
 * Requests that find nothing going on linger for others. From then on the groups set the pace: while one commits the next is
 * read, and what comes meanwhile waits for that to end, so that a slow store makes groups larger instead of more of them.
 */
export class GroupCommit {
  private readonly table: DeltaTable
  private readonly options: GroupCommitOptions
  private waiting: Waiting[] = []
  private waitingBytes = 0
  /** Ends the wait for more requests. */
  private gathering: AbortController | undefined
  private readonly pace = new GroupPace()
  /** Groups that are being read. */
  private reading = 0
  /** Groups that were begun, and are not committed. */
  private begun = 0
  private begunBytes = 0
  /** How the lines of the last group were written. */
  private lines: RegularLines | undefined
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
  ingest(request: IngestRequest): Promise<IngestResult> {
    if (this.closed) return Promise.reject(new DeltaError('CLOSED', 'the table is closed'))
    return request.batch ? this.ingestOnce(request, request.batch) : this.enqueue(request)
  }

  private async ingestOnce(request: IngestRequest, batch: BatchId): Promise<IngestResult> {
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
      const text = plainText(request.body, request.format, this.lines)
      this.waiting.push({ request, text, resolve, reject })
      this.waitingBytes += request.body.sizeBytes
      this.beginGroups()
    })
  }

  /** Waits for more requests, no longer than the linger. */
  private linger(): void {
    if (this.gathering) return
    const gathering = new AbortController()
    this.gathering = gathering
    const { clock, events } = this.table.deps
    const work: Promise<void> = clock
      .sleep(this.options.lingerMs, gathering.signal)
      .catch((error: unknown) => {
        if (!gathering.signal.aborted) events({ type: 'degraded', table: this.table.uri, what: 'gather requests', error })
      })
      .then(() => {
        if (this.gathering !== gathering) return
        this.gathering = undefined
        this.beginGroups(true)
      })
      .finally(() => this.running.delete(work))
    this.running.add(work)
  }

  /** @param lingered whether those that wait have waited long enough. */
  private beginGroups(lingered = false): void {
    for (let isDue = lingered; this.waiting.length > 0; isDue = false) {
      const lanes = this.waitingBytes < LANE_BYTES_MIN ? 1 : LANES
      if (this.reading >= lanes || this.begun > lanes) return
      if (!isDue && !this.pace.isEnough(this.waitingBytes)) break
      this.gathering?.abort()
      this.gathering = undefined
      this.runGroup(this.takeGroup())
    }
    if (this.waiting.length > 0) this.linger()
  }

  /** Reads a group beside others, and commits it after those that were taken before it: a producer's batches keep their order. */
  private runGroup(group: readonly Waiting[]): void {
    const bytes = group.reduce((sum, { request }) => sum + request.body.sizeBytes, 0)
    this.reading++
    this.begun++
    this.begunBytes += bytes
    this.options.onGroup?.()
    let isReading = true
    const read = () => {
      if (isReading) this.reading--
      isReading = false
      this.beginGroups()
    }
    const before = this.committing.run(async () => undefined)
    const prepared = this.attempt(group, () => this.prepare(group, before, read)).finally(read)
    const work: Promise<void> = this.committing
      .run(async () => {
        const ready = await prepared
        if (ready) await this.attempt(group, () => this.commit(ready))
      })
      .finally(() => {
        this.begun--
        this.begunBytes -= bytes
        this.running.delete(work)
        this.beginGroups()
      })
    this.running.add(work)
  }

  /** The next requests: all that fit, or their share when another lane is free too. */
  private takeGroup(): readonly Waiting[] {
    const bytesMax = Math.min(GROUP_BYTES_MAX, this.pace.begin(this.waitingBytes, this.begunBytes))
    let bytes = 0
    let count = 0
    for (const { request } of this.waiting) {
      if (count > 0 && (bytes + request.body.sizeBytes > bytesMax || count >= GROUP_REQUESTS_MAX)) break
      bytes += request.body.sizeBytes
      count++
    }
    this.waitingBytes -= bytes
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

  /**
   * @param before settles when the groups before this one are committed.
   * @param onRead is called when the engine has done its work.
   */
  private async prepare(group: readonly Waiting[], before?: Promise<void>, onRead?: () => void): Promise<Prepared> {
    const fresh = await this.withoutReplays(group)
    let { snapshot } = await this.table.transaction(await this.table.knownSnapshot())
    if (identityColumns(snapshot.schema).length > 0) {
      // Numbers go on from the mark that the last commit left.
      await before
      snapshot = await this.table.knownSnapshot()
    }
    const engine = this.table.deps.engineFor(fresh.reduce((sum, { request }) => sum + request.body.sizeBytes, 0))
    const options = { lines: this.lines, onRead }
    const prepared = await engine.use((connection) => readGroup(this.table.deps, connection, snapshot, fresh, options))
    this.lines = prepared.lines
    return prepared
  }

  private async commit(prepared: Prepared, rereads = 0): Promise<void> {
    const { accepted } = prepared
    const waiting = accepted.map((one) => one.waiting)
    const fresh = new Set(await this.withoutGaps(await this.withoutReplays(waiting)))
    const still = await this.withRejectsKept(accepted.filter((one) => fresh.has(one.waiting)))
    // Rows share files, so when a batch turns out to be in the table already the others are read again without it.
    if (still.length < accepted.length) return this.again(still, rereads)
    const rows = accepted.reduce((sum, one) => sum + one.rows, 0)
    const batched = accepted.some(({ waiting }) => waiting.request.batch)
    let version = prepared.snapshot.version
    if (prepared.adds.length > 0 || batched) {
      const transaction = (await this.table.transaction(prepared.snapshot)).add(prepared.adds).after(prepared.stored)
      for (const one of accepted) {
        const { batch } = one.waiting.request
        if (batch) transaction.setTransaction({ ...batch, rows: one.rows, rejected: one.rejects.length })
      }
      const { identityMarks } = prepared
      const isNumbered = identityMarks !== undefined && identityMarks.size > 0
      if (isNumbered) transaction.setMetadata(withMarks(prepared.snapshot.metadata, identityMarks))
      const outcome = await transaction.describe(writeOperation(prepared, rows)).commit()
      if (outcome.kind === 'conflict') {
        // Rows share files with those of others, and follow from nothing but the table's design: they are read for the new one.
        const { reason } = outcome.conflict
        const isSame = (await this.table.knownSnapshot()).metadata.id === prepared.snapshot.metadata.id
        const mayReadAgain = REREAD.has(reason) && isSame && (isNumbered || rereads < REREADS_MAX)
        if (reason === 'sameProducer' || mayReadAgain) return this.again(still, rereads + 1)
        throw conflictError(this.table.uri, outcome.conflict)
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
  private async again(group: readonly Waiting[], rereads: number): Promise<void> {
    if (group.length > 0) await this.commit(await this.prepare(group), rereads)
  }

  /** Keeps each request's rejected lines, once; a request whose lines cannot be kept fails alone. */
  private async withRejectsKept(accepted: readonly Accepted[]): Promise<readonly Waiting[]> {
    const still: Waiting[] = []
    for (const { waiting, rejects } of accepted) {
      try {
        if (rejects.length > 0 && !this.rejectsKept.has(waiting)) await this.options.keepRejects(rejects, waiting.request)
        this.rejectsKept.add(waiting)
        still.push(waiting)
      } catch (error) {
        waiting.reject(error)
      }
    }
    return still
  }

  /** Refuses batches that leave out one before them where that was asked for. All batches before these are committed. */
  private async withoutGaps(group: readonly Waiting[]): Promise<readonly Waiting[]> {
    const log = await this.table.known()
    const came = new Map<string, number>()
    return group.filter((waiting) => {
      const { batch } = waiting.request
      if (!batch) return true
      const { appId, version, follows } = batch
      const last = came.get(appId) ?? log.transaction(appId)?.version
      const leavesGap = follows === 'closely' && (last === undefined ? version > 1 : version > last + 1)
      if (leavesGap) waiting.reject(gapBefore(batch, last))
      else came.set(appId, Math.max(last ?? 0, version))
      return !leavesGap
    })
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

function gapBefore({ appId, version }: BatchId, last: number | undefined): DeltaError {
  return new DeltaError(
    'SEQUENCE_OUT_OF_ORDER',
    'a batch before this one has not come in',
    { producer: appId, sequence: version, last: last ?? null },
    { hint: 'send the batches that are missing first' },
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
