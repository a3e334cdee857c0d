import { describe, expect, it } from 'vitest'
import { DeltaError } from '../../src/base/errors.js'
import { readRecordSet } from '../../src/ingest/kafka/record-batch.js'
import type { PartitionOffsets, RecordSource, SourceEvent } from '../../src/ingest/kafka/source.js'
import { type StreamSettings, streamRecords } from '../../src/ingest/kafka/stream.js'
import type { RowSink, SourcePlace } from '../../src/ingest/row-sink.js'
import { batch } from '../support/record-batch.js'
import { skippingClock } from '../support/world.js'

const VALUES = ['"a"', '"b"', '"c"', '"d"', '"e"']
const SETTINGS: StreamSettings = {
  topic: 'topic',
  columns: {},
  from: 'earliest',
  onOutOfRange: 'fail',
  batchRows: 1,
  batchMs: 0,
  once: true,
}

/** A topic of one partition, which gives all of its records from where it is told to start. */
class OnePartition implements RecordSource {
  readonly clusterId = 'cluster'
  private readonly records: Buffer
  private readonly events: SourceEvent[] = [{ kind: 'assigned', partitions: [0] }]

  constructor(records: Buffer) {
    this.records = records
  }

  async offsets(): Promise<ReadonlyMap<number, PartitionOffsets>> {
    return new Map([[0, { low: 0, high: VALUES.length }]])
  }

  start(offsets: ReadonlyMap<number, number>): void {
    const from = offsets.get(0) ?? 0
    this.events.length = 0
    if (from >= VALUES.length) return
    const { batches } = readRecordSet(this.records, [])
    this.events.push({ kind: 'records', fetched: { partition: 0, from, batches, next: VALUES.length, high: VALUES.length } })
  }

  async next(): Promise<SourceEvent> {
    return this.events.shift() ?? { kind: 'nothing' }
  }

  async close(): Promise<void> {}
}

/** A table that keeps lines and the place of one source, and of which some commits fail. */
class LinesSink implements RowSink {
  readonly lines: string[] = []
  private place: SourcePlace
  private readonly fails: Set<number>
  private commits = 0

  constructor(place: SourcePlace, fails: readonly number[]) {
    this.place = place
    this.fails = new Set(fails)
  }

  async places(prefix: string) {
    return new Map([[`${prefix}0`, this.place]])
  }

  async take({ body, after, version }: Parameters<RowSink['take']>[0]) {
    if (this.fails.has(++this.commits)) throw new DeltaError('STORE_UNAVAILABLE', 'the store does not answer')
    expect(after).toBe(this.place.version)
    this.place = { ...this.place, version }
    const text = body.kind === 'bytes' ? Buffer.concat(body.chunks).toString() : ''
    const lines = text.split('\n').slice(0, -1)
    this.lines.push(...lines)
    return { version: 1, rows: lines.length, rejected: 0, replayed: false, rejects: [] }
  }
}

describe('records of a fetch that is cut where rejected lines end', () => {
  it.each([[[]], [[1]], [[2]], [[1, 2]], [[1, 3]]])('come in once each, though commits fail: %j', async (fails) => {
    const records = await batch({ first: 0, values: VALUES })
    for (const rejectsVersion of [-1, 1, 3, VALUES.length]) {
      const sink = new LinesSink({ version: -1, rejectsVersion }, fails)
      await streamRecords(async () => new OnePartition(records), sink, skippingClock(), SETTINGS)
      expect(sink.lines, `cut at ${rejectsVersion}`).toEqual(VALUES)
    }
  })
})
