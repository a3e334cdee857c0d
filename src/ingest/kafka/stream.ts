import type { Clock } from '../../base/clock.js'
import { DeltaError } from '../../base/errors.js'
import { isPassing, type RowSink, type SourceBatch, type SourcePlace } from '../row-sink.js'
import { type RecordColumns, recordFields, recordLines } from './record-lines.js'
import type { FetchedRecords, PartitionOffsets, RecordSource } from './source.js'

export interface StreamSettings {
  readonly topic: string
  /** Parts of a record that are columns too. */
  readonly columns: RecordColumns
  /** Where to begin in a topic of which the table holds nothing. */
  readonly from: 'earliest' | 'latest'
  /** Where to go on when a partition does not hold the offset that comes next. */
  readonly onOutOfRange: 'fail' | 'earliest' | 'latest'
  /** A commit follows so many lines. */
  readonly batchRows: number
  /** Lines that come in slowly are gathered this long. */
  readonly batchMs: number
  /** End when all that is there has been taken. */
  readonly once: boolean
  /** Ends it: what is being taken still is. */
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((status: StreamStatus) => void) | undefined
  /** Told of what is waited out. */
  readonly onRetry?: ((error: unknown) => void) | undefined
}

export interface PartitionStatus {
  readonly partition: number
  /** The offset that comes next: rows of all before it are in the table. */
  readonly offset: number
  /** The offset after the partition's last record. */
  readonly high: number
}

export interface StreamStatus {
  /** Since it was begun. */
  readonly rows: number
  readonly rejected: number
  /** Records without a value. */
  readonly empty: number
  /** The version from which on all of it is visible; absent when nothing was taken. */
  readonly version: number | undefined
  /** Rows a second, of late. */
  readonly rowsPerSecond: number
  /** Those that this worker reads. */
  readonly partitions: readonly PartitionStatus[]
}

const COMMIT_BYTES = 32 * 1024 * 1024
const BACKOFF_MS = [100, 1000, 5000, 15_000] as const
const WAIT_MS = 250
const RATE_MS = 10_000
/** So often in a row nothing came: nothing more is there. */
const QUIET_MAX = 20

/** A partition's place in the table's log. */
export function kafkaAppId(clusterId: string, topic: string, partition: number): string {
  return `${kafkaPrefix(clusterId, topic)}${partition}`
}

export function kafkaPrefix(clusterId: string, topic: string): string {
  return `kafka:${clusterId}/${topic}/`
}

/** What has been read of a partition and is not in the table. */
interface Gathered {
  readonly from: number
  next: number
  readonly chunks: Uint8Array[]
  records: number
  bytes: number
}

/**
 * Takes the records of a topic into a table until it is told to stop. The next offset of each partition is in the commit of its
 * rows, so whatever is broken off goes on there; of two workers on one partition, one gives way.
 *
 * @param open connects anew.
 * @throws {DeltaError} `OFFSET_OUT_OF_RANGE`, `SOURCE_NOT_FOUND`, `ROWS_INVALID` and `SCHEMA_MISMATCH` naming the partition. Brokers
 * and storage that do not answer and races that are lost are waited out.
 */
export async function streamRecords(
  open: () => Promise<RecordSource>,
  sink: RowSink,
  clock: Clock,
  settings: StreamSettings,
): Promise<StreamStatus> {
  const { signal } = settings
  const worker = new StreamWorker(sink, clock, settings)
  for (let failures = 0; !signal?.aborted; ) {
    let source: RecordSource | undefined
    try {
      source = await open()
      await worker.run(source, () => {
        failures = 0
      })
      return worker.status
    } catch (error) {
      if (signal?.aborted) break
      if (!isPassing(error)) throw error
      settings.onRetry?.(error)
      await clock.sleep(BACKOFF_MS[Math.min(failures++, BACKOFF_MS.length - 1)] ?? 0, signal).catch(() => undefined)
    } finally {
      await source?.close()
    }
  }
  return worker.status
}

class StreamWorker {
  status: StreamStatus = { rows: 0, rejected: 0, empty: 0, version: undefined, rowsPerSecond: 0, partitions: [] }
  private readonly sink: RowSink
  private readonly clock: Clock
  private readonly settings: StreamSettings
  private places = new Map<number, SourcePlace>()
  /** Up to where each partition has been read. */
  private readonly at = new Map<number, number>()
  private readonly high = new Map<number, number>()
  private gathered = new Map<number, Gathered>()
  private gatheredAtMs = 0
  private took: { readonly atMs: number; readonly rows: number }[] = []

  constructor(sink: RowSink, clock: Clock, settings: StreamSettings) {
    this.sink = sink
    this.clock = clock
    this.settings = settings
  }

  /** @param onCommit told of each. */
  async run(source: RecordSource, onCommit: () => void): Promise<void> {
    const { signal, once, batchRows, batchMs } = this.settings
    const take = async () => {
      try {
        await this.take(source.clusterId)
        onCommit()
      } catch (error) {
        if (!isPassing(error)) throw error
        this.settings.onRetry?.(error)
        await this.clock.sleep(BACKOFF_MS[0], signal).catch(() => undefined)
        await this.begin(source, [...this.places.keys()])
      }
    }
    let quiet = 0
    for (let isAssigned = false; !signal?.aborted; ) {
      const event = await source.next(this.gathered.size > 0 ? Math.min(batchMs, WAIT_MS) : WAIT_MS)
      if (event.kind === 'assigned') {
        isAssigned = true
        await this.begin(source, event.partitions)
      } else if (event.kind === 'outOfRange') await this.outOfRange(source, event.partition, event.offset, event)
      else if (event.kind === 'records') {
        const rest = this.gather(event.fetched)
        if (rest) {
          await take()
          this.gather(rest)
        }
      }
      const all = [...this.gathered.values()]
      const records = all.reduce((sum, one) => sum + one.records, 0)
      const bytes = all.reduce((sum, one) => sum + one.bytes, 0)
      quiet = event.kind === 'nothing' ? quiet + 1 : 0
      // What transactions leave behind the last record never comes.
      const isAtEnd = once && isAssigned && quiet > 0 && (this.isAtEnd() || quiet >= QUIET_MAX)
      const isDue = records >= batchRows || bytes >= COMMIT_BYTES || this.clock.now() - this.gatheredAtMs >= batchMs
      if (all.length > 0 && (isDue || isAtEnd)) await take()
      if (isAtEnd && this.gathered.size === 0) return
    }
    // What was read is thrown away: it is read again from where the table ends.
    this.gathered.clear()
  }

  /** Whether all is gathered that was there at the last look. */
  private isAtEnd(): boolean {
    return [...this.places.keys()].every((partition) => (this.at.get(partition) ?? 0) >= (this.high.get(partition) ?? 0))
  }

  /** Goes on where the table says, in these partitions alone. */
  private async begin(source: RecordSource, partitions: readonly number[]): Promise<void> {
    this.gathered = new Map()
    const { topic, from } = this.settings
    const prefix = kafkaPrefix(source.clusterId, topic)
    const known = await this.sink.places(prefix)
    const offsets = await source.offsets()
    const isNew = ![...known.values()].some(({ version }) => version >= 0)
    this.places = new Map()
    const starts = new Map<number, number>()
    const latest: SourceBatch[] = []
    for (const partition of partitions) {
      const { low, high } = offsets.get(partition) ?? { low: 0, high: 0 }
      const place = known.get(`${prefix}${partition}`) ?? { version: -1 }
      this.places.set(partition, place)
      this.high.set(partition, high)
      // What comes to a partition before its first commit must not be passed over after a crash.
      if (place.version < 0 && isNew && from === 'latest')
        latest.push(this.batch(source.clusterId, partition, -1, { from: high, next: high, chunks: [], records: 0, bytes: 0 }))
      starts.set(partition, place.version >= 0 ? place.version : low)
    }
    if (latest.length > 0) {
      await Promise.all(latest.map((batch) => this.sink.take(batch)))
      return this.begin(source, partitions)
    }
    for (const [partition, offset] of starts) {
      const range = offsets.get(partition)
      if (range && (offset < range.low || offset > range.high)) starts.set(partition, this.elsewhere(partition, offset, range))
    }
    for (const [partition, offset] of starts) this.at.set(partition, offset)
    if (starts.size > 0) source.start(starts)
    this.tell()
  }

  private async outOfRange(source: RecordSource, partition: number, offset: number, range: PartitionOffsets): Promise<void> {
    this.elsewhere(partition, offset, range)
    await this.begin(source, [...this.places.keys()])
  }

  /** @throws {DeltaError} `OFFSET_OUT_OF_RANGE`. */
  private elsewhere(partition: number, offset: number, { low, high }: PartitionOffsets): number {
    const { topic, onOutOfRange } = this.settings
    if (onOutOfRange !== 'fail') return onOutOfRange === 'earliest' ? low : high
    throw new DeltaError(
      'OFFSET_OUT_OF_RANGE',
      'the topic does not hold the offset that comes next',
      { topic, partition, offset, low, high },
      { hint: 'say where to go on: --on-out-of-range earliest or latest; rows between are not in the table' },
    )
  }

  /** Keeps records for the next commit, as lines. Answers those that belong to a later one. */
  private gather(fetched: FetchedRecords): FetchedRecords | undefined {
    const { partition, from, batches, high } = fetched
    const place = this.places.get(partition)
    // Only what follows on what is gathered: after a commit that failed, it is read again from the table's place.
    if (!place || this.at.get(partition) !== from) return undefined
    this.high.set(partition, high)
    const { rejectsVersion = -1 } = place
    // A batch was broken off here once, with its rejected lines kept.
    const isCut = rejectsVersion > from && rejectsVersion < fetched.next
    const next = isCut ? rejectsVersion : fetched.next
    const { chunks, sizeBytes, records } = recordLines(batches, { from, until: next }, partition, this.settings.columns)
    if (this.gathered.size === 0) this.gatheredAtMs = this.clock.now()
    const gathered = this.gathered.get(partition) ?? { from, next, chunks: [], records: 0, bytes: 0 }
    this.gathered.set(partition, gathered)
    gathered.chunks.push(...chunks)
    gathered.next = next
    gathered.records += records
    gathered.bytes += sizeBytes
    this.at.set(partition, next)
    return isCut ? { ...fetched, from: next } : undefined
  }

  /** Commits what was gathered: all partitions at once. */
  private async take(clusterId: string): Promise<void> {
    const gathered = [...this.gathered]
    this.gathered = new Map()
    const batches = gathered.map(([partition, one]) =>
      this.batch(clusterId, partition, this.places.get(partition)?.version ?? -1, one),
    )
    const outcomes = await Promise.allSettled(batches.map((batch) => this.sink.take(batch)))
    let { rows, rejected, empty, version } = this.status
    const failures: unknown[] = []
    for (const [at, outcome] of outcomes.entries()) {
      const [partition, { records }] = gathered[at] as [number, Gathered]
      if (outcome.status === 'rejected') {
        failures.push(outcome.reason)
        continue
      }
      const { value } = outcome
      this.places.set(partition, { ...this.places.get(partition), version: batches[at]?.version ?? 0 })
      if (value.replayed) continue
      rows += value.rows
      rejected += value.rejected
      empty += records - value.rows - value.rejected
      version = Math.max(value.version, version ?? 0)
    }
    const nowMs = this.clock.now()
    this.took = [...this.took.filter(({ atMs }) => nowMs - atMs < RATE_MS), { atMs: nowMs, rows: rows - this.status.rows }]
    this.status = { ...this.status, rows, rejected, empty, version }
    this.tell()
    if (failures.length > 0) throw failures.find((failure) => !isPassing(failure)) ?? failures[0]
  }

  private batch(clusterId: string, partition: number, after: number, { from, next, chunks, bytes }: Gathered): SourceBatch {
    const { topic, columns } = this.settings
    return {
      appId: kafkaAppId(clusterId, topic, partition),
      after,
      version: next,
      format: 'ndjson',
      body: { kind: 'bytes', chunks, sizeBytes: bytes },
      name: `${topic}/${partition} from offset ${from}`,
      fields: recordFields(columns),
    }
  }

  private tell(): void {
    const nowMs = this.clock.now()
    const recent = this.took.filter(({ atMs }) => nowMs - atMs < RATE_MS)
    const rowsPerSecond = (recent.reduce((sum, { rows }) => sum + rows, 0) * 1000) / RATE_MS
    const partitions = [...this.places].map(([partition, { version }]) => ({
      partition,
      offset: version >= 0 ? version : (this.at.get(partition) ?? 0),
      high: this.high.get(partition) ?? 0,
    }))
    this.status = { ...this.status, rowsPerSecond, partitions }
    this.settings.onProgress?.(this.status)
  }
}
