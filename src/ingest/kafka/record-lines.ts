import { isUtf8 } from 'node:buffer'
import { field, type StructField } from '../../protocol/schema.js'
import { LINE_BYTES_MAX } from '../readers.js'
import { damaged, type PackedRecords } from './record-batch.js'
import { type KafkaRecord, RecordCursor, recordsOf } from './records.js'

/** What of a record, other than its value, can become columns. */
export const RECORD_PARTS = ['key', 'timestamp', 'headers', 'partition', 'offset'] as const
export type RecordPart = (typeof RECORD_PARTS)[number]

/** Columns for parts of a record, by the part. */
export type RecordColumns = Readonly<Partial<Record<RecordPart, string>>>

const TYPE_OF: Readonly<Record<RecordPart, StructField['type']>> = {
  key: 'string',
  timestamp: 'timestamp',
  headers: { type: 'map', keyType: 'string', valueType: 'string', valueContainsNull: true },
  partition: 'integer',
  offset: 'long',
}

/** The columns that a new table gets for parts of records. */
export function recordFields(columns: RecordColumns): readonly StructField[] {
  return RECORD_PARTS.flatMap((part) => (columns[part] === undefined ? [] : [field(columns[part], TYPE_OF[part])]))
}

const [LINE_FEED, SPACE, OPEN, CLOSE] = [0x0a, 0x20, 0x7b, 0x7d]
const END = Buffer.from('\n')

export interface RecordLines {
  readonly chunks: readonly Uint8Array[]
  readonly sizeBytes: number
  /** Those without a value too. */
  readonly records: number
}

/** Offsets of records that are wanted. */
export interface OffsetRange {
  readonly from: number
  readonly until: number
}

/**
 * The values of records as NDJSON, as they came but for line feeds, which become spaces: in JSON they are that. Records with
 * no value or an empty one hold no row. A value that cannot stand in a line of text becomes a line that is no row, and tells why.
 *
 * @throws {DeltaError} `RECORDS_DAMAGED`.
 */
export function recordLines(
  batches: readonly PackedRecords[],
  range: OffsetRange,
  partition: number,
  columns: RecordColumns,
): RecordLines {
  const isPlain = Object.keys(columns).length === 0
  const parts = batches.map(
    (batch) => (isPlain ? plainLines(batch, range) : undefined) ?? linesWith(batch, range, partition, columns),
  )
  return {
    chunks: parts.flatMap(({ chunks }) => chunks),
    sizeBytes: parts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    records: parts.reduce((sum, { records }) => sum + records, 0),
  }
}

/** Values of up to so many bytes are copied by hand: that is cheaper than a call. */
const SHORT_BYTES = 512

/** The values alone, copied once and with no object a record. `undefined` where one of them cannot stand in a line of text. */
function plainLines({ baseOffset, count, bytes }: PackedRecords, { from, until }: OffsetRange): RecordLines | undefined {
  // A record takes more than a line feed beside its value.
  const lines = Buffer.allocUnsafe(bytes.length)
  const cursor = new RecordCursor(bytes)
  let to = 0
  let records = 0
  let seen = 0
  for (let left = count; left > 0; left--) {
    const length = cursor.int()
    const end = cursor.at + length
    if (!(length > 0 && end <= bytes.length)) throw damaged('a record is cut off', baseOffset)
    cursor.at++
    cursor.skipNumber()
    const offset = baseOffset + cursor.int()
    if (offset >= from && offset < until) {
      records++
      const keySize = cursor.int()
      if (keySize > 0) cursor.at += keySize
      const size = cursor.int()
      const start = cursor.at
      if (size > 0) {
        if (size > LINE_BYTES_MAX) return undefined
        if (start + size > end) throw damaged('a record is cut off', baseOffset)
        if (size > SHORT_BYTES) {
          const line = lines.subarray(to, to + size)
          bytes.copy(line, 0, start)
          for (let at = line.indexOf(LINE_FEED); at >= 0; at = line.indexOf(LINE_FEED, at)) line[at] = SPACE
          seen = 0x80
          to += size
        } else
          for (let at = start; at < start + size; at++) {
            const byte = bytes[at] as number
            seen |= byte
            lines[to++] = byte === LINE_FEED ? SPACE : byte
          }
        lines[to++] = LINE_FEED
      }
    }
    cursor.at = end
  }
  const chunk = lines.subarray(0, to)
  if (seen & 0x80 && !isUtf8(chunk)) return undefined
  return { chunks: [chunk], sizeBytes: to, records }
}

function linesWith(batch: PackedRecords, { from, until }: OffsetRange, partition: number, columns: RecordColumns): RecordLines {
  const chunks: Uint8Array[] = []
  const isPlain = Object.keys(columns).length === 0
  let records = 0
  for (const record of recordsOf(batch, from, until)) {
    records++
    if (!record.value || record.value.length === 0) continue
    const value = lineOf(record.value)
    chunks.push(...(isPlain ? [value] : withColumns(value, record, partition, columns)), END)
  }
  const chunk = Buffer.concat(chunks)
  return { chunks: [chunk], sizeBytes: chunk.length, records }
}

function lineOf(value: Uint8Array): Uint8Array {
  if (value.length > LINE_BYTES_MAX) return unfit('too long', value.subarray(0, 1000))
  if (!isUtf8(value)) return unfit('not UTF-8', value)
  if (!value.includes(LINE_FEED)) return value
  return Buffer.from(value).map((byte) => (byte === LINE_FEED ? SPACE : byte))
}

function unfit(reason: string, value: Uint8Array): Uint8Array {
  const text = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8')
  return Buffer.from(`${reason}: ${text.replace(/[\r\n]/g, ' ')}`)
}

/** Puts parts of the record before the fields of its value; a value that is no object stays as it is, and is no row. */
function withColumns(value: Uint8Array, record: KafkaRecord, partition: number, columns: RecordColumns): readonly Uint8Array[] {
  let start = 0
  while (start < value.length && (value[start] ?? 0) <= 0x20) start++
  if (value[start] !== OPEN) return [value]
  let first = start + 1
  while (first < value.length && (value[first] ?? 0) <= 0x20) first++
  const values: Readonly<Record<RecordPart, () => unknown>> = {
    key: () => (record.key === null ? null : textOf(record.key)),
    timestamp: () => new Date(record.timestampMs).toISOString(),
    headers: () => Object.fromEntries(record.headers),
    partition: () => partition,
    offset: () => record.offset,
  }
  const members = RECORD_PARTS.flatMap((part) =>
    columns[part] === undefined ? [] : [`${JSON.stringify(columns[part])}:${JSON.stringify(values[part]())}`],
  )
  const separator = value[first] === CLOSE ? '' : ','
  return [Buffer.from(`{${members.join(',')}${separator}`), value.subarray(first)]
}

/** Bytes that are no text come as base64. */
function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.toString(isUtf8(bytes) ? 'utf8' : 'base64')
}
