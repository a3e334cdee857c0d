import { describe, expect, it } from 'vitest'
import { fsck } from '../../src/ops/fsck.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { describeDeletionVector } from '../../src/protocol/deletion-vector.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { addOf, openLake, openWorld, rowsOf } from '../support/world.js'

const world = await openWorld()

/** A table of several types with two files, written by SQL. */
async function madeTable() {
  const store = new MemoryStore()
  await using lake = await openLake(store)
  await lake.sql(`CREATE TABLE t (id BIGINT NOT NULL, v STRING, x DOUBLE, at TIMESTAMP, day DATE) PARTITIONED BY (day)`)
  await lake.sql(
    `INSERT INTO t VALUES (1, 'a', 'NaN'::DOUBLE, TIMESTAMP '2026-01-01 00:00:00.123456', DATE '2026-01-01'), (2, NULL, 1.5, NULL, DATE '2026-01-01')`,
  )
  await lake.sql(`INSERT INTO t VALUES (3, repeat('z', 100), -0.0, now(), NULL)`)
  const folder = store.child('t')
  const { files } = await (await world.table(folder).snapshot()).files()
  return { store, folder, files }
}

/** Says something else of the first file than what is true. */
async function withClaim(claim: Readonly<Record<string, unknown>>) {
  const { folder, files } = await madeTable()
  const [first] = files
  if (!first) throw new Error('there is a file')
  const add = addOf(first.path, { partitionValues: first.partitionValues, size: first.sizeBytes, stats: first.stats, ...claim })
  await folder.put(commitPath(3), formatCommit([{ add }]))
  return fsck(world.table(folder), world.source)
}

describe('fsck', () => {
  it('finds nothing wrong with a table that keeps its promises', async () => {
    const { folder } = await madeTable()
    expect(await fsck(world.table(folder), world.source)).toEqual({
      version: 2,
      filesChecked: 2,
      problems: [],
      problemsFound: 0,
      filesRemoved: 0,
      checksumsRemoved: 0,
    })
    expect(await fsck(world.table(folder), world.source, { quick: true })).toMatchObject({ problemsFound: 0 })
  })

  it.each([
    ['size', { size: 7 }],
    ['rows', { stats: '{"numRecords":3}' }],
    ['statistics', { stats: '{' }],
    ['statistics', { stats: '{"numRecords":2,"minValues":{"id":2}}' }],
    ['statistics', { stats: '{"numRecords":2,"maxValues":{"id":1}}' }],
    ['statistics', { stats: '{"numRecords":2,"maxValues":{"at":"2026-01-01T00:00:00.121Z"}}' }],
    ['statistics', { stats: '{"numRecords":2,"nullCount":{"v":0}}' }],
    ['partitionValue', { partitionValues: { day: 'someday' } }],
    [
      'deletionVector',
      { deletionVector: describeDeletionVector('0f0f0f0f-1111-4222-8333-444444444444', 1, 34, 1), stats: '{"numRecords":2}' },
    ],
  ])('reports %s where the log claims %o', async (check, claim) => {
    const { problems } = await withClaim(claim)
    expect(problems.map((problem) => problem.check)).toContain(check)
  })

  it('reports a file that is damaged, and takes out one that is gone when told to', async () => {
    const { store, folder, files } = await madeTable()
    await folder.put(files[0]?.file ?? '', new Uint8Array(files[0]?.sizeBytes ?? 0))
    await folder.delete([files[1]?.file ?? ''])
    const found = await fsck(world.table(folder), world.source)
    expect(found.problems.map(({ check, file }) => [check, file])).toEqual([
      ['missing', files[1]?.file],
      ['footer', files[0]?.file],
    ])
    await using lake = await openLake(store)
    expect(await rowsOf(lake, 'FSCK REPAIR TABLE t DRY RUN')).toHaveLength(2)
    expect(await rowsOf(lake, 'FSCK REPAIR TABLE t')).toHaveLength(2)
    expect(await rowsOf(lake, 'FSCK REPAIR TABLE t')).toEqual([
      { check: 'footer', file: files[0]?.file, detail: expect.any(String) },
    ])
  })

  it('reports a checkpoint that is damaged and a checksum that disagrees', async () => {
    const { folder } = await madeTable()
    const known = world.table(folder)
    await known.snapshot()
    await folder.put('_delta_log/00000000000000000001.checkpoint.parquet', Buffer.from('nothing'))
    await folder.put('_delta_log/00000000000000000002.crc', Buffer.from('{"numFiles":7,"tableSizeBytes":1}'))
    const { problems } = await fsck(known, world.source)
    expect(problems.map(({ check }) => check)).toEqual(['checkpoint', 'checksum'])
    expect((await world.table(folder).snapshot()).version).toBe(2)
  })

  /** A log of a writer that gives no sums, with a checksum of its newest version. */
  async function foreignLog(claims: Readonly<Record<string, unknown>>, txnId?: string) {
    const { folder, files } = await madeTable()
    const store = new MemoryStore()
    for (const { file } of files) await store.put(file, (await folder.get(file)) ?? new Uint8Array())
    for (const version of [0, 1, 2]) {
      const lines = Buffer.from((await folder.get(commitPath(version))) ?? '').toString()
      await store.put(commitPath(version), Buffer.from(lines.replace(/,"checksum":"crc32:[0-9a-f]{8}"/, '')))
    }
    const said = JSON.parse(Buffer.from((await folder.get(CRC)) ?? '').toString()) as Record<string, unknown>
    const { checksum: _, fileSizeHistogram: __, ...plain } = said
    await store.put(CRC, Buffer.from(JSON.stringify({ ...plain, ...claims, ...(txnId ? { txnId } : {}) })))
    return store
  }

  it('takes away a checksum that locks a table, once everything else bears the log out', async () => {
    const folder = await foreignLog({ numFiles: 7 })
    await expect(world.table(folder).snapshot()).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
      hint: expect.stringContaining('fsck') as string,
    })
    expect(await fsck(world.table(folder), world.source)).toMatchObject({ problemsFound: 1, checksumsRemoved: 0 })
    expect(await fsck(world.table(folder), world.source, { repair: true })).toMatchObject({
      problems: [{ check: 'checksum', file: CRC }],
      checksumsRemoved: 1,
      filesRemoved: 0,
    })
    expect((await (await world.table(folder).snapshot()).files()).files).toHaveLength(2)
    expect(JSON.parse(Buffer.from((await folder.get(CRC)) ?? '').toString())).toMatchObject({ numFiles: 2 })
    expect(await fsck(world.table(folder), world.source)).toMatchObject({ problemsFound: 0 })
  })

  it('keeps a checksum that differs where data files speak against the log as well', async () => {
    const folder = await foreignLog({})
    const entry = Buffer.from((await folder.get(commitPath(2))) ?? '').toString()
    await folder.put(commitPath(2), Buffer.from(entry.replace(/"size":(\d+)/, '"size":1$1')))
    const found = await fsck(world.table(folder), world.source, { repair: true })
    expect(found.problems.slice(0, 2).map(({ check }) => check)).toEqual(['checksum', 'size'])
    expect(found.checksumsRemoved).toBe(0)
    await expect(world.table(folder).snapshot()).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  })

  it('a checksum that was made for another commit, and one of an older version, lock nothing', async () => {
    const folder = await foreignLog({ numFiles: 7 }, 'of another commit')
    expect((await world.table(folder).snapshot()).version).toBe(2)
    await folder.put(CRC.replace('2.crc', '1.crc'), (await folder.get(CRC)) ?? new Uint8Array())
    await folder.delete([CRC])
    expect((await world.table(folder).snapshot({ version: 1 })).version).toBe(1)
    expect(await fsck(world.table(folder), world.source, { repair: true })).toMatchObject({ checksumsRemoved: 1 })
  })
})

const CRC = '_delta_log/00000000000000000002.crc'
