import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { LocalStore } from '../../src/storage/local.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { FaultyStore } from '../support/faulty-store.js'
import { ndjson, openLake, rowsOf } from '../support/world.js'

const root = await mkdtemp(join(tmpdir(), 'deltaic-rename-'))
afterAll(() => rm(root, { recursive: true, force: true }))
let made = 0

describe.each([
  ['on disk', () => new LocalStore(join(root, `lake-${made++}`))],
  ['in memory', () => new MemoryStore()],
])('a table %s', (_, store) => {
  it('takes another name with its rows, its history and what was on its way', async () => {
    await using lake = await openLake(store(), { lingerMs: 50 })
    await lake.sql('CREATE TABLE t AS SELECT 1::BIGINT AS id; INSERT INTO t VALUES (2)')
    const held = lake.table('t')
    const taken = held.ingest(ndjson({ id: 3 }))
    expect(await rowsOf(lake, 'ALTER TABLE T RENAME TO u')).toEqual([{ renamed: true }])
    expect((await taken).version).toBe(2)
    expect(await rowsOf(lake, 'SELECT sum(id)::BIGINT AS s, (SELECT count(*) FROM u@v0) AS n FROM u')).toEqual([{ s: 6, n: 1 }])
    expect((await lake.tables()).map(({ name }) => name)).toEqual(['u'])
    await expect(lake.sql('SELECT * FROM t')).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
    await expect(held.append(ndjson({ id: 4 }))).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
    await lake.sql("CREATE TABLE t AS SELECT 'new' AS v; INSERT INTO u VALUES (5); ALTER TABLE u RENAME TO U")
    expect(await rowsOf(lake, 'SELECT count(*) AS n, (SELECT v FROM t) AS v FROM u')).toEqual([{ n: 4, v: 'new' }])
  })

  it('keeps its name where that is known elsewhere, or the other is not free', async () => {
    await using lake = await openLake(store())
    await lake.sql('CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE u AS SELECT 2 AS a')
    await lake.sql('CREATE MATERIALIZED VIEW v AS SELECT a, count(*) AS n FROM t GROUP BY a')
    await lake.defineStream('kafka://localhost:9092/clicks', 'u', { id: 'clicks' })
    const refused = (code: string, details = {}) => expect.objectContaining({ code, details: expect.objectContaining(details) })
    await expect(lake.renameTable('t', 'w')).rejects.toEqual(refused('SCHEMA_CHANGE_REFUSED', { views: ['v'] }))
    await expect(lake.renameTable('u', 'w')).rejects.toEqual(refused('SCHEMA_CHANGE_REFUSED', { streams: ['clicks'] }))
    await expect(lake.renameTable('v', 'w')).rejects.toEqual(refused('VIEW_READ_ONLY'))
    await expect(lake.renameTable('t', 'U')).rejects.toEqual(refused('TABLE_EXISTS', { table: 'u' }))
    await expect(lake.renameTable('t', '../w')).rejects.toEqual(refused('NAME_INVALID'))
    await expect(lake.renameTable('gone', 'w')).rejects.toEqual(refused('TABLE_NOT_FOUND'))
    await expect(lake.sql('ALTER TABLE t RENAME TO delta.`/tmp/w`')).rejects.toEqual(refused('STATEMENT_UNSUPPORTED'))
    expect(await rowsOf(lake, 'SELECT a FROM t UNION ALL SELECT a FROM u ORDER BY a')).toEqual([{ a: 1 }, { a: 2 }])
  })
})

it('is not copied object by object where the store has no such action', async () => {
  await using lake = await openLake(new FaultyStore(new MemoryStore()))
  await lake.sql('CREATE TABLE t AS SELECT 1 AS a')
  await expect(lake.renameTable('t', 'u')).rejects.toMatchObject({ code: 'STATEMENT_UNSUPPORTED' })
  expect(await rowsOf(lake, 'SELECT a FROM t')).toEqual([{ a: 1 }])
})

it('is lost to another process that was about to write, which acknowledges nothing and brings no log back', async () => {
  const folder = join(root, `lake-${made++}`)
  await using here = await openLake(new LocalStore(folder))
  await using there = await openLake(new LocalStore(folder))
  await here.sql("CREATE TABLE t (id BIGINT) TBLPROPERTIES ('delta.checkpointInterval' = '2')")
  await there.sql('INSERT INTO t VALUES (1)')
  const transaction = await there.table('t').transaction()
  await here.sql('ALTER TABLE t RENAME TO u')
  await expect(transaction.describe({ name: 'WRITE' }).commit()).rejects.toMatchObject({
    code: 'TABLE_NOT_FOUND',
  })
  await expect(there.sql('INSERT INTO t VALUES (2)')).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
  await there.sql('INSERT INTO u VALUES (3)')
  expect(await rowsOf(here, 'SELECT id FROM u ORDER BY id')).toEqual([{ id: 1 }, { id: 3 }])
  expect((await here.tables()).map(({ name }) => name)).toEqual(['u'])
  expect((await readdir(folder)).filter((name) => name !== 't')).toEqual(['u'])
})
