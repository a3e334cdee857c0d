// Columns of type void, which other engines make of a bare NULL: they take nothing else, and no file has them.
import { expect, it } from 'vitest'
import { openLake, rowsOf } from '../support/world.js'

it('columns of type void hold NULL alone, within structs too', async () => {
  await using lake = await openLake()
  const inner = 'a: INT, n: VOID, deep: STRUCT<n: VOID, b: STRING>'
  await lake.sql(`CREATE TABLE t (id INT, n VOID, s STRUCT<${inner}>, l ARRAY<STRUCT<${inner}>>)`)
  const value = (a: number) => `{a: ${a}, n: NULL, deep: {n: NULL, b: 'x'}}`
  await lake.sql(`INSERT INTO t VALUES (1, NULL, ${value(1)}, [${value(2)}, NULL]), (2, NULL, NULL, NULL)`)
  await lake.sql('INSERT INTO t (id) VALUES (3)')
  await lake.sql('UPDATE t SET id = 4 WHERE id = 1')
  await lake.sql('OPTIMIZE t')
  const read = { a: 1, n: null, deep: { n: null, b: 'x' } }
  expect(await rowsOf(lake, 'SELECT * FROM t ORDER BY id')).toEqual([
    { id: 2, n: null, s: null, l: null },
    { id: 3, n: null, s: null, l: null },
    { id: 4, n: null, s: read, l: [{ ...read, a: 2 }, null] },
  ])
  for (const row of [
    '(5, 1, NULL, NULL)',
    '(5, NULL, {a: 1, n: 2, deep: NULL}, NULL)',
    '(5, NULL, {a: 1, n: NULL, deep: {n: 3, b: NULL}}, NULL)',
    '(5, NULL, NULL, [{a: 1, n: 4, deep: NULL}])',
  ])
    await expect(lake.sql(`INSERT INTO t VALUES ${row}`), row).rejects.toMatchObject({
      code: 'CONSTRAINT_VIOLATED',
      details: { rows: 1 },
    })
})

it.each(['STRUCT<n: VOID>', 'ARRAY<VOID>', 'MAP<STRING, VOID>', 'STRUCT<a: INT, l: ARRAY<STRUCT<n: VOID>>>'])(
  'a column of nothing but void is not written: %s',
  async (type) => {
    await using lake = await openLake()
    await lake.sql(`CREATE TABLE t (id INT, v ${type})`)
    await expect(lake.sql('INSERT INTO t (id) VALUES (1)')).rejects.toMatchObject({
      code: 'TYPE_UNSUPPORTED',
      details: { column: expect.any(String) },
    })
  },
)

it('a table is neither partitioned nor clustered by void', async () => {
  await using lake = await openLake()
  for (const by of ['PARTITIONED BY', 'CLUSTER BY'])
    await expect(lake.sql(`CREATE TABLE t (id INT, n VOID) ${by} (n)`)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
})
