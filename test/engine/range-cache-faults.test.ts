import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DeltaError } from '../../src/base/errors.js'
import { Database } from '../../src/engine/database.js'
import { RangeCache } from '../../src/engine/range-cache.js'
import { globLiteral, literal } from '../../src/engine/sql-text.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { ByteRange, StoreOptions } from '../../src/storage/store.js'

/** Tells of every ranged GET, and lets a test hold it up or make it fail. */
class WatchedStore extends MemoryStore {
  readonly ranges: (ByteRange | undefined)[] = []
  inFlight = 0
  inFlightMax = 0
  before: (signal: AbortSignal | undefined, nth: number) => Promise<void> = async () => {}

  override async get(path: string, options: StoreOptions & { readonly range?: ByteRange | undefined } = {}) {
    this.ranges.push(options.range)
    this.inFlightMax = Math.max(this.inFlightMax, ++this.inFlight)
    try {
      await this.before(options.signal, this.ranges.length)
      return await super.get(path, options)
    } finally {
      this.inFlight--
    }
  }
}

const PATH = 'folder/part-0.parquet'
const NAMED = { details: { file: `memory:shop/${PATH}` } }
let folder: string
let database: Database
let store: WatchedStore
let cache: RangeCache
let bytes: Buffer
let expected: unknown

const sum = async (file: string) => await database.rows(`SELECT sum(i)::BIGINT AS n FROM read_parquet(${globLiteral(file)})`)
const open = async (columns: readonly string[] | undefined = ['i'], signal?: AbortSignal, size = bytes.length) =>
  await cache.open(store, PATH, size, columns, { signal })
const turns = async (count = 50) => {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'range-cache-'))
  database = await Database.open({ threads: 1 })
  store = new WatchedStore({ name: 'shop' })
  const source = join(folder, 'source.parquet')
  const query = 'SELECT i, hash(i) AS h, hash(i + 1) AS g FROM range(30000) t(i)'
  await database.rows(`COPY (${query}) TO ${literal(source)} (FORMAT parquet, ROW_GROUP_SIZE 2048)`)
  bytes = await readFile(source)
  expected = await sum(source)
  await store.put(PATH, bytes)
  cache = new RangeCache({ folder, database, maxBytes: 1e9, wholeFileMaxBytes: 0, coalesceGapBytes: 0, concurrency: 3 })
})

afterEach(async () => {
  await cache.close()
  database.close()
  await rm(folder, { recursive: true })
})

describe('RangeCache on a file that is not as the log says', () => {
  it('rejects a missing object with DATA_FILE_MISSING', async () => {
    await store.delete([PATH])
    await expect(open()).rejects.toMatchObject({ code: 'DATA_FILE_MISSING', ...NAMED })
  })

  it('rejects an object that goes away between two columns', async () => {
    await open(['i'])
    await store.delete([PATH])
    await expect(open(['h'])).rejects.toMatchObject({ code: 'DATA_FILE_MISSING', ...NAMED })
  })

  it.each([
    ['longer than the object', (size: number) => size + 1],
    ['far longer than the object', (size: number) => size + 10_000_000],
    ['shorter than the object', (size: number) => size - 1],
    ['far shorter than the object', () => 100],
    ['shorter than any Parquet file', () => 11],
    ['0', () => 0],
    ['no number', () => Number.NaN],
  ])('rejects a size that is %s with DATA_FILE_DAMAGED, and opens with the right one', async (_, size) => {
    await expect(open(['i'], undefined, size(bytes.length))).rejects.toMatchObject({ code: 'DATA_FILE_DAMAGED' })
    expect(await sum((await open()).path)).toEqual(expected)
  })

  it('rejects an object that is cut short between two columns', async () => {
    await open(['i'])
    await store.put(PATH, bytes.subarray(0, 3000))
    await expect(open(['h'])).rejects.toMatchObject({ code: 'DATA_FILE_DAMAGED' })
  })

  it.each([
    ['no magic at the end', (copy: Buffer) => copy.fill('X', copy.length - 1)],
    ['a footer longer than the file', (copy: Buffer) => copy.writeUInt32LE(copy.length - 11, copy.length - 8)],
    ['an endless footer', (copy: Buffer) => copy.writeUInt32LE(0xffffffff, copy.length - 8)],
    ['an empty footer', (copy: Buffer) => copy.writeUInt32LE(0, copy.length - 8)],
    ['a footer of zeros', (copy: Buffer) => copy.fill(0, copy.length - 4000, copy.length - 8)],
    [
      'a footer that begins elsewhere',
      (copy: Buffer) => copy.writeUInt32LE(copy.readUInt32LE(copy.length - 8) + 5, copy.length - 8),
    ],
  ])('rejects %s with DATA_FILE_DAMAGED', async (_, damage) => {
    const copy = Buffer.from(bytes)
    damage(copy)
    await store.put(PATH, copy)
    await expect(open()).rejects.toMatchObject({ code: 'DATA_FILE_DAMAGED', ...NAMED })
  })

  it('keeps no local file of an object that it could not open', async () => {
    await store.put(PATH, Buffer.from(bytes).fill(0, bytes.length - 4000, bytes.length - 8))
    await expect(open()).rejects.toMatchObject({ code: 'DATA_FILE_DAMAGED' })
    const own = (await readdir(folder)).find((name) => name.startsWith('ranges-')) ?? ''
    await expect.poll(async () => await readdir(join(folder, own))).toEqual([])
  })
})

describe('RangeCache with several callers', () => {
  it('fetches every range once', async () => {
    const files = await Promise.all([open(['i']), open(['i', 'h']), open(['I']), open(['h', 'g']), open(undefined)])
    expect(new Set(files.map((file) => file.path)).size).toBe(1)
    const starts = store.ranges.map((range) => range?.start)
    expect(new Set(starts).size).toBe(starts.length)
    expect(cache.meter.bytes).toBeLessThanOrEqual(bytes.length)
    expect(cache.meter.requests).toBe(store.ranges.length)
    expect(await sum(files[0].path)).toEqual(expected)
  })

  it('keeps to its number of requests at once', async () => {
    store.before = async () => await turns(2)
    await Promise.all([open(['i']), open(['h']), open(['g'])])
    expect(store.inFlightMax).toBe(3)
  })

  it('rejects all who wait for a request that fails, and asks again later', async () => {
    await open([])
    const failure = new DeltaError('STORE_UNAVAILABLE', 'no answer')
    store.before = async (_, nth) => {
      await turns(2)
      if (nth === 3) throw failure
    }
    const outcomes = await Promise.allSettled([open(['i']), open(['i', 'h'])])
    expect(outcomes.map((outcome) => outcome.status === 'rejected' && outcome.reason)).toEqual([failure, failure])
    expect(await sum((await open(['i'])).path)).toEqual(expected)
  })

  it('tries the footer again after a failure', async () => {
    store.before = async (_, nth) => {
      if (nth === 1) throw new DeltaError('STORE_UNAVAILABLE', 'no answer')
    }
    await expect(Promise.all([open(), open(['h'])])).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await sum((await open()).path)).toEqual(expected)
  })
})

describe('RangeCache and aborts', () => {
  it('rejects with the reason before it asks for anything', async () => {
    await expect(open(['i'], AbortSignal.abort('enough'))).rejects.toBe('enough')
    expect(store.ranges).toEqual([])
  })

  it.each([
    ['the footer', 1],
    ['a column', 2],
  ])('does not take %s from those who still wait', async (_, held) => {
    let answer = () => {}
    const asked = new Promise<void>((resolve) => {
      store.before = async (signal, nth) => {
        if (nth !== held) return
        resolve()
        await new Promise<void>((go) => {
          answer = go
        })
        signal?.throwIfAborted()
      }
    })
    const abort = new AbortController()
    const given = open(['i'], abort.signal)
    const kept = open(['i'])
    await asked
    await turns()
    abort.abort('enough')
    await expect(given).rejects.toBe('enough')
    answer()
    expect(await sum((await kept).path)).toEqual(expected)
    const starts = store.ranges.map((range) => range?.start)
    expect(new Set(starts).size).toBe(starts.length)
  })

  it('stops what nobody waits for, and fetches it again for the next one', async () => {
    const stopped: number[] = []
    store.before = async (signal, nth) => {
      if (nth === 1) return
      await new Promise((_, reject) => {
        signal?.addEventListener('abort', () => {
          stopped.push(nth)
          reject(signal.reason as Error)
        })
      })
    }
    const abort = new AbortController()
    const given = open(['i'], abort.signal)
    await expect.poll(() => store.inFlight).toBe(3)
    abort.abort('enough')
    await expect(given).rejects.toBe('enough')
    await turns()
    expect(stopped).toEqual([2, 3, 4])
    expect(store.ranges).toHaveLength(4)
    store.before = async () => {}
    expect(await sum((await open()).path)).toEqual(expected)
  })

  it('rejects those who wait with CLOSED when it is closed, and leaves nothing behind', async () => {
    store.before = async (signal, nth) => {
      if (nth > 1) await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error)))
    }
    const waiting = Promise.allSettled([open(['i']), open(['h'])])
    await expect.poll(() => store.inFlight).toBe(3)
    await cache.close()
    for (const outcome of await waiting) expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'CLOSED' } })
    expect(await readdir(folder)).toEqual(['source.parquet'])
  })
})
