import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { FaultyStore } from '../support/faulty-store.js'
import { ndjson, openLake, rowsOf } from '../support/world.js'

const COLUMNS = [
  { name: 'id', type: 'BIGINT' },
  { name: 'v', type: 'STRING' },
]
const stream = async function* (bytes: Buffer, size = 64 * 1024, between?: () => Promise<unknown>) {
  for (let at = 0; at < bytes.length; at += size) {
    yield bytes.subarray(at, at + size)
    await between?.()
  }
}
const count = async (lake: Parameters<typeof rowsOf>[0]) => (await rowsOf(lake, 'SELECT count(*) AS n, sum(id) AS s FROM t'))[0]

describe('a large request', () => {
  it('goes through a file of the spool, and leaves none behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'deltaic-spool-'))
    await using lake = await openLake(new MemoryStore(), { tempFolder: folder })
    await lake.createTable('t', { columns: COLUMNS })
    const line = (id: number) => `{"id":${id},"v":"${'x'.repeat(190)}"}\n`
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, id) => line(id)).join(''))
    expect(bytes.length).toBeGreaterThan(20 * 10 ** 6)
    const [large, small] = await Promise.all([
      lake.table('t').ingest(stream(bytes)),
      lake.table('t').ingest(Buffer.from(line(1))),
    ])
    expect([large.rows, small.rows]).toEqual([100_000, 1])
    expect(await count(lake)).toEqual({ n: 100_001, s: (100_000 * 99_999) / 2 + 1 })
    const left = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.body'))
    expect(left).toEqual([])
    await rm(folder, { recursive: true, force: true })
  })

  it('names the broken line in its midst, and nothing of it is taken', async () => {
    await using lake = await openLake()
    await lake.createTable('t', { columns: COLUMNS })
    const lines = Array.from({ length: 30_000 }, (_, id) =>
      id === 23_456 ? '{"id":"many"}' : `{"id":${id},"v":"${'y'.repeat(60)}"}`,
    )
    await expect(lake.table('t').ingest(stream(Buffer.from(lines.join('\r\n'))))).rejects.toMatchObject({
      code: 'ROWS_INVALID',
      details: { rejected: 1, lines: [{ line: 23_457, reason: 'field "id": expected long, got "many"' }] },
    })
    expect(await count(lake)).toMatchObject({ n: 0 })
  })

  it('is refused beyond its limit', async () => {
    await using lake = await openLake()
    await lake.createTable('t', { columns: COLUMNS })
    await expect(lake.table('t').ingest(stream(Buffer.alloc(5_000_000, 0x20)), { bytesMax: 4_000_000 })).rejects.toMatchObject({
      code: 'BODY_TOO_LARGE',
      kind: 'limit',
    })
  })
})

describe('the room for requests', () => {
  it('refuses more when it is full, and is given back by those that end, well or badly', async () => {
    await using lake = await openLake(new MemoryStore(), { spoolBytesMax: 300_000 })
    await lake.createTable('t', { columns: COLUMNS })
    const table = lake.table('t')
    const blank = Buffer.alloc(200_000, 0x0a)
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const slow = table.ingest(stream(blank, 100_000, async () => held))
    await new Promise((resolve) => setTimeout(resolve, 20))
    await expect(table.ingest(Buffer.alloc(250_000, 0x0a))).rejects.toMatchObject({
      code: 'TOO_BUSY',
      kind: 'limit',
      details: { retryAfterMs: 1000 },
    })
    release()
    expect(await slow).toMatchObject({ rows: 0 })
    const breaking = async function* () {
      yield blank
      throw new Error('gone')
    }
    for (let at = 0; at < 3; at++) {
      await expect(table.ingest(breaking())).rejects.toThrow('gone')
      await expect(table.ingest(Buffer.alloc(250_000, 0x78))).rejects.toMatchObject({ code: 'ROWS_INVALID' })
      await expect(table.ingest(blank, { compression: 'gzip' })).rejects.toMatchObject({ code: 'ROWS_INVALID' })
      expect(await table.ingest(Buffer.alloc(290_000, 0x0a))).toMatchObject({ rows: 0 })
    }
  })
})

describe('a body that breaks off', () => {
  it('takes nothing of what came before', async () => {
    await using lake = await openLake()
    await lake.createTable('t', { columns: COLUMNS })
    const aborted = new AbortController()
    const body = async function* () {
      yield ndjson({ id: 1 })
      aborted.abort(new Error('gone'))
      yield ndjson({ id: 2 })
    }
    await expect(lake.table('t').ingest(body(), { signal: aborted.signal })).rejects.toThrow('gone')
    expect(await count(lake)).toMatchObject({ n: 0 })
  })
})

describe('closing a lakehouse', () => {
  it('waits for what was taken, which is durable then', async () => {
    const store = new MemoryStore()
    const lake = await openLake(store, { lingerMs: 50 })
    await lake.createTable('t', { columns: COLUMNS })
    const taken = [1, 2, 3].map(async (id) => lake.table('t').ingest(ndjson({ id })))
    await new Promise((resolve) => setTimeout(resolve, 10))
    await lake[Symbol.asyncDispose]()
    expect((await Promise.all(taken)).map(({ rows }) => rows)).toEqual([1, 1, 1])
    await using again = await openLake(store)
    expect(await count(again)).toEqual({ n: 3, s: 6 })
  })
})

describe('a request of a group that cannot be written', () => {
  it('is told so, and the next one is taken', async () => {
    const store = new FaultyStore(new MemoryStore())
    await using lake = await openLake(store)
    await lake.createTable('t', { columns: COLUMNS })
    store.fail({ call: 'put-file', nth: 1, when: 'before' })
    await expect(lake.table('t').ingest(ndjson({ id: 1 }))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await lake.table('t').ingest(ndjson({ id: 2 }))).toMatchObject({ rows: 1, version: 1 })
    expect(await count(lake)).toEqual({ n: 1, s: 2 })
  })
})

describe('rejected lines', () => {
  it('are rows of a table of their own before the request is answered', async () => {
    await using lake = await openLake()
    await lake.createTable('t', { columns: COLUMNS })
    const body = Buffer.from('{"id":1}\nbroken\n{"id":2,"x":3}\n')
    expect(await lake.table('t').ingest(body, { onError: 'reject', txn: { appId: 'p', version: 1 } })).toMatchObject({
      rows: 1,
      rejected: 2,
    })
    expect(await rowsOf(lake, 'SELECT source, line, raw FROM t__rejects ORDER BY line')).toEqual([
      { source: 'p', line: 2, raw: 'broken' },
      { source: 'p', line: 3, raw: '{"id":2,"x":3}' },
    ])
    expect(await lake.table('t').ingest(body, { onError: 'reject', txn: { appId: 'p', version: 1 } })).toMatchObject({
      replayed: true,
    })
    expect(await rowsOf(lake, 'SELECT count(*) AS n FROM t__rejects')).toEqual([{ n: 2 }])
  })
})
