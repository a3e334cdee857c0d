import { describe, expect, it } from 'vitest'
import { openInput } from '../../src/ingest/input.js'
import { loadInput } from '../../src/ingest/load.js'
import { compact } from '../../src/ops/optimize.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { FaultyStore } from '../support/faulty-store.js'
import { createTable, ndjson, openLake, openWorld, readRows, removeOf, rowsOf } from '../support/world.js'

const world = await openWorld()

async function append(table: DeltaTable, ...ids: readonly number[]) {
  const path = world.spool.file('ndjson')
  await world.spool.write(path, ndjson(...ids.map((id) => ({ id, v: `p${id % 2}` }))))
  await world.database.use(async (connection) =>
    loadInput(table, await openInput(connection, world.spool, 'ndjson', path), { onError: 'fail', keepRejects: async () => {} }),
  )
}

async function tableOf(files: number, options: Parameters<typeof createTable>[1] = {}) {
  const store = new FaultyStore(new MemoryStore())
  const table = world.table(store)
  await createTable(table, options)
  for (let at = 0; at < files; at++) await append(table, at * 2, at * 2 + 1)
  return { store, table }
}

const idsOf = async (table: DeltaTable, version?: number) => (await readRows(world, table, version)).map(({ id }) => id)
const sorted = (ids: readonly number[]) => ids.toSorted((a, b) => a - b)
const upTo = (count: number) => Array.from({ length: count }, (_, at) => at)
const filesOf = async (table: DeltaTable) => (await (await table.snapshot()).files()).files

describe('compact', () => {
  it('makes one file of many, in one commit that changes no row and keeps their order', async () => {
    const { table } = await tableOf(6)
    const before = await filesOf(table)
    const result = await compact(table, world.source)
    expect(result).toMatchObject({ version: 7, filesAdded: 1, filesRemoved: 6, filesConflicted: 0, attempts: 1 })
    expect(result.bytesRemoved).toBe(before.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
    const commit = await table.commitIfKept(7)
    expect([...(commit?.adds ?? []), ...(commit?.removes ?? [])].map(({ dataChange }) => dataChange)).toEqual(
      Array(7).fill(false),
    )
    expect(commit?.removes[0]).toMatchObject({ extendedFileMetadata: true, size: before[0]?.sizeBytes, partitionValues: {} })
    expect(await idsOf(table)).toEqual(upTo(12))
    expect(sorted(await idsOf(table, 6))).toEqual(upTo(12))
  })

  it('writes nothing when there is nothing to do', async () => {
    const { store, table } = await tableOf(3)
    await compact(table, world.source)
    // Whatever is written behind the commit is there.
    await table.close()
    const before = store.journal.filter((call) => call.startsWith('put')).length
    expect(await compact(table, world.source)).toMatchObject({ version: 4, filesAdded: 0, filesRemoved: 0, attempts: 0 })
    expect(store.journal.filter((call) => call.startsWith('put'))).toHaveLength(before)
  })

  it('stays inside partitions', async () => {
    const { table } = await tableOf(4, { partitionBy: ['v'] })
    expect(await compact(table, world.source)).toMatchObject({ filesAdded: 2, filesRemoved: 8 })
    expect((await filesOf(table)).map(({ partitionValues }) => partitionValues['v']).toSorted()).toEqual(['p0', 'p1'])
    expect(sorted(await idsOf(table))).toEqual(upTo(8))
  })

  it('rewrites only the partitions it is asked for', async () => {
    const { table } = await tableOf(4, { partitionBy: ['v'] })
    expect(await compact(table, world.source, { condition: "part.v = 'p1'" })).toMatchObject({ filesAdded: 1, filesRemoved: 4 })
    expect(await filesOf(table)).toHaveLength(5)
  })

  it('keeps every row beside appends that never wait for it', async () => {
    const { store, table } = await tableOf(4)
    const others = [world.table(store), world.table(store)]
    const appends = async (from: number) => {
      for (let at = 0; at < 5; at++) await append(others[from % 2] as DeltaTable, from * 100 + at)
    }
    const compactions = async () => {
      for (let at = 0; at < 3; at++) expect((await compact(table, world.source)).filesConflicted).toBe(0)
    }
    await Promise.all([appends(1), appends(2), compactions()])
    const expected = [...upTo(8), ...[100, 200].flatMap((from) => upTo(5).map((at) => from + at))]
    expect(sorted(await idsOf(table))).toEqual(expected)
    expect(sorted(await idsOf(world.table(store)))).toEqual(expected)
  })

  it('gives up the group of a file that somebody else removed meanwhile, and commits the others', async () => {
    const { store, table } = await tableOf(4, { partitionBy: ['v'] })
    const gone = (await filesOf(table)).find(({ partitionValues }) => partitionValues['v'] === 'p0')
    const { version } = await table.snapshot()
    const theirs = formatCommit([{ remove: removeOf(gone?.path ?? '') }])
    const result = await compact(table, world.source, {
      onProgress: () => void store.putIfAbsent(commitPath(version + 1), theirs),
    })
    expect(result).toMatchObject({ version: version + 2, filesAdded: 1, filesRemoved: 4, filesConflicted: 4 })
    expect(sorted(await idsOf(table))).toEqual(upTo(8).filter((id) => id !== 0))
  })

  it('commits nothing when every group lost a file, and says so', async () => {
    const { store, table } = await tableOf(3)
    const [gone] = await filesOf(table)
    const { version } = await table.snapshot()
    const result = await compact(table, world.source, {
      // Another writer, which escapes paths its own way.
      onProgress: () =>
        void store.put(
          commitPath(version + 1),
          formatCommit([{ remove: removeOf((gone?.path ?? '').replace('part', '%70art')) }]),
        ),
    })
    expect(result).toMatchObject({ version: version + 1, filesAdded: 0, filesRemoved: 0, filesConflicted: 3 })
    expect(sorted(await idsOf(table))).toEqual([2, 3, 4, 5])
  })

  it('lets one of two compactions of the same files win', async () => {
    const { store, table } = await tableOf(4)
    const results = await Promise.all([compact(table, world.source), compact(world.table(store), world.source)])
    expect(results.map(({ filesConflicted }) => filesConflicted).toSorted()).toEqual([0, 4])
    expect(sorted(await idsOf(world.table(store)))).toEqual(upTo(8))
    expect(await filesOf(world.table(store))).toHaveLength(1)
  })

  it('gives up when the table changes its schema meanwhile', async () => {
    const { store, table } = await tableOf(3)
    const { version, metadata } = await table.snapshot()
    const result = await compact(table, world.source, {
      onProgress: () =>
        void store.put(commitPath(version + 1), formatCommit([{ metaData: { ...metadata, description: 'new' } }])),
    })
    expect(result).toMatchObject({ filesAdded: 0, filesConflicted: 3 })
    expect(sorted(await idsOf(table))).toEqual(upTo(6))
  })

  it('that is given up leaves the table as it was', async () => {
    const { store, table } = await tableOf(6)
    const giveUp = new AbortController()
    const reason = new Error('enough')
    const running = compact(table, world.source, {
      signal: giveUp.signal,
      targetFileSizeBytes: 2000,
      onProgress: () => giveUp.abort(reason),
    })
    await expect(running).rejects.toBe(reason)
    expect(await store.get(commitPath(7))).toBeUndefined()
    expect(sorted(await idsOf(table))).toEqual(upTo(12))
  })

  it('says which file is gone when it cannot read one', async () => {
    const { store, table } = await tableOf(3)
    const [gone] = await filesOf(table)
    const fresh = world.table(store)
    await store.delete([gone?.file ?? ''])
    const cold = await openWorldSource()
    await expect(compact(fresh, cold)).rejects.toMatchObject({
      code: 'DATA_FILE_MISSING',
      details: { file: expect.stringContaining(gone?.file ?? '?') },
    })
    expect((await table.snapshot()).version).toBe(3)
  })
})

/** A source that has read nothing yet. */
async function openWorldSource() {
  const { RangeCache } = await import('../../src/engine/range-cache.js')
  const { DeletionVectors } = await import('../../src/table/deletion-vectors.js')
  const { Footers } = await import('../../src/table/footers.js')
  const { FileSource } = await import('../../src/table/file-source.js')
  return new FileSource(
    new RangeCache({ folder: world.spool.file('cache'), maxBytes: 2 ** 20, database: world.database }),
    new DeletionVectors(world.spool),
    new Footers(world.database),
  )
}

describe('OPTIMIZE', () => {
  it('takes a condition on partitions, and refuses one that is none', async () => {
    await using lake = await openLake()
    await lake.sql('CREATE TABLE t (id BIGINT, day DATE) PARTITIONED BY (day)')
    for (const id of [1, 2]) for (const day of [1, 2]) await lake.sql(`INSERT INTO t VALUES (${id}, DATE '2026-01-0${day}')`)
    expect(await lake.table('t').optimize({ where: "day = DATE '2026-01-01'" })).toMatchObject({ filesAdded: 1, filesRemoved: 2 })
    await expect(lake.table('t').optimize({ where: 'nonsense >' })).rejects.toMatchObject({ kind: 'invalid' })
    expect(await rowsOf(lake, 'SELECT count(*) AS n, sum(id) AS s FROM t')).toEqual([{ n: 4, s: 6 }])
  })
})
