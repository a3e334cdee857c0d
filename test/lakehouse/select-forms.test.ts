// What DuckDB's SELECT can say is said over Delta tables, and answered as DuckDB does.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Reference } from './reference.js'

describe('a query', () => {
  let reference: Reference

  beforeAll(async () => {
    reference = await Reference.open('memory:select-forms')
    await reference.fill({
      name: 'trades',
      columns: [
        ['day', 'DATE'],
        ['ts', 'TIMESTAMP'],
        ['sym', 'STRING'],
        ['price', 'DECIMAL(10,2)'],
        ['size', 'BIGINT'],
        ['tags', 'ARRAY<STRING>'],
      ],
      partitionBy: ['day'],
      commits: [1, 2, 3].map((day) =>
        [0, 1, 2, 3].map((n) => [
          `'2024-01-0${day}'`,
          `'2024-01-0${day} 0${n}:00:00+00'`,
          n % 2 === 0 ? "'a'" : "'b'",
          `${day * 10 + n}.5`,
          n === 3 ? 'NULL' : String(day * n),
          `['${n}', 't${day}']`,
        ]),
      ),
    })
    await reference.fill({
      name: 'quotes',
      columns: [
        ['ts', 'TIMESTAMP'],
        ['sym', 'STRING'],
        ['bid', 'DOUBLE'],
      ],
      commits: [1, 2].map((day) => [
        [`'2024-01-0${day} 00:30:00+00'`, "'a'", String(day)],
        [`'2024-01-0${day} 02:30:00+00'`, "'b'", String(day + 0.5)],
      ]),
    })
    await reference.fill({
      name: 'parents',
      columns: [
        ['id', 'INT'],
        ['parent', 'INT'],
      ],
      commits: [[['1', 'NULL']], [['2', '1']], [['3', '2']], [['4', '2']]],
    })
  })
  afterAll(() => reference?.close())

  it.each<[form: string, query: string]>([
    [
      'window frames',
      'SELECT sym, ts, sum(size) OVER (PARTITION BY sym ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM trades',
    ],
    [
      'named windows',
      'SELECT ts, lag(price) OVER w, rank() OVER w FROM trades WINDOW w AS (PARTITION BY day ORDER BY price DESC)',
    ],
    ['QUALIFY', 'SELECT * FROM trades QUALIFY row_number() OVER (PARTITION BY sym ORDER BY ts DESC) = 1'],
    ['ASOF joins', 'SELECT t.ts, t.sym, q.bid FROM trades t ASOF JOIN quotes q ON t.sym = q.sym AND t.ts >= q.ts'],
    [
      'ASOF LEFT joins',
      "SELECT t.ts, q.bid FROM trades t ASOF LEFT JOIN quotes q ON t.sym = q.sym AND t.ts >= q.ts WHERE t.day > DATE '2024-01-01'",
    ],
    [
      'PIVOT with IN',
      "SELECT * FROM (PIVOT (SELECT day, sym, size FROM trades) ON sym IN ('a', 'b', 'c') USING sum(size) GROUP BY day)",
    ],
    [
      'the standard PIVOT',
      "SELECT * FROM (SELECT day, sym, size FROM trades) PIVOT (sum(size) FOR sym IN ('a', 'b') GROUP BY day)",
    ],
    ['UNPIVOT', 'SELECT * FROM (UNPIVOT (SELECT ts, price::DOUBLE AS price, size::DOUBLE AS size FROM trades) ON price, size)'],
    ['lateral joins', 'SELECT p.id, c.n FROM parents p, LATERAL (SELECT count(*) AS n FROM parents q WHERE q.parent = p.id) c'],
    ['lateral unnest', "SELECT t.ts, u.tag FROM trades t, LATERAL unnest(t.tags) AS u(tag) WHERE u.tag LIKE 't%'"],
    [
      'recursive CTEs',
      'WITH RECURSIVE up AS (SELECT id, parent, 0 AS depth FROM parents WHERE id = 4 UNION ALL SELECT p.id, p.parent, depth + 1 FROM parents p JOIN up ON p.id = up.parent) SELECT * FROM up',
    ],
    [
      'recursive CTEs with keys',
      'WITH RECURSIVE up(id, n) USING KEY (id) AS (SELECT id, 0 FROM parents UNION SELECT p.parent, n + 1 FROM parents p JOIN up ON p.id = up.id WHERE p.parent IS NOT NULL AND n < 3) SELECT id FROM up',
    ],
    [
      'materialized CTEs',
      'WITH t AS MATERIALIZED (SELECT * FROM trades WHERE size > 1) SELECT a.ts FROM t a JOIN t b ON a.ts = b.ts',
    ],
    ['grouping sets', 'SELECT day, sym, count(*), grouping(day) FROM trades GROUP BY ROLLUP (day, sym)'],
    [
      'filtered and ordered aggregates',
      'SELECT sym, list(size ORDER BY ts DESC) FILTER (size > 0), arg_max(price, ts), quantile_cont(price, 0.5) FROM trades GROUP BY ALL',
    ],
    ['set operations by name', 'SELECT id, parent FROM parents UNION BY NAME SELECT parent, id + 10 AS id FROM parents'],
    ['EXCEPT and INTERSECT ALL', '(SELECT parent FROM parents EXCEPT SELECT 2) INTERSECT ALL SELECT id FROM parents'],
    [
      'positional joins',
      'SELECT * FROM (SELECT id FROM parents ORDER BY id) POSITIONAL JOIN (SELECT bid FROM quotes ORDER BY bid)',
    ],
    [
      'FROM first, with columns chosen',
      'FROM trades SELECT * EXCLUDE (tags) REPLACE (price * 2 AS price), COLUMNS(\'s.*\') AS "c_\\0"',
    ],
    [
      'comparison with ALL and ANY',
      'SELECT id FROM parents WHERE id >= ALL (SELECT parent FROM parents WHERE parent IS NOT NULL) OR id = ANY (SELECT 1)',
    ],
    ['correlated EXISTS', 'SELECT id FROM parents p WHERE NOT EXISTS (FROM parents q WHERE q.parent = p.id)'],
    ['lambdas', "SELECT list_transform(tags, lambda x: x || sym) FROM trades WHERE list_contains(tags, 't2')"],
    ['VALUES joined', "SELECT t.ts FROM trades t JOIN (VALUES ('a', 2), ('b', 3)) v(sym, n) ON t.sym = v.sym AND t.size = v.n"],
    ['DISTINCT ON', 'SELECT DISTINCT ON (sym) sym, ts FROM trades ORDER BY sym, ts DESC'],
  ])('has %s', async (_, query) => {
    const { lake, engine } = await reference.both(query)
    expect(engine).not.toEqual(['refused'])
    expect(lake).toEqual(engine)
  })

  it('reads several versions of one table', async () => {
    const rows = await (
      await reference.lake.sql(`
        SELECT now.id, (SELECT count(*) FROM parents VERSION AS OF 1) AS one, (SELECT count(*) FROM parents@v2) AS two
        FROM parents AS now ANTI JOIN parents AT (VERSION => 3) AS before USING (id)`)
    ).rows()
    expect(rows).toEqual([{ id: 4, one: 1n, two: 2n }])
  })

  it('takes parameters of every type, and skips files by them', async () => {
    const columns: readonly (readonly [string, string, unknown, string])[] = [
      ['boolean', 'BOOLEAN', true, '$v'],
      ['byte', 'BYTE', 7, '$v'],
      ['short', 'SHORT', 300, '$v'],
      ['integer', 'INT', -70_000, '$v'],
      ['long', 'LONG', 9_223_372_036_854_775_807n, '$v'],
      ['float', 'FLOAT', 0.5, '$v'],
      ['double', 'DOUBLE', 0.1, '$v'],
      ['price', 'DECIMAL(38, 2)', '123456789012345678901234567890123456.78', '$v::DECIMAL(38, 2)'],
      ['text', 'STRING', "it's", '$v'],
      ['bytes', 'BINARY', Buffer.from([0, 255, 39]), '$v'],
      ['day', 'DATE', '2024-02-29', '$v::DATE'],
      ['moment', 'TIMESTAMP', new Date('2024-02-29T12:00:00.123Z'), '$v'],
      ['local', 'TIMESTAMP_NTZ', '2024-02-29 12:00:00.123456', '$v::TIMESTAMP'],
    ]
    await reference.lake.sql(`CREATE TABLE typed (${columns.map(([name, type]) => `"${name}" ${type}`).join(', ')})`)
    const params = Object.fromEntries(columns.map(([name, , value]) => [name, value])) as Record<string, string>
    const values = columns.map(([name, , , expression]) => expression.replace('$v', `$${name}`))
    await reference.lake.sql(`INSERT INTO typed SELECT ${values.join(', ')}`, { params })
    await reference.lake.sql('INSERT INTO typed SELECT NULL, 1, 1, 1, 1, 1, 1, 1, NULL, NULL, NULL, NULL, NULL')
    for (const [name, , value, expression] of columns) {
      const query = `SELECT count(*) + 0 AS n FROM typed WHERE "${name}" = ${expression}`
      const result = await reference.lake.sql(query, { params: { v: value as string } })
      const skipped = ['boolean', 'bytes', 'price'].includes(name) ? 0 : 1
      expect({ name, rows: await result.rows(), skipped: result.stats.filesSkipped }).toEqual({
        name,
        rows: [{ n: 1n }],
        skipped,
      })
      expect(await (await reference.lake.sql(query, { params: { v: null } })).rows()).toEqual([{ n: 0n }])
    }
  })
})
