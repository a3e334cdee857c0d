import { DeltaError } from '../../base/errors.js'
import { unpackRecords } from './codecs.js'
import { crc32c } from './crc32c.js'

/** A record batch of Kafka's format (version 2), unpacked: its records as they lie in it, one behind the other. */
export interface PackedRecords {
  readonly baseOffset: number
  readonly baseTimestampMs: number
  /** The time of all of its records, where the broker gave it and not the producer. */
  readonly appendedAtMs: number | undefined
  readonly count: number
  readonly bytes: Buffer
}

/** A transaction that was taken back, of which records may follow from this offset on. */
export interface AbortedTransaction {
  readonly producerId: bigint
  readonly firstOffset: number
}

export interface RecordSet {
  readonly batches: readonly PackedRecords[]
  /** The offset after the last whole batch, whether or not its records count; `undefined` where there is none. */
  readonly next: number | undefined
}

/** Where the parts of a batch lie. */
const AT = {
  length: 8,
  magic: 16,
  crc: 17,
  attributes: 21,
  lastOffsetDelta: 23,
  baseTimestamp: 27,
  maxTimestamp: 35,
  producerId: 43,
  count: 57,
  records: 61,
} as const
const MAGIC = 2
const CODEC_MASK = 0x07
const LOG_APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
/** What a control record's key says after its version. */
const ABORT = 0

/**
 * The batches of a fetched record set that hold data. Left out are control batches, batches of transactions that were taken back,
 * and a last batch that was cut off.
 *
 * @throws {DeltaError} `RECORDS_DAMAGED` when a batch does not add up, or is of a format that is not read: that of before Kafka 0.11.
 * @see https://kafka.apache.org/documentation/#recordbatch
 */
export function readRecordSet(data: Buffer, aborted: readonly AbortedTransaction[]): RecordSet {
  const batches: PackedRecords[] = []
  const pending = [...aborted].sort((one, other) => one.firstOffset - other.firstOffset)
  const takenBack = new Set<bigint>()
  let next: number | undefined
  for (let at = 0; at + AT.crc <= data.length; ) {
    const baseOffset = Number(data.readBigInt64BE(at))
    if (data[at + AT.magic] !== MAGIC) throw damaged('a batch of records is of a format that is not read', baseOffset)
    const end = at + AT.magic - 4 + data.readInt32BE(at + AT.length)
    if (end > data.length) break
    if (end < at + AT.records) throw damaged('a batch of records is too short', baseOffset)
    if (crc32c(data, at + AT.attributes, end) !== data.readUInt32BE(at + AT.crc))
      throw damaged('a batch of records does not add up to its checksum', baseOffset)
    const attributes = data.readInt16BE(at + AT.attributes)
    const lastOffset = baseOffset + data.readInt32BE(at + AT.lastOffsetDelta)
    const producerId = data.readBigInt64BE(at + AT.producerId)
    while (pending[0] && pending[0].firstOffset <= lastOffset) takenBack.add((pending.shift() as AbortedTransaction).producerId)
    const count = data.readInt32BE(at + AT.count)
    const packed = data.subarray(at + AT.records, end)
    if (attributes & CONTROL) {
      if (count > 0 && controlType(packed) === ABORT) takenBack.delete(producerId)
    } else if (count > 0 && !(attributes & TRANSACTIONAL && takenBack.has(producerId))) {
      batches.push({
        baseOffset,
        baseTimestampMs: Number(data.readBigInt64BE(at + AT.baseTimestamp)),
        appendedAtMs: attributes & LOG_APPEND_TIME ? Number(data.readBigInt64BE(at + AT.maxTimestamp)) : undefined,
        count,
        bytes: unpack(attributes & CODEC_MASK, packed, baseOffset),
      })
    }
    next = lastOffset + 1
    at = end
  }
  return { batches, next }
}

/** A control record begins with its length, its attributes, two deltas and the length of its key: a byte each. */
function controlType(records: Buffer): number {
  return records.readInt16BE(5 + 2)
}

function unpack(codec: number, packed: Buffer, baseOffset: number): Buffer {
  let bytes: Buffer | undefined
  try {
    bytes = unpackRecords(codec, packed)
  } catch (error) {
    throw damaged('a batch of records does not unpack', baseOffset, error)
  }
  if (!bytes) throw damaged('a batch of records is packed by a codec that is not read', baseOffset)
  return bytes
}

export function damaged(message: string, offset: number, cause?: unknown): DeltaError {
  return new DeltaError('RECORDS_DAMAGED', message, { offset }, { cause })
}
