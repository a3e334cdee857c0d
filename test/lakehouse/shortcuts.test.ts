// What one table answers from fewer files than hold its rows: sums from statistics alone, and the first rows.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

describe('a query over one table', () => {
  let lake: Lakehouse

  beforeAll(async () => {
    lake = await openLakehouse('memory:shortcuts')
    await lake.sql(`CREATE TABLE t (day DATE, n BIGINT, w STRING, x DOUBLE) PARTITIONED BY (day)
      TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`)
    for (let day = 1; day <= 4; day++)
      await lake.sql(
        `INSERT INTO t SELECT DATE '2026-01-0${day}', i, CASE WHEN i % 3 = 0 THEN NULL ELSE 'w' || i END, i / 2.0 FROM range(${day * 10}, ${day * 10 + 10}) AS r(i)`,
      )
  })
  afterAll(() => lake.close())

  const ask = async (text: string, params: readonly number[] = []) => {
    const result = await lake.sql(text, { params })
    const { filesRead, skippedBy } = result.stats
    return {
      rows: (await result.rows()).map((row) =>
        Object.values(row).map((value) => (value instanceof Date ? value.toISOString().slice(0, 10) : String(value))),
      ),
      filesRead,
      skippedBy,
    }
  }

  it.each([
    ['SELECT count(*) FROM t', ['40']],
    [
      'SELECT min(n), max(n), count(w), min(day), max(day), count(*) AS c FROM t',
      ['10', '49', '27', '2026-01-01', '2026-01-04', '40'],
    ],
    ["SELECT count(*) FROM t WHERE day >= DATE '2026-01-03'", ['20']],
    ['SELECT count(*), min(n) FROM t WHERE n >= 20', ['30', '20']],
    ['SELECT count(*), max(n) FROM t WHERE n < 0', ['0', 'null']],
    ['SELECT count(n) FROM t AS a WHERE a.n BETWEEN 10 AND 19 OR a.n > 39', ['20']],
  ])('reads no file for %s', async (text, row) => {
    const { rows, filesRead, skippedBy } = await ask(text)
    expect({ rows, filesRead }).toEqual({ rows: [row], filesRead: 0 })
    if (row[0] !== '0') expect(skippedBy.answered).toBeGreaterThan(0)
  })

  it('reads only the files of which a part counts', async () => {
    const { rows, filesRead, skippedBy } = await ask('SELECT count(*) AS "how many", min(n), max(n) FROM t WHERE n > $1', [15])
    expect({ rows, filesRead, answered: skippedBy.answered }).toEqual({ rows: [['34', '16', '49']], filesRead: 1, answered: 3 })
  })

  it.each([
    'SELECT min(w) FROM t',
    'SELECT max(x) FROM t',
    'SELECT count(DISTINCT n) FROM t',
    'SELECT count(*) FROM t GROUP BY day',
    'SELECT count(*) + 1 FROM t',
  ])('reads the rows for %s', async (text) => {
    expect((await ask(text)).filesRead).toBe(4)
  })

  it.each([
    ['SELECT n FROM t ORDER BY n DESC LIMIT 3', ['49', '48', '47'], 1],
    ['SELECT n FROM t ORDER BY n LIMIT 2 OFFSET 9', ['19', '20'], 2],
    ['SELECT n AS m FROM t ORDER BY 1 LIMIT 1', ['10'], 1],
    ['SELECT n FROM t WHERE n >= 20 ORDER BY n LIMIT 1', ['20'], 1],
    ['SELECT n FROM t WHERE n >= 25 ORDER BY n LIMIT 1', ['25'], 2],
    ['SELECT -n AS n FROM t ORDER BY n LIMIT 1', ['-49'], 4],
    ['SELECT w FROM t ORDER BY w DESC NULLS LAST LIMIT 1', ['w49'], 1],
    ['SELECT n FROM t ORDER BY day DESC, n LIMIT 1', ['40'], 1],
    ['SELECT n FROM t WHERE n % 7 = 0 ORDER BY n LIMIT 1', ['14'], 4],
    ['SELECT n FROM t LIMIT 3', ['10', '11', '12'], 1],
    ['SELECT n FROM t LIMIT 1 OFFSET 10', ['20'], 2],
    ['SELECT n FROM t WHERE n > 15 LIMIT 5', ['16', '17', '18', '19', '20'], 2],
  ])('%s gives %s from as few files as it takes: %i', async (text, wanted, files) => {
    const { rows, filesRead } = await ask(text)
    expect({ rows: rows.flat(), filesRead }).toEqual({ rows: wanted, filesRead: files })
  })

  it('counts what deletion vectors took out, and reads where bounds may have gone with it', async () => {
    await lake.sql('CREATE TABLE d (n BIGINT, w STRING)')
    await lake.sql(`ALTER TABLE d SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`)
    for (const from of [0, 10]) await lake.sql(`INSERT INTO d SELECT i, NULL FROM range(${from}, ${from + 10}) AS r(i)`)
    await lake.sql('DELETE FROM d WHERE n = 19 OR n = 12')
    expect(await ask('SELECT count(*), count(w), count(n) FROM d')).toMatchObject({ rows: [['18', '0', '18']], filesRead: 0 })
    expect(await ask('SELECT max(n), min(n) FROM d')).toMatchObject({ rows: [['18', '0']], filesRead: 1 })
    expect(await ask('SELECT n FROM d ORDER BY n DESC LIMIT 8')).toMatchObject({ filesRead: 1 })
    expect(await ask('SELECT n FROM d ORDER BY n DESC LIMIT 9')).toMatchObject({ filesRead: 2 })
  })

  it('knows the greatest of the floating-point numbers in a lone file, which is NaN only where one is there', async () => {
    await lake.sql('CREATE TABLE lone (x DOUBLE, y FLOAT)')
    await lake.sql("INSERT INTO lone VALUES (0, 'nan'::FLOAT), (-1.5, 1)")
    expect(await ask('SELECT max(x), min(x), max(y) FROM lone')).toMatchObject({ rows: [['0', '-1.5', 'NaN']] })
  })

  it('is explained', async () => {
    const text = async (query: string) =>
      (await (await lake.sql(query)).rows()).map((row) => String(row['explain_value'])).join('\n')
    expect(await text('EXPLAIN SELECT count(*) FROM t')).toContain('skipped: 4 (by answered 4)')
    expect(await text('EXPLAIN SELECT * FROM t ORDER BY n DESC LIMIT 1')).toContain('skipped: 3 (by limit 3)')
  })
})
