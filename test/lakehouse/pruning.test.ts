import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Reference } from './reference.js'

/** Six files of `events` by number, three partitions of `urls`, and `names` of both. */
describe('files that are skipped', () => {
  let reference: Reference

  beforeAll(async () => {
    reference = await Reference.open('memory:pruning')
    await reference.fill({
      name: 'events',
      columns: [
        ['id', 'BIGINT'],
        ['url', 'STRING'],
        ['at', 'TIMESTAMP'],
        ['value', 'DOUBLE'],
        ['st', 'STRUCT<x: INT>'],
      ],
      commits: Array.from({ length: 6 }, (_, file) =>
        [0, 1].map((row) => [
          String(file * 10 + row),
          `'https://${'abcdef'[file]}.example/${row}'`,
          `'2024-0${file + 1}-15 00:00:00.123456+00'`,
          row === 0 ? String(file) : file === 5 ? "'nan'" : 'NULL',
          `{'x': ${file}}`,
        ]),
      ),
    })
    await reference.fill({
      name: 'urls',
      columns: [
        ['day', 'DATE'],
        ['kind', 'STRING'],
        ['id', 'BIGINT'],
      ],
      partitionBy: ['day', 'kind'],
      commits: [
        [
          ["'2024-01-01'", "'a'", '0'],
          ["'2024-01-01'", "'b'", '10'],
          ["'2024-01-02'", 'NULL', '20'],
        ],
        [["'2024-01-03'", "'a'", '30']],
      ],
    })
  })
  afterAll(() => reference?.close())

  const skipped = async (query: string, params: readonly (string | number)[] = []) => {
    const before = reference.filesSkipped
    const { lake, engine } = await reference.both(query, params)
    expect(engine, query).not.toEqual(['refused'])
    expect(lake, query).toEqual(engine)
    return reference.filesSkipped - before
  }

  it.each<[string, number]>([
    ['id = 20', 5],
    ['20 = id', 5],
    ['id > 39', 4],
    ['id >= 41 AND id < 50', 5],
    ['id < 0', 6],
    ['id IN (1, 51)', 4],
    ['id BETWEEN 5 AND 12', 5],
    ['id = 1 OR id = 51', 4],
    ['NOT id > 9', 5],
    ["url = 'https://c.example/1'", 5],
    ["url LIKE 'https://c%'", 5],
    ['"at" >= TIMESTAMPTZ \'2024-05-01\'', 4],
    ["date_trunc('month', \"at\") = TIMESTAMPTZ '2024-03-01'", 5],
    ['value < 1', 4],
    ['value = 3', 4],
    ['value IS NULL', 1],
    ['st.x = 2', 5],
    ['id = 20 AND length(url) > 3', 5],
    ['id = 20 OR length(url) > 3', 0],
    ['value > 100', 0],
    ['id <> 20', 0],
    ['id::DOUBLE > 39.5', 4],
    ['id > 39.5', 4],
    ['NOT (id BETWEEN 5 AND 45)', 4],
    ['id NOT IN (20, 21)', 0],
    ['st.x <> 2', 1],
    ['"at"::DATE = DATE \'2024-03-15\'', 5],
    ["date_trunc('month', \"at\") IN (TIMESTAMPTZ '2024-03-01', TIMESTAMPTZ '2024-05-01')", 4],
    ['year("at") < 2024', 6],
    ["starts_with(url, 'https://c')", 5],
    ["left(url, 9) = 'https://c'", 5],
    ["url LIKE 'https://c%/1'", 5],
    ['st.x IS NULL', 6],
    ['id IS NULL OR id = 0', 5],
    ['(id, st.x) = (20, 2)', 0],
  ])('for %s are %i of 6', async (predicate, expected) => {
    expect(await skipped(`SELECT * FROM events WHERE ${predicate}`)).toBe(expected)
  })

  it.each<[string, number]>([
    ["day = DATE '2024-01-01'", 2],
    ["day > '2024-01-01'", 2],
    ["kind = 'b'", 3],
    ["day = '2024-01-01' AND kind = 'a'", 3],
    ['kind IS NULL', 3],
    ['kind IS NOT NULL', 1],
    ["coalesce(kind, 'none') = 'none'", 0],
    ["kind <> 'a'", 3],
    ["NOT (kind = 'a' OR day < '2024-01-02')", 4],
    ["kind LIKE '%b'", 3],
    ['month(day) = 1 AND dayofmonth(day) = 3', 0],
    ['year(day) = 2024 AND month(day) = 2', 4],
    ["day::VARCHAR LIKE '%-03'", 3],
  ])('for %s are %i of 4 partitions', async (predicate, expected) => {
    expect(await skipped(`SELECT * FROM urls WHERE ${predicate}`)).toBe(expected)
  })

  it('are found through parameters, CTEs, subqueries and set operations', async () => {
    expect(await skipped('SELECT * FROM events WHERE id = ?', [20])).toBe(5)
    expect(await skipped('SELECT * FROM events WHERE id = ?', [51])).toBe(5)
    expect(await skipped('WITH e AS (SELECT id + 1 AS next, * FROM events) SELECT * FROM e WHERE id = 20')).toBe(5)
    expect(await skipped('SELECT * FROM (SELECT * FROM (FROM events) WHERE id < 20) WHERE id > 5')).toBe(5)
    expect(await skipped('SELECT id FROM events WHERE id = 1 UNION ALL SELECT id FROM events WHERE id = 51')).toBe(4)
    expect(await skipped('SELECT count(*) FROM events WHERE id = 20')).toBe(5)
    expect(await skipped('SELECT sum(id) FROM events')).toBe(0)
  })

  it.each([
    'SELECT * FROM events e JOIN urls u ON e.id = u.id WHERE e.id = 20',
    'SELECT * FROM events e LEFT JOIN urls u ON e.id = u.id AND e.id = 20',
    "SELECT * FROM events e LEFT JOIN urls u ON e.id = u.id AND u.day = DATE '2024-01-01'",
    'SELECT * FROM events e LEFT JOIN urls u ON e.id = u.id WHERE u.id IS NULL',
    "SELECT * FROM events e FULL JOIN urls u ON e.id = u.id WHERE u.kind = 'a' OR e.id < 5",
    'SELECT a.id, b.id FROM events a JOIN events b ON a.id = b.id - 10 WHERE a.id > 30',
    'SELECT a.id, b.id FROM events a, events b WHERE a.id < 10 AND b.id > 40',
    "SELECT * FROM events WHERE id IN (SELECT id FROM urls WHERE kind = 'a')",
    "SELECT * FROM events WHERE id NOT IN (SELECT id FROM urls WHERE day > '2024-01-01')",
    "SELECT * FROM events e WHERE EXISTS (FROM urls u WHERE u.id = e.id AND u.day = '2024-01-01')",
    'SELECT * FROM events e SEMI JOIN urls u USING (id)',
    "SELECT * FROM events e ANTI JOIN urls u ON e.id = u.id AND u.kind = 'a'",
    'SELECT (SELECT max(id) FROM events WHERE id < u.id) FROM urls u',
    'SELECT u.kind, (SELECT count(*) FROM events e WHERE e.id < 15) FROM urls u WHERE u.id = 10',
    'SELECT kind, count(*) FROM urls GROUP BY ALL HAVING count(*) > 1',
    'SELECT id FROM events ORDER BY value DESC NULLS LAST, id LIMIT 3',
    'SELECT id, row_number() OVER (ORDER BY id) AS n FROM events QUALIFY n = 2',
    'SELECT id FROM events WHERE id = (SELECT max(id) FROM urls)',
    'SELECT kind FROM urls WHERE kind::VARCHAR = NULL OR day IS NOT NULL',
    'WITH RECURSIVE r AS (SELECT id FROM events WHERE id = 0 UNION ALL SELECT e.id FROM r JOIN events e ON e.id = r.id + 10) FROM r',
  ])('change nothing in %s', async (query) => {
    await skipped(query)
  })

  it('are not chosen by the time at which the same question was asked before', async () => {
    await reference.lake.sql('CREATE TABLE ticks (ts TIMESTAMP, day DATE)')
    const count = async () =>
      (await (await reference.lake.sql('SELECT count(*) AS n FROM ticks WHERE ts <= now() AND day <= today()')).rows())[0]
    for (let n = 1n; n <= 3n; n++) {
      await reference.lake.sql('INSERT INTO ticks SELECT now(), today()')
      await new Promise((resolve) => setTimeout(resolve, 5))
      expect(await count()).toEqual({ n })
    }
  })

  it('are not chosen by a piece of a string', async () => {
    for (const text of ['x\nid=1\ny', "x\nid=1\n'y", "' OR id = 1", "\n'\nid=51\n'\n"]) {
      await reference.lake.sql('INSERT INTO events (id, url) SELECT 20, $url', { params: { url: text } })
      const rows = await (await reference.lake.sql('SELECT url FROM events WHERE url = $url', { params: { url: text } })).rows()
      expect(rows).toEqual([{ url: text }])
    }
  })

  it('are named by EXPLAIN, with what left them out', async () => {
    const explained = async (query: string) =>
      (await (await reference.lake.sql(query)).rows<Record<'explain_key' | 'explain_value', string>>()).map(Object.values)
    const rows = await explained('EXPLAIN SELECT id FROM events WHERE id = 40')
    const [[table, reads] = []] = rows
    expect(table).toMatch(/^events \(version \d+\)$/)
    expect(reads).toMatch(
      /files considered: 10, read: 1, skipped: 9 \(by statistics 9\)\nbytes considered: \d+, read: at most \d+, .*\ncolumns id\nskipped by: .*"minValues"\."id" <= 40/,
    )
    expect(rows.at(-1)?.[0]).toBe('physical_plan')
    const analyzed = await explained("EXPLAIN ANALYZE SELECT kind FROM urls WHERE day = DATE '2024-01-01' AND id = 0")
    const [[, urls] = []] = analyzed
    expect(urls).toMatch(/files considered: 4, read: 1, skipped: 3 \(by partition 2, statistics 1\)/)
    expect(analyzed.at(-1)?.[0]).toBe('analyzed_plan')
    expect(analyzed.at(-1)?.[1]).toMatch(/Total Time/)
  })
})
