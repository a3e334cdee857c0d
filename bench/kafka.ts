import { join } from 'node:path'
import kafkajs from 'kafkajs'
import { generatePageViews } from '../data/page-views.js'
import { openLakehouse } from '../src/index.js'
import { KafkaBroker } from './case-study/kafka-broker.js'
import type { BenchContext } from './context.js'
import { inTurn, report, seconds } from './report.js'

const TITLE = 'Kafka to durable commits of a table, one partition'
const PEER = 'kafkajs consuming to nowhere'
const BATCH_ROWS = 5000

/** A topic into a table, against the client alone, which counts messages and lets them go. */
export async function benchKafka({ folder, rows, rounds }: BenchContext): Promise<void> {
  const broker = new KafkaBroker()
  const why = broker.lacks()
  if (why !== undefined) {
    console.log(`\n${TITLE}\n  skipped, ${why}`)
    return
  }
  await broker.start()
  const lake = await openLakehouse(join(folder, 'kafka'), { locations: false })
  try {
    const client = new kafkajs.Kafka({ brokers: [broker.address], logLevel: kafkajs.logLevel.NOTHING })
    const topic = `bench-${process.pid}-${Math.round(performance.now())}`
    await fill(client, topic, rows)
    let round = 0

    const ours = async () => {
      const name = `views_${round++}`
      const took = await seconds(() => lake.stream(`kafka://${broker.address}/${topic}`, name, { create: true, once: true }))
      const detail = await lake.table(name).detail()
      if (detail.rows !== rows) throw new Error(`${detail.rows} rows of ${rows} are there`)
      return rows / took
    }
    const peer = async () => rows / (await seconds(() => countAll(client, topic, `${topic}-${round}`, rows)))
    const [left, right] = await inTurn(rounds, ours, peer)
    report({
      title: `${TITLE}, ${rows.toLocaleString('en-US')} records (${broker.version()})`,
      unit: 'rows/s',
      ours: { name: 'deltaic stream', runs: left },
      peer: { name: PEER, runs: right },
      aim: 0.5,
    })
  } finally {
    await lake.close()
    await broker.close()
  }
}

async function fill(client: kafkajs.Kafka, topic: string, rows: number): Promise<void> {
  const admin = client.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true })
  await admin.disconnect()
  const producer = client.producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner })
  await producer.connect()
  for (const { ndjson } of generatePageViews({ seed: 1, rows, batchRows: BATCH_ROWS })) {
    const lines = Buffer.from(ndjson).toString().split('\n').slice(0, -1)
    await producer.send({ topic, messages: lines.map((value) => ({ value })) })
  }
  await producer.disconnect()
}

async function countAll(client: kafkajs.Kafka, topic: string, groupId: string, rows: number): Promise<void> {
  const consumer = client.consumer({ groupId, maxBytesPerPartition: 8 * 2 ** 20, maxBytes: 32 * 2 ** 20, maxWaitTimeInMs: 100 })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let counted = 0
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        autoCommit: false,
        eachBatch: async ({ batch }) => {
          counted += batch.messages.length
          if (counted >= rows) resolve()
        },
      })
      .catch(reject)
  })
  await consumer.disconnect()
}
