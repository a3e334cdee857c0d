import { describe, expect, it } from 'vitest'
import type { AutoMaintenance, DeltaicEvent } from '../../src/index.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { FaultyStore } from '../support/faulty-store.js'
import { ndjson, openLake, rowsOf, skippingClock } from '../support/world.js'

const HOUR_MS = 3_600_000
const NEVER_MS = 2 ** 30

async function append(lake: Awaited<ReturnType<typeof openLake>>, from: number, commits: number): Promise<void> {
  for (let id = from; id < from + commits; id++) await lake.table('t').append(ndjson({ id, v: 'x' }))
}

const create = async (lake: Awaited<ReturnType<typeof openLake>>, properties = '') =>
  lake.sql(`CREATE TABLE t (id BIGINT, v STRING)${properties && ` TBLPROPERTIES (${properties})`}`)
const statusOf = (maintenance: AutoMaintenance) => maintenance.status().find(({ table }) => table === 't')
const filesOf = async (lake: Awaited<ReturnType<typeof openLake>>) => (await lake.table('t').detail()).files

describe('a table that is looked after', () => {
  it('has few files, the same rows, and tells what that cost', async () => {
    await using lake = await openLake()
    const maintenance = lake.maintain({ everyMs: NEVER_MS })
    await create(lake)
    await append(lake, 0, 3)
    await maintenance.once()
    expect(await filesOf(lake)).toBe(3)
    await append(lake, 3, 20)
    await maintenance.once()
    expect(await filesOf(lake)).toBe(1)
    await append(lake, 23, 1)
    await maintenance.once()
    expect(await rowsOf(lake, 'SELECT count(*) AS n, sum(id) AS ids FROM t')).toEqual([{ n: 24, ids: 276 }])
    const status = statusOf(maintenance)
    expect(status).toMatchObject({ compactions: 1, files: 2, filesAtBest: 1, filesGivenUp: 0, failures: 0 })
    expect(status?.writeAmplification).toBeGreaterThan(1)
    expect(status?.writeAmplification).toBeLessThan(2)
    const [optimized] = (await lake.table('t').history()).filter(({ operation }) => operation === 'OPTIMIZE')
    expect(optimized?.operationParameters).toMatchObject({ auto: true })
  })

  it.each([
    ["'deltaic.maintenance.enabled' = 'false'", 20],
    ["'delta.autoOptimize.autoCompact' = 'false'", 20],
    ["'deltaic.maintenance.minFiles' = '30'", 20],
    ["'deltaic.maintenance.minFiles' = '5'", 1],
  ])('is by its properties: %s', async (properties, files) => {
    await using lake = await openLake()
    const maintenance = lake.maintain({ everyMs: NEVER_MS })
    await create(lake, properties)
    await append(lake, 0, 20)
    await maintenance.once()
    expect(await filesOf(lake)).toBe(files)
  })

  it('is clustered where it says by what, beside what comes in', async () => {
    await using lake = await openLake()
    const maintenance = lake.maintain({ everyMs: NEVER_MS })
    await lake.sql("CREATE TABLE t (id BIGINT, v STRING) CLUSTER BY (id) TBLPROPERTIES ('deltaic.maintenance.minFiles' = '4')")
    await append(lake, 0, 4)
    await maintenance.once()
    expect(statusOf(maintenance)).toMatchObject({ compactions: 1, clusterings: 1, failures: 0 })
    await append(lake, 4, 2)
    await maintenance.once()
    expect(statusOf(maintenance)).toMatchObject({ compactions: 1, clusterings: 1 })
    const { files } = await (await lake.deltaOf('t').snapshot()).files()
    const marked = files.filter(({ clusteringProvider }) => clusteringProvider === 'liquid')
    expect(marked.map(({ tags }) => tags?.['ZCUBE_ZORDER_BY'])).toEqual(['["id"]'])
    expect(files).toHaveLength(3)
    expect(await rowsOf(lake, 'SELECT count(*) AS n, sum(id) AS ids FROM t')).toEqual([{ n: 6, ids: 15 }])
    const [optimized] = (await lake.table('t').history()).filter(({ operation }) => operation === 'OPTIMIZE')
    expect(optimized?.operationParameters).toMatchObject({ auto: true, clusterBy: '["id"]' })
  })

  it('is vacuumed where it asks for it, once a day', async () => {
    const clock = skippingClock()
    const store = new MemoryStore({ clock })
    await using lake = await openLake(store, { clock })
    const maintenance = lake.maintain({ everyMs: NEVER_MS })
    await create(lake, "'deltaic.maintenance.vacuum' = 'true', 'delta.deletedFileRetentionDuration' = 'interval 2 hours'")
    await append(lake, 0, 16)
    await maintenance.once()
    for (let hour = 0; hour < 30; hour++) {
      clock.advance(HOUR_MS)
      await maintenance.once()
    }
    expect(statusOf(maintenance)).toMatchObject({ vacuums: 1, filesVacuumed: 16 })
    expect(await rowsOf(lake, 'SELECT count(*) AS n FROM t')).toEqual([{ n: 16 }])
  })

  it('is left to whoever changes it meanwhile, whose change stands', async () => {
    await using lake = await openLake()
    const maintenance = lake.maintain({ everyMs: NEVER_MS })
    await create(lake)
    await append(lake, 0, 16)
    const delta = lake.deltaOf('t')
    const { exclusive } = delta
    // A DELETE lands after the files were rewritten, and before they are committed.
    delta.exclusive = async (work) => {
      delta.exclusive = exclusive
      await lake.table('t').delete('id = 3')
      return exclusive.call(delta, work) as ReturnType<typeof work>
    }
    await maintenance.once()
    expect(statusOf(maintenance)).toMatchObject({ filesGivenUp: 16, failures: 0 })
    expect(await rowsOf(lake, 'SELECT count(*) AS n FROM t')).toEqual([{ n: 15 }])
    await append(lake, 16, 1)
    await maintenance.once()
    expect(await filesOf(lake)).toBe(1)
    expect(await rowsOf(lake, 'SELECT count(*) AS n, sum(id) AS ids FROM t')).toEqual([{ n: 16, ids: 133 }])
  })

  it('takes appends all the while its upkeep fails, and is let rest', async () => {
    const events: DeltaicEvent[] = []
    const store = new FaultyStore(new MemoryStore())
    await using lake = await openLake(store, { events: (event) => events.push(event) })
    const maintenance = lake.maintain({ everyMs: NEVER_MS })
    await create(lake)
    await append(lake, 0, 16)
    store.fail({ call: 'put-file', nth: 1, when: 'before' })
    await maintenance.once()
    expect(events.filter(({ type }) => type === 'degraded')).toMatchObject([{ what: 'maintain the table' }])
    await append(lake, 16, 1)
    await maintenance.once()
    expect(statusOf(maintenance)).toMatchObject({ failures: 1, compactions: 0 })
    expect(await filesOf(lake)).toBe(17)
  })
})
