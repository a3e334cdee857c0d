import { type Cluster, createErrorFromCode, fetchRequest } from './cluster.js'
import { type FetchedPartition, readFetchReply } from './fetch-reply.js'
import { readRecordSet } from './record-batch.js'
import type { FetchedRecords } from './source.js'

const PARTITION_BYTES_MAX = 8 * 1024 * 1024
const REPLY_BYTES_MAX = 32 * 1024 * 1024
const WAIT_MS = 100
const READ_COMMITTED = 1
const OFFSET_OUT_OF_RANGE = 1
/**
 * Somebody else leads the partition, nobody does yet, or its disk fails. Also an unknown topic: of one that was just made,
 * not every broker knows.
 */
const PASSING: ReadonlySet<number> = new Set([3, 5, 6, 7, 9, 56, 74, 75, 76])
const TRIES_MAX = 20
const RETRY_MS = 100

export interface FetcherEvents {
  records(fetched: FetchedRecords): void
  outOfRange(partition: number, offset: number): void
  /** Nothing more will come. */
  failed(error: unknown): void
  /** Whether more may be fetched now; when it may again, `resume` is called. */
  hasRoom(): boolean
}

/** Fetches partitions of one topic from those who lead them, one request to each at a time, and gives on the bytes as they came. */
export class Fetcher {
  private readonly cluster: Cluster
  private readonly topic: string
  private readonly events: FetcherEvents
  /** The offset that each partition goes on from; the one that was served last comes last. */
  private readonly wanted = new Map<number, number>()
  /** Leaders that have a request of ours. */
  private readonly asked = new Set<number>()
  private failures = 0
  private refreshing: Promise<void> | undefined
  private closed = false

  constructor(cluster: Cluster, topic: string, events: FetcherEvents) {
    this.cluster = cluster
    this.topic = topic
    this.events = events
  }

  /** Reads these partitions from these offsets on, wherever it was in them. */
  start(offsets: ReadonlyMap<number, number>): void {
    for (const [partition, offset] of offsets) this.wanted.set(partition, offset)
    this.resume()
  }

  /** Forgets every partition: what is on its way is thrown away. */
  stop(): void {
    this.wanted.clear()
  }

  close(): void {
    this.closed = true
    this.stop()
  }

  resume(): void {
    if (this.closed || this.refreshing || this.wanted.size === 0 || !this.events.hasRoom()) return
    const leaders = new Map(this.cluster.findTopicPartitionMetadata(this.topic).map((one) => [one.partitionId, one.leader]))
    const byLeader = new Map<number, number[]>()
    for (const partition of this.wanted.keys()) {
      const leader = leaders.get(partition) ?? -1
      if (leader < 0) {
        this.lookAgain(new Error(`nobody leads partition ${partition}`))
        return
      }
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), partition])
    }
    for (const [leader, partitions] of byLeader) {
      if (this.asked.has(leader)) continue
      this.asked.add(leader)
      void this.ask(leader, new Map(partitions.map((partition) => [partition, this.wanted.get(partition) ?? 0])))
    }
  }

  private async ask(leader: number, offsets: ReadonlyMap<number, number>): Promise<void> {
    try {
      const broker = await this.cluster.findBroker({ nodeId: leader })
      const partitions = [...offsets].map(([partition, offset]) => ({
        partition,
        fetchOffset: String(offset),
        maxBytes: PARTITION_BYTES_MAX,
      }))
      const fetched = await broker.connectionPool.send({
        request: fetchRequest({
          replicaId: -1,
          maxWaitTime: WAIT_MS,
          minBytes: 1,
          maxBytes: REPLY_BYTES_MAX,
          isolationLevel: READ_COMMITTED,
          topics: [{ topic: this.topic, partitions }],
        }),
        response: { decode: async (reply) => readFetchReply(reply), parse: async (decoded) => decoded },
      })
      this.asked.delete(leader)
      const passing = this.takeAll(fetched, offsets)
      if (passing === undefined) this.failures = 0
      else this.lookAgain(createErrorFromCode(passing))
    } catch (error) {
      this.asked.delete(leader)
      this.lookAgain(error)
    }
    this.resume()
  }

  /** @returns an error that may pass. */
  private takeAll(fetched: readonly FetchedPartition[], offsets: ReadonlyMap<number, number>): number | undefined {
    let passing: number | undefined
    for (const one of fetched) {
      const from = offsets.get(one.partition)
      // It was to go on elsewhere in the meantime.
      if (this.closed || from === undefined || this.wanted.get(one.partition) !== from) continue
      if (PASSING.has(one.errorCode)) passing = one.errorCode
      else {
        try {
          this.take(one, from)
        } catch (error) {
          this.fail(error)
        }
      }
    }
    return passing
  }

  private take({ partition, errorCode, high, aborted, records }: FetchedPartition, from: number): void {
    if (errorCode === OFFSET_OUT_OF_RANGE) {
      this.wanted.delete(partition)
      this.events.outOfRange(partition, from)
      return
    }
    if (errorCode !== 0) throw createErrorFromCode(errorCode)
    const { batches, next } = readRecordSet(records, aborted)
    if (next === undefined || next <= from) return
    this.wanted.delete(partition)
    this.wanted.set(partition, next)
    this.events.records({ partition, from, batches, next, high })
  }

  /** Asks anew who leads what, unless that was of no use too often. */
  private lookAgain(error: unknown): void {
    if (this.closed || this.refreshing) return
    if (++this.failures > TRIES_MAX) {
      this.fail(error)
      return
    }
    this.refreshing = (async () => {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      if (!this.closed) await this.cluster.refreshMetadata()
    })().then(
      () => {
        this.refreshing = undefined
        this.resume()
      },
      (failure: unknown) => {
        this.refreshing = undefined
        this.fail(failure)
      },
    )
  }

  private fail(error: unknown): void {
    if (this.closed) return
    this.close()
    this.events.failed(error)
  }
}
