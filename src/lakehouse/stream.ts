import { randomUUID } from 'node:crypto'
import { DeltaError } from '../base/errors.js'
import { KafkajsSource } from '../ingest/kafka/kafkajs-source.js'
import { type StreamStatus, streamRecords } from '../ingest/kafka/stream.js'
import type { RowSink } from '../ingest/row-sink.js'
import type { DeltaTable } from '../table/delta-table.js'
import { groupOf, kafkaAddress, recordColumns, type StreamLogin } from './stream-source.js'

/** What of a stream outlives the process that runs it. */
export interface StreamSettings {
  /** Parts of each record that are columns too: `key`, `timestamp`, `headers`, `partition`, `offset`, in columns `_key` … or as `key=user_id`. */
  readonly with?: readonly string[] | undefined
  /** Where to begin in a topic of which the table holds nothing. @defaultValue 'earliest' */
  readonly from?: 'earliest' | 'latest' | undefined
  /** Where to go on when a partition does not hold the offset that comes next. @defaultValue 'fail' */
  readonly onOutOfRange?: 'fail' | 'earliest' | 'latest' | undefined
  /** What a value that is no row of the table does: end it, or go to the table `<name>__rejects`. @defaultValue 'fail' */
  readonly onError?: 'fail' | 'reject' | undefined
  /** Whether the table's columns may change to fit: new ones are added, types are widened. @defaultValue 'strict' */
  readonly schema?: 'strict' | 'evolve' | undefined
  /** Create the table from the first records where there is none. @defaultValue false */
  readonly create?: boolean | undefined
  /** Workers of one group share the partitions. @defaultValue one for the table and the topic */
  readonly group?: string | undefined
  /** Read these partitions alone, whoever else does. */
  readonly partitions?: readonly number[] | undefined
  /** A commit follows about so many records. @defaultValue 100,000 */
  readonly batchRows?: number | undefined
  /** How long records that come in slowly are gathered, in milliseconds. @defaultValue 1,000 */
  readonly batchMs?: number | undefined
  readonly sasl?: StreamLogin | undefined
}

export interface StreamOptions extends StreamSettings {
  /** Take what is there, and end. @defaultValue false */
  readonly once?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  /** Told after each commit, and when partitions are given or taken. */
  readonly onProgress?: ((status: StreamStatus) => void) | undefined
  /** Told of what is waited out: brokers or storage that do not answer, another worker of the same partition. */
  readonly onRetry?: ((error: unknown) => void) | undefined
}

const [BATCH_ROWS, BATCH_MS] = [100_000, 1000]

/** Streams a topic into a table until the signal aborts. */
export async function streamInto(table: DeltaTable, sink: RowSink, uri: string, options: StreamOptions): Promise<StreamStatus> {
  const address = kafkaAddress(uri, options.sasl)
  const { batchRows = BATCH_ROWS, batchMs = BATCH_MS, partitions } = options
  for (const [name, value, min] of [
    ['batchRows', batchRows, 1],
    ['batchMs', batchMs, 0],
  ] as const)
    if (!(value >= min)) throw new DeltaError('ARGUMENT_INVALID', `${name} is too small`, { [name]: value, min })
  const shared = options.group ?? groupOf(table.uri, address.topic)
  // Who reads partitions of his own choice shares with nobody.
  const group = partitions === undefined ? shared : `${shared}.${randomUUID()}`
  return streamRecords(() => KafkajsSource.open(address, { group, partitions }), sink, table.deps.clock, {
    topic: address.topic,
    columns: recordColumns(options.with ?? []),
    from: options.from ?? 'earliest',
    onOutOfRange: options.onOutOfRange ?? 'fail',
    batchRows,
    batchMs,
    once: options.once ?? false,
    signal: options.signal,
    onProgress: options.onProgress,
    onRetry: options.onRetry,
  })
}
