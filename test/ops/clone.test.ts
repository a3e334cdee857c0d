import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { LocalStore } from '../../src/storage/local.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { openStore } from '../../src/storage/open.js'
import type { ObjectStore } from '../../src/storage/store.js'
import { openLake, rowsOf } from '../support/world.js'

const folder = await mkdtemp(join(tmpdir(), 'deltaic clone ü-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

async function made(store: ObjectStore) {
  const lake = await openLake(store)
  await lake.sql(`CREATE TABLE s (id BIGINT, v STRING) PARTITIONED BY (v)
    TBLPROPERTIES ('delta.enableDeletionVectors' = 'true', 'delta.enableInCommitTimestamps' = 'true', 'mine' = 'x')`)
  await lake.sql("INSERT INTO s VALUES (1, 'a b'), (2, 'a b'), (3, 'ü%')")
  await lake.sql('DELETE FROM s WHERE id = 1')
  return lake
}

async function everyFile(store: ObjectStore) {
  const found: string[] = []
  for await (const { path } of store.list('s')) found.push(path)
  return found.toSorted()
}

const ids = async (lake: Awaited<ReturnType<typeof made>>, from: string) =>
  (await rowsOf(lake, `SELECT id FROM ${from} ORDER BY id`)).map(({ id }) => id)

describe('a shallow clone', () => {
  it.each([
    ['disk', () => new LocalStore(join(folder, 'shallow'))],
    ['objects', () => openStore('memory:shallow/a lake%')],
  ])('on %s has the rows of its source, and whatever is written to it leaves the source as it was', async (_, open) => {
    const store = open()
    await using lake = await made(store)
    expect(await rowsOf(lake, "CREATE TABLE c SHALLOW CLONE s TBLPROPERTIES ('delta.checkpointInterval' = '20')")).toMatchObject([
      { num_copied_files: 0, source_num_of_files: 2 },
    ])
    const before = await everyFile(store)
    expect(await ids(lake, 'c')).toEqual([2, 3])
    const [source, clone] = [await lake.table('s').detail(), await lake.table('c').detail()]
    expect(clone.id).not.toBe(source.id)
    expect(clone).toMatchObject({
      features: source.features,
      properties: { ...source.properties, 'delta.checkpointInterval': '20' },
    })
    await lake.sql("INSERT INTO c VALUES (4, 'a b')")
    await lake.sql('DELETE FROM c WHERE id = 2')
    await lake.table('c').optimize()
    await lake.table('c').vacuum({ retentionMs: 0, force: true })
    expect(await ids(lake, 'c')).toEqual([3, 4])
    expect(await ids(lake, 's')).toEqual([2, 3])
    expect(await ids(lake, 'c VERSION AS OF 0')).toEqual([2, 3])
    expect(await everyFile(store)).toEqual(before)
    await lake.sql('CREATE TABLE cc SHALLOW CLONE c VERSION AS OF 0')
    expect(await ids(lake, 'cc')).toEqual([2, 3])
    await lake.sql('CREATE TABLE copy DEEP CLONE cc')
    await lake.dropTable('s')
    expect(await ids(lake, 'copy')).toEqual([2, 3])
  })

  it('names files on disk as Spark does, which otherwise deletes no rows of them', async () => {
    const root = join(folder, 'spelled')
    await using lake = await made(new LocalStore(root))
    await lake.sql('CREATE TABLE c SHALLOW CLONE s')
    const log = await readFile(join(root, 'c/_delta_log', `${'0'.repeat(20)}.json`), 'utf8')
    const paths = [...log.matchAll(/"(?:path|pathOrInlineDv)":"([^"]*)"/g)].map(([, path = '']) => path)
    const encoded = encodeURI(root)
    expect(paths.length).toBeGreaterThan(0)
    expect(paths.filter((path) => !path.startsWith(`file:${encoded}/s/`))).toEqual([])
  })

  it('may be in another store than its source, and then stands for what is there', async () => {
    const [near, far] = [openStore('memory:clone-near/lake'), openStore('memory:clone-far/lake')]
    await using source = await made(far)
    await using lake = await openLake(near, { locations: true })
    await lake.sql(`CREATE TABLE c SHALLOW CLONE delta.\`${far.uri}/s\``)
    expect(await ids(lake, 'c')).toEqual([2, 3])
    await lake.sql('UPDATE c SET id = id + 10 WHERE id = 3')
    await lake.sql('RESTORE TABLE c TO VERSION AS OF 0')
    expect(await ids(lake, 'c')).toEqual([2, 3])
    expect(await lake.table('c').fsck()).toMatchObject({ problems: [] })
    await using walled = await openLake(near)
    await expect(walled.sql('SELECT * FROM c')).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
    await source.sql('DELETE FROM s')
    await source.table('s').vacuum({ retentionMs: 0, force: true })
    expect(await lake.table('c').fsck()).toMatchObject({ problems: [{ check: 'missing' }, { check: 'missing' }] })
  })

  it('is refused where files of another table cannot be read', async () => {
    await using lake = await made(new MemoryStore())
    await expect(lake.sql('CREATE TABLE c SHALLOW CLONE s')).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
  })
})

describe('a deep clone', () => {
  it('has copies of a version, and stands without its source', async () => {
    await using lake = await made(new MemoryStore())
    expect(await lake.cloneTable('s', 'c', { version: 1 })).toMatchObject({ created: true, files: 2, filesCopied: 2 })
    await lake.sql('CREATE TABLE now CLONE s')
    await expect(lake.sql('CREATE TABLE now CLONE s')).rejects.toMatchObject({ code: 'TABLE_EXISTS' })
    await lake.sql('CREATE TABLE IF NOT EXISTS now CLONE s')
    await lake.dropTable('s')
    expect(await ids(lake, 'c')).toEqual([1, 2, 3])
    expect(await ids(lake, 'now')).toEqual([2, 3])
    expect(await rowsOf(lake, 'FSCK REPAIR TABLE now DRY RUN')).toEqual([])
  })
})
