import type { PackedRecords } from './record-batch.js'

/** Where a topic is, and how its brokers are reached. */
export interface KafkaAddress {
  readonly brokers: readonly string[]
  readonly topic: string
  /** @defaultValue false */
  readonly tls?: boolean | undefined
  readonly sasl?: KafkaLogin | undefined
}

export interface KafkaLogin {
  readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
  readonly username: string
  readonly password: string
}

/** Records of one partition, in order. Offsets have gaps: what a transaction leaves, and what compaction took. */
export interface FetchedRecords {
  readonly partition: number
  /** The offset that was asked for: records before it do not count. */
  readonly from: number
  readonly batches: readonly PackedRecords[]
  /** The offset to go on from, at least `from`. */
  readonly next: number
  /** The offset after the partition's last record. */
  readonly high: number
}

/** What a source has to tell next. */
export type SourceEvent =
  /** The partitions that are this worker's from now on, instead of those before. Nothing comes of them before `start`. */
  | { readonly kind: 'assigned'; readonly partitions: readonly number[] }
  | { readonly kind: 'records'; readonly fetched: FetchedRecords }
  /** A partition does not hold the offset that is wanted (any more, or yet). */
  | {
      readonly kind: 'outOfRange'
      readonly partition: number
      readonly offset: number
      readonly low: number
      readonly high: number
    }
  /** Nothing came in time. */
  | { readonly kind: 'nothing' }

export interface PartitionOffsets {
  /** The first offset that is kept. */
  readonly low: number
  /** The offset after the last record. */
  readonly high: number
}

/** The port to a topic: the next records from an offset on. Errors of the brokers are `SOURCE_UNAVAILABLE`. */
export interface RecordSource {
  readonly clusterId: string
  /** The offsets of every partition. */
  offsets(): Promise<ReadonlyMap<number, PartitionOffsets>>
  /** Reads these partitions from these offsets on, whatever it read of them before. */
  start(offsets: ReadonlyMap<number, number>): void
  next(waitMs: number): Promise<SourceEvent>
  close(): Promise<void>
}
