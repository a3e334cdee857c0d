import kafkajs, { type Admin, type Consumer, type Kafka } from 'kafkajs'
import { DeltaError } from '../../base/errors.js'
import { type Cluster, clientOptions, clusterOf } from './cluster.js'
import { Fetcher } from './fetcher.js'
import type { KafkaAddress, PartitionOffsets, RecordSource, SourceEvent } from './source.js'

/** What is fetched before it is asked for. */
const AHEAD_BYTES_MAX = 64 * 1024 * 1024
const IDLE_WAIT_MS = 100
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

/**
 * A topic through kafkajs: its consumer group for who reads what, its connections, and no offsets of its own. Its consumer fetches
 * nothing, as it makes objects of all that it fetches; `Fetcher` does.
 */
export class KafkajsSource implements RecordSource {
  readonly clusterId: string
  private readonly address: KafkaAddress
  private readonly options: KafkaSourceOptions
  private readonly admin: Admin
  private readonly consumer: Consumer
  private readonly cluster: Cluster
  private readonly fetcher: Fetcher
  private readonly queue: Queued[] = []
  private queuedBytes = 0
  private wake: () => void = () => undefined
  private failure: unknown

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
      maxWaitTimeInMs: IDLE_WAIT_MS,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 8 },
    })
    this.cluster = clusterOf(address)
    this.fetcher = new Fetcher(this.cluster, address.topic, {
      records: (fetched) =>
        this.put(
          { kind: 'records', fetched },
          fetched.batches.reduce((sum, { bytes }) => sum + bytes.length, 0),
        ),
      outOfRange: (partition, offset) => void this.isOut(partition, offset).catch((error: unknown) => this.fail(error)),
      failed: (error) => this.fail(error),
      hasRoom: () => this.queuedBytes < AHEAD_BYTES_MAX,
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
    const isStale = ({ event }: Queued) => event.kind === 'records' && offsets.has(event.fetched.partition)
    for (const queued of this.queue.filter(isStale)) this.take(queued)
    this.fetcher.start(offsets)
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
    this.fetcher.close()
    await this.consumer.disconnect().catch(() => undefined)
    await this.cluster.disconnect().catch(() => undefined)
    await this.admin.disconnect().catch(() => undefined)
  }

  private take(queued: Queued): SourceEvent {
    this.queue.splice(this.queue.indexOf(queued), 1)
    this.queuedBytes -= queued.bytes
    this.fetcher.resume()
    return queued.event
  }

  private fail(error: unknown): void {
    this.failure ??= error
    this.wake()
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
      if (assigned.length > 0) this.consumer.pause([{ topic, partitions: assigned }])
      // Where to begin is not known yet.
      this.fetcher.stop()
      for (const queued of this.queue.filter(({ event }) => event.kind !== 'nothing')) this.take(queued)
      const { partitions } = this.options
      this.put({ kind: 'assigned', partitions: assigned.filter((partition) => partitions?.includes(partition) ?? true) })
    })
    this.consumer.on(CRASH, ({ payload }) => {
      // What it can mend, the client does itself.
      if (!payload.restart) this.fail(payload.error)
    })
    await this.cluster.connect()
    await this.cluster.addTargetTopic(topic)
    await this.consumer.connect()
    await this.consumer.subscribe({ topic, fromBeginning: true })
    await this.consumer.run({ autoCommit: false, eachBatch: async () => undefined })
  }

  private async isOut(partition: number, offset: number): Promise<void> {
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

function clientOf(address: KafkaAddress): Kafka {
  return new kafkajs.Kafka({ ...clientOptions(address), logLevel: kafkajs.logLevel.NOTHING })
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
