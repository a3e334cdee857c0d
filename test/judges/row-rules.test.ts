// Spark and deltaic write to one table with rules: each computes what the other does, and refuses what the other refuses.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'
import { checkDesign, createDeltaTable } from '../../src/lakehouse/create.js'
import { field } from '../../src/protocol/schema.js'
import { openStore } from '../../src/storage/open.js'
import { describeWhen } from '../support/needs.js'
import { peers, sharedSpark } from '../support/peers.js'
import { openWorld } from '../support/world.js'
import { done } from './engines.js'

const world = await openWorld()
const TIMEOUT = { timeout: 180_000 }

/** Types and expressions of generated columns, over the columns `i`, `l`, `d`, `p`, `s`, `day`, `t` and `o.x`. */
const GENERATED: readonly (readonly [type: string, expression: string])[] = [
  ['DATE', 'CAST(t AS DATE)'],
  ['INT', 'YEAR(t)'],
  ['INT', 'MONTH(day)'],
  ['INT', 'DAY(t)'],
  ['INT', 'HOUR(t)'],
  ['INT', 'quarter(day)'],
  ['INT', 'weekofyear(day)'],
  ['INT', 'dayofweek(day)'],
  ['INT', 'dayofyear(t)'],
  ['STRING', "date_format(t, 'yyyy-MM-dd HH:mm')"],
  ['TIMESTAMP', "date_trunc('HOUR', t)"],
  ['TIMESTAMP', "date_trunc('week', t)"],
  ['DATE', "trunc(day, 'MONTH')"],
  ['DATE', 'date_add(day, i)'],
  ['INT', 'datediff(day, CAST(t AS DATE))'],
  ['STRING', 'substring(s, 2, 3)'],
  ['STRING', 'substr(s, 1, 1)'],
  ['STRING', "concat(s, '-', CAST(i AS STRING))"],
  ['STRING', 'trim(s)'],
  ['INT', 'length(s)'],
  ['INT', 'i + 1'],
  ['BIGINT', 'i * l'],
  ['INT', 'i % 3'],
  ['DOUBLE', 'i / 4'],
  ['DOUBLE', 'd * 2 - 1'],
  ['INT', 'CAST(d AS INT)'],
  ['INT', 'CAST(p AS INT)'],
  ['BIGINT', 'abs(l)'],
  ['STRING', "coalesce(s, 'none')"],
  ['STRING', "CASE WHEN i > 0 THEN 'plus' WHEN i < 0 THEN \"minus\" ELSE 'zero' END"],
  ['INT', 'if(s IS NULL, 0, 1)'],
  ['BOOLEAN', "s LIKE 'a%' OR s IN ('é', ' x ')"],
  ['BOOLEAN', "day BETWEEN '2000-01-01' AND DATE '2026-12-31'"],
  ['BOOLEAN', 'd = p'],
  ['BOOLEAN', 's <=> NULL'],
  ['INT', 'o.x + `i`'],
  ['STRING', 'CONCAT(\'it\'\'s \', "a \\"b\\"", s)'],
]

const BASE = 'i INT, l BIGINT, d DOUBLE, p DECIMAL(10,2), s STRING, day DATE, t TIMESTAMP, o STRUCT<x: INT>'
/** Rows in a spelling that both take. */
const ROWS = [
  "1, -5, 1.5, 1.50, 'abc', DATE '2026-01-01', '2026-01-01 23:59:59.999999', 7",
  "-7, 3, -1.5, -2.75, 'é😀x', DATE '2020-02-29', '1969-12-31 23:59:59.5', -1",
  "0, 0, -0.0, 0.00, ' x ', DATE '1582-10-15', '2024-02-29 12:00:00', NULL",
  "100, 9000000000, 1e9, 99999999.99, '', DATE '1999-12-31', '2021-01-03 00:00:00', 0",
  'NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL',
]
const COLUMNS = ['i', 'l', 'd', 'p', 's', 'day', 't', 'o']

function values(struct: (x: string) => string): string {
  return ROWS.map((row) => {
    const parts = row.split(', ')
    const [x = 'NULL'] = parts.slice(-1)
    const t = parts.at(-2) === 'NULL' ? 'NULL' : `CAST(${parts.at(-2)} AS TIMESTAMP)`
    return `(${[...parts.slice(0, -2), t, struct(x)].join(', ')})`
  }).join(', ')
}

describeWhen(peers.available('spark'), peers.reason('spark'), 'a table with rules', () => {
  let root: string
  let lake: Lakehouse
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'deltaic-rules-judged-'))
    lake = await openLakehouse(root)
  })
  afterAll(async () => {
    await lake?.close()
    await rm(root, { recursive: true, force: true })
  })
  const spark = sharedSpark()
  const sql = async (text: string) => done(await (await spark()).run({ sql: text }))
  const refused = async (text: string) => {
    const answer = await (await spark()).run({ sql: text })
    return answer.ok ? undefined : answer.error.message
  }

  it('has the values that Spark computes, in generated columns', TIMEOUT, async () => {
    const made = GENERATED.map(([type, expression], index) => `CAST(${expression} AS ${type}) AS g${index}`)
    const source = `(SELECT * FROM VALUES ${values((x) => `named_struct('x', CAST(${x} AS INT))`)} AS v(${COLUMNS.join(', ')}))`
    const base = BASE.split(/, (?=[a-z]+ [A-Z])/).map((column) => column.replace(/^(\w+) (.*)$/, 'CAST($1 AS $2) AS $1'))
    await sql(
      `CREATE TABLE delta.\`${join(root, 'theirs')}\` USING delta AS SELECT *, ${made.join(', ')} FROM (SELECT ${base.join(', ')} FROM ${source})`,
    )
    const { schema } = await world.table(openStore(join(root, 'theirs'))).snapshot()
    const fields = schema.fields.map((f) => {
      const [, expression] = GENERATED[Number(/^g(\d+)$/.exec(f.name)?.[1] ?? -1)] ?? []
      return expression === undefined ? f : { ...f, metadata: { 'delta.generationExpression': expression } }
    })
    await createDeltaTable(world.table(openStore(join(root, 'ours'))), checkDesign({ fields }), { name: 'CREATE TABLE' })
    await lake.sql(`INSERT INTO ours (${COLUMNS.join(', ')}) SELECT ${COLUMNS.join(', ')} FROM theirs`)
    const differing: string[] = []
    for (const [index, [, expression]] of GENERATED.entries()) {
      const result = await lake.sql(
        `SELECT theirs.i, theirs.g${index}::VARCHAR AS theirs, ours.g${index}::VARCHAR AS ours FROM theirs JOIN ours ON theirs.i IS NOT DISTINCT FROM ours.i WHERE theirs.g${index} IS DISTINCT FROM ours.g${index}`,
      )
      for (const row of await result.rows()) differing.push(`${expression}: ${JSON.stringify(row)}`)
    }
    expect(differing).toEqual([])
    expect(await (await lake.sql('SELECT count(*)::INTEGER AS n FROM ours')).rows()).toEqual([{ n: ROWS.length }])
  })

  it('takes and refuses the same rows', TIMEOUT, async () => {
    const t = `delta.\`${join(root, 'ruled')}\``
    await sql(
      `CREATE TABLE ${t} (id INT NOT NULL, name VARCHAR(3) DEFAULT 'abc', twice INT GENERATED ALWAYS AS (id * 2), s STRUCT<x: INT>) USING delta TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')`,
    )
    await sql(`ALTER TABLE ${t} ADD CONSTRAINT small CHECK (id < 100 AND name <> 'no')`)
    const cases: readonly (readonly [columns: string, values: string, taken: boolean])[] = [
      ['id', '1', true],
      ['id, name', "2, 'x'", true],
      ['id, name, twice', "3, 'x', 6", true],
      ['id, name, twice', "3, 'x', 7", false],
      ['id, name, twice', "3, 'x', NULL", false],
      ['id', '100', false],
      ['id, name', "4, 'no'", false],
      ['id, name', '5, NULL', false],
      ['id, name', "6, 'abcd'", false],
      ['id, name', "7, 'ab    '", false],
      ['name', "'x'", false],
    ]
    for (const [columns, row, taken] of cases) {
      const statement = (name: string) => `INSERT INTO ${name} (${columns}) VALUES (${row})`
      const bySpark = await refused(statement(t))
      expect(bySpark === undefined, `Spark: ${columns} = ${row}: ${bySpark}`).toBe(taken)
      const ours = await lake.sql(statement('ruled')).then(
        () => true,
        () => false,
      )
      expect(ours, `deltaic: ${columns} = ${row}`).toBe(taken)
    }
    const rows = await lake.sql('SELECT id, name, twice, count(*)::INTEGER AS n FROM ruled GROUP BY ALL ORDER BY id')
    expect(await rows.rows()).toEqual([
      { id: 1, name: 'abc', twice: 2, n: 2 },
      { id: 2, name: 'x', twice: 4, n: 2 },
      { id: 3, name: 'x', twice: 6, n: 2 },
    ])
  })

  it('keeps an invariant inside a struct as Spark does', TIMEOUT, async () => {
    const invariant = JSON.stringify({ expression: { expression: 's.x < 10' } })
    const inner = field('s', { type: 'struct', fields: [field('x', 'integer', true, { 'delta.invariants': invariant })] })
    const fields = [field('id', 'integer'), inner]
    await createDeltaTable(world.table(openStore(join(root, 'inner'))), checkDesign({ fields }), { name: 'CREATE TABLE' })
    const t = `delta.\`${join(root, 'inner')}\``
    for (const [x, taken] of [
      ['9', true],
      ['10', false],
      ['NULL', false],
    ] as const) {
      expect([x, (await refused(`INSERT INTO ${t} SELECT 1, named_struct('x', CAST(${x} AS INT))`)) === undefined]).toEqual([
        x,
        taken,
      ])
      const ours = lake.sql(`INSERT INTO "inner" SELECT 2, {'x': CAST(${x} AS INT)}`)
      await (taken ? ours : expect(ours).rejects.toMatchObject({ code: 'CONSTRAINT_VIOLATED' }))
    }
    expect(await (await lake.sql('SELECT id, s.x FROM "inner" ORDER BY id')).rows()).toEqual([
      { id: 1, x: 9 },
      { id: 2, x: 9 },
    ])
  })
})
