// A lookup is planned from what was planned for other constants: it reads what it needs, never less.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-lookups-'))
const lake = await openLakehouse(join(folder, 'lake'))
await lake.sql(`CREATE TABLE t (id BIGINT, small TINYINT, name STRING, price DOUBLE, day INT, part STRING) PARTITIONED BY (day, part);
  ALTER TABLE t SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true');
  INSERT INTO t SELECT i * 100000000, i % 7, CASE WHEN i % 5 > 0 THEN 'n' || i || chr(39) END, i / 3, i // 10, CASE WHEN i % 3 > 0 THEN 'p' || i % 3 END
    FROM range(60) r(i);
  DELETE FROM t WHERE id = 1700000000`)
afterAll(async () => {
  await lake.close()
  rmSync(folder, { recursive: true, force: true })
})

const rows = async (text: string) => (await (await lake.sql(text)).rows()).map((row) => JSON.stringify(row, (_, v) => String(v)))
const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`
const literals: Readonly<Record<string, fc.Arbitrary<string>>> = {
  id: fc.integer({ min: -1, max: 61 }).map((i) => (i < 0 ? `${i}` : `${i * 100_000_000}`)),
  small: fc.constantFrom('0', '3', '6', '127', '128', '300', '4000000000', '3.5', "'3'", 'NULL'),
  name: fc.constantFrom('n1', "n7'", 'n', '', '5').map(quoted),
  price: fc.constantFrom('1', '2', '0.5', '19'),
  day: fc.integer({ min: 0, max: 7 }).map(String),
  part: fc.constantFrom('p1', 'p2', 'p3', '').map(quoted),
}
const comparison = fc
  .constantFrom(...Object.keys(literals))
  .chain((column) =>
    fc.tuple(
      fc.constant(column),
      fc.constantFrom('=', '<>', '<', '>=', 'IS DISTINCT FROM'),
      literals[column] as fc.Arbitrary<string>,
    ),
  )
const predicate = fc
  .array(comparison, { minLength: 1, maxLength: 3 })
  .map((all) =>
    all
      .map(([column, sign, value]) => (value.length % 2 === 0 ? `${value} ${sign} ${column}` : `${column} ${sign} ${value}`))
      .join(' AND '),
  )

it('answers as a query that reads every file', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(predicate, { minLength: 4, maxLength: 8 }), async (predicates) => {
      for (const where of predicates) {
        const [found, all] = [`WHERE ${where}`, `WHERE coalesce((${where}), random() < 0)`]
        for (const select of ['*', 'name, price', 'count(DISTINCT part) AS n'])
          expect((await rows(`SELECT ${select} FROM t ${found}`)).toSorted(), where).toEqual(
            (await rows(`SELECT ${select} FROM t ${all}`)).toSorted(),
          )
      }
    }),
    { numRuns: Number(process.env['DELTAIC_TEST_RUNS'] ?? 8) },
  )
})

it('reads the files that its own constants need', async () => {
  const read = async (where: string) => (await lake.sql(`SELECT id FROM t WHERE ${where}`)).stats.filesRead
  expect(await read("day = 1 AND part = 'p1'")).toBe(1)
  expect(await read("day = 7 AND part = 'p1'")).toBe(0)
  expect(await read("day = 2 AND part = 'p2'")).toBe(1)
  await read("day = 8 AND day = 9 AND part = 'p2'")
  expect(await read("day = 3 AND day = 3 AND part = 'p2'")).toBe(1)
})

it('is told from what only looks like it', async () => {
  const ids = async (text: string) => (await (await lake.sql(text)).rows<{ v: unknown }>()).map(({ v }) => Number(v))
  for (const day of [1, 2]) {
    expect(await ids(`SELECT DISTINCT d AS v FROM t AS x(a, b, c, e, d, f) WHERE d = ${day}`)).toEqual([day])
    expect(await ids(`SELECT DISTINCT day AS v FROM t AS x(a, b, c, day, e, f) WHERE day = ${day}`)).toEqual([day])
    expect(await ids(`SELECT ${day} AS v FROM t WHERE id = 100000000`)).toEqual([day])
    expect(await ids(`SELECT min(day) AS v FROM t WHERE day >= ${day} LIMIT ${day}`)).toEqual([day])
    expect(await ids(`WITH t AS (SELECT ${day} AS day) SELECT day AS v FROM t WHERE day = ${day}`)).toEqual([day])
    expect(await ids(`SELECT (SELECT count(*) FROM t) - day AS v FROM t WHERE id = ${day}00000000`)).toEqual([59])
  }
})
