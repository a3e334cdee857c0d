import { appendFile, copyFile, mkdir, mkdtemp, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, it, vi } from 'vitest'
import type { FollowOptions } from '../../src/index.js'
import { follow } from '../../src/ingest/follow/follow.js'
import { StoreFiles } from '../../src/ingest/follow/store-files.js'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { FaultyStore } from '../support/faulty-store.js'
import { openLake, rowsOf, skippingClock } from '../support/world.js'

const base = await mkdtemp(join(tmpdir(), 'deltaic-follow-'))
afterAll(() => rm(base, { recursive: true, force: true }))
let folders = 0

/** A table `t` of numbers, and a folder whose files go into it. */
async function setUp(columns = 'n BIGINT') {
  const folder = join(base, String(++folders))
  await mkdir(folder)
  const lake = await openLake()
  await lake.sql(`CREATE TABLE t (${columns})`)
  const at = (name: string) => join(folder, name)
  return {
    folder,
    lake,
    at,
    write: async (name: string, text: string | Uint8Array) => {
      await mkdir(dirname(at(name)), { recursive: true })
      await writeFile(at(name), text)
    },
    more: (name: string, text: string) => appendFile(at(name), text),
    /** Takes what is there, as a process of its own would. */
    once: (what = '.', options: FollowOptions = {}) => lake.table('t').follow(join(folder, what), { once: true, ...options }),
    numbers: () => numbersOf(lake),
    [Symbol.asyncDispose]: () => lake[Symbol.asyncDispose](),
  }
}

async function numbersOf(lake: Lakehouse): Promise<unknown[]> {
  return (await rowsOf(lake, 'SELECT n FROM t ORDER BY n')).map(({ n }) => n)
}

async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of chunks) all.push(chunk)
  return Buffer.concat(all)
}

const lines = (...numbers: readonly number[]) => numbers.map((n) => `{"n":${n}}\n`).join('')
const upTo = (count: number, from = 1) => Array.from({ length: count }, (_, at) => from + at)

describe('following a file', () => {
  it('takes whole lines, and goes on where the table says', async () => {
    await using world = await setUp()
    await world.write('a.ndjson', `${lines(1, 2)}{"n":`)
    expect(await world.once('a.ndjson')).toMatchObject({ rowsAdded: 2, files: 1, bytesRead: 16 })
    expect(await world.once('a.ndjson')).toMatchObject({ rowsAdded: 0, files: 0, version: undefined })
    await world.more('a.ndjson', `3}\n${lines(4)}`)
    expect(await world.once('a.ndjson')).toMatchObject({ rowsAdded: 2 })
    expect(await world.numbers()).toEqual([1, 2, 3, 4])
  })

  it('takes an object at the end of NDJSON without its line feed, once', async () => {
    await using world = await setUp()
    await world.write('a.ndjson', '{"n":1}\n{"n":2}')
    await world.once('a.ndjson')
    await world.more('a.ndjson', '\n{"n":3}\n')
    await world.once('a.ndjson')
    expect(await world.numbers()).toEqual([1, 2, 3])
  })

  it('reads on in a file that was renamed, then begins the new one', async () => {
    await using world = await setUp()
    await world.write('app.ndjson', lines(1, 2))
    await world.once('app.ndjson')
    await world.more('app.ndjson', lines(3))
    await rename(world.at('app.ndjson'), world.at('app.ndjson.1'))
    await world.write('app.ndjson', lines(4))
    await world.once('app.ndjson')
    await world.more('app.ndjson.1', lines(5))
    await rename(world.at('app.ndjson.1'), world.at('app.ndjson.2'))
    await rename(world.at('app.ndjson'), world.at('app.ndjson.1'))
    await world.write('app.ndjson', lines(6))
    await world.once('app.ndjson')
    expect(await world.numbers()).toEqual(upTo(6))
  })

  it('takes what was rotated twice since the last time, and nothing that was rotated before the first', async () => {
    await using world = await setUp()
    await world.write('app.ndjson.1', lines(100))
    await new Promise((resolve) => setTimeout(resolve, 20))
    await world.write('app.ndjson', lines(1))
    await world.once('app.ndjson')
    for (const next of [2, 3]) {
      await rm(world.at('app.ndjson.2'), { force: true })
      await rename(world.at('app.ndjson.1'), world.at('app.ndjson.2'))
      await rename(world.at('app.ndjson'), world.at('app.ndjson.1'))
      await new Promise((resolve) => setTimeout(resolve, 20))
      await world.write('app.ndjson', lines(next))
    }
    await world.once('app.ndjson')
    expect(await world.numbers()).toEqual([1, 2, 3])
  })

  it('begins anew in a file that was cut, and reads the rest of it in its copy', async () => {
    await using world = await setUp()
    await world.write('app.ndjson', lines(1, 2))
    await world.once('app.ndjson')
    await world.more('app.ndjson', lines(3))
    await copyFile(world.at('app.ndjson'), world.at('app.ndjson.1'))
    // While both are there, each line counts once.
    await world.once('.')
    await world.more('app.ndjson', lines(4))
    await copyFile(world.at('app.ndjson'), world.at('app.ndjson.1'))
    await truncate(world.at('app.ndjson'))
    await world.more('app.ndjson', lines(5))
    await world.once('.')
    expect(await world.numbers()).toEqual([1, 2, 3, 4, 5])
  })

  it('begins anew in a file that was cut and begins as it did before', async () => {
    await using world = await setUp()
    await world.write('app.ndjson', lines(1, 2, 3))
    await world.once('app.ndjson')
    await truncate(world.at('app.ndjson'))
    await world.more('app.ndjson', lines(1))
    await world.once('app.ndjson')
    await world.more('app.ndjson', lines(4))
    await world.once('app.ndjson')
    expect(await world.numbers()).toEqual([1, 1, 2, 3, 4])
  })

  it('reads a file to its end that was rotated, compressed and deleted', async () => {
    await using world = await setUp()
    await world.write('app.ndjson', lines(1))
    await world.once('app.ndjson')
    await world.more('app.ndjson', lines(2, 3))
    await world.write('app.ndjson.1.gz', gzipSync(await readFile(world.at('app.ndjson'))))
    await rm(world.at('app.ndjson'))
    await world.write('app.ndjson', lines(4))
    await world.once('app.ndjson')
    expect(await world.numbers()).toEqual([1, 2, 3, 4])
  })

  it('takes lines while they are written, and ends when it is told to', async () => {
    await using world = await setUp()
    await world.write('app.ndjson', '')
    const stop = new AbortController()
    const following = world.lake.table('t').follow(world.at('app.ndjson'), { signal: stop.signal, pollMs: 5, batchMs: 10 })
    for (let round = 0; round < 20; round++) {
      await world.more('app.ndjson', lines(...upTo(10, 1 + round * 10)))
      if (round % 7 === 6) {
        await rename(world.at('app.ndjson'), world.at(`app.ndjson.${round}`))
        // Whoever wrote to it has not noticed yet.
        await world.more(`app.ndjson.${round}`, lines(1000 + round))
        if (round === 13) await rm(world.at(`app.ndjson.${round}`))
        await world.write('app.ndjson', '')
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await vi.waitFor(async () => expect((await world.numbers()).length).toBeGreaterThanOrEqual(200), 10_000)
    stop.abort()
    expect((await following).rowsAdded).toBe((await world.numbers()).length)
    expect((await world.numbers()).filter((n) => Number(n) <= 200)).toEqual(upTo(200))
  })

  it('commits so many rows at a time', async () => {
    await using world = await setUp()
    await world.write('a.ndjson', lines(...upTo(25)))
    await world.once('a.ndjson', { batchRows: 10 })
    const history = await world.lake.table('t').history()
    expect(history.slice(0, 3).map(({ operationMetrics }) => Number(operationMetrics?.['numOutputRows']))).toEqual([5, 10, 10])
    expect(await world.numbers()).toEqual(upTo(25))
  })

  it('takes CSV under its header, with line feeds in quotes, whatever was taken before', async () => {
    await using world = await setUp('n BIGINT, s STRING')
    await world.write('a.csv', 'n,s\n')
    await world.once('a.csv')
    await world.more('a.csv', '1,a\n2,"two\nlines"\n3,"op')
    expect(await world.once('a.csv')).toMatchObject({ rowsAdded: 2 })
    await world.more('a.csv', 'en\n"\n4,d\n')
    await world.once('a.csv', { batchRows: 1 })
    expect(await rowsOf(world.lake, 'SELECT n, s FROM t ORDER BY n')).toEqual([
      { n: 1, s: 'a' },
      { n: 2, s: 'two\nlines' },
      { n: 3, s: 'open\n' },
      { n: 4, s: 'd' },
    ])
  })

  it('fails at a line that is no row, naming the file, or keeps it and goes on', async () => {
    await using world = await setUp()
    await world.write('a.ndjson', `${lines(1)}nonsense\n${lines(2)}`)
    await expect(world.once('a.ndjson')).rejects.toMatchObject({
      code: 'ROWS_INVALID',
      message: expect.stringMatching(/^a.ndjson: line 2/),
    })
    expect(await world.numbers()).toEqual([])
    expect(await world.once('a.ndjson', { onError: 'reject' })).toMatchObject({ rowsAdded: 2, rowsRejected: 1 })
    expect(await rowsOf(world.lake, 'SELECT source, line, raw FROM t__rejects')).toEqual([
      { source: 'a.ndjson', line: 2, raw: 'nonsense' },
    ])
  })

  it('makes the table from the first lines', async () => {
    await using world = await setUp()
    await world.write('access.log', '::1 - - [22/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl"\n')
    await world.lake.table('visits').follow(world.at('access.log'), { once: true, create: true })
    expect(await rowsOf(world.lake, 'SELECT path, status FROM visits')).toEqual([{ path: '/a', status: 200 }])
    await expect(world.lake.table('none').follow(world.at('access.log'), { once: true })).rejects.toMatchObject({
      code: 'TABLE_NOT_FOUND',
    })
  })
})

describe('following a folder', () => {
  it('takes each file once, whatever its format, and files that are like others too', async () => {
    await using world = await setUp()
    await world.write('a.ndjson', lines(1))
    await world.write('b.ndjson', lines(1))
    await world.write('deep/er/c.ndjson.gz', gzipSync(lines(2)))
    await world.write('d.csv', 'n\n3\n')
    await world.write('README.txt', 'nothing')
    await world.write('.hidden.ndjson', lines(9))
    await world.write('late.ndjson.tmp', lines(9))
    await world.lake.sql('CREATE TABLE other (n BIGINT)')
    const parquet = (await world.lake.sql('SELECT 4::BIGINT AS n')).bytes('parquet')
    await world.write('e.parquet', await bytesOf(parquet))
    expect(await world.once()).toMatchObject({ rowsAdded: 5, files: 5 })
    await world.write('f.ndjson', lines(5))
    expect(await world.once()).toMatchObject({ rowsAdded: 1, files: 1 })
    expect(await world.once()).toMatchObject({ rowsAdded: 0, files: 0 })
    expect(await world.numbers()).toEqual([1, 1, 2, 3, 4, 5])
  })

  it('waits for files that are not whole yet', async () => {
    await using world = await setUp()
    const parquet = await bytesOf((await world.lake.sql('SELECT 1::BIGINT AS n')).bytes('parquet'))
    const packed = gzipSync(lines(2))
    await world.write('a.parquet', parquet.subarray(0, 50))
    await world.write('b.ndjson.gz', packed.subarray(0, 15))
    expect(await world.once()).toMatchObject({ rowsAdded: 0 })
    await world.write('a.parquet', parquet)
    await world.write('b.ndjson.gz', packed)
    expect(await world.once()).toMatchObject({ rowsAdded: 2 })
    expect(await world.once()).toMatchObject({ rowsAdded: 0 })
    expect(await world.numbers()).toEqual([1, 2])
  })

  it('takes a file whose inode was another’s, and that begins as that one did', async () => {
    await using world = await setUp()
    for (let day = 0; day < 5; day++) {
      await world.write('day.ndjson', lines(0, ...upTo(day + 1)))
      const stop = new AbortController()
      const following = world.lake.table('t').follow(world.folder, { signal: stop.signal, pollMs: 5, batchMs: 0 })
      const expected = (await world.numbers()).length + day + 2
      await vi.waitFor(async () => expect((await world.numbers()).length).toBe(expected), 10_000)
      await rename(world.at('day.ndjson'), world.at(`day-${day}.ndjson`))
      stop.abort()
      await following
    }
    expect((await world.numbers()).filter((n) => n === 0)).toHaveLength(5)
  })

  it('does not take old files again whose places have expired in the log', async () => {
    const DAY_MS = 24 * 3_600_000
    const clock = skippingClock()
    const store = new MemoryStore({ clock })
    const source = new MemoryStore({ name: 'old-files', clock })
    const settings = { batchRows: 100, batchMs: 0, pollMs: 1, once: true }
    const take = async (lake: Lakehouse) =>
      (await follow(new StoreFiles(source), lake.table('t').sink({}), lake.deltaOf('t').deps, settings)).rows
    {
      await using lake = await openLake(store, { clock })
      await lake.sql("CREATE TABLE t (n BIGINT) TBLPROPERTIES ('delta.setTransactionRetentionDuration' = 'interval 3 days')")
      for (const n of [1, 2, 3]) {
        await source.put(`${n}.ndjson`, Buffer.from(lines(n)))
        expect(await take(lake)).toBe(1)
        clock.advance(2 * DAY_MS)
      }
      // Nothing new comes for long: the folder's place is kept fresh.
      for (let day = 0; day < 10; day++) {
        expect(await take(lake)).toBe(0)
        clock.advance(DAY_MS)
      }
      await lake.table('t').checkpoint()
    }
    await using lake = await openLake(store, { clock })
    expect((await lake.table('t').sink({}).places('object:')).size).toBe(0)
    await source.put('4.ndjson', Buffer.from(lines(4)))
    expect(await take(lake)).toBe(1)
    expect(await numbersOf(lake)).toEqual([1, 2, 3, 4])
  })
})

describe('a follower that is broken off', () => {
  it('neither loses nor doubles a line, wherever the store fails', async () => {
    const inner = new MemoryStore()
    const faulty = new FaultyStore(inner)
    await using lake = await openLake(faulty)
    await lake.sql("CREATE TABLE t (n BIGINT) TBLPROPERTIES ('delta.checkpointInterval' = '3')")
    const path = join(base, 'faults.ndjson')
    await writeFile(path, '')
    let next = 1
    for (const call of ['get', 'put-if-absent', 'put-file', 'put', 'list'] as const)
      for (const when of ['before', 'after'] as const)
        for (const nth of [1, 2]) {
          await appendFile(path, `${lines(next++)}broken ${next}\n`)
          faulty.fail({ call, nth, when })
          await lake.table('t').follow(path, { once: true, batchRows: 3, onError: 'reject' })
        }
    expect(await numbersOf(lake)).toEqual(upTo(next - 1))
    expect(await rowsOf(lake, 'SELECT count(*) AS c, count(DISTINCT raw) AS d FROM t__rejects')).toEqual([
      { c: next - 1, d: next - 1 },
    ])
  })

  it('gives way to another that follows the same', async () => {
    await using world = await setUp()
    await world.write('a.ndjson', lines(...upTo(200)))
    const results = await Promise.all([1, 2, 3].map(() => world.once('a.ndjson', { batchRows: 7, pollMs: 1 })))
    expect(results.reduce((sum, { rowsAdded }) => sum + rowsAdded, 0)).toBe(200)
    expect(await world.numbers()).toEqual(upTo(200))
  })
})
