import { createRequire } from 'node:module'
import { crc32c } from '../../src/ingest/kafka/crc32c.js'

const require = createRequire(import.meta.url)
/** The client's own encoders: they share no line with what is tested. */
const { RecordBatch: encodeBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch(batch: object): Promise<{ readonly buffer: Buffer }>
}
const encodeRecord = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => object

interface Given {
  readonly first: number
  readonly values: readonly (string | Buffer | null)[]
  /** Offsets counted from the first; without gaps when it is not given. */
  readonly deltas?: readonly number[]
  readonly producerId?: number
  readonly transactional?: boolean
  readonly control?: 'abort' | 'commit'
  readonly compression?: number
}

const CONTROL = 0x20

/** A batch of records as brokers keep it. */
export async function batch({ first, values, deltas, producerId = 1, transactional = false, control, compression = 0 }: Given) {
  const key = control && Buffer.from([0, 0, 0, control === 'abort' ? 0 : 1])
  const deltaOf = (index: number) => deltas?.[index] ?? index
  const { buffer } = await encodeBatch({
    compression,
    firstOffset: String(first),
    firstTimestamp: 1_700_000_000_000,
    maxTimestamp: 1_700_000_000_000 + values.length,
    partitionLeaderEpoch: 0,
    lastOffsetDelta: deltaOf(values.length - 1),
    transactional: transactional || control !== undefined,
    producerId: String(producerId),
    producerEpoch: 0,
    firstSequence: 0,
    records: values.map((value, index) =>
      encodeRecord({
        offsetDelta: deltaOf(index),
        timestampDelta: index,
        key: key ?? `k${index}`,
        value,
        headers: index === 0 ? { h: 'é' } : {},
      }),
    ),
  })
  if (control === undefined) return buffer
  // The client makes no control batches: mark this one, and sum it up anew.
  buffer.writeInt16BE(buffer.readInt16BE(21) | CONTROL, 21)
  buffer.writeUInt32BE(crc32c(buffer, 21, buffer.length), 17)
  return buffer
}
