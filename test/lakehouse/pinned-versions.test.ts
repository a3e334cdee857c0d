// A query reads the versions that it pinned, whatever happens to the tables beside it, and asks the store no more than it must.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'
import { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { LocalStore } from '../../src/storage/local.js'
import { MemoryStore } from '../../src/storage/memory.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-pinned-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const rows = async (lake: Lakehouse, text: string) => (await lake.sql(text)).rows()

describe.each([
  ['on disk', () => openLakehouse(join(folder, 'lake'))],
  ['in a remote store', () => Lakehouse.open(new MemoryStore(), {})],
] as const)('a query %s', (_, open) => {
  it('answers from its version when the table is compacted, changed and dropped of rows beside it', async () => {
    await using lake = await open()
    for (let n = 0; n < 3; n++) await lake.sql(n === 0 ? 'CREATE TABLE t AS SELECT 0 AS x' : `INSERT INTO t SELECT ${n}`)
    const pinned = await lake.sql('SELECT a.x, b.x AS y FROM t a JOIN t b ON a.x = b.x ORDER BY 1')
    await lake.sql('OPTIMIZE t')
    await lake.sql('DELETE FROM t WHERE x > 0')
    expect(await pinned.rows()).toEqual([0, 1, 2].map((x) => ({ x, y: x })))
    expect(await rows(lake, 'SELECT x FROM t')).toEqual([{ x: 0 }])
    await lake.sql('DROP TABLE t')
  })
})

describe('a query of an old version', () => {
  it('says so when a vacuum took the files of an old version', async () => {
    await using lake = await openLakehouse(join(folder, 'vacuumed'))
    await lake.sql("CREATE TABLE v TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours') AS SELECT 1 AS x")
    await lake.sql('INSERT INTO v SELECT 2')
    await lake.sql('OPTIMIZE v')
    await new Promise((resolve) => setTimeout(resolve, 20))
    await lake.table('v').vacuum({ retentionMs: 0, force: true })
    await expect(rows(lake, 'SELECT x FROM v VERSION AS OF 1')).rejects.toMatchObject({ code: 'DATA_FILE_MISSING' })
    expect(await rows(lake, 'SELECT x FROM v ORDER BY x')).toEqual([{ x: 1 }, { x: 2 }])
    await lake.sql('DROP TABLE v')
  })
})

describe('the store', () => {
  it('is asked for the next commit once by queries at one time, for nothing else when they repeat, and for nothing in between', async () => {
    const store = new LocalStore(join(folder, 'counted'))
    const asked: string[] = []
    const watched = watch(store, asked)
    await using lake = await Lakehouse.open(watched, {})
    await lake.sql('CREATE TABLE t AS SELECT range AS x FROM range(10)')
    const sum = () => rows(lake, 'SELECT sum(x)::INT AS n FROM t WHERE x > 3')
    await sum()
    asked.length = 0
    await Promise.all(Array.from({ length: 20 }, sum))
    const probes = asked.filter((path) => path.endsWith('1.json'))
    expect(probes.length).toBeLessThanOrEqual(2)
    expect(asked).toEqual(probes)
    asked.length = 0
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(asked).toEqual([])
    await sum()
    expect(asked.length).toBe(1)
  })
})

/** The store, telling what is read of it. */
function watch(store: LocalStore, asked: string[]): LocalStore {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name, target) as unknown
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        if (name === 'child') return watch((value as (path: string) => LocalStore).call(target, String(args[0])), asked)
        if (['get', 'getRange', 'head', 'list', 'listFolders'].includes(String(name))) asked.push(String(args[0]))
        return (value as (...given: unknown[]) => unknown).apply(target, args)
      }
    },
  })
}
