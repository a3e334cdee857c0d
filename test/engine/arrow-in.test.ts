import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import {
  type DataType,
  DateMillisecond,
  Dictionary,
  Duration,
  Field,
  Int8,
  Int32,
  IntervalMonthDayNano,
  List,
  makeBuilder,
  makeData,
  RecordBatchReader,
  RecordBatchStreamWriter,
  Table,
  TimeSecond,
  TimestampSecond,
  TimeUnit,
  tableFromArrays,
  tableToIPC,
  Utf8,
  Vector,
  vectorFromArray,
} from 'apache-arrow'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DeltaError, isDeltaError } from '../../src/base/errors.js'
import { type ArrowInput, arrowToParquet } from '../../src/engine/arrow-in.js'
import { ipcStream } from '../../src/engine/arrow-out.js'

let instance: DuckDBInstance
let connection: DuckDBConnection
let folder: string

beforeAll(async () => {
  instance = await DuckDBInstance.create(':memory:', { threads: '2' })
  connection = await instance.connect()
  await connection.run("SET TimeZone = 'UTC'")
})
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deltaic-arrow-'))
})
afterEach(() => rm(folder, { recursive: true }))
afterAll(() => {
  connection.closeSync()
  instance.closeSync()
})

const write = (input: ArrowInput, signal?: AbortSignal) => arrowToParquet(input, join(folder, 'in.parquet'), { signal })

async function roundTrip(input: ArrowInput): Promise<unknown[][]> {
  const { files, rows } = await write(input)
  const read = (await connection.runAndReadAll(`FROM read_parquet([${files.map((file) => `'${file}'`)}])`)).getRowsJson()
  expect(read.length).toBe(rows)
  return read
}

async function* chunked(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size)
}

const dictionary = () => new Dictionary(new Utf8(), new Int32(), 7)
const people = () =>
  new Table({ name: vectorFromArray(['Ann', 'Bob', null, 'Ann'], dictionary()), n: vectorFromArray([1, 2, 3, 4], new Int32()) })
const PEOPLE = [
  ['Ann', 1],
  ['Bob', 2],
  [null, 3],
  ['Ann', 4],
]

function ofValues(type: DataType, data: BigInt64Array | Int32Array, length: number): Vector {
  return new Vector([makeData({ type, length, nullCount: 0, data } as never)])
}

/** Streams of `batches` batches of 3 rows. */
function batches(count: number): Table {
  return Array.from({ length: count - 1 }, (_, index) => index).reduce<Table>(
    (table, index) => table.concat(tableFromArrays({ n: Int32Array.of(index, index, index) })),
    tableFromArrays({ n: Int32Array.of(-1, -1, -1) }),
  )
}

describe('arrowToParquet', () => {
  it.each<[string, () => ArrowInput | Promise<ArrowInput>]>([
    ['a stream', () => tableToIPC(people(), 'stream')],
    ['a file', () => tableToIPC(people(), 'file')],
    ['a stream in chunks of 1 byte', () => chunked(tableToIPC(people(), 'stream'), 1)],
    ['a stream in chunks of 13 bytes', () => chunked(tableToIPC(people(), 'stream'), 13)],
    ['a file in chunks of 7 bytes', () => chunked(tableToIPC(people(), 'file'), 7)],
    ['a table', () => people()],
    ['a batch', () => people().batches[0] as ArrowInput],
    ['a reader', () => RecordBatchReader.from(tableToIPC(people(), 'stream'))],
    ['an asynchronous reader', () => RecordBatchReader.from(chunked(tableToIPC(people(), 'stream'), 64))],
  ])('takes %s', async (_, input) => {
    expect(await roundTrip(await input())).toEqual(PEOPLE)
  })

  it('takes a stream of the format before Arrow 0.15', async () => {
    const writer = new RecordBatchStreamWriter({ writeLegacyIpcFormat: true })
    writer.write(people())
    writer.finish()
    expect(await roundTrip(writer.toUint8Array(true))).toEqual(PEOPLE)
  })

  it('leaves the bytes it is given as they are', async () => {
    const bytes = tableToIPC(new Table({ at: ofValues(new TimestampSecond(), BigInt64Array.of(1n, 2n), 2) }), 'stream')
    const before = Buffer.from(bytes)
    await write(bytes)
    expect(Buffer.compare(before, bytes)).toBe(0)
  })

  it('makes one file with the schema of no rows', async () => {
    const { files, rows } = await write(ipcStream(people().schema, []))
    expect(rows).toBe(0)
    const described = await connection.runAndReadAll(`DESCRIBE FROM read_parquet([${files.map((file) => `'${file}'`)}])`)
    expect(described.getRowsJson().map(([name, type]) => [name, type])).toEqual([
      ['name', 'VARCHAR'],
      ['n', 'INTEGER'],
    ])
  })

  it('cuts a long stream into files, in order, with the dictionary in each', async () => {
    const words = vectorFromArray(['one', 'two'], dictionary())
    const length = 1_500_000
    const [batch] = new Table({
      word: new Vector([
        makeData({
          type: words.type,
          length,
          nullCount: 0,
          data: new Int32Array(length).map((_, index) => index % 2),
          dictionary: words.data[0]?.dictionary as Vector,
        }),
      ]),
      n: new Vector([
        makeData({ type: new Int32(), length, nullCount: 0, data: new Int32Array(length).map((_, index) => index) }),
      ]),
    }).batches
    const { files, rows } = await write(
      ipcStream((batch as NonNullable<typeof batch>).schema, [batch, batch, batch] as NonNullable<typeof batch>[]),
    )
    expect(rows).toBe(3 * length)
    expect(files).toEqual([0, 1, 2].map((number) => join(folder, `in-${number}.parquet`)))
    const read = await connection.runAndReadAll(
      `SELECT word, count(*), sum(n) FROM read_parquet([${files.map((file) => `'${file}'`)}]) GROUP BY word ORDER BY word`,
    )
    expect(read.getRowsJson()).toEqual([
      ['one', '2250000', '1687497750000'],
      ['two', '2250000', '1687500000000'],
    ])
  })

  it('follows a dictionary that grows', async () => {
    const builder = makeBuilder({ type: dictionary() })
    builder.append('a')
    const first = new Table({ word: new Vector([builder.flush()]) })
    builder.append('b').append('a')
    const second = new Table({ word: new Vector([builder.flush()]) })
    expect(await roundTrip(first.concat(second))).toEqual([['a'], ['b'], ['a']])
  })

  it('follows a dictionary that is replaced', async () => {
    const table = (word: string) => new Table({ word: vectorFromArray([word], dictionary()) })
    expect(await roundTrip(table('a').concat(table('z')))).toEqual([['a'], ['z']])
  })

  describe.each<[string, DataType, BigInt64Array | Int32Array, string[]]>([
    [
      'timestamps in seconds',
      new TimestampSecond(),
      BigInt64Array.of(1_700_000_000n, -1n),
      ['2023-11-14 22:13:20', '1969-12-31 23:59:59'],
    ],
    [
      'timestamps in seconds with a zone',
      new TimestampSecond('Europe/Paris'),
      BigInt64Array.of(1_700_000_000n, -1n),
      ['2023-11-14 22:13:20+00', '1969-12-31 23:59:59+00'],
    ],
    [
      'dates in milliseconds',
      new DateMillisecond(),
      BigInt64Array.of(86_400_000n * 19_000n, -86_400_000n),
      ['2022-01-08', '1969-12-31'],
    ],
    ['times in seconds', new TimeSecond(), Int32Array.of(60, 86_399), ['00:01:00', '23:59:59']],
  ])('given %s', (_, type, data, expected) => {
    it('keeps their meaning', async () => {
      const table = new Table({ text: vectorFromArray(['x', 'y'], new Utf8()), value: ofValues(type, data, 2) })
      expect(await roundTrip(table)).toEqual([
        ['x', expected[0]],
        ['y', expected[1]],
      ])
    })
    it('keeps their meaning in lists', async () => {
      const child = ofValues(type, data, 2).data[0]
      const list = makeData({
        type: new List(new Field('item', type, true)),
        length: 1,
        nullCount: 0,
        valueOffsets: Int32Array.of(0, 2),
        child,
      } as never)
      expect(await roundTrip(new Table({ value: new Vector([list]) }))).toEqual([[expected]])
    })
    it('keeps their meaning in dictionaries', async () => {
      const indices = makeData({
        type: new Dictionary(type, new Int8(), 3),
        length: 2,
        nullCount: 0,
        data: Int8Array.of(1, 0),
        dictionary: ofValues(type, data, 2),
      })
      expect(await roundTrip(new Table({ value: new Vector([indices]) }))).toEqual([[expected[1]], [expected[0]]])
    })
  })

  it.each<[string, DataType]>([
    ['durations', new Duration(TimeUnit.SECOND)],
    ['intervals of nanoseconds', new IntervalMonthDayNano()],
  ])('refuses %s', async (_, type) => {
    const data = type instanceof Duration ? BigInt64Array.of(1n) : new Int32Array(4)
    await expect(write(new Table({ odd: ofValues(type, data, 1) }))).rejects.toMatchObject({
      code: 'TYPE_UNSUPPORTED',
      details: { column: 'odd' },
    })
  })

  it.each<[string, () => Uint8Array]>([
    ['no bytes', () => new Uint8Array(0)],
    ['text', () => Buffer.from('{"name": "Ann"}\n{"name": "Bob"}\n')],
    ['a stream with bytes behind it', () => Buffer.concat([tableToIPC(people(), 'stream'), Buffer.from('x')])],
    ['two streams in a row', () => Buffer.concat([tableToIPC(people(), 'stream'), tableToIPC(people(), 'stream')])],
    ['a marker alone', () => new Uint8Array(Int32Array.of(-1, 0).buffer)],
  ])('refuses %s', async (_, bytes) => {
    await expect(write(bytes())).rejects.toMatchObject({ code: 'ROWS_INVALID' })
    expect(await readdir(folder)).toEqual([])
  })

  it.each(['stream', 'file'] as const)('refuses a %s that is cut anywhere, and leaves no file', async (format) => {
    const bytes = tableToIPC(batches(3), format)
    for (let length = 0; length < bytes.length; length += 1 + (length % 5)) {
      await expect(write(bytes.subarray(0, length)), `cut at ${length}`).rejects.toMatchObject({ code: 'ROWS_INVALID' })
    }
    expect(await readdir(folder)).toEqual([])
  })

  it('says how many batches came before the end of a stream that is cut', async () => {
    const bytes = tableToIPC(batches(3), 'stream')
    await expect(write(bytes.subarray(0, bytes.length - 8))).rejects.toMatchObject({ details: { batchesBefore: 3 } })
    await expect(write(bytes.subarray(0, bytes.length - 9))).rejects.toMatchObject({ details: { batchesBefore: 2 } })
  })

  it('says which batch holds offsets that point outside', async () => {
    const fine = new Table({ text: vectorFromArray(['fine'], new Utf8()) })
    const broken = makeData({
      type: new Utf8(),
      length: 1,
      nullCount: 0,
      valueOffsets: Int32Array.of(0, 4),
      data: Buffer.from('four'),
    })
    const stream = Buffer.from(tableToIPC(fine.concat(new Table({ text: new Vector([broken]) })), 'stream'))
    const at = stream.lastIndexOf('four') - 8
    stream.writeInt32LE(1_000_000, at + 4)
    await expect(write(stream)).rejects.toMatchObject({ code: 'ROWS_INVALID', details: { batchesBefore: 1 } })
    expect(await roundTrip(people())).toEqual(PEOPLE)
  })

  it('refuses damaged bytes, or takes them, and works on', async () => {
    const good = Buffer.from(tableToIPC(people(), 'stream'))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat({ max: good.length - 1 }), fc.nat({ max: 255 })), { minLength: 1, maxLength: 3 }),
        async (damage) => {
          const bytes = Buffer.from(good)
          for (const [at, value] of damage) bytes[at] = value
          await write(bytes).catch((error: unknown) => {
            if (!isDeltaError(error, 'invalid', 'limit', 'unsupported')) throw error
          })
        },
      ),
      { numRuns: 300 },
    )
    expect(await roundTrip(people())).toEqual(PEOPLE)
  }, 60_000)

  it.each(['stream', 'file'] as const)(
    'is not led by a length in a %s to take memory that the bytes do not fill',
    async (format) => {
      const good = Buffer.from(tableToIPC(people(), format))
      for (let at = 0; at + 4 <= good.length; at += 4) {
        const bytes = Buffer.from(good)
        bytes.writeUInt32LE(0x7fff_fff0, at)
        await write(bytes).catch((error: unknown) => {
          if (!isDeltaError(error, 'invalid', 'limit', 'unsupported')) throw error
        })
      }
      expect(process.memoryUsage().heapUsed).toBeLessThan(500 * 2 ** 20)
    },
    60_000,
  )

  it('passes on what its source fails with, and leaves no file', async () => {
    const failure = new Error('connection reset')
    const source = async function* () {
      yield tableToIPC(people(), 'stream').subarray(0, 500)
      throw failure
    }
    await expect(write(source())).rejects.toBe(failure)
    expect(await readdir(folder)).toEqual([])
  })

  it('lets go of its source when it refuses', async () => {
    let isReleased = false
    const source = async function* () {
      try {
        for (;;) yield Buffer.from('this is no Arrow stream')
      } finally {
        isReleased = true
      }
    }
    await expect(write(source())).rejects.toBeInstanceOf(DeltaError)
    expect(isReleased).toBe(true)
  })

  it('rejects with the reason of its signal, also while it waits for bytes', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const source = async function* () {
      yield tableToIPC(people(), 'stream').subarray(0, 100)
      setImmediate(() => controller.abort(reason))
      await new Promise(() => {})
    }
    await expect(write(source(), controller.signal)).rejects.toBe(reason)
    await expect(write(people(), controller.signal)).rejects.toBe(reason)
    expect(await readdir(folder)).toEqual([])
  })
})
