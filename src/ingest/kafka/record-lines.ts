import { isUtf8 } from 'node:buffer'
import { field, type StructField } from '../../protocol/schema.js'
import { LINE_BYTES_MAX } from '../readers.js'

/** A record as a client gives it. */
export interface KafkaRecord {
  readonly offset: number
  /** Milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  /** Of a name that comes several times, the last value counts. */
  readonly headers: readonly (readonly [name: string, value: string])[]
}

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

const [LINE_FEED, OPEN, CLOSE] = [0x0a, 0x7b, 0x7d]
const END = Buffer.from('\n')

export interface RecordLines {
  readonly chunks: readonly Uint8Array[]
  readonly sizeBytes: number
  readonly lines: number
}

/**
 * The values of records as NDJSON, as they came but for line feeds, which become spaces: in JSON they are that. Records with
 * no value or an empty one hold no row. A value that cannot stand in a line of text becomes a line that is no row, and tells why.
 */
export function recordLines(records: readonly KafkaRecord[], partition: number, columns: RecordColumns): RecordLines {
  const chunks: Uint8Array[] = []
  const isPlain = Object.keys(columns).length === 0
  let sizeBytes = 0
  let lines = 0
  for (const record of records) {
    if (!record.value || record.value.length === 0) continue
    const value = lineOf(record.value)
    const parts = isPlain ? [value, END] : [...withColumns(value, record, partition, columns), END]
    for (const part of parts) sizeBytes += part.length
    chunks.push(...parts)
    lines++
  }
  return { chunks: [Buffer.concat(chunks, sizeBytes)], sizeBytes, lines }
}

function lineOf(value: Uint8Array): Uint8Array {
  if (value.length > LINE_BYTES_MAX) return unfit('too long', value.subarray(0, 1000))
  if (!isUtf8(value)) return unfit('not UTF-8', value)
  if (!value.includes(LINE_FEED)) return value
  return Buffer.from(value).map((byte) => (byte === LINE_FEED ? 0x20 : byte))
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
