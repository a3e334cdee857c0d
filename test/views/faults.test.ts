// Each write that a refresh, a rebuild or the making of a view asks of the store fails in turn: before it is done, with its reply lost,
// and as a crash; and each read of a refresh. The state is the old one or the new one, and reads are exact with either.
import { expect, it } from 'vitest'
import { isDeltaError } from '../../src/base/errors.js'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { everyFault, type Fault, FaultyStore } from '../support/faulty-store.js'
import { openLake } from '../support/world.js'

const OLD = 'SELECT k, count(*) AS n, max(x) AS top FROM t GROUP BY k'
const NEW = 'SELECT k, sum(x) AS total FROM t WHERE x > 0 GROUP BY k'

const OPERATIONS = {
  'a refresh': { run: (lake: Lakehouse) => lake.refreshView('v'), isThere: true },
  'a rebuild with another definition': { run: (lake: Lakehouse) => lake.rebuildView('v', { as: NEW }), isThere: true },
  'the making of a view': { run: (lake: Lakehouse) => lake.createView('v', { as: OLD, ifNotExists: true }), isThere: false },
} as const

it.each(Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[])('%s leaves the old state or the new one', async (name) => {
  const { run, isThere } = OPERATIONS[name]
  const original = new MemoryStore()
  await using lake = await openLake(original)
  await lake.sql(
    `CREATE TABLE t (k STRING, x INT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true'); INSERT INTO t SELECT 'k' || i % 5, i FROM range(20) AS r(i)`,
  )
  if (isThere) await lake.createView('v', { as: OLD })
  await lake.sql("INSERT INTO t VALUES ('k1', 50), ('new', 1); DELETE FROM t WHERE x = 19")
  const before = await look(lake)
  const rehearsed = new FaultyStore(await copyOf(original))
  const after = await attempt(rehearsed, run)
  expect(after.error).toBeUndefined()
  expect(after.found).not.toEqual(before)
  const faults: readonly Fault[] = everyFault(rehearsed.journal.slice(0, after.calls)).flatMap((fault) => [
    fault,
    { ...fault, crash: true },
  ])
  expect(faults.length).toBeGreaterThanOrEqual(8)
  for (const fault of faults) {
    const story = `the ${fault.nth}th write lost ${fault.when}${fault.crash ? ', and the process with it' : ''}`
    const store = await copyOf(original)
    const { error } = await attempt(new FaultyStore(store, [fault]), run, false)
    if (error !== undefined) expect(isDeltaError(error, 'unavailable'), `${story}: ${String(error)}`).toBe(true)
    await using again = await openLake(await copyOf(store))
    const found = await look(again)
    expect([before, after.found], story).toContainEqual(found)
    if (error === undefined) expect(found, story).toEqual(after.found)
    await run(again)
    expect(await look(again), story).toEqual(after.found)
  }
})

it('each read that a refresh asks of the store fails in turn, and leaves the old state or the new one', async () => {
  const original = new MemoryStore()
  await using lake = await openLake(original)
  await lake.sql(
    `CREATE TABLE t (k STRING, x INT) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true'); INSERT INTO t SELECT 'k' || i % 5, i FROM range(20) AS r(i)`,
  )
  await lake.createView('v', { as: OLD })
  let [isBehind, failed] = [false, 0]
  for (let nth = 1; ; nth++) {
    if (!isBehind) await lake.sql(`INSERT INTO t VALUES ('k1', ${100 + nth}); DELETE FROM t WHERE x = ${nth}`)
    const before = await look(lake)
    const store = new FaultyStore(original, [{ call: ['get', 'head', 'list'], nth, when: 'before' }])
    const { error } = await attempt(store, OPERATIONS['a refresh'].run, false)
    const reads = store.journal.filter((call) => /^(get|head|list) /.test(call)).length
    if (reads < nth) break
    if (error !== undefined) expect(isDeltaError(error, 'unavailable'), `the ${nth}th read: ${String(error)}`).toBe(true)
    isBehind = (await lake.describeView('v')).behind
    if (isBehind) expect(await look(lake), `the ${nth}th read`).toEqual(before)
    else expect(await look(lake), `the ${nth}th read`).not.toEqual(before)
    if (error !== undefined) failed++
  }
  expect(failed).toBeGreaterThan(3)
})

/** Runs it as a process of its own. */
async function attempt(store: FaultyStore, run: (lake: Lakehouse) => Promise<unknown>, isLookedAt = true) {
  await using lake = await openLake(store)
  let error: unknown
  try {
    await run(lake)
  } catch (thrown) {
    error = thrown
  }
  const calls = store.journal.length
  return { error, calls, found: isLookedAt ? await look(lake) : undefined }
}

/** The state as it is stored, and that the view is its definition whatever the state is. */
async function look(lake: Lakehouse): Promise<unknown> {
  const [view] = await lake.views()
  if (!view) return undefined
  const sorted = async (sql: string, stale?: 'ok') => {
    const rows = await (await lake.sql(`SELECT * FROM (${sql}) ORDER BY ALL`, { stale })).rows()
    return JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? Number(value) : value))
  }
  const exact = await sorted('SELECT * FROM v')
  expect(exact).toEqual(await sorted(view.definition))
  const { watermarks } = await lake.describeView('v')
  return { definition: view.definition, watermarks, rows: await sorted('SELECT * FROM v', 'ok') }
}

async function copyOf(store: MemoryStore): Promise<MemoryStore> {
  const copy = new MemoryStore()
  for await (const { path } of store.list('')) await copy.put(path, (await store.get(path)) ?? new Uint8Array())
  return copy
}
