import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { openLake, rowsOf } from '../support/world.js'

const VECTORS = [true, false]

async function create(
  lake: Lakehouse,
  columns: string,
  properties: Readonly<Record<string, unknown>>,
  partition = '',
): Promise<void> {
  const list = Object.entries(properties).map(([key, value]) => `'delta.${key}' = '${String(value)}'`)
  await lake.sql(`CREATE TABLE t (${columns}) ${partition} TBLPROPERTIES (${list.join(', ')})`)
}

describe.each(VECTORS)('DELETE (deletion vectors: %s)', (enableDeletionVectors) => {
  it('takes out the rows for which the condition is true, and says what it did', async () => {
    await using lake = await openLake()
    await create(lake, 'id BIGINT, v VARCHAR, p VARCHAR', { enableDeletionVectors }, 'PARTITIONED BY (p)')
    await lake.sql(`INSERT INTO t SELECT i, 'v' || i, (i % 3)::VARCHAR FROM range(30) r(i)`)
    await lake.sql(`INSERT INTO t SELECT i, NULL, (i % 3)::VARCHAR FROM range(30, 60) r(i)`)
    const say = (rows_deleted: number, version: number, files_removed: number) => [{ rows_deleted, version, files_removed }]
    const rewritten = (files: number) => (enableDeletionVectors ? 0 : files)
    expect(await rowsOf(lake, 'DELETE FROM t WHERE id IN (1, 2, 31)')).toMatchObject(say(3, 3, rewritten(3)))
    expect(await rowsOf(lake, `DELETE FROM t WHERE v = 'v4'`)).toMatchObject(say(1, 4, rewritten(1)))
    expect(await rowsOf(lake, `DELETE FROM t x WHERE x.p = '0'`)).toMatchObject(say(20, 5, 2))
    expect(await rowsOf(lake, 'DELETE FROM t WHERE id = (SELECT max(id) FROM t)')).toMatchObject(say(1, 6, rewritten(1)))
    expect(await rowsOf(lake, 'DELETE FROM t WHERE id = 12345')).toMatchObject(say(0, 6, 0))
    const gone = new Set([1, 2, 31, 4, 59])
    const left = Array.from({ length: 60 }, (_, id) => ({ id })).filter(({ id }) => id % 3 !== 0 && !gone.has(id))
    expect(await rowsOf(lake, 'SELECT id FROM t ORDER BY id')).toEqual(left)
    expect((await rowsOf(lake, 'SELECT count(*) AS n FROM t VERSION AS OF 2'))[0]).toEqual({ n: 60 })
    expect(await rowsOf(lake, 'TRUNCATE TABLE t')).toMatchObject([{ rows_deleted: left.length, version: 7 }])
    expect(await rowsOf(lake, 'SELECT count(*) AS n FROM t')).toEqual([{ n: 0 }])
  })

  it('goes by columns of any name', async () => {
    await using lake = await openLake()
    for (const partition of ['', 'PARTITIONED BY (p)']) {
      await create(lake, '"a-b" BIGINT, "c.d" BIGINT, "e""f" BIGINT, p VARCHAR', { enableDeletionVectors }, partition)
      await lake.sql(`INSERT INTO t SELECT i, i, i, (i % 2)::VARCHAR FROM range(20) r(i)`)
      for (const [at, column] of ['"a-b"', 't."c.d"', '"E""F"'].entries()) {
        expect(await rowsOf(lake, `DELETE FROM t WHERE ${column} = ${at}`)).toMatchObject([{ rows_deleted: 1 }])
        expect(await rowsOf(lake, `DELETE FROM t WHERE ${column} = ${at} + 10 AND p = '${at % 2}'`)).toMatchObject([
          { rows_deleted: 1 },
        ])
      }
      expect(await rowsOf(lake, 'SELECT count(*) AS n FROM t')).toEqual([{ n: 14 }])
      await lake.sql('DROP TABLE t')
    }
  })

  it('refuses a table that only takes appends, and a condition that is none', async () => {
    await using lake = await openLake()
    await create(lake, 'id BIGINT', { enableDeletionVectors, appendOnly: true })
    await lake.sql('INSERT INTO t VALUES (1)')
    await expect(lake.sql('DELETE FROM t WHERE id = 1')).rejects.toMatchObject({ code: 'TABLE_APPEND_ONLY' })
    await expect(lake.sql('UPDATE t SET id = 2')).rejects.toMatchObject({ code: 'TABLE_APPEND_ONLY' })
    await expect(lake.table('t').delete('true) OR (true')).rejects.toMatchObject({ code: 'SQL_INVALID' })
    await expect(lake.sql('DELETE FROM t WHERE nope = 1')).rejects.toMatchObject({ kind: 'invalid' })
    await expect(lake.sql(`DELETE FROM t WHERE id IN (SELECT * FROM read_csv('/etc/passwd'))`)).rejects.toMatchObject({
      code: 'SQL_FORBIDDEN',
    })
  })
})

describe.each(VECTORS)('UPDATE (deletion vectors: %s)', (enableDeletionVectors) => {
  it('sets columns from the row as it was, fields of structs too, and moves rows between partitions', async () => {
    await using lake = await openLake()
    await create(
      lake,
      'a BIGINT, b BIGINT, s STRUCT<x: INT, y: STRUCT<z: VARCHAR>>, p VARCHAR',
      { enableDeletionVectors },
      'PARTITIONED BY (p)',
    )
    await lake.sql(
      `INSERT INTO t VALUES (1, 10, {'x': 1, 'y': {'z': 'q'}}, 'one'), (2, 20, NULL, 'one'), (3, 30, {'x': 3, 'y': NULL}, 'two')`,
    )
    expect(await rowsOf(lake, `UPDATE t SET a = b, b = a, p = p || '!' WHERE a < 3`)).toMatchObject([{ rows_updated: 2 }])
    expect(await rowsOf(lake, `UPDATE t u SET u.s.y.z = 'new', s.x = u.s.x + 1`)).toMatchObject([{ rows_updated: 3 }])
    expect(await rowsOf(lake, 'SELECT a, b, s.x AS x, s.y.z AS z, p FROM t ORDER BY p, a')).toEqual([
      { a: 10, b: 1, x: 2, z: 'new', p: 'one!' },
      { a: 20, b: 2, x: null, z: 'new', p: 'one!' },
      { a: 3, b: 30, x: 4, z: 'new', p: 'two' },
    ])
    expect(await rowsOf(lake, 'UPDATE t SET a = 0 WHERE b = 99')).toMatchObject([{ rows_updated: 0, version: 3 }])
  })

  it('holds new rows to the rules of the table', async () => {
    await using lake = await openLake()
    await create(lake, 'a BIGINT NOT NULL, d BIGINT', { enableDeletionVectors })
    await lake.sql('INSERT INTO t (a) VALUES (1), (2)')
    await expect(lake.sql('UPDATE t SET a = NULL WHERE a = 1')).rejects.toMatchObject({ code: 'VALUE_NULL' })
    await expect(lake.sql('UPDATE t SET nope = 1')).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' })
    await expect(lake.sql('UPDATE t SET a = 1, a = 2')).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' })
    await expect(lake.table('t').update({ a: '1), (2' })).rejects.toMatchObject({ code: 'SQL_INVALID' })
    expect((await lake.table('t').snapshot()).version).toBe(1)
  })
})

interface Row {
  readonly id: number
  readonly n: number | null
  readonly p: string | null
}

/** A condition in SQL, and what it means: NULL is not true. */
const condition = fc.oneof(
  fc.integer({ min: 0, max: 40 }).map((k) => ({ sql: `id = ${k}`, holds: (row: Row) => row.id === k })),
  fc.integer({ min: -2, max: 6 }).map((k) => ({ sql: `n > ${k}`, holds: ({ n }: Row) => n !== null && n > k })),
  fc.integer({ min: -2, max: 6 }).map((k) => ({ sql: `NOT (n > ${k})`, holds: ({ n }: Row) => n !== null && n <= k })),
  fc.constantFrom('a', 'b', 'zz').map((k) => ({ sql: `p = '${k}'`, holds: ({ p }: Row) => p === k })),
  fc.constant({ sql: 'p IS NULL', holds: ({ p }: Row) => p === null }),
  fc.constant({ sql: 'n IS NULL', holds: ({ n }: Row) => n === null }),
  fc.constant({ sql: `p = 'a' OR id % 2 = 0`, holds: ({ p, id }: Row) => p === 'a' || id % 2 === 0 }),
  fc.constant({ sql: 'id IN (SELECT id FROM t WHERE n = 3)', holds: ({ n }: Row) => n === 3 }),
  fc.constant({ sql: 'true', holds: () => true }),
  fc.constant({ sql: 'false', holds: () => false }),
)
const step = fc.oneof(
  { weight: 3, arbitrary: condition.map((where) => ({ kind: 'delete' as const, where })) },
  { weight: 3, arbitrary: fc.tuple(condition, fc.nat(2)).map(([where, how]) => ({ kind: 'update' as const, where, how })) },
  { weight: 1, arbitrary: fc.constant({ kind: 'optimize' as const }) },
  {
    weight: 2,
    arbitrary: fc
      .array(
        fc.record({
          n: fc.option(fc.integer({ min: 0, max: 5 })),
          p: fc.option(fc.constantFrom('a', 'b')),
        }),
        { minLength: 1, maxLength: 12 },
      )
      .map((rows) => ({ kind: 'insert' as const, rows })),
  },
)

const UPDATES = [
  { set: 'n = coalesce(n, 0) + 1', change: (row: Row): Row => ({ ...row, n: (row.n ?? 0) + 1 }) },
  { set: `p = 'b', n = NULL`, change: (row: Row): Row => ({ ...row, p: 'b', n: null }) },
  { set: 'p = NULL', change: (row: Row): Row => ({ ...row, p: null }) },
]

const sorted = (rows: readonly Row[]) => rows.map(({ id, n, p }) => JSON.stringify([id, n, p])).toSorted()
const sqlOf = (value: unknown) => (value === null ? 'NULL' : typeof value === 'string' ? `'${value}'` : String(value))

describe('a table under deletes, updates, inserts and compaction', () => {
  it.each([
    [true, true, true],
    [true, false, false],
    [false, true, true],
    [false, false, true],
    [false, true, false],
  ])(
    'has the rows that a list would have (deletion vectors: %s, change feed: %s, partitioned: %s)',
    async (enableDeletionVectors, enableChangeDataFeed, partitioned) => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 7 }), async (steps) => {
          await using lake = await openLake()
          const properties = { enableDeletionVectors, enableChangeDataFeed, targetFileSize: '1mb' }
          await create(lake, 'id BIGINT, n BIGINT, p VARCHAR', properties, partitioned ? 'PARTITIONED BY (p)' : '')
          let rows: Row[] = []
          let nextId = 0
          for (const one of [
            { kind: 'insert' as const, rows: [1, 2, 3, 4, 5, 6].map((n) => ({ n, p: n % 2 ? 'a' : 'b' })) },
            ...steps,
          ]) {
            switch (one.kind) {
              case 'insert': {
                const more = one.rows.map((row) => ({ id: nextId++, ...row }))
                await lake.sql(
                  `INSERT INTO t VALUES ${more.map(({ id, n, p }) => `(${id}, ${sqlOf(n)}, ${sqlOf(p)})`).join(', ')}`,
                )
                rows = [...rows, ...more]
                break
              }
              case 'optimize':
                await lake.sql('OPTIMIZE t')
                break
              case 'delete': {
                const kept = rows.filter((row) => !one.where.holds(row))
                const [told] = await rowsOf(lake, `DELETE FROM t WHERE ${one.where.sql}`)
                expect(told?.['rows_deleted']).toBe(rows.length - kept.length)
                rows = kept
                break
              }
              case 'update': {
                const { set, change } = UPDATES[one.how] as (typeof UPDATES)[number]
                const [told] = await rowsOf(lake, `UPDATE t SET ${set} WHERE ${one.where.sql}`)
                expect(told?.['rows_updated']).toBe(rows.filter(one.where.holds).length)
                rows = rows.map((row) => (one.where.holds(row) ? change(row) : row))
              }
            }
            expect(sorted((await rowsOf(lake, 'SELECT * FROM t')) as unknown as Row[])).toEqual(sorted(rows))
            const { rows: counted } = await lake.table('t').detail()
            expect(counted).toBe(rows.length)
          }
        }),
        { numRuns: 6 },
      )
    },
    60_000,
  )
})
