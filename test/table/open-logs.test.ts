// Many tables do not hold their logs for ever.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { OpenLogs } from '../../src/table/open-logs.js'
import { openLake, openWorld } from '../support/world.js'

const world = await openWorld()
const TABLES = 20
const HELD = 4

it('keeps the logs of the tables asked for last, and loads others anew', async () => {
  const store = new MemoryStore()
  const lake = await openLake(store)
  for (let n = 0; n < TABLES; n++) await lake.sql(`CREATE TABLE t${n} AS SELECT ${n} AS x`)
  const openLogs = new OpenLogs(HELD * 1000)
  const tables = [...Array(TABLES).keys()].map((n) => world.table(store.child(`t${n}`), { openLogs }))
  const first = await tables[0]?.snapshot()
  const relations = async () =>
    (await world.database.rows("FROM duckdb_tables() WHERE table_name LIKE 'files\\_%' ESCAPE '\\'")).length
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const settled = () => {
    collect()
    return relations()
  }
  for (let round = 0; round < 2; round++) {
    for (const [n, table] of tables.entries()) {
      if (round === 1) await lake.sql(`INSERT INTO t${n} SELECT 100`)
      expect((await (await table.snapshot()).files()).files.length).toBe(round + 1)
    }
    // One more is held by the snapshot above.
    await expect.poll(settled, { timeout: 10_000 }).toBeLessThanOrEqual(HELD + 1)
  }
  expect((await first?.files())?.files.length).toBe(1)
  for (const table of tables) await table.close()
  expect(await relations()).toBe(0)
  await lake.close()
})
