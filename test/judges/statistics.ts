// Statistics let engines skip files; a file that holds a wanted row must never be among them.
import { expect, it } from 'vitest'
import type { Lakehouse } from '../../src/index.js'
import { countsIn, countsQuery, type Judge } from './engines.js'
import { freshName, type Place, sharedLake } from './lakes.js'
import { plainEngine, run } from './table-kinds.js'

const COLUMNS =
  'text STRING, x DOUBLE, single FLOAT, moment TIMESTAMP, day DATE, price DECIMAL(38,10), big BIGINT, inside STRUCT<text: STRING>'
const SOURCE = COLUMNS.replace('TIMESTAMP', 'TIMESTAMPTZ').replace('STRUCT<text: STRING>', 'STRUCT("text" VARCHAR)')

const X = (count: number) => 'x'.repeat(count)
const SMILES = (count: number) => '😀'.repeat(count)
const TOP = '\u{10ffff}'

/** One file each, so that each has bounds of its own. */
const FILES = [
  `'${X(40)}', 1.5, 0.1, TIMESTAMPTZ '2024-02-29 12:00:00.123456+00', DATE '2024-02-29', 1.0000000001, 9007199254740993`,
  `'${SMILES(40)}', -0.0, -0.0, TIMESTAMPTZ '1969-12-31 23:59:59.999999+00', DATE '1969-12-31', -1e-10, -9007199254740993`,
  `'', 0.0, 0.0, TIMESTAMPTZ '1970-01-01 00:00:00+00', DATE '1970-01-01', 0, 0`,
  `'${X(31)}é', 'nan', 'nan', TIMESTAMPTZ '0001-01-01 00:00:00+00', DATE '0001-01-01', 9999999999999999999999999999.9999999999, 9223372036854775807`,
  `'${X(32)}', 'inf', 'inf', TIMESTAMPTZ '9999-12-31 23:59:59.999999+00', DATE '9999-12-31', -9999999999999999999999999999.9999999999, -9223372036854775808`,
  `'${TOP.repeat(40)}', '-inf', '-inf', TIMESTAMPTZ '2024-02-29 12:00:00.123999+00', DATE '1582-10-15', 0.5, 1`,
  `'${X(32)}~${X(3)}', 5e-324, 1e-45, TIMESTAMPTZ '1582-10-04 23:59:59.999999+00', DATE '1582-10-04', 0.1, 2`,
  `'Z', 1.7976931348623157e308, 3.4028235e38, TIMESTAMPTZ '1900-01-01 00:00:00.000001+00', DATE '1900-01-01', 2, 3`,
  'NULL, NULL, NULL, NULL, NULL, NULL, NULL',
].map((values) => `SELECT *, {text: "0"} FROM (VALUES (${values})) AS v("0", "1", "2", "3", "4", "5", "6")`)

/** Equality is decided by both bounds; the others by one each. */
const OPERATORS = ['=', '<', '<=', '>', '>=']
type Compare = (column: string, values: readonly string[]) => string[]

const TEXTS = ['', X(32), X(33), X(40), `${X(31)}é`, `${X(32)}~${X(3)}`, SMILES(32), SMILES(40), TOP.repeat(40), 'Z'].map(
  (text) => `'${text}'`,
)
const conditions = (compare: Compare) => [
  ...compare('text', TEXTS),
  ...compare('x', ['0.0', '-0.0', '1.5', '5e-324', '1.7976931348623157e308', '-1.7976931348623157e308']),
  ...compare('moment', [
    "TIMESTAMP '2024-02-29 12:00:00.123456'",
    "TIMESTAMP '2024-02-29 12:00:00.123999'",
    "TIMESTAMP '2024-02-29 12:00:00.123'",
    "TIMESTAMP '1969-12-31 23:59:59.999999'",
    "TIMESTAMP '1969-12-31 23:59:59.999'",
    "TIMESTAMP '1900-01-01 00:00:00.000001'",
  ]),
  ...compare('day', ["DATE '1969-12-31'", "DATE '1970-01-01'", "DATE '0001-01-01'", "DATE '1582-10-04'"]),
  ...compare('big', ['9007199254740993', '-9007199254740993', '9223372036854775807', '0']),
  ...compare('inside.text', [`'${X(40)}'`, `'${SMILES(40)}'`]),
  'text IS NULL',
  'text IS NOT NULL',
  'x IS NULL OR x > 1.0',
]
/** Engines differ on whether NaN equals itself, so these are only compared with the same table without statistics. */
const disputedConditions = (compare: Compare) => [
  ...compare('x', ["CAST('NaN' AS DOUBLE)", "CAST('Infinity' AS DOUBLE)"]),
  ...compare('single', ["CAST('NaN' AS FLOAT)", "CAST('-Infinity' AS FLOAT)", 'CAST(0.1 AS FLOAT)']),
  ...compare('price', ['1.0000000001', '-0.0000000001', '0.5']),
]

async function build(lake: Lakehouse, columnsWithStatistics: number): Promise<string> {
  const name = freshName('statistics')
  await run(
    lake,
    `CREATE TABLE ${name} (${COLUMNS}) TBLPROPERTIES ('delta.dataSkippingNumIndexedCols' = '${columnsWithStatistics}')`,
  )
  for (const file of FILES) await lake.table(name).append({ sql: file })
  return name
}

/** The counts of the source itself, which no file was ever skipped in. */
async function truth(conditions: readonly string[]): Promise<number[]> {
  return (await plainEngine()).use(async (connection) => {
    await connection.run(`CREATE OR REPLACE TEMPORARY TABLE source (${SOURCE.replaceAll('STRING', 'VARCHAR')})`)
    for (const file of FILES) await connection.run(`INSERT INTO source ${file}`)
    return countsIn(await connection.rows(countsQuery('source', conditions)))
  })
}

/** One scan for each condition, for files are skipped by table: one query with all of them would skip none. */
async function ours(lake: Lakehouse, name: string, conditions: readonly string[]): Promise<number[]> {
  const snapshot = await lake.table(name).snapshot()
  const counts: number[] = []
  for (const where of conditions) counts.push((await snapshot.scan({ where, columns: ['text'] }).toArrow()).numRows)
  return counts
}

export function skipsNoWantedRow(place: Place, judge: () => Promise<Judge>, operators = OPERATORS): void {
  const lake = sharedLake(place)
  const compare: Compare = (column, values) =>
    values.flatMap((value) => operators.map((operator) => `${column} ${operator} ${value}`))
  const agreed = conditions(compare)
  const all = [...agreed, ...disputedConditions(compare)]
  it('finds by any filter what it finds without statistics, and so does deltaic', { timeout: 120_000 }, async () => {
    const home = await lake()
    const [indexed, without] = [await build(home, -1), await build(home, 0)]
    const engine = await judge()
    const by = (counts: readonly number[]) => all.map((condition, i) => `${condition}: ${counts[i]}`)
    const seen = await engine.counts(home.table(indexed).uri, all)
    expect(by(seen)).toEqual(by(await engine.counts(home.table(without).uri, all)))
    expect(by(seen.slice(0, agreed.length))).toEqual(by(await truth(agreed)))
    expect(by(await ours(home, indexed, all))).toEqual(by(await truth(all)))
  })
}
