// The keys of a join's small side leave out files of the large one before it is read.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Reference } from './reference.js'

const RUNS = Number(process.env['DELTAIC_PROPERTY_RUNS'] ?? 4)
const number = fc.constantFrom('NULL', '-1', '0', '1', '2', '3', '4', '7')
const rows = (least: number, most: number) => fc.array(fc.tuple(number, number, number), { minLength: least, maxLength: most })

/** Queries over `big` (k, v, id), `dim` (k, y, id) and `more` (y, z, k). */
const ASK: readonly ((where: string, way: string) => string)[] = [
  (where) => `SELECT big.id FROM big JOIN dim ON big.k = dim.k WHERE ${where}`,
  (where) => `SELECT big.id FROM big, dim WHERE big.k = dim.k AND ${where}`,
  (where) => `SELECT id FROM big WHERE k IN (SELECT k FROM dim WHERE ${where})`,
  (where) => `SELECT id FROM big WHERE k NOT IN (SELECT k FROM dim WHERE ${where} AND k IS NOT NULL)`,
  (where) => `SELECT id FROM big WHERE EXISTS (SELECT 1 FROM dim WHERE dim.k = big.k AND ${where})`,
  (where, way) => `SELECT big.id, dim.id FROM big ${way} JOIN dim ON big.k = dim.k AND ${where}`,
  (where, way) => `SELECT big.id FROM big ${way} JOIN dim USING (k) JOIN more ON more.y = dim.y WHERE ${where}`,
  (where, way) => `SELECT big.id FROM big JOIN dim USING (k) ${way} JOIN more ON more.k = big.v AND more.z > 1 WHERE ${where}`,
  (where) => `SELECT sum(big.v), dim.y FROM dim JOIN big ON big.id = dim.k + 1 WHERE ${where} GROUP BY ALL`,
  (where) => `SELECT b.k FROM (SELECT id AS k, k AS id FROM big) b WHERE b.k IN (SELECT k FROM dim WHERE ${where})`,
  (where) => `SELECT b.k, b.id FROM (SELECT v AS k, k AS v, id FROM big) b JOIN dim USING (k) WHERE ${where}`,
  (where) => `WITH d AS (SELECT k AS y, y AS k FROM dim WHERE ${where}) SELECT big.id FROM big JOIN d ON big.k = d.k`,
  (where) => `SELECT a.id, b.id FROM big a JOIN big b ON a.k = b.v JOIN dim ON dim.k = a.k WHERE ${where}`,
  (where) => `SELECT dim.k, (SELECT max(v) FROM big WHERE big.k = dim.k) FROM dim WHERE ${where}`,
  (where) => `SELECT big.id FROM big SEMI JOIN dim ON big.k = dim.k AND big.v = dim.y AND ${where}`,
  (where) => `SELECT q.n FROM (SELECT k, count(*) AS n FROM big GROUP BY k) q JOIN dim ON q.k = dim.k WHERE ${where}`,
  (where) => `SELECT q.id FROM (SELECT * FROM big ORDER BY id, k, v LIMIT 3) q JOIN dim ON q.k = dim.k WHERE ${where}`,
  (where) => `SELECT id FROM big WHERE k IN (SELECT k FROM dim WHERE ${where} UNION ALL SELECT z FROM more WHERE k = 1)`,
  (where) =>
    `SELECT big.id, r FROM big JOIN (SELECT k, row_number() OVER (ORDER BY id) AS r FROM dim) d USING (k) JOIN dim ON dim.k = d.k WHERE ${where}`,
]
const where = fc.constantFrom('dim.y = 3', 'dim.y > 2', 'dim.y IS NULL', 'dim.id IN (1, 4)', 'dim.y = 99', 'dim.k < 1', 'TRUE')

describe('a join', () => {
  let reference: Reference

  beforeAll(async () => {
    reference = await Reference.open('memory:joined-files')
    await reference.fill({
      name: 'facts',
      columns: [
        ['key', 'BIGINT'],
        ['day', 'DATE'],
        ['label', 'STRING'],
        ['price', 'DECIMAL(9,2)'],
      ],
      commits: [0, 1, 2, 3, 4].map((part) =>
        [...Array(40).keys()].map((row) => [String(part * 40 + row), `'2026-01-0${part + 1}'`, `'l${part}${row}'`, `${part}.25`]),
      ),
    })
    await reference.fill({
      name: 'days',
      columns: [
        ['day', 'DATE'],
        ['week', 'INT'],
        ['from_key', 'INT'],
        ['label', 'STRING'],
        ['price', 'DECIMAL(9,2)'],
      ],
      commits: [
        [1, 2, 3, 4, 5].map((day) => [`'2026-01-0${day}'`, String(day >> 1), String(day * 30), `'l${day}0'`, `${day}.25`]),
      ],
    })
  })
  afterAll(() => reference?.close())

  it.each([
    ['SELECT count(*) FROM facts JOIN days USING (day) WHERE week = 2', 3],
    ['SELECT count(*) FROM facts f WHERE f.day IN (SELECT day FROM days WHERE week = 2)', 3],
    ['SELECT count(*) FROM facts, days WHERE facts.key = days.from_key AND days.week = 0', 4],
    ['SELECT count(*) FROM facts JOIN days ON facts.label = days.label AND days.week < 2', 2],
    ['SELECT count(*) FROM facts JOIN days ON facts.price = days.price WHERE week = 1', 3],
    ['SELECT count(*) FROM facts JOIN days USING (day) WHERE week = 9', 5],
    ['SELECT count(*) FROM facts LEFT JOIN days ON facts.day = days.day AND week = 2', 0],
    ['SELECT count(*) FROM facts JOIN days USING (day) WHERE week = 2 + (random() * 0)::INT', 0],
  ])('of %s skips %i files', async (query, skipped) => {
    const result = await reference.lake.sql(query)
    expect(result.stats.skippedBy.join).toBe(skipped)
    await result.rows()
    const { lake, engine } = await reference.both(query)
    expect(lake).toEqual(engine)
  })

  it('is explained', async () => {
    const plan = await (
      await reference.lake.sql('EXPLAIN SELECT count(*) FROM facts JOIN days USING (day) WHERE week = 2')
    ).rows()
    expect(String(plan[0]?.['explain_value'])).toContain('skipped: 3 (by join 3)')
  })

  it(
    'answers as if no file were skipped',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(rows(1, 3), { minLength: 2, maxLength: 5 }),
          rows(1, 3),
          rows(1, 3),
          fc.array(fc.tuple(fc.constantFrom(...ASK), where, fc.constantFrom('', 'LEFT', 'RIGHT', 'FULL')), {
            minLength: 30,
            maxLength: 30,
          }),
          async (big, dim, more, asked) => {
            const tables = {
              big: [['k', 'v', 'id'], big],
              dim: [['k', 'y', 'id'], [dim]],
              more: [['y', 'z', 'k'], [more]],
            } as const
            const columns = (names: readonly string[]) => names.map((name) => [name, name === 'y' ? 'INT' : 'BIGINT'] as const)
            for (const [name, [names, commits]] of Object.entries(tables)) {
              await reference.lake.sql(`DROP TABLE IF EXISTS ${name}`)
              await reference.reference(`DROP TABLE IF EXISTS ${name}`)
              await reference.fill({ name, columns: columns(names), commits })
            }
            for (const [ask, condition, way] of asked) {
              const query = ask(condition, way)
              const { lake, engine } = await reference.both(query)
              expect(lake, query).toEqual(engine)
            }
          },
        ),
        { numRuns: RUNS, endOnFailure: true },
      )
    },
    60_000 + RUNS * 10_000,
  )
})
