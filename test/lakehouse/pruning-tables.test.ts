// Tables as they become over time: files of older schemas, deletion vectors, mapped names, generated partitions, missing and
// truncated statistics. Whatever is asked of them, the files that are skipped held nothing of the answer.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Reference } from './reference.js'

const RUNS = Number(process.env['DELTAIC_PROPERTY_RUNS'] ?? 4)
const LONG = 'x'.repeat(40)

const MOMENTS = [
  '2023-12-31 23:30:00',
  '2024-01-01 00:00:00',
  '2024-01-15 12:00:00.000999',
  '2024-02-01 03:00:00',
  '2025-01-01 00:00:00',
]
const WORDS = ['a', 'b', `${LONG}a`, `${LONG}b`, '', '\u{10ffff}']
const NUMBERS = ['-1', '0', '1', '2', '9007199254740993']

const moment = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...MOMENTS.map((text) => `'${text}'`)) }, fc.constant('NULL'))
const word = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...WORDS.map((text) => `'${text}'`)) }, fc.constant('NULL'))
const number = fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...NUMBERS) }, fc.constant('NULL'))

const comparison = fc.constantFrom('=', '<', '<=', '>', '>=', '<>')
const leaf = fc.oneof(
  fc.tuple(comparison, moment).map(([sign, value]) => `v ${sign} ${value}::TIMESTAMP`),
  fc.tuple(comparison, moment).map(([sign, value]) => `v::DATE ${sign} ${value}::DATE`),
  fc.tuple(comparison, fc.constantFrom(2023, 2024, 2025)).map(([sign, value]) => `year(v) ${sign} ${value}`),
  fc
    .tuple(fc.constantFrom('day', 'month', 'year'), comparison, moment)
    .map(([unit, sign, value]) => `date_trunc('${unit}', v) ${sign} ${value}::TIMESTAMP`),
  fc.tuple(comparison, word).map(([sign, value]) => `w ${sign} ${value}`),
  fc.constantFrom(
    `w LIKE '${LONG}%'`,
    `starts_with(w, '${LONG}a')`,
    `left(w, 41) = '${LONG}b'`,
    `w LIKE '%a'`,
    "w IN ('a', 'b')",
  ),
  fc.tuple(comparison, number).map(([sign, value]) => `n ${sign} ${value}`),
  fc.tuple(comparison, number).map(([sign, value]) => `n::DOUBLE ${sign} ${value}::DOUBLE`),
  fc.tuple(comparison, number).map(([sign, value]) => `s.x ${sign} ${value}`),
  fc.tuple(number, number).map(([low, high]) => `n BETWEEN ${low} AND ${high}`),
  fc.tuple(comparison, number).map(([sign, value]) => `added ${sign} ${value}`),
  fc.constantFrom(
    'added IS NULL',
    'added IS NOT NULL',
    'n IS NULL',
    's.x IS NOT NULL',
    'v IS NULL',
    'day IS NULL',
    'day IS NOT NULL',
  ),
  fc.tuple(comparison, moment).map(([sign, value]) => `day ${sign} ${value}::DATE`),
  fc.constantFrom(
    'month(day) = 1',
    "day::VARCHAR LIKE '2024%'",
    'day + 1 > v::DATE',
    "coalesce(day, DATE '2024-01-01') = DATE '2024-01-01'",
  ),
)
const predicate = fc.letrec<{ node: string }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'small', maxDepth: 2 },
    { weight: 4, arbitrary: leaf },
    { weight: 1, arbitrary: tie('node').map((inner) => `NOT (${inner})`) },
    {
      weight: 2,
      arbitrary: fc.tuple(tie('node'), fc.constantFrom('AND', 'OR'), tie('node')).map(([a, join, b]) => `(${a}) ${join} (${b})`),
    },
  ),
})).node

/** Ways by which a predicate reaches the table. */
const ASK: readonly ((table: string, where: string) => string)[] = [
  (table, where) => `SELECT id FROM ${table} WHERE ${where}`,
  (table, where) => `WITH q AS (SELECT id, v, w, n, s, added, day FROM ${table}) SELECT id FROM q WHERE ${where}`,
  (table, where) => `SELECT id FROM (SELECT * FROM ${table} UNION ALL SELECT * FROM ${table}) WHERE ${where}`,
  (table, where) => `SELECT q.id FROM (SELECT * FROM ${table} WHERE ${where}) q JOIN ${table} r ON q.id = r.id WHERE r.n > 0`,
  (table, where) => `SELECT count(*), min(n), max(id), count(added) FROM ${table} WHERE ${where}`,
  (table, where) => `SELECT id FROM ${table} WHERE ${where} ORDER BY id DESC LIMIT 2`,
]

/** Queries that may be answered from fewer files than hold their rows. Of rows that tie, any may come. */
const SHORT: readonly fc.Arbitrary<(table: string, where: string) => string>[] = [
  fc
    .subarray(
      ['id', 'v', 'w', 'n', 'added', 'day'].flatMap((column) => ['count', 'min', 'max'].map((call) => `${call}(${column})`)),
      { maxLength: 4 },
    )
    .map((calls) => (table, where) => `SELECT ${['count(*)', ...calls].join(', ')} FROM ${table} ${where}`),
  fc
    .tuple(
      fc.constantFrom('id', 'v', 'w', 'n', 'added', 'day'),
      fc.constantFrom('', 'ASC', 'DESC'),
      fc.constantFrom('', 'NULLS FIRST', 'NULLS LAST'),
      fc.integer({ min: 0, max: 7 }),
      fc.integer({ min: 0, max: 3 }),
    )
    .chain(([column, way, nulls, limit, offset]) =>
      fc.constantFrom(
        (table: string, where: string) =>
          `SELECT ${column} FROM ${table} ${where} ORDER BY ${column} ${way} ${nulls} LIMIT ${limit} OFFSET ${offset}`,
        (table: string, where: string) =>
          `SELECT id, w FROM ${table} ${where} ORDER BY ${column} ${way} ${nulls}, id LIMIT ${limit} OFFSET ${offset}`,
      ),
    ),
  fc.integer({ min: 0, max: 8 }).map((limit) => (table, where) => `SELECT 1 FROM ${table} ${where} LIMIT ${limit}`),
]

const table = fc.record({
  mapping: fc.constantFrom('none', 'name'),
  indexed: fc.constantFrom('32', '2', '0'),
  before: fc.array(fc.tuple(moment, word, number, number), { minLength: 1, maxLength: 6 }),
  after: fc.array(fc.tuple(moment, word, number, number, number), { minLength: 1, maxLength: 6 }),
  gone: fc.option(leaf.filter((text) => !text.includes('added'))),
})

describe('a table that has changed its schema and lost rows', () => {
  let reference: Reference
  let tables = 0

  beforeAll(async () => {
    reference = await Reference.open('memory:pruning-tables')
  })
  afterAll(() => reference?.close())

  it(
    'answers as if no file were skipped',
    async () => {
      await fc.assert(
        fc.asyncProperty(
          table,
          fc.array(fc.tuple(fc.constantFrom(...ASK), predicate), { minLength: 25, maxLength: 25 }),
          fc.array(fc.tuple(fc.oneof(...SHORT), fc.option(predicate)), { minLength: 40, maxLength: 40 }),
          async (made, asked, short) => {
            const name = `t${tables++}`
            await build(name, made)
            const queries = [
              ...asked.map(([ask, where]) => ask(name, where)),
              ...short.map(([ask, where]) => ask(name, where === null ? '' : `WHERE ${where}`)),
            ]
            for (const query of queries) {
              const { lake, engine } = await reference.both(query)
              expect(lake, query).toEqual(engine)
            }
          },
        ),
        { numRuns: RUNS, endOnFailure: true },
      )
      expect(reference.filesSkipped).toBeGreaterThan(reference.filesRead / 20)
    },
    60_000 + RUNS * 10_000,
  )

  async function build(
    name: string,
    { mapping, indexed, before, after, gone }: typeof table extends fc.Arbitrary<infer T> ? T : never,
  ) {
    const properties = `'delta.columnMapping.mode' = '${mapping}', 'delta.enableDeletionVectors' = 'true', 'delta.dataSkippingNumIndexedCols' = '${indexed}'`
    const ours = (text: string) => reference.lake.sql(text)
    const theirs = (text: string) => reference.reference(text)
    await ours(
      `CREATE TABLE ${name} (id INT, v TIMESTAMP_NTZ, w STRING, n BIGINT, s STRUCT<x: BIGINT>, day DATE GENERATED ALWAYS AS (CAST(v AS DATE))) PARTITIONED BY (day) TBLPROPERTIES (${properties})`,
    )
    await theirs(`CREATE TABLE ${name} (id INT, v TIMESTAMP, w VARCHAR, n BIGINT, s STRUCT(x BIGINT), day DATE)`)
    let id = 0
    const row = ([v, w, n, x, added]: readonly string[]) =>
      `(${++id}, ${v}::TIMESTAMP, ${w}, ${n}::BIGINT, {'x': ${x}::BIGINT}${added === undefined ? '' : `, ${added}::BIGINT`})`
    for (let at = 0; at < before.length; at += 2) {
      const rows = before
        .slice(at, at + 2)
        .map(row)
        .join(', ')
      await ours(`INSERT INTO ${name} (id, v, w, n, s) VALUES ${rows}`)
      await theirs(`INSERT INTO ${name} SELECT *, col1::DATE FROM (VALUES ${rows})`)
    }
    await ours(`ALTER TABLE ${name} ADD COLUMN added BIGINT`)
    await theirs(`ALTER TABLE ${name} ADD COLUMN added BIGINT`)
    for (let at = 0; at < after.length; at += 3) {
      const rows = after
        .slice(at, at + 3)
        .map(row)
        .join(', ')
      await ours(`INSERT INTO ${name} (id, v, w, n, s, added) VALUES ${rows}`)
      await theirs(`INSERT INTO ${name} SELECT col0, col1, col2, col3, col4, col1::DATE, col5 FROM (VALUES ${rows})`)
    }
    if (gone === null) return
    await ours(`DELETE FROM ${name} WHERE ${gone}`)
    await theirs(`DELETE FROM ${name} WHERE ${gone}`)
  }
})
