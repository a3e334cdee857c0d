import { expect, it } from 'vitest'
import { ndjson, openLake, rowsOf } from '../support/world.js'

const CREATE = 'CREATE TABLE t (id INT, v VARIANT)'
const rows = async (lake: Parameters<typeof rowsOf>[0], where = '') =>
  (
    await rowsOf(
      lake,
      `SELECT id, v::VARCHAR AS v FROM (SELECT id, nullif(v::JSON::VARCHAR, 'null') AS v FROM t) ${where} ORDER BY id`,
    )
  ).map(({ id, v }) => [id, v])

it('takes JSON from queries and from lines, by what it says', async () => {
  await using lake = await openLake()
  await lake.sql(CREATE)
  expect((await lake.table('t').snapshot()).protocol).toEqual({
    minReaderVersion: 3,
    minWriterVersion: 7,
    readerFeatures: ['variantType'],
    writerFeatures: ['variantType'],
  })
  await lake.sql(`INSERT INTO t VALUES (1, '{"b": 1, "a": [true, null, "x"]}'::JSON), (2, NULL::JSON), (3, '1.5'::JSON)`)
  await lake.sql(`INSERT INTO t SELECT 4, 'a text'`)
  await lake.table('t').append(ndjson({ id: 5, v: { k: [1, { z: 'ä' }] } }, { id: 6, v: 'text' }, { id: 7 }, { id: 8, v: null }))
  await lake.table('t').ingest(ndjson({ id: 9, v: [] }))
  expect(await rows(lake)).toEqual([
    [1, '{"a":[true,null,"x"],"b":1}'],
    [2, null],
    [3, '1.5'],
    [4, '"a text"'],
    [5, '{"k":[1,{"z":"ä"}]}'],
    [6, '"text"'],
    [7, null],
    [8, null],
    [9, '[]'],
  ])
})

it('keeps variants through DELETE, UPDATE, OPTIMIZE and a copy', async () => {
  await using lake = await openLake()
  await lake.sql(`${CREATE} TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true', 'delta.columnMapping.mode' = 'name')`)
  await lake.sql(`INSERT INTO t SELECT range, ('{"n": ' || range || '}')::JSON FROM range(6)`)
  await lake.sql(`DELETE FROM t WHERE id = 0; UPDATE t SET v = '[2]'::JSON WHERE id = 2`)
  await lake.sql(`MERGE INTO t USING (SELECT 9 AS id, '{"nine": 9}'::JSON AS v UNION ALL SELECT 4, '"four"') s ON t.id = s.id
    WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *`)
  await lake.sql(`UPDATE t SET v = 'three' WHERE id = 3; INSERT INTO t SELECT 7, '7'::JSON`)
  await lake.sql('OPTIMIZE t; CREATE TABLE u AS SELECT * FROM t')
  const expected = [
    [1, '{"n":1}'],
    [2, '[2]'],
    [3, '"three"'],
    [4, '"four"'],
    [5, '{"n":5}'],
    [7, '7'],
    [9, '{"nine":9}'],
  ]
  expect(await rows(lake)).toEqual(expected)
  await lake.sql('INSERT OVERWRITE t SELECT * FROM u')
  expect(await rows(lake)).toEqual(expected)
  expect((await lake.table('u').snapshot()).schema.fields[1]).toMatchObject({ type: 'variant' })
})

it('refuses what cannot be a variant here', async () => {
  await using lake = await openLake()
  await lake.sql('CREATE TABLE t (id INT, v VARIANT NOT NULL)')
  await expect(lake.sql('INSERT INTO t VALUES (1, NULL)')).rejects.toMatchObject({ code: 'VALUE_NULL' })
  const deep = (depth: number) => `INSERT INTO t SELECT 1, (repeat('[', ${depth}) || repeat(']', ${depth}))::JSON`
  await expect(lake.sql(deep(201))).rejects.toThrow('nested too deeply')
  await expect(lake.sql(deep(50_000))).rejects.toThrow()
  await expect(lake.sql(`UPDATE t SET v = (repeat('{"a":', 300) || '1' || repeat('}', 300))::JSON`)).resolves.toBeDefined()
  await lake.sql(`${deep(200)}; INSERT INTO t SELECT 2, to_json(list(['[', '{'])) FROM range(300)`)
  await expect(lake.sql(`UPDATE t SET v = (repeat('{"a":', 300) || '1' || repeat('}', 300))::JSON`)).rejects.toThrow(
    'nested too deeply',
  )
  await expect(lake.sql('CREATE TABLE c (id INT, v VARIANT) CLUSTER BY (v)')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  await expect(lake.sql('CREATE TABLE p (id INT, v VARIANT) PARTITIONED BY (v)')).rejects.toMatchObject({
    code: 'ARGUMENT_INVALID',
  })
})

it.each([
  ['none', 'false'],
  ['name', 'true'],
])('holds variants within structs, arrays and maps; mapping mode %s, change feed %s', async (mode, feed) => {
  await using lake = await openLake()
  await lake.sql(`CREATE TABLE t (id INT, s STRUCT<x: VARIANT, y: INT>, a ARRAY<VARIANT>, m MAP<STRING, STRUCT<v: VARIANT>>)
    TBLPROPERTIES ('delta.columnMapping.mode' = '${mode}', 'delta.enableChangeDataFeed' = '${feed}')`)
  await lake.sql(`INSERT INTO t VALUES (1, {x: '{"b": 1, "a": 2}'::JSON, y: 1}, ['1'::JSON, NULL, '[2]'::JSON], MAP {'k': {v: '"t"'::JSON}}),
    (2, NULL, NULL, NULL), (3, {x: NULL, y: 3}, [], MAP {})`)
  await lake.table('t').append(ndjson({ id: 4, s: { x: [1, { z: null }], y: 4 }, a: ['x', 1.5], m: { k: { v: true } } }))
  await lake.sql(`UPDATE t SET s = {x: '[5]'::JSON, y: s.y} WHERE id = 3`)
  await lake.sql(`MERGE INTO t USING (SELECT 2 AS id, ['{"q": 1}'::JSON] AS a UNION ALL SELECT 5, ['9']) s ON t.id = s.id
    WHEN MATCHED THEN UPDATE SET a = s.a WHEN NOT MATCHED THEN INSERT (id, a) VALUES (s.id, s.a)`)
  await lake.sql('DELETE FROM t WHERE id = 99; OPTIMIZE t; CREATE TABLE u AS SELECT * FROM t')
  for (const table of ['t', 'u'])
    expect(
      await rowsOf(
        lake,
        `SELECT id, s::JSON::VARCHAR AS s, a::JSON::VARCHAR AS a, m::JSON::VARCHAR AS m FROM ${table} ORDER BY id`,
      ),
    ).toEqual([
      { id: 1, s: '{"x":{"a":2,"b":1},"y":1}', a: '[1,null,[2]]', m: '{"k":{"v":"t"}}' },
      { id: 2, s: null, a: '[{"q":1}]', m: null },
      { id: 3, s: '{"x":[5],"y":3}', a: '[]', m: '{}' },
      { id: 4, s: '{"x":[1,{"z":null}],"y":4}', a: '["x",1.5]', m: '{"k":{"v":true}}' },
      { id: 5, s: null, a: '[9]', m: null },
    ])
  if (feed === 'true')
    expect(
      await rowsOf(lake, "SELECT s::JSON::VARCHAR AS s, _change_type AS c FROM table_changes('t', 3, 3) ORDER BY 2"),
    ).toEqual([
      { s: '{"x":[5],"y":3}', c: 'update_postimage' },
      { s: '{"x":null,"y":3}', c: 'update_preimage' },
    ])
})
