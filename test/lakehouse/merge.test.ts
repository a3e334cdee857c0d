// MERGE against a model in memory: every shape of clause, keys that are NULL or repeated, tables with and without
// deletion vectors, change feed and partitions.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Lakehouse, MergeInsert, MergeOptions, MergeUpdate } from '../../src/index.js'
import { ndjson, openLake, rowsOf } from '../support/world.js'

interface Row {
  readonly k: number | null
  readonly v: number | null
  readonly p: number | null
}

type Test = (t: Row | undefined, s: Row | undefined) => boolean
const above = (value: number | null | undefined, least: number) => value !== null && value !== undefined && value > least

const ON_TARGET: readonly (readonly [string | undefined, Test])[] = [
  [undefined, () => true],
  ['t.v > 2', (t) => above(t?.v, 2)],
  ['v IS NULL OR p = 1', (t) => t?.v === null || t?.p === 1],
]
const ON_BOTH: typeof ON_TARGET = [
  [undefined, () => true],
  ['t.v > 2', (t) => above(t?.v, 2)],
  ['s.v > t.v', (t, s) => t?.v !== null && above(s?.v, t?.v ?? 0)],
]
const ON_SOURCE: typeof ON_TARGET = [
  [undefined, () => true],
  ['s.v > 2', (_, s) => above(s?.v, 2)],
  ['p = 1', (_, s) => s?.p === 1],
]
const plus = (value: number | null | undefined, more: number) => (value === null || value === undefined ? null : value + more)

/** An action as it is written, and what becomes of a row: `undefined` when it goes. */
type Change = readonly [MergeUpdate, (t: Row, s: Row) => Row | undefined]
const MATCHED: readonly Change[] = [
  [{ update: '*' }, (_, s) => s],
  [{ update: { v: 's.v + 10' } }, (t, s) => ({ ...t, v: plus(s.v, 10) })],
  [{ update: { p: 's.p', v: 't.v + 1' } }, (t, s) => ({ ...t, p: s.p, v: plus(t.v, 1) })],
  [{ delete: true }, () => undefined],
]
const BY_SOURCE: readonly Change[] = [
  [{ update: { v: 'v + 100' } }, (t) => ({ ...t, v: plus(t.v, 100) })],
  [{ delete: true }, () => undefined],
]
const INSERTS: readonly (readonly [MergeInsert, (s: Row) => Row])[] = [
  [{ insert: '*' }, (s) => s],
  [{ insert: { k: 'k', p: 's.p + 1' } }, (s) => ({ k: s.k, v: null, p: plus(s.p, 1) })],
]

const number = (max: number) => fc.option(fc.integer({ min: 0, max }), { nil: null, freq: 6 })
const row = fc.record({ k: number(7), v: number(5), p: number(2) })
const clausesOf = <T>(conditions: typeof ON_TARGET, actions: readonly T[]) =>
  fc
    .array(fc.tuple(fc.constantFrom(...conditions), fc.constantFrom(...actions)), { maxLength: 2 })
    .map((list) => list.filter(([[condition]], at) => condition !== undefined || at === list.length - 1))
const cases = fc.record({
  files: fc.array(fc.array(row, { minLength: 1, maxLength: 6 }), { maxLength: 3 }),
  source: fc.array(row, { maxLength: 6 }),
  matched: clausesOf(ON_BOTH, MATCHED),
  notMatched: clausesOf(ON_SOURCE, INSERTS),
  bySource: clausesOf(ON_TARGET, BY_SOURCE),
  vectors: fc.boolean(),
  feed: fc.boolean(),
  partitioned: fc.boolean(),
})
type Case = typeof cases extends fc.Arbitrary<infer T> ? T : never

/** The rows afterwards; `undefined` when one is changed by several rows of the source. */
function model({ files, source, matched, notMatched, bySource }: Case): Row[] | undefined {
  const target = files.flat()
  const equal = (t: Row, s: Row) => t.k !== null && t.k === s.k
  const after: Row[] = []
  const loneDelete = matched.length === 1 && matched[0]?.[0][0] === undefined && 'delete' in (matched[0]?.[1][0] ?? {})
  for (const t of target) {
    const same = source.filter((s) => equal(t, s))
    const changes = same.flatMap((s) => {
      const clause = matched.find(([[, test]]) => test(t, s))
      return clause ? [clause[1][1](t, s)] : []
    })
    const alone = same.length === 0 ? bySource.find(([[, test]]) => test(t, undefined)) : undefined
    if (changes.length > 1 && !loneDelete) return undefined
    const changed = changes.length > 0 ? changes[0] : alone ? alone[1][1](t, t) : t
    if (changed) after.push(changed)
  }
  for (const s of source.filter((one) => !target.some((t) => equal(t, one)))) {
    const clause = notMatched.find(([[, test]]) => test(undefined, s))
    if (clause) after.push(clause[1][1](s))
  }
  return after
}

const optionsOf = ({ source, matched, notMatched, bySource }: Case): MergeOptions => ({
  source: `SELECT * FROM (VALUES ${[...source.map(({ k, v, p }) => `(${k}, ${v}, ${p}, true)`), '(0, 0, 0, false)'].join(', ')}) AS r(k, v, p, here) WHERE here`,
  on: 't.k = s.k',
  whenMatched: matched.map(([[and], [action]]) => ({ and, ...action })),
  whenNotMatched: notMatched.map(([[and], [action]]) => ({ and, ...action })),
  whenNotMatchedBySource: bySource.map(([[and], [action]]) => ({ and, ...action })),
})

async function tableOf(
  lake: Lakehouse,
  { files, vectors, feed, partitioned }: Pick<Case, 'files' | 'vectors' | 'feed' | 'partitioned'>,
) {
  const properties = [
    ...(vectors ? ["'delta.enableDeletionVectors' = 'true'"] : []),
    ...(feed ? ["'delta.enableChangeDataFeed' = 'true'"] : []),
  ]
  const clauses = [
    partitioned ? 'PARTITIONED BY (p)' : '',
    properties.length > 0 ? `TBLPROPERTIES (${properties.join(', ')})` : '',
  ]
  await lake.sql(`CREATE TABLE t (k INT, v INT, p INT) ${clauses.join(' ')}`)
  for (const rows of files) await lake.table('t').append(ndjson(...rows))
  return lake.table('t')
}

const bag = (rows: readonly object[]) => rows.map((one) => JSON.stringify(one)).sort()
const current = async (lake: Lakehouse) => bag(await rowsOf(lake, 'SELECT k, v, p FROM t'))

describe('MERGE', () => {
  it('does what the model does, and its changes lead from the rows before to those after', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async (drawn) => {
        await using lake = await openLake()
        const table = await tableOf(lake, drawn)
        const { version } = await table.snapshot()
        const before = await current(lake)
        const expected = model(drawn)
        const merging = table.merge(optionsOf(drawn))
        if (!expected) {
          await expect(merging).rejects.toMatchObject({ code: 'MERGE_AMBIGUOUS' })
          return
        }
        const result = await merging
        const after = await current(lake)
        expect(after).toEqual(bag(expected))
        expect(after.length - before.length).toBe(result.rowsInserted - (result.rowsDeleted ?? 0))
        if (!drawn.feed || result.version === version) return
        const changes = await rowsOf(lake, `SELECT k, v, p, _change_type AS type FROM table_changes('t', ${result.version})`)
        const of = (...types: string[]) =>
          changes.filter(({ type }) => types.includes(String(type))).map(({ k, v, p }) => JSON.stringify({ k, v, p }))
        expect([...before, ...of('insert', 'update_postimage')].sort()).toEqual(
          [...after, ...of('delete', 'update_preimage')].sort(),
        )
        expect([of('update_preimage').length, of('update_postimage').length]).toEqual([result.rowsUpdated, result.rowsUpdated])
      }),
      { numRuns: 40 },
    )
  }, 240_000)

  it('reads its names as Spark does, and takes parameters in the order in which they stand', async () => {
    await using lake = await openLake()
    await tableOf(lake, {
      files: [
        [
          { k: 1, v: 1, p: 0 },
          { k: 2, v: 2, p: 0 },
        ],
      ],
      vectors: false,
      feed: false,
      partitioned: false,
    })
    await lake.sql('CREATE TABLE u (k INT, v INT, p INT)')
    await lake.sql('INSERT INTO u VALUES (2, 20, 1), (3, 30, 1)')
    const answer = await lake.sql(
      'MERGE INTO t USING u ON t.k = u.k WHEN MATCHED AND u.v > ? THEN UPDATE SET v = u.v + ? ' +
        'WHEN NOT MATCHED THEN INSERT (k, v) VALUES (k, ?) WHEN NOT MATCHED BY SOURCE THEN UPDATE SET t.p = ?',
      { params: [10, 5, 7, 9] },
    )
    expect(await answer.rows()).toMatchObject([{ rows_updated: 2n, rows_inserted: 1n, rows_deleted: 0n }])
    expect(await rowsOf(lake, 'SELECT k, v, p FROM t ORDER BY k')).toEqual([
      { k: 1, v: 1, p: 9 },
      { k: 2, v: 25, p: 0 },
      { k: 3, v: 7, p: null },
    ])
  })

  it('writes no file anew when it only inserts, and nothing when there is nothing to do', async () => {
    await using lake = await openLake()
    const table = await tableOf(lake, { files: [[{ k: 1, v: 1, p: 0 }]], vectors: false, feed: true, partitioned: false })
    const merge = (source: string) => table.merge({ source, on: 't.k = s.k', whenNotMatched: [{ insert: '*' }] })
    expect(await merge('SELECT 2 AS k, 2 AS v, 0 AS p')).toMatchObject({ rowsInserted: 1, filesRemoved: 0, filesAdded: 1 })
    const { version } = await table.snapshot()
    expect(await merge('SELECT 2 AS k, 2 AS v, 0 AS p')).toMatchObject({ rowsInserted: 0, version, attempts: 0 })
    expect(await merge('SELECT 2 AS k, 2 AS v, 0 AS p WHERE false')).toMatchObject({ version, attempts: 0 })
  })

  it('names rows that several rows of the source would change', async () => {
    await using lake = await openLake()
    const table = await tableOf(lake, { files: [[{ k: 1, v: 1, p: 0 }]], vectors: true, feed: false, partitioned: false })
    const source = 'SELECT 1 AS k, unnest([1, 2]) AS v, 0 AS p'
    await expect(table.merge({ source, on: 't.k = s.k', whenMatched: [{ update: '*' }] })).rejects.toMatchObject({
      code: 'MERGE_AMBIGUOUS',
      details: { rows: 1, examples: ['{"k":1,"v":1,"p":0}'] },
    })
    expect(await table.merge({ source, on: 't.k = s.k', whenMatched: [{ delete: true }] })).toMatchObject({ rowsDeleted: 1 })
  })

  it('refuses in every place what a query may not do', async () => {
    await using lake = await openLake()
    await tableOf(lake, { files: [[{ k: 1, v: 1, p: 0 }]], vectors: false, feed: false, partitioned: false })
    const attack = "(SELECT count(*) FROM read_text('/etc/passwd'))"
    const refused = { kind: 'invalid' }
    for (const statement of [
      "MERGE INTO t USING read_text('/etc/passwd') AS s ON true WHEN MATCHED THEN DELETE",
      `MERGE INTO t USING (SELECT 1 AS k) AS s ON ${attack} > 0 WHEN MATCHED THEN DELETE`,
      `MERGE INTO t USING (SELECT 1 AS k) AS s ON t.k = s.k WHEN MATCHED AND ${attack} > 0 THEN DELETE`,
      `MERGE INTO t USING (SELECT 1 AS k) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = ${attack}`,
      `MERGE INTO t USING (SELECT 2 AS k) AS s ON t.k = s.k WHEN NOT MATCHED THEN INSERT (k) VALUES (${attack})`,
      'MERGE INTO t USING (SELECT 1 AS k) AS s ON t.k = s.k) OR (true WHEN MATCHED THEN DELETE',
      "MERGE INTO t USING (SELECT 1 AS k) AS s ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = getenv('HOME')::INT",
      `DELETE FROM t WHERE ${attack} > 0`,
      `UPDATE t SET v = ${attack}`,
    ])
      await expect(lake.sql(statement), statement).rejects.toMatchObject(refused)
    expect(await current(lake)).toEqual(['{"k":1,"v":1,"p":0}'])
  })
})
