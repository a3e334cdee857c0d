// delta-rs reads what deltaic writes, and deltaic reads, appends to and compacts what delta-rs writes.
import { afterAll } from 'vitest'
import { describeWhen } from '../support/needs.js'
import { type PeerClient, peers, startDeltalake, startReader } from '../support/peers.js'
import { deltalakeJudge, done, type Judge } from './engines.js'
import { describeEachPlace, onDisk, type Place } from './lakes.js'
import { type ForeignTable, readsAndAppendsToOurs, readsOursFromACheckpoint, writesForUs } from './round-trips.js'
import { skipsNoWantedRow } from './statistics.js'

interface Engine {
  readonly judge: Judge
  readonly writer: PeerClient
}

/** One delta-rs for a place, since it learns of a server from its environment. */
function sharedEngine(place: Place): () => Promise<Engine> {
  let started: Promise<Engine & AsyncDisposable> | undefined
  afterAll(async () => void (await (await started)?.[Symbol.asyncDispose]()))
  const start = async () => {
    const reader = startReader('deltalake', { env: place.env })
    const writer = await startDeltalake('/', { env: place.env })
    const close = async () => void (await Promise.all([reader.close(), writer.close()]))
    return { judge: deltalakeJudge(reader, writer), writer, [Symbol.asyncDispose]: close }
  }
  return () => {
    started ??= start()
    return started
  }
}

const rows = (from: number) => `
  SELECT i AS id, CASE WHEN i % 3 = 0 THEN NULL ELSE 'part ' || chr(64 + i % 3) || '/ü' END AS part, i / 8 AS score,
    TIMESTAMPTZ '1970-01-01 00:00:00.000001+00' - i * INTERVAL 1 MICROSECOND AS moment, DATE '1970-01-01' - i AS day,
    {x: i, tags: ['a', NULL]} AS inside, MAP {'k': i} AS ages, (i / 7)::DECIMAL(20, 3) AS price, encode('é' || i) AS bytes
  FROM range(${from}, ${from + 6})  r(t), LATERAL (SELECT t::INT AS i)`

const SCHEMA = {
  type: 'struct',
  fields: [
    { name: 'id', type: 'long', nullable: false, metadata: {} },
    { name: 'part', type: 'string', nullable: true, metadata: {} },
  ],
}

function foreignTables(engine: () => Promise<Engine>): readonly ForeignTable[] {
  const make =
    (first: object, between: readonly object[] = []) =>
    async (uri: string) => {
      const { writer } = await engine()
      done(await writer.run({ op: 'append', table: uri, sql: rows(0), ...first }))
      done(await writer.run({ op: 'append', table: uri, sql: rows(10) }))
      for (const command of between) done(await writer.run({ table: uri, ...command }))
    }
  return [
    {
      kind: 'created before it has rows',
      make: async (uri) => {
        const { writer } = await engine()
        done(await writer.run({ op: 'create', table: uri, schema: SCHEMA, partitionBy: ['part'] }))
        done(await writer.run({ op: 'append', table: uri, rows: [{ id: 1, part: 'a' }, { id: 2 }], schema: SCHEMA }))
      },
      operations: ['WRITE', 'CREATE TABLE'],
    },
    { kind: 'plain', make: make({}), operations: ['WRITE', 'WRITE'] },
    { kind: 'partitioned', make: make({ partitionBy: ['part', 'day'] }), operations: ['WRITE', 'WRITE'] },
    {
      kind: 'with a checkpoint and later commits',
      make: make({}, [{ op: 'checkpoint' }, { op: 'append', sql: rows(20) }, { op: 'delete', predicate: 'id < 12' }]),
      operations: ['DELETE', 'WRITE', 'WRITE', 'WRITE'],
    },
    {
      kind: 'partitioned and compacted by itself',
      make: make({ partitionBy: ['part'] }, [{ op: 'optimize' }, { op: 'checkpoint' }]),
      operations: ['OPTIMIZE', 'WRITE', 'WRITE'],
    },
  ]
}

describeWhen(peers.available('deltalake'), peers.reason('deltalake'), 'deltalake', () => {
  describeEachPlace((place) => {
    const engine = sharedEngine(place)
    const judge = async () => (await engine()).judge
    readsAndAppendsToOurs(place, judge)
    writesForUs(place, judge, foreignTables(engine))
    if (place !== onDisk) return
    readsOursFromACheckpoint(judge)
    skipsNoWantedRow(place, judge)
  })
})
