import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs, { type Admin, type Consumer, type Kafka, type Producer } from 'kafkajs'
import type { ViewPost } from '../../data/case-stream.js'
import { type Contestant, hourOf, type Pollution, upTo } from './contestant.js'
import { KafkaBroker } from './kafka-broker.js'
import { folderBytes } from './service.js'

/** What the processor has counted, and up to where; written to disk together now and then. */
interface State {
  next: number
  readonly last: Map<string, number>
  readonly counts: Map<string, Map<number, number>>
}

const SNAPSHOT_MS = 2000

/**
 * Kappa: posts go to a topic that is kept for ever, a processor counts them in its memory and answers from there. After a crash it
 * reads its last snapshot, and the topic from there on; for new counters it reads the topic from the start.
 */
export class Kappa implements Contestant {
  readonly name = 'kappa'
  readonly title = 'Kappa'
  readonly processes = ['kafka broker', 'stream processor']
  readonly file = 'kappa.ts'
  private readonly broker = new KafkaBroker()
  private readonly topic = `case-study-${randomUUID()}`
  private folder = ''
  private kafka: Kafka | undefined
  private admin: Admin | undefined
  private producer: Producer | undefined
  private processor: Processor | undefined

  lacks(): string | undefined {
    return this.broker.lacks()
  }

  version(): string {
    return this.broker.version()
  }

  async open(folder: string): Promise<void> {
    this.folder = folder
    await this.broker.start()
    await this.connect()
    await this.admin?.createTopics({
      topics: [{ topic: this.topic, configEntries: [{ name: 'retention.ms', value: '-1' }] }],
      waitForLeaders: true,
    })
    this.processor = await Processor.start(this.kafkaClient, this.topic, restore(this.snapshot), this.snapshot)
  }

  async post(post: ViewPost): Promise<void> {
    if (!this.producer) throw new Error('not connected')
    const headers = { sequence: String(post.sequence) }
    await this.producer.send({
      topic: this.topic,
      acks: -1,
      messages: [{ key: post.producer, value: Buffer.from(post.ndjson), headers }],
    })
  }

  async ask(url: string): Promise<number> {
    return sum(this.running.state.counts.get(url)?.values() ?? [])
  }

  async askAsOf(url: string, atMs: number): Promise<number> {
    return upTo(this.running.state.counts.get(url) ?? [], atMs)
  }

  async counts(): Promise<ReadonlyMap<string, number>> {
    return new Map([...this.running.state.counts].map(([url, hours]) => [url, sum(hours.values())]))
  }

  async crash(): Promise<void> {
    const dead = [this.processor?.close(), this.admin?.disconnect(), this.producer?.disconnect()]
    this.processor = undefined
    this.producer = undefined
    await this.broker.kill()
    await this.broker.start()
    void Promise.allSettled(dead)
    await this.connect()
    this.processor = await Processor.start(this.kafkaClient, this.topic, restore(this.snapshot), this.snapshot)
  }

  async settle(): Promise<void> {
    await this.caughtUp(this.running)
  }

  /** The topic is read from its start by a processor that leaves the copies out; then it takes the place of the old one. */
  async repair({ producer, sequences }: Pollution): Promise<void> {
    const copies = new Set(sequences)
    const state = restore('')
    const isCopy = (from: string, sequence: number) => from === producer && copies.has(sequence)
    const anew = await Processor.start(this.kafkaClient, this.topic, state, `${this.snapshot}.anew`, isCopy)
    await this.caughtUp(anew)
    const old = this.processor
    this.processor = anew
    await old?.close()
  }

  pids(): readonly number[] {
    return this.broker.pid === undefined ? [] : [this.broker.pid]
  }

  storageBytes(): number | undefined {
    const broker = this.broker.storageBytes()
    return broker === undefined ? undefined : broker + folderBytes(this.folder)
  }

  async close(): Promise<void> {
    await this.processor?.close()
    await this.producer?.disconnect()
    await this.admin?.deleteTopics({ topics: [this.topic] }).catch(() => {})
    await this.admin?.disconnect()
    await this.broker.close()
  }

  private async connect(): Promise<void> {
    const retry = { initialRetryTime: 50, maxRetryTime: 500, retries: 30 }
    this.kafka = new kafkajs.Kafka({
      clientId: 'case-study',
      brokers: [this.broker.address],
      logLevel: kafkajs.logLevel.NOTHING,
      retry,
    })
    this.admin = this.kafka.admin()
    const producer = this.kafka.producer({ allowAutoTopicCreation: false })
    await this.admin.connect()
    await producer.connect()
    this.producer = producer
  }

  private async caughtUp(processor: Processor): Promise<void> {
    const [partition] = (await this.admin?.fetchTopicOffsets(this.topic)) ?? []
    while (processor.state.next < Number(partition?.high ?? 0)) await sleep(5)
  }

  private get snapshot(): string {
    return join(this.folder, 'state.json')
  }

  private get kafkaClient(): Kafka {
    if (!this.kafka) throw new Error('not open')
    return this.kafka
  }

  private get running(): Processor {
    if (!this.processor) throw new Error('the processor is down')
    return this.processor
  }
}

class Processor {
  readonly state: State
  private readonly consumer: Consumer
  private readonly file: string
  private writtenAt = performance.now()
  private isClosed = false

  private constructor(consumer: Consumer, state: State, file: string) {
    this.consumer = consumer
    this.state = state
    this.file = file
  }

  static async start(
    kafka: Kafka,
    topic: string,
    state: State,
    file: string,
    isLeftOut: (producer: string, sequence: number) => boolean = () => false,
  ): Promise<Processor> {
    const consumer = kafka.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 20, maxBytesPerPartition: 8 * 2 ** 20 })
    const processor = new Processor(consumer, state, file)
    const joined = new Promise<void>((resolve) => {
      consumer.on(consumer.events.GROUP_JOIN, () => {
        consumer.seek({ topic, partition: 0, offset: String(state.next) })
        resolve()
      })
    })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch: { messages } }) => {
        for (const { offset, key, value, headers } of messages) {
          if (processor.isClosed) return
          if (Number(offset) < state.next) continue
          state.next = Number(offset) + 1
          const [producer, sequence] = [String(key), Number(headers?.['sequence'])]
          if (sequence <= (state.last.get(producer) ?? -1)) continue
          state.last.set(producer, sequence)
          if (!isLeftOut(producer, sequence)) count(state.counts, String(value))
        }
        if (performance.now() - processor.writtenAt > SNAPSHOT_MS) await processor.write()
      },
    })
    await joined
    return processor
  }

  async close(): Promise<void> {
    this.isClosed = true
    await this.consumer.disconnect()
  }

  private async write(): Promise<void> {
    this.writtenAt = performance.now()
    const { next, last, counts } = this.state
    const text = JSON.stringify({ next, last: [...last], counts: [...counts].map(([url, hours]) => [url, [...hours]]) })
    await writeFile(`${this.file}.new`, text, { flush: true })
    await rename(`${this.file}.new`, this.file)
  }
}

function restore(file: string): State {
  if (!existsSync(file)) return { next: 0, last: new Map(), counts: new Map() }
  const { next, last, counts } = JSON.parse(readFileSync(file, 'utf8')) as {
    next: number
    last: [string, number][]
    counts: [string, [number, number][]][]
  }
  return { next, last: new Map(last), counts: new Map(counts.map(([url, hours]) => [url, new Map(hours)])) }
}

function count(counts: State['counts'], ndjson: string): void {
  for (const line of ndjson.trimEnd().split('\n')) {
    const view = JSON.parse(line) as { viewed_at: string; url: string }
    const hour = hourOf(Date.parse(view.viewed_at))
    const hours = counts.get(view.url) ?? new Map<number, number>()
    counts.set(view.url, hours.set(hour, (hours.get(hour) ?? 0) + 1))
  }
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}
