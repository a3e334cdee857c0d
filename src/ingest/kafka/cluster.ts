import { createRequire } from 'node:module'
import kafkajs from 'kafkajs'
import type { KafkaAddress } from './source.js'

export interface FetchRequest {
  readonly replicaId: number
  readonly maxWaitTime: number
  readonly minBytes: number
  readonly maxBytes: number
  readonly isolationLevel: number
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string; readonly maxBytes: number }[]
  }[]
}

/** A request, and what becomes of the bytes of its reply. */
export interface RawRequest<T> {
  readonly request: object
  readonly response: { decode(reply: Buffer): Promise<T>; parse(decoded: T): Promise<T> }
}

/**
 * The client's connections to all brokers, with encryption, logins and the leaders of partitions, on which raw requests go. It is
 * not part of what kafkajs documents, which ends at a message an object.
 */
export interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  addTargetTopic(topic: string): Promise<void>
  refreshMetadata(): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[]
  findBroker(of: { readonly nodeId: number }): Promise<{ readonly connectionPool: { send<T>(raw: RawRequest<T>): Promise<T> } }>
}

const require = createRequire(import.meta.url)
const ClusterOf = require('kafkajs/src/cluster') as new (options: object) => Cluster
const socketFactory = require('kafkajs/src/network/socketFactory') as () => unknown
const { createLogger } = require('kafkajs/src/loggers') as { createLogger(options: object): unknown }
const { createErrorFromCode } = require('kafkajs/src/protocol/error') as { createErrorFromCode(code: number): Error }
/** Version 4: the oldest that brokers of today answer, and the first with record batches and transactions. */
const fetchRequest = require('kafkajs/src/protocol/requests/fetch/v4/request') as (request: FetchRequest) => object

export { createErrorFromCode, fetchRequest }

/** What every client of an address is told. */
export function clientOptions({ brokers, tls = false, sasl }: KafkaAddress) {
  return {
    clientId: 'deltaic',
    brokers: [...brokers],
    ssl: tls,
    ...(sasl ? { sasl: sasl as never } : {}),
    connectionTimeout: 5000,
    // Whoever streams tries again himself.
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 3 },
  }
}

export function clusterOf(address: KafkaAddress): Cluster {
  return new ClusterOf({
    ...clientOptions(address),
    logger: createLogger({ level: kafkajs.logLevel.NOTHING, logCreator: () => () => undefined }),
    socketFactory: socketFactory(),
    enforceRequestTimeout: true,
    metadataMaxAge: 300_000,
    allowAutoTopicCreation: false,
    maxInFlightRequests: null,
  })
}
