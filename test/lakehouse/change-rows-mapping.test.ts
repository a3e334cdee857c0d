import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LocalStore } from '../../src/storage/local.js'
import { diskLake, openWorld, readRowIds, rowsOf } from '../support/world.js'

const world = await openWorld()
const { lake, folder } = await diskLake()

const BOTH = [true, false]
const KINDS = ['none', 'name', 'id'].flatMap((mode) =>
  BOTH.flatMap((vectors) => BOTH.flatMap((feed) => BOTH.map((tracking) => ({ mode, vectors, feed, tracking })))),
)

describe('deletes and updates', () => {
  it.each(KINDS)(
    'keep every value (column mapping: $mode, vectors: $vectors, change feed: $feed, row ids: $tracking)',
    async (kind) => {
      const { mode, vectors, feed, tracking } = kind
      const t = `t_${Object.values(kind).join('_')}`
      const odd = mode === 'none' ? 'ab' : 'a b'
      await lake.createTable(t, {
        columns: [
          { name: odd, type: 'BIGINT' },
          { name: 's', type: 'STRUCT<x: INT, l: ARRAY<STRUCT<q: STRING>>>' },
          { name: 'p', type: 'STRING' },
        ],
        partitionBy: ['p'],
        properties: {
          'delta.columnMapping.mode': mode,
          'delta.enableDeletionVectors': String(vectors),
          'delta.enableChangeDataFeed': String(feed),
          'delta.enableRowTracking': String(tracking),
        },
      })
      const table = lake.table(t)
      const id = `"${odd}"`
      await table.append({
        sql: `SELECT i AS ${id}, {'x': i::INT, 'l': [{'q': 'w' || i}]} AS s, (i % 2)::VARCHAR AS p FROM range(8) r(i)`,
      })
      await lake.sql(`DELETE FROM ${t} WHERE ${id} IN (2, 3)`)
      await lake.sql(`UPDATE ${t} SET s.x = 100, p = '2' WHERE ${id} = 4`)
      await lake.sql(`UPDATE ${t} SET s.x = s.x + 1 WHERE ${id} > 4`)
      await lake.sql(`DELETE FROM ${t} WHERE ${id} = 5`)
      await lake.sql(`REORG TABLE ${t} APPLY (PURGE)`)
      await table.optimize()
      await table.optimize({ zorderBy: ['s.x', odd] })
      const shown = `${id} AS id, s.x AS x, s.l[1].q AS q, p`
      const row = (n: number, x: number, p = String(n % 2)) => ({ id: n, x, q: `w${n}`, p })
      const left = [row(0, 0), row(1, 1), row(4, 100, '2'), row(6, 7), row(7, 8)]
      expect(await rowsOf(lake, `SELECT ${shown} FROM ${t} ORDER BY 1`)).toEqual(left)
      if (tracking) {
        // A row that moves or changes keeps its id, and only one that changes says so.
        const tracked = world.table(new LocalStore(join(folder, t)))
        const first = new Map((await readRowIds(world, tracked, odd, 1)).map(({ value, id: rowId }) => [value, rowId]))
        const changedAt = new Map([
          [4, 3],
          [6, 4],
          [7, 4],
        ])
        const ids = left.map(({ id: value }) => ({ value, id: first.get(value), version: changedAt.get(value) ?? 1 }))
        expect(await readRowIds(world, tracked, odd)).toEqual(ids)
      }
      if (!feed) return
      const changes = `SELECT _change_type AS kind, _commit_version AS v, ${shown} FROM table_changes('${t}', 2, 5) ORDER BY v, id, kind DESC`
      const updated = (v: number, n: number, x: number, p?: string) => [
        { kind: 'update_preimage', v, ...row(n, n) },
        { kind: 'update_postimage', v, ...row(n, x, p) },
      ]
      expect(await rowsOf(lake, changes)).toEqual([
        { kind: 'delete', v: 2, ...row(2, 2) },
        { kind: 'delete', v: 2, ...row(3, 3) },
        ...updated(3, 4, 100, '2'),
        ...[5, 6, 7].flatMap((n) => updated(4, n, n + 1)),
        { kind: 'delete', v: 5, ...row(5, 6) },
      ])
    },
  )
})
