// Versions before the newest checkpoint are loaded for those who ask for them, and let go of.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { openLake, openWorld } from '../support/world.js'

const world = await openWorld()

it('keeps the files of few old versions, and of those that a snapshot still reads', async () => {
  const store = new MemoryStore()
  const lake = await openLake(store)
  await lake.sql("CREATE TABLE t TBLPROPERTIES ('delta.checkpointInterval' = '1') AS SELECT 0 AS x")
  for (let n = 1; n <= 14; n++) await lake.sql(`INSERT INTO t SELECT ${n}`)
  await lake.close()

  const table = world.table(store.child('t'))
  const oldest = await table.snapshot({ version: 1 })
  for (let version = 2; version <= 12; version++)
    expect((await (await table.snapshot({ version })).files()).files.length).toBe(version + 1)
  const relations = async () =>
    (await world.database.rows("FROM duckdb_tables() WHERE table_name LIKE 'files\\_%' ESCAPE '\\'")).length
  expect(await relations()).toBeGreaterThan(8)
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const afterwards = () => {
    collect()
    return relations()
  }
  await expect.poll(afterwards, { timeout: 10_000 }).toBeLessThanOrEqual(7)
  expect((await oldest.files()).files.length).toBe(2)
  await table.close()
  expect(await relations()).toBe(0)
})
