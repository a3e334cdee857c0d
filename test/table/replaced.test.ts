import { expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { openLake, rowsOf, skippingClock } from '../support/world.js'

/** A process that has the table in hand, and another one beside it. */
async function twoProcesses() {
  const store = new MemoryStore()
  const clock = skippingClock()
  const [idle, other] = [await openLake(store, { clock }), await openLake(store)]
  await rowsOf(idle, 'CREATE TABLE t (id BIGINT)')
  for (const id of [1, 2, 3]) await rowsOf(idle, `INSERT INTO t VALUES (${id})`)
  return { idle, other, clock }
}

it('a table that another process dropped is not found, not half read', async () => {
  const { idle, other, clock } = await twoProcesses()
  await rowsOf(other, 'DROP TABLE t')
  clock.advance(2000)
  await expect(rowsOf(idle, 'SELECT * FROM t')).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
})

it('an append after an idle time goes to the table that stands there now, right after its last version', async () => {
  const { idle, other, clock } = await twoProcesses()
  await rowsOf(other, 'DROP TABLE t; CREATE TABLE t (id BIGINT); INSERT INTO t VALUES (100)')
  clock.advance(2000)
  await rowsOf(idle, 'INSERT INTO t VALUES (200)')
  expect((await rowsOf(other, 'SELECT id FROM t ORDER BY id')).map(({ id }) => id)).toEqual([100, 200])
  expect((await other.table('t').history()).map(({ version }) => version)).toEqual([2, 1, 0])
})

it('a transaction on the table that was there before is a conflict', async () => {
  const { idle, other, clock } = await twoProcesses()
  const transaction = await idle.table('t').transaction()
  await rowsOf(other, 'DROP TABLE t; CREATE TABLE t (id STRING)')
  clock.advance(2000)
  expect(await transaction.commit()).toMatchObject({ kind: 'conflict', conflict: { reason: 'metadataChanged' } })
})
