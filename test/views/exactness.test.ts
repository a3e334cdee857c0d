// Whatever happens to its sources, and wherever its state has come to: a view is its definition, run over the sources as they are.
// DELTAIC_VIEW_RUNS sets how many histories are played.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'

let lakes = 0
const RUNS = Number(process.env['DELTAIC_VIEW_RUNS'] ?? 4)

/** Each is maintained in a way of its own. */
const DEFINITIONS = [
  'SELECT k, count(*) AS n, sum(x) AS total, avg(x) AS mean, count(x) AS xs FROM t GROUP BY k',
  'SELECT k, d, min(x) AS low, max(x) AS high, count(DISTINCT x) AS kinds, bool_and(x > 1) AS every, bool_or(x > 1) AS one FROM t GROUP BY k, d',
  'SELECT k AS name, arg_max(id, id) AS newest, arg_min(x, id) AS first FROM t GROUP BY k HAVING count(*) > 1',
  'SELECT d, sum(y) AS inexact, max(y) AS top FROM t GROUP BY d',
  "SELECT date_trunc('day', seen) AS day, count(*) FILTER (WHERE x > 1) AS n, sum(x) / count(*) AS ratio FROM t WHERE k IS NOT NULL GROUP BY 1",
  'SELECT median(x) AS middle, k FROM t GROUP BY ALL',
  'SELECT count(*) AS n, max(x) AS top, sum(x) AS total FROM t',
  'SELECT DISTINCT k, x FROM t',
  'SELECT id, k, x * 2 AS twice FROM t WHERE x > 0',
  'SELECT k, x FROM t WHERE d = 1 UNION ALL SELECT k, x FROM t WHERE x > 2',
  'SELECT u.label, count(*) AS n, max(t.x) AS top FROM t JOIN u ON t.d = u.d GROUP BY u.label',
  'SELECT t.k, u.label, count(*) AS n FROM t LEFT JOIN u ON t.d = u.d GROUP BY t.k, u.label',
  'SELECT a.k, count(*) AS pairs FROM t a JOIN t b ON a.d = b.d AND a.x = b.x GROUP BY a.k',
  'SELECT k, count(*) AS n FROM t WHERE d IN (SELECT d FROM u) GROUP BY k',
  'SELECT k, x, row_number() OVER (PARTITION BY k ORDER BY id) AS nth FROM t',
  'SELECT n, count(*) AS groups, max(k) AS last FROM v0 GROUP BY n',
  'SELECT k, n + 1 AS m FROM v0 WHERE n > 1',
  'SELECT v0.k, u.label, sum(v0.n) AS n FROM v0 JOIN t ON v0.k = t.k LEFT JOIN u ON t.d = u.d GROUP BY ALL',
  'SELECT k, count(*) AS n FROM (SELECT k, x FROM t WHERE x > 0 UNION ALL SELECT label, d FROM u) GROUP BY k',
]

type Step =
  | { readonly kind: 'insert'; readonly rows: readonly (readonly [string | null, number | null, number, number | null])[] }
  | { readonly kind: 'delete' | 'update' | 'merge'; readonly where: string }
  | { readonly kind: 'overwrite'; readonly where: string }
  | { readonly kind: 'dimension'; readonly sql: string }
  | { readonly kind: 'optimize' | 'purge' }
  | { readonly kind: 'restore'; readonly back: number }
  | { readonly kind: 'refresh'; readonly view: number; readonly full: boolean }

const where = fc.constantFrom('x = 1', "k = 'a'", 'd = 2', 'x > 1 AND d = 1', 'k IS NULL', 'x IS NULL', 'id % 3 = 0', 'true')
const row = fc.tuple(
  fc.constantFrom('a', 'b', 'c', null),
  fc.option(fc.integer({ min: -1, max: 3 })),
  fc.integer({ min: 1, max: 3 }),
  fc.option(fc.integer({ min: -4, max: 4 }).map((n) => n / 4)),
)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('insert' as const), rows: fc.array(row, { minLength: 1, maxLength: 5 }) }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('delete' as const, 'update' as const, 'merge' as const), where }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('overwrite' as const), where: fc.constantFrom('d = 1', 'd = 3') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('dimension' as const),
      sql: fc.constantFrom(
        "INSERT INTO u VALUES (3, 'three')",
        "UPDATE u SET label = 'other' WHERE d = 1",
        'DELETE FROM u WHERE d = 2',
        "INSERT INTO u VALUES (2, 'two'), (1, 'one')",
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('optimize' as const, 'purge' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restore' as const), back: fc.integer({ min: 1, max: 3 }) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('refresh' as const),
      view: fc.nat({ max: 2 }),
      full: fc.boolean(),
    }),
  },
)

const history = fc.record({
  vectors: fc.boolean(),
  partitioned: fc.boolean(),
  feed: fc.boolean(),
  definitions: fc.uniqueArray(fc.nat({ max: DEFINITIONS.length - 1 }), { minLength: 5, maxLength: 8 }),
  steps: fc.array(step, { minLength: 4, maxLength: 9 }),
})

it('a view is its definition run over its sources, at every step of every history', { timeout: 600_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(history, async ({ vectors, partitioned, feed, definitions, steps }) => {
      await using lake = await openLakehouse(`memory:exactness-${++lakes}`)
      const run = async (sql: string) => (await lake.sql(sql)).rows()
      await lake.sql(
        `CREATE TABLE t (id BIGINT, k STRING, x INT, d INT, y DOUBLE, seen TIMESTAMP) ${partitioned ? 'PARTITIONED BY (d)' : ''}
         TBLPROPERTIES ('delta.enableDeletionVectors' = '${vectors}', 'delta.enableChangeDataFeed' = '${feed}');
         CREATE TABLE u (d INT, label STRING);
         INSERT INTO u VALUES (1, 'one'), (2, 'two')`,
      )
      let id = 0
      const insert = (rows: Extract<Step, { kind: 'insert' }>['rows']) =>
        lake.sql(
          `INSERT INTO t VALUES ${rows
            .map(
              ([k, x, d, y]) =>
                `(${++id}, ${k === null ? 'NULL' : `'${k}'`}, ${x}, ${d}, ${y}, TIMESTAMP '2026-01-0${d} 10:00:00')`,
            )
            .join(', ')}`,
        )
      await insert([
        ['a', 1, 1, 0.5],
        ['a', 2, 2, 1],
        ['b', null, 1, null],
      ])
      const views = new Map([['v0', 'SELECT k, count(*) AS n FROM t GROUP BY k']])
      for (const nth of definitions) views.set(`v${nth + 1}`, DEFINITIONS[nth] ?? '')
      for (const [name, as] of views) await lake.createView(name, { as })
      const names = [...views.keys()]
      for (const one of [undefined, ...steps]) {
        if (one) await play(one)
        for (const [name, as] of views) {
          const definition = as.replace(/\bv0\b(?!\.)/g, `(${views.get('v0')}) v0`)
          const found = await sorted(`SELECT * FROM ${name}`)
          const wanted = await sorted(definition)
          expect(found, `${name}: ${as}\nafter ${JSON.stringify(one)}`).toEqual(wanted)
        }
      }

      async function play(one: Step): Promise<void> {
        switch (one.kind) {
          case 'insert':
            await insert(one.rows)
            return
          case 'delete':
            await lake.sql(`DELETE FROM t WHERE ${one.where}`)
            return
          case 'update':
            await lake.sql(`UPDATE t SET x = coalesce(x, 0) + 1, k = 'b' WHERE ${one.where}`)
            return
          case 'merge':
            await lake.sql(
              `MERGE INTO t USING (SELECT DISTINCT id FROM t WHERE ${one.where}) s ON t.id = s.id
               WHEN MATCHED AND t.x > 1 THEN DELETE WHEN MATCHED THEN UPDATE SET x = 3`,
            )
            return
          case 'overwrite':
            await lake.sql(`INSERT INTO t REPLACE WHERE ${one.where} SELECT id, 'z', x, d, y, seen FROM t WHERE ${one.where}`)
            return
          case 'dimension':
            await lake.sql(one.sql)
            return
          case 'optimize':
            await lake.sql('OPTIMIZE t')
            return
          case 'purge':
            await lake.sql('REORG TABLE t APPLY (PURGE)')
            return
          case 'restore': {
            const { version } = await lake.table('t').snapshot()
            await lake.sql(`RESTORE TABLE t TO VERSION AS OF ${Math.max(1, version - one.back)}`)
            return
          }
          case 'refresh': {
            const name = names[one.view % names.length] ?? 'v0'
            await lake.refreshView(name, { full: one.full })
            const [{ n } = { n: 0 }] = await run(`SELECT count(*)::INT AS n FROM ${name}`)
            expect(n).toBeGreaterThanOrEqual(0)
            return
          }
        }
      }

      async function sorted(query: string): Promise<readonly string[]> {
        const rows = await run(query)
        return rows
          .map((one) =>
            JSON.stringify(one, (_, value: unknown) =>
              typeof value === 'bigint' ? Number(value) : typeof value === 'number' ? Number(value.toPrecision(12)) : value,
            ),
          )
          .sort()
      }
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
})
