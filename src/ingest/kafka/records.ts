import { damaged, type PackedRecords } from './record-batch.js'

/** A record, as bytes of its batch. */
export interface KafkaRecord {
  readonly offset: number
  /** Milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  /** Of a name that comes several times, the last value counts. */
  readonly headers: readonly (readonly [name: string, value: string])[]
}

/** Reads the parts of records one after the other. */
export class RecordCursor {
  at = 0
  private readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** A signed number of at most 32 bits. */
  int(): number {
    const { bytes } = this
    let byte = bytes[this.at++] as number
    let value = byte & 0x7f
    for (let shift = 7; byte & 0x80; shift += 7) {
      byte = bytes[this.at++] as number
      value |= (byte & 0x7f) << shift
    }
    return (value >>> 1) ^ -(value & 1)
  }

  /** A signed number of up to 64 bits. */
  long(): number {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.bytes[this.at++] as number
      value |= BigInt(byte & 0x7f) << shift
      if (!(byte & 0x80)) return Number((value >> 1n) ^ -(value & 1n))
    }
  }

  skipNumber(): void {
    while ((this.bytes[this.at++] as number) & 0x80);
  }

  /** Bytes with their length before them. */
  part(): Buffer | null {
    const length = this.int()
    if (length < 0) return null
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }
}

/** The records of a batch from an offset on and before another, each an object: for what needs more of them than their values. */
export function* recordsOf(batch: PackedRecords, from: number, until: number): Generator<KafkaRecord> {
  const { baseOffset, baseTimestampMs, appendedAtMs, count, bytes } = batch
  const cursor = new RecordCursor(bytes)
  for (let left = count; left > 0; left--) {
    const length = cursor.int()
    const end = cursor.at + length
    if (!(length > 0 && end <= bytes.length)) throw damaged('a record is cut off', baseOffset)
    cursor.at++
    const timestampMs = baseTimestampMs + cursor.long()
    const offset = baseOffset + cursor.int()
    if (offset >= from && offset < until) {
      const [key, value] = [cursor.part(), cursor.part()]
      const headers = Array.from({ length: cursor.int() }, () => [String(cursor.part()), cursor.part()] as const)
      yield {
        offset,
        timestampMs: appendedAtMs ?? timestampMs,
        key,
        value,
        headers: headers.flatMap(([name, given]) => (given === null ? [] : [[name, String(given)] as const])),
      }
    }
    cursor.at = end
  }
}
