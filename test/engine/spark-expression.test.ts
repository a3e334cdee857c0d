import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Database } from '../../src/engine/database.js'
import { sparkExpression } from '../../src/engine/spark-expression.js'
import { sparkTextInDuckdb } from '../../src/engine/spark-text.js'
import { type DataType, field } from '../../src/protocol/schema.js'

let database: Database
beforeAll(async () => {
  database = await Database.open({ threads: 1 })
})
afterAll(() => database.close())

const fields = Object.entries<DataType>({
  b: 'byte',
  i: 'integer',
  l: 'long',
  f: 'float',
  d: 'double',
  p: 'decimal(10,2)',
  s: 'string',
  day: 'date',
  t: 'timestamp',
  n: 'timestamp_ntz',
  'odd name': 'integer',
}).map(([name, type]) => field(name, type))

const ROW =
  "SELECT 127::TINYINT AS b, 7::INTEGER AS i, 5::BIGINT AS l, 1.5::FLOAT AS f, 2.7::DOUBLE AS d, -2.75::DECIMAL(10,2) AS p, 'é x' AS s, " +
  "DATE '2026-02-03' AS day, TIMESTAMPTZ '2026-02-03 04:05:06.789+00' AS t, TIMESTAMP '2026-02-03 04:05:06' AS n, 9 AS \"odd name\""

async function value(expression: string): Promise<unknown> {
  return database.use(async (connection) => {
    const { sql } = await sparkExpression(connection, expression, fields)
    const [row] = await connection.rows<{ v: string | null }>(`SELECT (${sql})::VARCHAR AS v FROM (${ROW})`)
    return row?.v
  })
}

describe('an expression of Spark', () => {
  it.each([
    ['b + 1', '128'],
    ['i / 2', '3.5'],
    ['-i % 4', '-3'],
    ['CAST(d AS INT)', '2'],
    ['CAST(p AS BIGINT)', '-2'],
    ['`odd name` + 1', '10'],
    ['I == 7', 'true'],
    ['s = "é x"', 'true'],
    ["s = 'it''s' OR s = 'it\\'s'", 'false'],
    ["concat(s, NULLIF('a', 'a'))", null],
    ['dayofweek(day)', '3'],
    ['weekday(day)', '1'],
    ["date_format(t, 'yyyy/MM')", '2026/02'],
    ["date_trunc('MON', t)", '2026-02-01 00:00:00+00'],
    ["trunc(day, 'YEAR')", '2026-01-01'],
    ["day < '2026-03-01'", 'true'],
    ['7L', '7'],
    ['i NOT IN (1, 2)', 'true'],
    ['i IN (1, NULL)', null],
    ['s <=> NULL', 'false'],
    ['extract(YEAR FROM day)', '2026'],
    ['greatest(i, l, 6)', '7'],
    ["CASE i WHEN 7 THEN 'seven' ELSE 'other' END", 'seven'],
  ])('%s has its value', async (expression, expected) => {
    expect(await value(expression)).toBe(expected)
  })

  it.each([
    'rand()',
    'uuid()',
    'i / l',
    'i % 0',
    'p / 2',
    's > 5',
    "CAST('abc' AS INT)",
    'CAST(s AS DATE)',
    'CAST(d AS STRING)',
    'f + d',
    'substring(s, 0, 2)',
    'substring(s, i, 2)',
    "s LIKE 'a\\\\_b'",
    "date_format(t, 'EEE')",
    'n = t',
    'i IN (SELECT 1)',
    'sum(i)',
    'row_number() OVER ()',
    '1; SELECT 2',
    'i -- comment',
    'i /* comment */',
    "r'raw' = s",
    "X'1F' = s",
    'filter(array(1), x -> x > 0)',
    'i > 12345678901234567890',
    "read_text('/etc/passwd') = s",
    'i)) FROM t WHERE ((true',
    '',
    ')',
  ])('%s is refused', async (expression) => {
    await expect(value(expression)).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED', details: { expression } })
  })

  it('is refused when it names a column that is not there', async () => {
    await expect(value('nobody > 0')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID', details: { column: 'nobody' } })
  })

  it('fails on text whose letters Spark would change by other rules', async () => {
    expect(await value("lower('ABC')")).toBe('abc')
    await expect(value('upper(s)')).rejects.toMatchObject({ code: 'SQL_INVALID' })
  })
})

describe('the text of an expression', () => {
  it.each([
    ['`a``b`', '"a`b"'],
    ['"a\'b"', "'a''b'"],
    ["'\\n\\\\'", "'\n\\'"],
    ["DATE'2020-01-01'", "DATE'2020-01-01'"],
    ['10L + 1.5e3', 'CAST(10 AS BIGINT) + 1.5e3'],
    ['1.5BD', undefined],
    ["'open", undefined],
    ['a[0]', undefined],
    ["'\\u0041'", undefined],
  ])('%j is %j in the engine', (text, expected) => {
    expect(sparkTextInDuckdb(text)).toBe(expected)
  })
})
