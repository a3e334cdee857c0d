import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Database } from '../../src/engine/database.js'
import { layoutOf } from '../../src/engine/parquet-layout.js'
import { RangeCache, type RangeCacheOptions } from '../../src/engine/range-cache.js'
import { globLiteral, ident, literal } from '../../src/engine/sql-text.js'
import { MemoryStore } from '../../src/storage/memory.js'

const COLUMNS = ['id', 'Url', 'place', 'tags', 'w, x.y', 'amount'] as const
const ROWS = `
  SELECT i AS id, 'https://example.org/' || (i * 7919 % 97) AS "Url", {'country': i % 7, 'city, x': [{'name': 'c' || i % 31}]} AS place,
    MAP {'k' || i % 5: i} AS tags, hash(i)::VARCHAR AS "w, x.y", CASE WHEN i % 3 > 0 THEN i / 7 END AS amount
  FROM range(60000) t(i)`

let folder: string
let database: Database
let store: MemoryStore
let cache: RangeCache
/** File sizes by path. */
const sizes = new Map<string, number>()
const whole = (path: string) => join(folder, `whole-${path}`)

async function make(path: string, query: string, options = 'ROW_GROUP_SIZE 4096'): Promise<void> {
  await database.rows(`COPY (${query}) TO ${literal(whole(path))} (FORMAT parquet, ${options})`)
  const bytes = await readFile(whole(path))
  sizes.set(path, bytes.length)
  await store.put(path, bytes)
}

function newCache(options: Partial<RangeCacheOptions> = {}): RangeCache {
  const small = { wholeFileMaxBytes: 0, coalesceGapBytes: 0, maxBytes: 1e12 }
  return new RangeCache({ folder: join(folder, 'cache'), database, ...small, ...options })
}

const openFile = async (path: string, columns: readonly string[] | undefined, from = cache) =>
  await from.open(store, path, sizes.get(path) ?? 0, columns)

/** Every value of these columns, boiled down to one. */
async function digest(file: string, columns: readonly string[], where = 'true'): Promise<unknown> {
  const values = columns.map((column) => `sum(hash(${ident(column)}))::VARCHAR AS ${ident(column)}`)
  return await database.rows(
    `SELECT count(*) AS n, ${values.join(', ') || '0'} FROM read_parquet(${globLiteral(file)}) WHERE ${where}`,
  )
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'range-cache-'))
  database = await Database.open({ threads: 2 })
  store = new MemoryStore()
  await make('a.parquet', ROWS)
  await make('b.parquet', ROWS, 'ROW_GROUP_SIZE 8192, CODEC zstd')
  await make('small.parquet', `${ROWS} LIMIT 100`)
  await make('empty.parquet', `${ROWS} LIMIT 0`)
})

afterAll(async () => {
  database.close()
  await rm(folder, { recursive: true })
})

beforeEach(() => {
  cache = newCache()
})

afterEach(async () => {
  await cache.close()
})

describe('layoutOf', () => {
  it('gives every chunk its top-level column, whatever is in the names', async () => {
    const layout = await layoutOf(database, whole('a.parquet'))
    const columns = (rowGroup: number) => layout.filter((chunk) => chunk.rowGroup === rowGroup).map((chunk) => chunk.column)
    expect(columns(0)).toEqual(['id', 'Url', 'place', 'place', 'tags', 'tags', 'w, x.y', 'amount'])
    expect(columns(14)).toEqual(columns(0))
    expect(layout).toHaveLength(15 * 8)
  })

  it('gives ranges that fill the data, but for the bloom filters behind it', async () => {
    const layout = (await layoutOf(database, whole('a.parquet'))).toSorted((one, other) => one.start - other.start)
    for (const [at, chunk] of layout.entries()) expect(chunk.start).toBe(layout[at - 1]?.endExclusive ?? 4)
    expect(layout.some((chunk) => chunk.bloomFilter)).toBe(true)
  })

  it('is empty without row groups', async () => {
    expect(await layoutOf(database, whole('empty.parquet'))).toEqual([])
  })
})

describe('RangeCache', () => {
  it.each([[['id']], [['Url', 'amount']], [['place']], [['tags', 'w, x.y']], [[]]])(
    'fetches little beside %j',
    async (columns) => {
      const file = await openFile('a.parquet', columns)
      const chunks = (await layoutOf(database, whole('a.parquet'))).filter((chunk) => columns.includes(chunk.column as never))
      const needed = chunks.reduce((sum, chunk) => sum + chunk.endExclusive - chunk.start, 0)
      expect(cache.meter.bytes).toBeLessThanOrEqual(needed * 1.1 + 64 * 1024)
      expect(await digest(file.path, columns)).toEqual(await digest(whole('a.parquet'), columns))
      file.release()
    },
  )

  it('has the length of the remote file', async () => {
    const file = await openFile('a.parquet', [])
    expect(await database.rows(`SELECT file_size_bytes::INT AS n FROM parquet_file_metadata(${literal(file.path)})`)).toEqual([
      { n: sizes.get('a.parquet') },
    ])
  })

  it.each([[undefined], [COLUMNS]])('provides every column for %j', async (columns) => {
    const file = await openFile('a.parquet', columns)
    expect(await digest(file.path, COLUMNS)).toEqual(await digest(whole('a.parquet'), COLUMNS))
  })

  it('takes names in any letter case and passes over those the file does not have', async () => {
    const file = await openFile('a.parquet', ['URL', 'no such column'])
    expect(await digest(file.path, ['url'])).toEqual(await digest(whole('a.parquet'), ['url']))
  })

  it('lets filters use statistics and bloom filters', async () => {
    const file = await openFile('a.parquet', ['Url', 'id'])
    for (const where of ["url = 'https://example.org/5'", "url = 'https://example.org/5x'", 'id BETWEEN 30000 AND 30010']) {
      expect(await digest(file.path, ['id'], where)).toEqual(await digest(whole('a.parquet'), ['id'], where))
    }
  })

  it('sends no request for columns it has, and tells it as a hit', async () => {
    const first = await openFile('a.parquet', ['id', 'place'])
    const { requests } = cache.meter
    const second = await openFile('a.parquet', ['PLACE'])
    expect(second.path).toBe(first.path)
    expect(cache.meter).toMatchObject({ requests, hits: 1 })
  })

  it('fetches only the difference for other columns', async () => {
    const oneByOne = newCache()
    for (const column of COLUMNS) (await openFile('a.parquet', [column], oneByOne)).release()
    await openFile('a.parquet', undefined)
    expect(oneByOne.meter.bytes).toBe(cache.meter.bytes)
    const file = await openFile('a.parquet', undefined, oneByOne)
    expect(oneByOne.meter.bytes).toBe(cache.meter.bytes)
    expect(await digest(file.path, COLUMNS)).toEqual(await digest(whole('a.parquet'), COLUMNS))
    await oneByOne.close()
  })

  it('fails loudly when a column is read that was not asked for', async () => {
    const file = await openFile('a.parquet', ['id'])
    for (const column of ['Url', 'place', 'amount'])
      await expect(digest(file.path, [column])).rejects.toMatchObject({ kind: 'corrupt' })
    expect(await digest(file.path, ['id'])).toEqual(await digest(whole('a.parquet'), ['id']))
  })

  it('reads a column that failed before it was asked for', async () => {
    const file = await openFile('a.parquet', [])
    await expect(digest(file.path, ['Url'])).rejects.toMatchObject({ kind: 'corrupt' })
    await openFile('a.parquet', ['Url'])
    expect(await digest(file.path, ['Url'])).toEqual(await digest(whole('a.parquet'), ['Url']))
  })

  it('notices a remote file that was replaced, and begins again with the new one', async () => {
    const before = await openFile('a.parquet', ['id'])
    await store.put('a.parquet', await readFile(whole('a.parquet')))
    await expect(openFile('a.parquet', ['Url'])).rejects.toMatchObject({ code: 'DATA_FILE_DAMAGED' })
    expect(await digest(before.path, ['id'])).toEqual(await digest(whole('a.parquet'), ['id']))
    const after = await openFile('a.parquet', ['id', 'Url'])
    expect(after.path).not.toBe(before.path)
    before.release()
    expect(await digest(after.path, ['id', 'Url'])).toEqual(await digest(whole('a.parquet'), ['id', 'Url']))
  })

  it('joins pieces that are close to one another', async () => {
    const joining = newCache({ coalesceGapBytes: 1e9, coalesceShare: 1e9 })
    const file = await openFile('a.parquet', ['id', 'amount'], joining)
    expect(joining.meter.requests).toBe(2)
    expect(await digest(file.path, ['id', 'amount'])).toEqual(await digest(whole('a.parquet'), ['id', 'amount']))
    await joining.close()
  })

  it('fetches a small file whole, in one request', async () => {
    const fresh = newCache({ wholeFileMaxBytes: undefined })
    for (const columns of [[], ['id'], undefined]) {
      const file = await openFile('small.parquet', columns, fresh)
      expect(await readFile(file.path)).toEqual(await readFile(whole('small.parquet')))
    }
    expect(fresh.meter).toEqual({ requests: 1, bytes: sizes.get('small.parquet'), hits: 2 })
    await fresh.close()
  })

  it('reads a file without rows', async () => {
    const file = await openFile('empty.parquet', ['id'])
    expect(await digest(file.path, COLUMNS)).toEqual(await digest(whole('empty.parquet'), COLUMNS))
  })

  it('fetches a footer that is longer than the first request', async () => {
    const wide = Array.from({ length: 60 }, (_, at) => `hash(i + ${at}) AS "column number ${at}"`).join(', ')
    await make('wide.parquet', `SELECT ${wide} FROM range(40000) t(i)`, 'ROW_GROUP_SIZE 2048')
    const file = await openFile('wide.parquet', ['column number 7'])
    expect(await digest(file.path, ['column number 7'])).toEqual(await digest(whole('wide.parquet'), ['column number 7']))
    expect(cache.meter.bytes).toBeLessThan((sizes.get('wide.parquet') ?? 0) / 5)
  })

  it('is read right while neighbours of its smallest pages are still on their way', async () => {
    const columns = [...'abcdefgh']
    const few = columns.map((column, at) => `(i // 2048 + ${at})::INT AS ${column}`).join(', ')
    await make('tiny-pages.parquet', `SELECT ${few} FROM range(100000) t(i)`, 'ROW_GROUP_SIZE 2048, CODEC uncompressed')
    const truths = await Promise.all(columns.map(async (column) => await digest(whole('tiny-pages.parquet'), [column])))
    for (let run = 0; run < 5; run++) {
      const fresh = newCache()
      await Promise.all(
        columns.map(async (column, at) => {
          for (let turn = 0; turn < at * 10; turn++) await new Promise((resolve) => setImmediate(resolve))
          const file = await openFile('tiny-pages.parquet', [column], fresh)
          expect(await digest(file.path, [column])).toEqual(truths[at])
        }),
      )
      await fresh.close()
    }
  })

  it('refuses a database whose settings are locked in a way that would read it wrong', async () => {
    const locked = await Database.open({ sandboxFolders: [folder] })
    const [setting] = await locked.rows<{ on: boolean }>(`SELECT current_setting('enable_external_file_cache') AS "on"`)
    const walled = newCache({ database: locked })
    const opened = openFile('a.parquet', ['id'], walled).then(
      () => 'opened',
      () => 'refused',
    )
    expect(await opened).toBe(setting?.on ? 'refused' : 'opened')
    await walled.close()
    locked.close()
  })

  it('answers as the whole file does, for any columns in any order, one by one and at once', async () => {
    const truth = await digest(whole('a.parquet'), COLUMNS)
    const expected = (columns: readonly string[]) => {
      const [row] = truth as [Record<string, unknown>]
      return [Object.fromEntries(['n', ...columns].map((column) => [column, row[column]]))]
    }
    const columns = fc.subarray([...COLUMNS], { minLength: 1 })
    const steps = fc.array(fc.array(columns, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 })
    const settings = fc.record({ coalesceGapBytes: fc.constantFrom(0, 20_000), maxBytes: fc.constantFrom(0, 500_000, 1e12) })
    await fc.assert(
      fc.asyncProperty(steps, settings, async (waves, options) => {
        const tried = newCache(options)
        for (const wave of waves) {
          await Promise.all(
            wave.flatMap((chosen) =>
              ['a.parquet', 'b.parquet'].map(async (path) => {
                const file = await openFile(path, chosen, tried)
                expect(await digest(file.path, chosen)).toEqual(expected(chosen))
                file.release()
              }),
            ),
          )
        }
        await tried.close()
      }),
      { numRuns: 15 },
    )
  })
})

describe('RangeCache eviction', () => {
  const onDisk = async () => {
    const [own] = await readdir(join(folder, 'cache'))
    return (await readdir(join(folder, 'cache', own ?? ''))).toSorted()
  }

  it('drops the file that was used longest ago', async () => {
    const some = newCache({ maxBytes: 2 * 64 * 1024 })
    for (const path of ['a.parquet', 'b.parquet', 'a.parquet']) (await openFile(path, [], some)).release()
    expect(some.meter).toMatchObject({ requests: 2, hits: 1 })
    ;(await openFile('small.parquet', [], some)).release()
    ;(await openFile('a.parquet', [], some)).release()
    expect(some.meter).toMatchObject({ requests: 3, hits: 2 })
    await expect.poll(onDisk).toEqual(['1.parquet', '3.parquet'])
    await some.close()
  })

  it('keeps files that are held, and drops them on release', async () => {
    const none = newCache({ maxBytes: 0 })
    const held = await openFile('a.parquet', ['id'], none)
    const again = await openFile('a.parquet', ['Url'], none)
    ;(await openFile('b.parquet', undefined, none)).release()
    await expect.poll(onDisk).toEqual(['1.parquet'])
    again.release()
    again.release()
    expect(await digest(held.path, ['id', 'Url'])).toEqual(await digest(whole('a.parquet'), ['id', 'Url']))
    held.release()
    await expect.poll(onDisk).toEqual([])
    const anew = await openFile('a.parquet', ['id'], none)
    expect(anew.path).not.toBe(held.path)
    expect(await digest(anew.path, ['id'])).toEqual(await digest(whole('a.parquet'), ['id']))
    await none.close()
  })

  it('leaves nothing behind when it is closed', async () => {
    await openFile('a.parquet', ['id'])
    await cache.close()
    expect(await readdir(join(folder, 'cache'))).toEqual([])
    await expect(openFile('a.parquet', ['id'])).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
