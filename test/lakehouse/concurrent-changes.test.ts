import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { openLake, rowsOf } from '../support/world.js'

const ROWS = 40
const statement = fc.record({
  kind: fc.constantFrom('delete' as const, 'update' as const),
  ids: fc.uniqueArray(fc.nat(ROWS - 1), { minLength: 1, maxLength: 6 }),
  on: fc.nat(1),
})

describe('two processes on one table', () => {
  it.each([
    [true, true],
    [true, false],
    [false, false],
  ])(
    'delete and update rows at once, and each of their statements counts (deletion vectors: %s, change feed: %s)',
    async (vectors, feed) => {
      await fc.assert(
        fc.asyncProperty(fc.array(statement, { minLength: 2, maxLength: 6 }), async (statements) => {
          const store = new MemoryStore()
          await using one = await openLake(store)
          await using other = await openLake(store)
          const properties = `'delta.enableDeletionVectors' = '${vectors}', 'delta.enableChangeDataFeed' = '${feed}'`
          await one.sql(`CREATE TABLE t (id BIGINT, n BIGINT) TBLPROPERTIES (${properties})`)
          await one.sql(`INSERT INTO t SELECT i, 0 FROM range(${ROWS / 2}) r(i)`)
          await one.sql(`INSERT INTO t SELECT i, 0 FROM range(${ROWS / 2}, ${ROWS}) r(i)`)
          await Promise.all(
            statements.map(async ({ kind, ids, on }) => {
              const where = `WHERE id IN (${ids.join(', ')})`
              await [one, other][on]?.sql(kind === 'delete' ? `DELETE FROM t ${where}` : `UPDATE t SET n = n + 1 ${where}`)
            }),
          )
          const wanted = Array.from({ length: ROWS }, (_, id) => ({
            id,
            n: statements.filter(({ kind, ids }) => kind === 'update' && ids.includes(id)).length,
          })).filter(({ id }) => !statements.some(({ kind, ids }) => kind === 'delete' && ids.includes(id)))
          for (const lake of [one, other]) expect(await rowsOf(lake, 'SELECT id, n FROM t ORDER BY id')).toEqual(wanted)
          if (!feed) return
          const net = `SELECT id, sum(CASE _change_type WHEN 'insert' THEN 1 WHEN 'delete' THEN -1 WHEN 'update_postimage' THEN 0 END) AS rows,
            coalesce(sum(CASE _change_type WHEN 'update_postimage' THEN n WHEN 'update_preimage' THEN -n WHEN 'delete' THEN -n END), 0) AS n
            FROM table_changes('t', 1) GROUP BY id HAVING rows > 0 ORDER BY id`
          expect(await rowsOf(one, net)).toEqual(wanted.map(({ id, n }) => ({ id, rows: 1, n })))
        }),
        { numRuns: 5 },
      )
    },
    60_000,
  )
})
