import type { Clock } from '../base/clock.js'
import { isDeltaError } from '../base/errors.js'
import { offsetsOf } from '../ingest/kafka/kafkajs-source.js'
import type { PartitionOffsets } from '../ingest/kafka/source.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { StreamDefinition } from './stream-registry.js'
import { kafkaAddress } from './stream-source.js'

export interface StreamPartition {
  readonly partition: number
  /** The offset that comes next: rows of all before it are in the table. Absent before the first commit. */
  readonly offset: number | undefined
  /** The offset after the partition's last record. Absent when the brokers do not answer. */
  readonly high: number | undefined
  /** Offsets between both; some may hold no record. */
  readonly lag: number | undefined
  /** When the table took the last of it, in milliseconds since 1970-01-01 UTC. */
  readonly committedAtMs: number | undefined
}

/** A stream and how far it is, by the table's log and the brokers. */
export interface StreamInfo extends StreamDefinition {
  readonly partitions: readonly StreamPartition[]
  readonly lag: number | undefined
  /** Rows a second that the table took from it in the last minute. */
  readonly rowsPerSecond: number
  /** Why there is no lag. */
  readonly error: string | undefined
}

const RATE_MS = 60_000
const COMMITS_MAX = 500

/** Tells of a stream whoever runs it. */
export async function streamInfo(table: DeltaTable, definition: StreamDefinition, clock: Clock): Promise<StreamInfo> {
  const { topic, clusterId, high, error } = await brokersSay(definition)
  const isOurs = (appId: string) => {
    const [, cluster, of] = /^kafka:([^/]*)\/([^/]+)\/\d+$/.exec(appId) ?? []
    return of === topic && (clusterId === undefined || cluster === clusterId)
  }
  const log = (await table.exists()) ? await table.known() : undefined
  const known = new Map(
    [...(log?.transactions() ?? [])]
      .filter(({ appId }) => isOurs(appId))
      .map((txn) => [Number(/\d+$/.exec(txn.appId)?.[0]), txn] as const),
  )
  const numbers = [...new Set([...known.keys(), ...(high?.keys() ?? [])])].sort((a, b) => a - b)
  const partitions = numbers.map((partition): StreamPartition => {
    const txn = known.get(partition)
    const range = high?.get(partition)
    const from = txn?.version ?? range?.low
    return {
      partition,
      offset: txn?.version,
      high: range?.high,
      lag: range && from !== undefined ? Math.max(0, range.high - from) : undefined,
      committedAtMs: txn?.lastUpdated,
    }
  })
  const lag = high && partitions.reduce((sum, one) => sum + (one.lag ?? 0), 0)
  const rowsPerSecond = log ? await rateOf(table, log.version, isOurs, clock.now()) : 0
  return { ...definition, partitions, lag, rowsPerSecond, error }
}

async function brokersSay({ source, settings }: StreamDefinition): Promise<{
  readonly topic: string
  readonly clusterId?: string
  readonly high?: ReadonlyMap<number, PartitionOffsets>
  readonly error: string | undefined
}> {
  const { topic } = kafkaAddress(source)
  try {
    const { clusterId, offsets } = await offsetsOf(kafkaAddress(source, settings.sasl))
    return { topic, clusterId, high: offsets, error: undefined }
  } catch (error) {
    if (!isDeltaError(error)) throw error
    return { topic, error: error.message }
  }
}

async function rateOf(table: DeltaTable, latest: number, isOurs: (appId: string) => boolean, nowMs: number): Promise<number> {
  let rows = 0
  for (let version = latest; version >= 0 && version > latest - COMMITS_MAX; version--) {
    const info = (await table.commitIfKept(version))?.commitInfo
    if (!info || (info.timestamp ?? 0) < nowMs - RATE_MS) break
    for (const batch of info.batches ?? []) if (isOurs(batch.appId)) rows += batch.rows
  }
  return (rows * 1000) / RATE_MS
}
