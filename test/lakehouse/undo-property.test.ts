import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { openLake, rowsOf } from '../support/world.js'

const RUNS = Number(process.env['DELTAIC_UNDO_RUNS'] ?? 2)

/** A row as the model knows it: `n` is its own, `born` and `changed` are versions. */
interface Row {
  readonly n: number
  readonly v: number
  readonly p: number
  readonly born: number
  readonly changed: number
}

type Step =
  | { readonly do: 'append'; readonly rows: number }
  | { readonly do: 'update' | 'delete'; readonly mod: number; readonly rest: number }
  | { readonly do: 'merge'; readonly mod: number; readonly rows: number }
  | { readonly do: 'optimize' | 'zorder' | 'purge' }
  | { readonly do: 'undo'; readonly from: number; readonly to: number; readonly mod: number; readonly changed: 'keep' | 'remove' }
  | { readonly do: 'redo' }

const some = fc.integer({ min: 2, max: 5 })
const rest = fc.integer({ min: 0, max: 4 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant('append' as const), rows: fc.integer({ min: 1, max: 9 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('update' as const, 'delete' as const), mod: some, rest }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('merge' as const), mod: some, rows: fc.integer({ min: 0, max: 4 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('optimize' as const, 'zorder' as const, 'purge' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('undo' as const),
      from: fc.nat(6),
      to: fc.nat(12),
      mod: fc.integer({ min: 1, max: 3 }),
      changed: fc.constantFrom('keep' as const, 'remove' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('redo' as const) }) },
)

const FIRST: readonly Step[] = [{ do: 'append', rows: 6 }]
const LAST: readonly Step[] = [
  { do: 'append', rows: 4 },
  { do: 'optimize' },
  { do: 'undo', from: 0, to: 7, mod: 1, changed: 'remove' },
]

const versionOf = async (lake: Lakehouse) => (await lake.table('t').history({ limit: 1 }))[0]?.version ?? 0

/** Runs steps on a table, and on the model beside it; compares them after each. */
async function walk(lake: Lakehouse, steps: readonly Step[], properties: string, partition: string): Promise<number> {
  await lake.sql(
    `CREATE TABLE t (n BIGINT, v BIGINT, p BIGINT) ${partition} TBLPROPERTIES ('delta.enableRowTracking' = 'true', ${properties})`,
  )
  let rows: readonly Row[] = []
  let next = 0
  let undone: { readonly version: number; readonly rows: readonly Row[] } | undefined
  let undos = 0
  for (const one of steps) {
    const before = await versionOf(lake)
    const version = before + 1
    const picks = ({ n }: Row) => 'mod' in one && 'rest' in one && n % one.mod === one.rest
    const fresh = (count: number) =>
      Array.from({ length: count }, () => ({ n: next, v: 0, p: next++ % 2, born: version, changed: version }))
    switch (one.do) {
      case 'append': {
        const added = fresh(one.rows)
        await lake.sql(`INSERT INTO t VALUES ${added.map(({ n, v, p }) => `(${n}, ${v}, ${p})`).join(', ')}`)
        rows = [...rows, ...added]
        break
      }
      case 'update':
        await lake.sql(`UPDATE t SET v = v + 1 WHERE n % ${one.mod} = ${one.rest}`)
        rows = rows.map((row) => (picks(row) ? { ...row, v: row.v + 1, changed: version } : row))
        break
      case 'delete':
        await lake.sql(`DELETE FROM t WHERE n % ${one.mod} = ${one.rest}`)
        rows = rows.filter((row) => !picks(row))
        break
      case 'merge': {
        const added = fresh(one.rows)
        const olds = rows.filter(({ n }) => n % one.mod === 0)
        const source = [...olds, ...added].map(({ n, p }) => `(${n}, ${p})`)
        if (source.length === 0) break
        await lake.sql(
          `MERGE INTO t USING (SELECT * FROM (VALUES ${source.join(', ')}) AS s(n, p)) AS s ON t.n = s.n ` +
            'WHEN MATCHED THEN UPDATE SET v = t.v + 10 WHEN NOT MATCHED THEN INSERT (n, v, p) VALUES (s.n, 0, s.p)',
        )
        rows = [...rows.map((row) => (olds.includes(row) ? { ...row, v: row.v + 10, changed: version } : row)), ...added]
        break
      }
      case 'optimize':
        await lake.sql('OPTIMIZE t')
        break
      case 'zorder':
        await lake.sql('OPTIMIZE t ZORDER BY (n)')
        break
      case 'purge':
        await lake.sql('REORG TABLE t APPLY (PURGE)')
        break
      case 'undo': {
        const [from, to] = [Math.min(one.from, one.to, before), Math.min(Math.max(one.from, one.to), before)]
        if (from === to && undone?.version === from) break
        const [entry] = from === to ? (await lake.table('t').history()).filter((h) => h.version === from) : []
        if (entry?.operation === 'UNDO') break
        const wanted = (row: Row) => row.born >= from && row.born <= to && row.n % one.mod === 0
        const goes = (row: Row) => wanted(row) && (row.changed <= to || one.changed === 'remove')
        const options = {
          versions: { from, to },
          changed: one.changed,
          proof: 'table' as const,
          where: one.mod === 1 ? undefined : `n % ${one.mod} = 0`,
        }
        const dry = await lake.table('t').undo({ ...options, dryRun: true })
        const result = await lake.table('t').undo(options)
        const gone = rows.filter(goes)
        const expected = { rowsDeleted: gone.length, rowsChanged: rows.filter((row) => wanted(row) && row.changed > to).length }
        expect(dry).toMatchObject({ ...expected, version: before })
        expect(result).toMatchObject({ ...expected, files: dry.files })
        expect(result.files.reduce((sum, file) => sum + file.rows, 0)).toBe(gone.length)
        if (gone.length > 0) {
          expect(result.proof).toMatchObject({ holds: true, rowsTaken: gone.length, rowsWritten: gone.length })
          expect(result.proof?.table).toMatchObject({ rowsBefore: rows.length, rowsAfter: rows.length - gone.length })
          undone = { version: result.version, rows: gone }
          undos++
        }
        rows = rows.filter((row) => !goes(row))
        break
      }
      case 'redo':
        if (!undone) break
        expect(await lake.table('t').undo({ versions: undone.version })).toMatchObject({ rowsRestored: undone.rows.length })
        expect(await lake.table('t').undo({ versions: undone.version })).toMatchObject({ rowsRestored: 0, attempts: 0 })
        rows = [...rows, ...undone.rows]
        undone = undefined
    }
    const model = rows.map(({ n, v, p }) => ({ n, v, p })).toSorted((a, b) => a.n - b.n)
    expect(await rowsOf(lake, 'SELECT n, v, p FROM t ORDER BY n')).toEqual(model)
  }
  return undos
}

it.each([
  ["'delta.enableDeletionVectors' = 'true'", ''],
  ["'delta.enableDeletionVectors' = 'false', 'delta.enableChangeDataFeed' = 'true'", 'PARTITIONED BY (p)'],
  ["'delta.enableDeletionVectors' = 'true', 'delta.columnMapping.mode' = 'id'", 'PARTITIONED BY (p)'],
])('an undo leaves the history without the rows that its commits added (%s %s)', async (properties, partition) => {
  let undos = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 12 }), async (steps) => {
      await using lake = await openLake()
      undos += await walk(lake, [...FIRST, ...steps, ...LAST], properties, partition)
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
  expect(undos).toBeGreaterThan(0)
})
