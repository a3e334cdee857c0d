import { createRequire } from 'node:module'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { crc32c } from '../../src/ingest/kafka/crc32c.js'
import { readFetchReply } from '../../src/ingest/kafka/fetch-reply.js'
import { readRecordSet } from '../../src/ingest/kafka/record-batch.js'
import { type RecordColumns, recordLines } from '../../src/ingest/kafka/record-lines.js'
import { batch } from '../support/record-batch.js'

const require = createRequire(import.meta.url)
const clientCrc = require('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number

function lines(
  data: Buffer,
  from = 0,
  aborted: Parameters<typeof readRecordSet>[1] = [],
  columns: RecordColumns = {},
  until = 1e9,
) {
  const { batches, next } = readRecordSet(data, aborted)
  const { chunks, records, sizeBytes } = recordLines(batches, { from, until }, 3, columns)
  const text = Buffer.concat(chunks).toString()
  expect(sizeBytes).toBe(Buffer.byteLength(text))
  return { lines: text.split('\n').slice(0, -1), records, next }
}

describe('a fetched record set', () => {
  it('gives the values of its batches as lines, from an offset on and before another', async () => {
    const data = Buffer.concat([
      await batch({ first: 10, values: ['{"n":1}', null, '', '{\n"n":2}'] }),
      await batch({ first: 14, values: ['{"n":3}', `{"s":"${'é'.repeat(600)}"}`] }),
    ])
    expect(lines(data, 0)).toEqual({
      lines: ['{"n":1}', '{ "n":2}', '{"n":3}', `{"s":"${'é'.repeat(600)}"}`],
      records: 6,
      next: 16,
    })
    expect(lines(data, 13, [], {}, 15)).toEqual({ lines: ['{ "n":2}', '{"n":3}'], records: 2, next: 16 })
  })

  it('keeps the offsets that compaction left in a batch', async () => {
    const data = await batch({ first: 100, values: ['1', '2', '3'], deltas: [0, 7, 40] })
    expect(lines(data, 101, [], { offset: 'o' })).toMatchObject({ records: 2, next: 141 })
    expect(lines(data, 108)).toEqual({ lines: ['3'], records: 1, next: 141 })
  })

  it('leaves a last batch that was cut off for the next fetch, wherever the cut is', async () => {
    const [whole, cut] = [await batch({ first: 0, values: ['1', '2'] }), await batch({ first: 2, values: ['3', '4'] })]
    for (let size = 0; size < cut.length; size++)
      expect(lines(Buffer.concat([whole, cut.subarray(0, size)]))).toEqual({ lines: ['1', '2'], records: 2, next: 2 })
    expect(readRecordSet(whole.subarray(0, 30), [])).toEqual({ batches: [], next: undefined })
  })

  it('passes over control batches and what transactions took back, and no other producer’s records', async () => {
    const data = Buffer.concat([
      await batch({ first: 0, values: ['kept'], producerId: 1, transactional: true }),
      await batch({ first: 1, values: ['back'], producerId: 2, transactional: true }),
      await batch({ first: 2, values: [''], producerId: 1, control: 'commit' }),
      await batch({ first: 3, values: ['back too'], producerId: 2, transactional: true }),
      await batch({ first: 4, values: ['plain'], producerId: 2 }),
      await batch({ first: 5, values: [''], producerId: 2, control: 'abort' }),
      await batch({ first: 6, values: ['kept again'], producerId: 2, transactional: true }),
      await batch({ first: 7, values: [''], producerId: 2, control: 'commit' }),
    ])
    const found = lines(data, 0, [{ producerId: 2n, firstOffset: 1 }])
    expect(found).toEqual({ lines: ['kept', 'plain', 'kept again'], records: 3, next: 8 })
  })

  it('tells what is beside a value, and which values are no text', async () => {
    const data = await batch({ first: 5, values: ['{"n":1}', Buffer.from([0x7b, 0xff]), '[]'] })
    const columns = { key: '_key', timestamp: '_at', headers: '_h', partition: '_p', offset: '_o' }
    const found = lines(data, 0, [], columns)
    expect(JSON.parse(found.lines[0] ?? '')).toEqual({
      _key: 'k0',
      _at: new Date(1_700_000_000_000).toISOString(),
      _h: { h: 'é' },
      _p: 3,
      _o: 5,
      n: 1,
    })
    expect(found.lines.slice(1)).toEqual([expect.stringMatching(/^not UTF-8: /), '[]'])
    expect(lines(data).lines).toEqual(['{"n":1}', expect.stringMatching(/^not UTF-8: /), '[]'])
  })

  it('unpacks, and says which batch does not', async () => {
    const packed = await batch({ first: 0, values: ['{"n":1}', '{"n":2}'], compression: 1 })
    expect(lines(packed).lines).toEqual(['{"n":1}', '{"n":2}'])
    const broken = Buffer.concat([packed.subarray(0, 61), gzipSync('x').subarray(0, 9)])
    broken.writeInt32BE(broken.length - 12, 8)
    broken.writeUInt32BE(crc32c(broken, 21, broken.length), 17)
    expect(() => readRecordSet(broken, [])).toThrow(expect.objectContaining({ code: 'RECORDS_DAMAGED', details: { offset: 0 } }))
  })

  it('is refused whichever bit of what its sum covers is another, and in the format of before', async () => {
    const data = await batch({ first: 0, values: ['{"n":1}'] })
    for (let at = 17; at < data.length; at++) {
      const damaged = Buffer.from(data)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8))
      expect(() => readRecordSet(damaged, [])).toThrow(expect.objectContaining({ code: 'RECORDS_DAMAGED' }))
    }
    data[16] = 1
    expect(() => readRecordSet(data, [])).toThrow(expect.objectContaining({ code: 'RECORDS_DAMAGED' }))
  })
})

it('the sum of a batch is the client’s, for every length', () => {
  const bytes = Buffer.from(Array.from({ length: 40 }, (_, at) => (at * 37) & 0xff))
  for (let start = 0; start < 4; start++)
    for (let end = start; end <= bytes.length; end++)
      expect(crc32c(bytes, start, end)).toBe(clientCrc(bytes.subarray(start, end)) >>> 0)
})

it('a reply tells of each partition, with what was taken back', async () => {
  const records = await batch({ first: 7, values: ['x'] })
  const [int16, int32, int64] = [
    (value: number) => Buffer.from([value >> 8, value & 0xff]),
    (value: number) => Buffer.from(Int32Array.of(value).buffer).swap32(),
    (value: number) => Buffer.from(BigInt64Array.of(BigInt(value)).buffer).swap64(),
  ]
  const reply = Buffer.concat([
    ...[int32(0), int32(1), int16(1), Buffer.from('t'), int32(2)],
    ...[int32(4), int16(0), int64(9), int64(8), int32(1), int64(5), int64(6), int32(records.length), records],
    ...[int32(5), int16(1), int64(-1), int64(-1), int32(-1), int32(-1)],
  ])
  expect(readFetchReply(reply)).toEqual([
    { partition: 4, errorCode: 0, high: 9, aborted: [{ producerId: 5n, firstOffset: 6 }], records },
    { partition: 5, errorCode: 1, high: -1, aborted: [], records: Buffer.alloc(0) },
  ])
})
