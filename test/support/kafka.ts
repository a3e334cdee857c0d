import { execFile, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import kafkajs, { type Admin, type Producer } from 'kafkajs'
import { afterAll } from 'vitest'
import { sharedFolder } from './peers.js'

/** A running broker, `host:port`, that tests may fill. Each test takes a topic of its own. */
export const kafkaBroker: string | undefined = process.env['DELTAIC_TEST_KAFKA'] || undefined
export const KAFKA_REASON = 'DELTAIC_TEST_KAFKA is not set'

const run = promisify(execFile)
const peersFolder = process.env['DELTAIC_PEERS'] ?? ''
const python = join(peersFolder, 'venv/bin/python')

/** Starts or kills the broker itself. */
export async function kafkaServer(action: 'start' | 'kill'): Promise<void> {
  const port = kafkaBroker?.split(':').at(-1) ?? ''
  const script = join(process.env['DELTAIC_PEER_SCRIPTS'] || join(sharedFolder, 'peers'), 'kafka-server.sh')
  await run('bash', [script, peersFolder, port, action])
}

/** Whether there is a producer that is not ours. */
export const hasProducer = kafkaBroker !== undefined && spawnSync(python, ['-c', 'import confluent_kafka']).status === 0
export const PRODUCER_REASON = 'DELTAIC_TEST_KAFKA is not set, or DELTAIC_PEERS holds no confluent-kafka'

const PRODUCE = `
import json, sys
from confluent_kafka import Producer
broker, codec, topic, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
producer = Producer({'bootstrap.servers': broker, 'compression.type': codec, 'enable.idempotence': True, 'linger.ms': 50})
for n in range(1, count + 1):
    producer.produce(topic, json.dumps({'n': n, 'pad': 'x' * 100}).encode())
sys.exit(producer.flush(20))
`

/** Sends that many rows, \`n\` from 1 on and a \`pad\`, packed by a codec, through librdkafka. */
export async function produceWith(codec: string, topic: string, count: number): Promise<void> {
  await run(python, ['-c', PRODUCE, kafkaBroker ?? '', codec, topic, String(count)])
}

/** A client for the tests of a file; it is disconnected after them. */
export function useKafka() {
  const client = new kafkajs.Kafka({
    clientId: 'test',
    brokers: [kafkaBroker ?? ''],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { retries: 20, maxRetryTime: 1000 },
  })
  let connected: Promise<{ admin: Admin; producer: Producer }> | undefined
  const connect = () => {
    connected ??= (async () => {
      const [admin, producer] = [client.admin(), client.producer()]
      await admin.connect()
      await producer.connect()
      return { admin, producer }
    })()
    return connected
  }
  afterAll(async () => {
    if (!connected) return
    const { admin, producer } = await connected
    await producer.disconnect()
    await admin.disconnect()
  })
  return {
    client,
    /** Makes a topic; answers its name. */
    async topic(numPartitions = 1): Promise<string> {
      const topic = `t-${randomUUID()}`
      const { admin } = await connect()
      await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: true })
      return topic
    },
    async admin(): Promise<Admin> {
      return (await connect()).admin
    },
    /** Sends values to a partition; each may be a whole message instead. */
    async send(
      topic: string,
      values: readonly (string | Buffer | null | Message)[],
      partition = 0,
      compression = 0,
    ): Promise<void> {
      const { producer } = await connect()
      const messages = values.map((value) =>
        typeof value === 'object' && value !== null && 'message' in value
          ? { ...value.message, partition }
          : { value: value as string | null, partition },
      )
      for (let at = 0; at < messages.length; at += 5000)
        await producer.send({ topic, messages: messages.slice(at, at + 5000), compression })
    },
  }
}

interface Message {
  readonly message: {
    readonly value: string | Buffer | null
    readonly key?: string | Buffer
    readonly timestamp?: string
    readonly headers?: Record<string, string>
  }
}
