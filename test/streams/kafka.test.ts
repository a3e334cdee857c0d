import { describe, expect, it, vi } from 'vitest'
import { startServer } from '../../server/server.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { useCli } from '../cli/cli.js'
import { JSON_TYPE, jsonOf, problemOf, serveLake } from '../server/lake-server.js'
import { FaultyStore } from '../support/faulty-store.js'
import { hasProducer, KAFKA_REASON, kafkaBroker, kafkaServer, PRODUCER_REASON, produceWith, useKafka } from '../support/kafka.js'
import { describeWhen } from '../support/needs.js'
import { openLake, rowsOf } from '../support/world.js'

const cli = useCli()
const kafka = useKafka()
const uri = (topic: string) => `kafka://${kafkaBroker}/${topic}`
const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, at) => from + at)
const values = (count: number, from = 1) => upTo(count, from).map((n) => `{"n":${n}}`)

async function setUp(partitions = 1, columns = 'n BIGINT', store = new MemoryStore()) {
  const lake = await openLake(store)
  await lake.sql(`CREATE TABLE t (${columns})`)
  const topic = await kafka.topic(partitions)
  const numbers = async () => (await rowsOf(lake, 'SELECT n FROM t ORDER BY n')).map(({ n }) => n)
  return { lake, topic, source: uri(topic), numbers, [Symbol.asyncDispose]: () => lake[Symbol.asyncDispose]() }
}

describeWhen(kafkaBroker !== undefined, KAFKA_REASON, 'a stream from Kafka', () => {
  it('takes every record once, and goes on where the table says', async () => {
    await using world = await setUp(3)
    const { lake, topic, source } = world
    for (const partition of [0, 1, 2]) await kafka.send(topic, values(100, 1 + partition * 100), partition)
    const first = await lake.stream(source, 't', { once: true })
    expect(first).toMatchObject({
      rows: 300,
      rejected: 0,
      partitions: [0, 1, 2].map((partition) => ({ partition, offset: 100, high: 100 })),
    })
    expect((await lake.stream(source, 't', { once: true })).rows).toBe(0)
    await kafka.send(topic, values(5, 301), 1)
    expect((await lake.stream(source, 't', { once: true, partitions: [1] })).rows).toBe(5)
    expect(await world.numbers()).toEqual(upTo(305))
  })

  it('makes columns of what a record has beside its value', async () => {
    await using world = await setUp()
    const message = { value: '{ "n": 1 }', key: 'k', timestamp: '1700000000000', headers: { a: 'x', b: 'y' } }
    await kafka.send(world.topic, [{ message }, '{}', null, ''])
    const status = await world.lake.stream(world.source, 'made', {
      once: true,
      create: true,
      with: ['key=user', 'timestamp', 'headers', 'partition', 'offset'],
    })
    expect(status).toMatchObject({ rows: 2, empty: 2 })
    const rows = await rowsOf(
      world.lake,
      `SELECT n, "user", epoch_ms(_timestamp) AS at, _headers['b'] AS b, _partition, _offset FROM made ORDER BY _offset`,
    )
    expect(rows).toEqual([
      { n: 1, user: 'k', at: 1_700_000_000_000, b: 'y', _partition: 0, _offset: 0 },
      { n: null, user: null, at: expect.any(Number), b: null, _partition: 0, _offset: 1 },
    ])
  })

  it('takes JSON over several lines, and keeps what is no row of the table', async () => {
    await using world = await setUp()
    await kafka.send(world.topic, ['{\n "n":\n 1}', 'nonsense', Buffer.from([0x7b, 0xff, 0x7d]), '{"n":2}', '[3]', '{"n":"x"}'])
    await expect(world.lake.stream(world.source, 't', { once: true })).rejects.toMatchObject({ code: 'ROWS_INVALID' })
    const status = await world.lake.stream(world.source, 't', { once: true, onError: 'reject' })
    expect(status).toMatchObject({ rows: 2, rejected: 4 })
    expect(await world.numbers()).toEqual([1, 2])
    const rejects = await rowsOf(world.lake, 'SELECT source, line, raw FROM t__rejects ORDER BY line')
    expect(rejects.map(({ line }) => line)).toEqual([2, 3, 5, 6])
    expect(rejects[1]).toMatchObject({ source: `${world.topic}/0 from offset 0`, raw: expect.stringMatching(/^not UTF-8/) })
  })

  it('adds columns for new fields where the table may change', async () => {
    await using world = await setUp()
    await kafka.send(world.topic, ['{"n":1}', '{"n":2,"s":"x"}'])
    await world.lake.stream(world.source, 't', { once: true, schema: 'evolve' })
    expect(await rowsOf(world.lake, 'SELECT * FROM t ORDER BY n')).toEqual([
      { n: 1, s: null },
      { n: 2, s: 'x' },
    ])
  })

  it('passes over what transactions took back', async () => {
    await using world = await setUp()
    const producer = kafka.client.producer({ transactionalId: world.topic, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    for (const [n, isKept] of [
      [1, true],
      [2, false],
      [3, true],
      [4, false],
    ] as const) {
      const transaction = await producer.transaction()
      await transaction.send({ topic: world.topic, messages: [{ value: `{"n":${n}}` }] })
      await (isKept ? transaction.commit() : transaction.abort())
    }
    await producer.disconnect()
    expect(await world.lake.stream(world.source, 't', { once: true })).toMatchObject({ rows: 2 })
    await kafka.send(world.topic, values(1, 5))
    expect(await world.lake.stream(world.source, 't', { once: true })).toMatchObject({ rows: 1 })
    expect(await world.numbers()).toEqual([1, 3, 5])
  })

  it('begins at the end when it is asked to, and loses nothing that comes after', async () => {
    await using world = await setUp(2)
    await kafka.send(world.topic, values(10))
    expect((await world.lake.stream(world.source, 't', { once: true, from: 'latest' })).rows).toBe(0)
    await kafka.send(world.topic, values(10, 11))
    await kafka.send(world.topic, values(10, 21), 1)
    expect((await world.lake.stream(world.source, 't', { once: true, from: 'latest' })).rows).toBe(20)
    expect(await world.numbers()).toEqual(upTo(20, 11))
  })

  it('says that records are gone that it had not read, and goes on where it is told to', async () => {
    await using world = await setUp()
    const { lake, topic, source } = world
    await kafka.send(topic, values(10))
    await lake.stream(source, 't', { once: true })
    await kafka.send(topic, values(20, 11))
    await (await kafka.admin()).fetchTopicOffsets(topic)
    await (await kafka.admin()).deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '15' }] })
    await expect(lake.stream(source, 't', { once: true })).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
      details: { topic, partition: 0, offset: 10, low: 15, high: 30 },
    })
    expect((await lake.stream(source, 't', { once: true, onOutOfRange: 'earliest' })).rows).toBe(15)
    expect(await world.numbers()).toEqual([...upTo(10), ...upTo(15, 16)])
  })

  it('reads what new partitions bring from their beginning', async () => {
    await using world = await setUp(1)
    const { lake, topic, source } = world
    const stop = new AbortController()
    const streaming = lake.stream(source, 't', { signal: stop.signal, batchMs: 10, from: 'latest' })
    await vi.waitFor(async () => expect((await lake.table('t').history()).length).toBe(2), 20_000)
    await (await kafka.admin()).createPartitions({ topicPartitions: [{ topic, count: 2 }] })
    await vi.waitFor(async () => expect(await (await kafka.admin()).fetchTopicOffsets(topic)).toHaveLength(2), 20_000)
    await kafka.send(topic, values(5))
    await kafka.send(topic, values(1, 6), 1)
    await vi.waitFor(async () => expect((await world.numbers()).length).toBe(6), 25_000)
    stop.abort()
    expect((await streaming).rows).toBe(6)
    expect(await world.numbers()).toEqual(upTo(6))
  }, 60_000)

  it('shares partitions among workers, and moves them when one leaves', async () => {
    await using world = await setUp(4)
    const { lake, topic, source } = world
    const stops = [new AbortController(), new AbortController()]
    const shares = stops.map(() => 0)
    const workers = stops.map((stop, at) =>
      lake.stream(source, 't', {
        signal: stop.signal,
        batchMs: 10,
        onProgress: ({ partitions }) => {
          shares[at] = partitions.length
        },
      }),
    )
    for (let round = 0; round < 5; round++)
      for (const partition of [0, 1, 2, 3]) await kafka.send(topic, values(50, 1 + (round * 4 + partition) * 50), partition)
    await vi.waitFor(() => expect(shares).toEqual([2, 2]), 25_000)
    stops[0]?.abort()
    await workers[0]
    for (const partition of [0, 1, 2, 3]) await kafka.send(topic, values(50, 1001 + partition * 50), partition)
    await vi.waitFor(async () => expect((await world.numbers()).length).toBe(1200), 25_000)
    stops[1]?.abort()
    await workers[1]
    expect(await world.numbers()).toEqual(upTo(1200))
  }, 60_000)

  it('takes each record once when two read the same partition', async () => {
    await using world = await setUp()
    await kafka.send(world.topic, values(3000))
    await Promise.all(
      [100, 300].map((batchRows) => world.lake.stream(world.source, 't', { once: true, partitions: [0], batchRows, batchMs: 0 })),
    )
    expect(await world.numbers()).toEqual(upTo(3000))
  })

  it('neither loses nor doubles a record or a rejected line, wherever the store fails', async () => {
    const faulty = new FaultyStore(new MemoryStore())
    await using lake = await openLake(faulty)
    await lake.sql("CREATE TABLE t (n BIGINT) TBLPROPERTIES ('delta.checkpointInterval' = '3')")
    const topic = await kafka.topic()
    const stop = new AbortController()
    const streaming = lake.stream(uri(topic), 't', { signal: stop.signal, batchMs: 5, onError: 'reject' })
    let next = 1
    for (const call of ['get', 'put-if-absent', 'put-file', 'put'] as const)
      for (const when of ['before', 'after'] as const) {
        faulty.fail({ call, nth: 1, when })
        await kafka.send(topic, [...values(1, next), `broken ${next++}`])
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    await vi.waitFor(async () => expect((await rowsOf(lake, 'SELECT n FROM t')).length).toBe(next - 1), 20_000)
    stop.abort()
    await streaming
    expect((await rowsOf(lake, 'SELECT n FROM t ORDER BY n')).map(({ n }) => n)).toEqual(upTo(next - 1))
    expect(await rowsOf(lake, 'SELECT count(*) AS c, count(DISTINCT raw) AS d FROM t__rejects')).toEqual([
      { c: next - 1, d: next - 1 },
    ])
  }, 60_000)

  it('tells a topic and brokers that are not there', async () => {
    await using world = await setUp()
    await expect(world.lake.stream(uri('no-such-topic'), 't', { once: true })).rejects.toMatchObject({ code: 'SOURCE_NOT_FOUND' })
    const stop = new AbortController()
    const retries: unknown[] = []
    const streaming = world.lake.stream('kafka://127.0.0.1:1/topic', 't', {
      signal: stop.signal,
      onRetry: (error) => {
        retries.push(error)
        stop.abort()
      },
    })
    await streaming
    expect(retries).toMatchObject([{ code: 'SOURCE_UNAVAILABLE' }])
  })
})

describeWhen(kafkaBroker !== undefined, KAFKA_REASON, 'a stream whose worker and broker are killed', () => {
  it('takes every record once', async () => {
    const topic = await kafka.topic(2)
    await cli.run(['sql', 'CREATE TABLE killed (n BIGINT)'])
    let next = 1
    const send = async (rounds: number) => {
      for (let round = 0; round < rounds; round++, next += 1000) await kafka.send(topic, values(1000, next), round % 2)
    }
    const words = ['stream', uri(topic), 'killed', '--partitions', '0,1', '--batch-seconds', '0.01', '--batch-rows', '500']
    await send(10)
    for (const ms of [200, 600]) {
      const running = cli.start(words)
      await running.says(/streaming/)
      await Promise.all([send(5), new Promise((resolve) => setTimeout(resolve, ms))])
      running.process.kill('SIGKILL')
      await running.ended
    }
    const running = cli.start(words)
    await running.says(/streaming/)
    await send(10)
    await kafkaServer('kill')
    await kafkaServer('start')
    await send(5)
    const count = async () =>
      (
        await cli.run(['sql', "SELECT count(*) || ' ' || count(DISTINCT n) || ' ' || max(n) FROM killed", '-o', 'csv'])
      ).stdout.split('\n')[1]
    await vi.waitFor(async () => expect(await count()).toBe(`${next - 1} ${next - 1} ${next - 1}`), {
      timeout: 30_000,
      interval: 200,
    })
    running.process.kill('SIGINT')
    expect(await running.ended).toMatchObject({ code: 0, stdout: expect.stringMatching(/rows into killed from 2 partitions/) })
    const listed = JSON.parse((await cli.run(['streams', '-o', 'json'])).stdout) as { lag: number; offset: number }[]
    expect(listed.map(({ lag }) => lag)).toEqual([0, 0])
    expect(listed.reduce((sum, { offset }) => sum + offset, 0)).toBe(next - 1)
  }, 120_000)
})

describeWhen(hasProducer, PRODUCER_REASON, 'what librdkafka has packed', () => {
  it.each(['gzip', 'snappy', 'lz4', 'zstd'])('is unpacked: %s', async (codec) => {
    await using world = await setUp(1, 'n BIGINT, pad STRING')
    await produceWith(codec, world.topic, 2000)
    expect((await world.lake.stream(world.source, 't', { once: true })).rows).toBe(2000)
    expect(await world.numbers()).toEqual(upTo(2000))
  })
})

describeWhen(kafkaBroker !== undefined, KAFKA_REASON, '/v1/streams', () => {
  it('runs streams, tells how far they are, and goes on with them in the next server', async () => {
    await using at = await serveLake()
    await at.sql('CREATE TABLE t (n BIGINT)')
    const topic = await kafka.topic()
    await kafka.send(topic, values(10))
    const definition = JSON.stringify({ id: 'mine', source: uri(topic), table: 't', batchMs: 10 })
    expect(await jsonOf(await at.post('/v1/streams', definition, JSON_TYPE))).toMatchObject({ id: 'mine', state: 'running' })
    const stream = async () => (await jsonOf<{ streams: unknown[] }>(await at.get('/v1/streams'))).streams[0]
    await vi.waitFor(
      async () =>
        expect(await stream()).toMatchObject({
          id: 'mine',
          runs: 'server',
          lag: 0,
          rowsPerSecond: 10 / 60,
          partitions: [{ partition: 0, offset: 10, high: 10, lag: 0 }],
        }),
      20_000,
    )
    const metrics = await (await at.get('/metrics')).text()
    for (const line of [
      'deltaic_stream_offset{stream="mine",partition="0"} 10',
      'deltaic_stream_lag{stream="mine",partition="0"} 0',
      'deltaic_stream_rows_total{stream="mine"} 10',
      'deltaic_stream_rejected_rows_total{stream="mine"} 0',
      'deltaic_stream_state{stream="mine",state="running"} 1',
      'deltaic_stream_state{stream="mine",state="failed"} 0',
    ])
      expect(metrics).toContain(`${line}\n`)
    const next = await startServer(at.lake, { port: 0 })
    await kafka.send(topic, values(5, 11))
    await vi.waitFor(async () => expect(await at.rows('SELECT count(*) AS c FROM t')).toEqual([{ c: 15 }]), 20_000)
    expect(await jsonOf(await fetch(`${next.url}/v1/streams/mine`, { method: 'DELETE' }))).toEqual({ dropped: 'mine' })
    expect((await fetch(`${next.url}/v1/streams/mine`, { method: 'DELETE' })).status).toBe(404)
    expect(await jsonOf(await at.get('/v1/streams'))).toEqual({ streams: [] })
    await next.close()
  }, 60_000)

  it('refuses what is no stream, and secrets that are not for brokers', async () => {
    await using at = await serveLake()
    const source = `kafka://${kafkaBroker}/t`
    for (const body of [
      { source: 'http://a/b', table: 't' },
      { source, table: '../t' },
      { source, table: 't', id: '../x' },
      { source, table: 't', with: ['value'] },
      { source, table: 't', sasl: { mechanism: 'plain', username: 'u', passwordVariable: 'PATH' } },
    ])
      expect((await problemOf(await at.post('/v1/streams', JSON.stringify(body), JSON_TYPE))).status).toBe(400)
  })
})

describe('the name of a stream’s source', () => {
  it('is refused where it names no topic, and so are parts that no record has', async () => {
    await using lake = await openLake()
    for (const name of ['kafka://host', 'http://host/topic', 'kafka://user@host/topic', 'kafka:///t'])
      await expect(lake.stream(name, 't')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await expect(lake.stream('kafka://host/t', 't', { with: ['value'] })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})
