import kafkajs, { type Admin, type Batch, type Consumer, type EachBatchPayload, type Kafka, type KafkaMessage } from 'kafkajs'
import { DeltaError } from '../../base/errors.js'
import { addCodecs } from './codecs.js'
import type { KafkaRecord } from './record-lines.js'
import type { KafkaAddress, PartitionOffsets, RecordSource, SourceEvent } from './source.js'

/** What is fetched before it is asked for. */
const AHEAD_BYTES_MAX = 64 * 1024 * 1024
const PARTITION_BYTES_MAX = 8 * 1024 * 1024
const FETCH_BYTES_MAX = 32 * 1024 * 1024
const FETCH_WAIT_MS = 100
const SESSION_MS = 10_000
const HEARTBEAT_MS = 1000
/** How soon new partitions are noticed. */
const METADATA_MS = 10_000

export interface KafkaSourceOptions {
  /** Workers of one group share the partitions. */
  readonly group: string
  /** Only these partitions, whoever else reads them. */
  readonly partitions?: readonly number[] | undefined
}

interface Queued {
  readonly event: SourceEvent
  readonly bytes: number
}

/** A topic through kafkajs: its consumer group for who reads what, its fetches, and no offsets of its own. */
export class KafkajsSource implements RecordSource {
  readonly clusterId: string
  private readonly address: KafkaAddress
  private readonly options: KafkaSourceOptions
  private readonly admin: Admin
  private readonly consumer: Consumer
  private readonly queue: Queued[] = []
  private queuedBytes = 0
  private wake: () => void = () => undefined
  private roomFree: (() => void)[] = []
  private failure: unknown
  private closed = false
  /** The offset that each partition goes on from; those that are not in it are paused. */
  private readonly expected = new Map<number, number>()

  private constructor(client: Kafka, admin: Admin, clusterId: string, address: KafkaAddress, options: KafkaSourceOptions) {
    this.clusterId = clusterId
    this.address = address
    this.options = options
    this.admin = admin
    this.consumer = client.consumer({
      groupId: options.group,
      sessionTimeout: SESSION_MS,
      heartbeatInterval: HEARTBEAT_MS,
      metadataMaxAge: METADATA_MS,
      maxBytesPerPartition: PARTITION_BYTES_MAX,
      maxBytes: FETCH_BYTES_MAX,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      readUncommitted: false,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 8 },
    })
  }

  /** @throws {DeltaError} `SOURCE_UNAVAILABLE`; `SOURCE_NOT_FOUND` when there is no such topic. */
  static async open(address: KafkaAddress, options: KafkaSourceOptions): Promise<KafkajsSource> {
    const client = clientOf(address)
    const admin = client.admin()
    try {
      await admin.connect()
      await topicOffsets(admin, address.topic)
      const { clusterId } = await admin.describeCluster()
      const source = new KafkajsSource(client, admin, clusterId, address, options)
      try {
        await source.join()
      } catch (error) {
        await source.close()
        throw error
      }
      return source
    } catch (error) {
      await admin.disconnect().catch(() => undefined)
      throw brokerError(error, address)
    }
  }

  async offsets(): Promise<ReadonlyMap<number, PartitionOffsets>> {
    try {
      return await topicOffsets(this.admin, this.address.topic)
    } catch (error) {
      throw brokerError(error, this.address)
    }
  }

  start(offsets: ReadonlyMap<number, number>): void {
    const { topic } = this.address
    const isStale = ({ event }: Queued) => event.kind === 'records' && offsets.has(event.batch.partition)
    for (const queued of this.queue.filter(isStale)) this.take(queued)
    for (const [partition, offset] of offsets) {
      this.expected.set(partition, offset)
      this.consumer.seek({ topic, partition, offset: String(offset) })
    }
    this.consumer.resume([{ topic, partitions: [...offsets.keys()] }])
  }

  async next(waitMs: number): Promise<SourceEvent> {
    if (this.queue.length === 0 && !this.failure) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.wake = resolve
        timer = setTimeout(resolve, waitMs)
      })
      clearTimeout(timer)
    }
    const [queued] = this.queue
    if (queued) return this.take(queued)
    if (this.failure) throw brokerError(this.failure, this.address)
    return { kind: 'nothing' }
  }

  async close(): Promise<void> {
    this.closed = true
    this.expected.clear()
    for (const free of this.roomFree.splice(0)) free()
    await this.consumer.disconnect().catch(() => undefined)
    await this.admin.disconnect().catch(() => undefined)
  }

  private take(queued: Queued): SourceEvent {
    this.queue.splice(this.queue.indexOf(queued), 1)
    this.queuedBytes -= queued.bytes
    for (const free of this.roomFree.splice(0)) free()
    return queued.event
  }

  private put(event: SourceEvent, bytes = 0): void {
    this.queue.push({ event, bytes })
    this.queuedBytes += bytes
    this.wake()
  }

  private async join(): Promise<void> {
    const { topic } = this.address
    const { GROUP_JOIN, CRASH } = this.consumer.events
    this.consumer.on(GROUP_JOIN, ({ payload }) => {
      const assigned = payload.memberAssignment[topic] ?? []
      // Before anything is fetched: where to begin is not known yet.
      if (assigned.length > 0) this.consumer.pause([{ topic, partitions: assigned }])
      this.expected.clear()
      for (const queued of this.queue.filter(({ event }) => event.kind !== 'nothing')) this.take(queued)
      const { partitions } = this.options
      this.put({ kind: 'assigned', partitions: assigned.filter((partition) => partitions?.includes(partition) ?? true) })
    })
    this.consumer.on(CRASH, ({ payload }) => {
      // What it can mend, the client does itself.
      if (!payload.restart) this.failure = payload.error
      this.wake()
    })
    await this.consumer.connect()
    await this.consumer.subscribe({ topic, fromBeginning: true })
    await this.consumer.run({
      autoCommit: false,
      partitionsConsumedConcurrently: 16,
      eachBatch: (payload) => this.onBatch(payload),
    })
  }

  private async onBatch({ batch, heartbeat, isStale }: EachBatchPayload): Promise<void> {
    const { partition } = batch
    while (this.queuedBytes >= AHEAD_BYTES_MAX && !this.closed) {
      await Promise.race([new Promise<void>((resolve) => this.roomFree.push(resolve)), after(HEARTBEAT_MS)])
      await heartbeat()
    }
    const expected = this.expected.get(partition)
    // What was fetched before a seek is not what comes next.
    if (expected === undefined || isStale()) return
    const fetched = Number((batch as Batch & { readonly fetchedOffset: string }).fetchedOffset)
    const high = Number(batch.highWatermark)
    // The client begins at another offset by itself where the one that was wanted is not there.
    if (high < expected) return this.isOut(partition, expected)
    if (fetched > expected) {
      const low = (await topicOffsets(this.admin, this.address.topic)).get(partition)?.low ?? 0
      if (low > expected) return this.isOut(partition, expected)
    }
    if (isStale() || this.expected.get(partition) !== expected) return
    const records = batch.messages.map(recordOf).filter(({ offset }) => offset >= expected)
    const next = Number(batch.lastOffset()) + 1
    if (fetched < expected && next <= expected) return
    this.expected.set(partition, next)
    const bytes = records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
    this.put({ kind: 'records', batch: { partition, from: expected, records, next, high } }, bytes)
  }

  private async isOut(partition: number, offset: number): Promise<void> {
    this.expected.delete(partition)
    this.consumer.pause([{ topic: this.address.topic, partitions: [partition] }])
    const { low, high } = (await topicOffsets(this.admin, this.address.topic)).get(partition) ?? { low: 0, high: 0 }
    this.put({ kind: 'outOfRange', partition, offset, low, high })
  }
}

/** The offsets of every partition of a topic, without reading it. @throws {DeltaError} as `KafkajsSource.open`. */
export async function offsetsOf(address: KafkaAddress): Promise<{
  readonly clusterId: string
  readonly offsets: ReadonlyMap<number, PartitionOffsets>
}> {
  const admin = clientOf(address).admin()
  try {
    await admin.connect()
    return { clusterId: (await admin.describeCluster()).clusterId, offsets: await topicOffsets(admin, address.topic) }
  } catch (error) {
    throw brokerError(error, address)
  } finally {
    await admin.disconnect().catch(() => undefined)
  }
}

async function topicOffsets(admin: Admin, topic: string): Promise<ReadonlyMap<number, PartitionOffsets>> {
  // Asking for the offsets of a topic that is not there would make it.
  if (!(await admin.listTopics()).includes(topic)) throw new DeltaError('SOURCE_NOT_FOUND', 'there is no such topic', { topic })
  const found = await admin.fetchTopicOffsets(topic)
  return new Map(found.map(({ partition, low, high }) => [partition, { low: Number(low), high: Number(high) }]))
}

function clientOf({ brokers, tls = false, sasl }: KafkaAddress): Kafka {
  addCodecs()
  return new kafkajs.Kafka({
    clientId: 'deltaic',
    brokers: [...brokers],
    ssl: tls,
    ...(sasl ? { sasl: sasl as never } : {}),
    connectionTimeout: 5000,
    // Whoever streams tries again himself.
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 3 },
    logLevel: kafkajs.logLevel.NOTHING,
  })
}

function recordOf({ offset, timestamp, key, value, headers }: KafkaMessage): KafkaRecord {
  const named = Object.entries(headers ?? {}).flatMap(([name, given]) => {
    const last = Array.isArray(given) ? given.at(-1) : given
    return last === undefined ? [] : [[name, String(last)] as const]
  })
  return { offset: Number(offset), timestampMs: Number(timestamp), key, value, headers: named }
}

function brokerError(error: unknown, { brokers }: KafkaAddress): unknown {
  if (error instanceof DeltaError) return error
  const { message } = error as Error
  return new DeltaError(
    'SOURCE_UNAVAILABLE',
    `the brokers do not answer: ${message}`,
    { brokers: brokers.join(',') },
    { cause: error },
  )
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
