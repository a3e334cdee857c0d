import { describe, expect, it } from 'vitest'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { openLake, rowsOf } from '../support/world.js'

const ROWS = `(1, 'a', 'x'), (2, 'a', 'y'), (3, 'b', 'x'), (4, NULL, 'x')`

async function lakeWith(
  properties: Readonly<Record<string, unknown>> = {},
  partition = 'PARTITIONED BY (p, q)',
): Promise<Lakehouse> {
  const lake = await openLake()
  const list = Object.entries(properties).map(([key, value]) => `'delta.${key}' = '${String(value)}'`)
  const clause = list.length > 0 ? `TBLPROPERTIES (${list.join(', ')})` : ''
  await lake.sql(`CREATE TABLE t (id BIGINT, p VARCHAR, q VARCHAR) ${partition} ${clause}`)
  await lake.sql(`INSERT INTO t VALUES ${ROWS}`)
  return lake
}
const rows = async (lake: Lakehouse) =>
  (await rowsOf(lake, 'SELECT id, p, q FROM t ORDER BY id')).map((row) =>
    Object.values(row)
      .map((v) => v ?? '-')
      .join(''),
  )

describe('INSERT OVERWRITE', () => {
  it('leaves the new rows alone', async () => {
    await using lake = await lakeWith()
    expect(await rowsOf(lake, `INSERT OVERWRITE t VALUES (9, 'z', 'z')`)).toEqual([
      { rows_added: 1, version: 2, files_added: 1, files_removed: 4 },
    ])
    expect(await rows(lake)).toEqual(['9zz'])
  })

  it('may read what it replaces', async () => {
    await using lake = await lakeWith()
    await lake.sql('INSERT OVERWRITE t SELECT id + 10, p, q FROM t WHERE id < 3')
    expect(await rows(lake)).toEqual(['11ax', '12ay'])
  })

  it.each([
    [`PARTITION (p = 'a', q) SELECT 9, 'z'`, 'static', ['3bx', '4-x', '9az']],
    [`PARTITION (p = 'a', q) SELECT 9, 'y'`, 'dynamic', ['1ax', '3bx', '4-x', '9ay']],
    [`PARTITION (p = 'a', q = 'x') SELECT 9`, 'static', ['2ay', '3bx', '4-x', '9ax']],
    [`PARTITION (q, p = NULL) SELECT 9, 'z'`, 'static', ['1ax', '2ay', '3bx', '9-z']],
    [`PARTITION (p, q) SELECT 9, 'a', 'z'`, 'static', ['9az']],
    [`VALUES (9, 'a', 'x'), (8, NULL, 'x')`, 'dynamic', ['2ay', '3bx', '8-x', '9ax']],
    [`PARTITION (p = 'a', q) (q, id) SELECT 'z', 9`, 'static', ['3bx', '4-x', '9az']],
    [`BY NAME SELECT 'z' AS q, 9 AS id, 'a' AS p`, 'static', ['9az']],
  ] as const)('%s (%s) leaves the others', async (text, partitionOverwriteMode, expected) => {
    await using lake = await lakeWith()
    const result = await lake.sql(`INSERT OVERWRITE t ${text}`, { partitionOverwriteMode })
    await result.close()
    expect(await rows(lake)).toEqual(expected)
  })

  it('names a column that the table is not partitioned by', async () => {
    await using lake = await lakeWith()
    await expect(lake.sql(`INSERT OVERWRITE t PARTITION (id = 1) SELECT 'a', 'b'`)).rejects.toMatchObject({
      code: 'SCHEMA_MISMATCH',
      details: { column: 'id' },
    })
  })
})

describe('INSERT INTO … PARTITION', () => {
  it('gives the columns their values', async () => {
    await using lake = await lakeWith()
    await lake.sql(`INSERT INTO t PARTITION (p = 'c', q = 'd') SELECT 5`)
    expect((await rows(lake)).at(-1)).toBe('5cd')
  })
})

const FEATURES: readonly Readonly<Record<string, boolean>>[] = [
  {},
  { enableDeletionVectors: true },
  { enableChangeDataFeed: true },
  { enableChangeDataFeed: true, enableDeletionVectors: true, enableRowTracking: true },
  { enableRowTracking: true },
]

describe.each(FEATURES)('INSERT INTO … REPLACE WHERE (%o)', (properties) => {
  it('replaces the rows for which the condition is true', async () => {
    await using lake = await lakeWith(properties, '')
    const said = await rowsOf(lake, `INSERT INTO t REPLACE WHERE p = 'a' AND id > 1 VALUES (9, 'a', 'n'), (8, 'a', 'n')`)
    expect(said).toMatchObject([{ rows_added: 2, version: 2 }])
    expect(await rows(lake)).toEqual(['1ax', '3bx', '4-x', '8an', '9an'])
    expect(await lake.table('t').history({ limit: 1 })).toMatchObject([
      { operation: 'WRITE', operationParameters: { mode: 'Overwrite', predicate: `p = 'a' AND id > 1` } },
    ])
    await lake.sql(`INSERT INTO t REPLACE WHERE id = 8 SELECT * FROM t WHERE false`)
    expect(await rows(lake)).toEqual(['1ax', '3bx', '4-x', '9an'])
  })

  if (properties['enableChangeDataFeed'])
    it('tells what went and what came, and of no row that stays', async () => {
      await using lake = await lakeWith(properties, '')
      await lake.sql(`INSERT INTO t REPLACE WHERE id = 2 OR id = 9 VALUES (9, 'a', 'n')`)
      await lake.sql(`INSERT INTO t REPLACE WHERE id > 2 VALUES (7, 'a', 'n')`)
      const changes = await rowsOf(
        lake,
        `SELECT _change_type AS c, id, _commit_version AS v FROM table_changes('t', 2) ORDER BY v, c, id`,
      )
      expect(changes.map(({ c, id, v }) => `${String(v)} ${String(c)} ${String(id)}`)).toEqual([
        '2 delete 2',
        '2 insert 9',
        '3 delete 3',
        '3 delete 4',
        '3 delete 9',
        '3 insert 7',
      ])
    })

  it('says which new rows are outside, and changes nothing', async () => {
    await using lake = await lakeWith(properties)
    for (const p of [`'b'`, 'NULL'])
      await expect(lake.sql(`INSERT INTO t REPLACE WHERE p = 'a' VALUES (7, 'a', 'x'), (9, ${p}, 'z')`)).rejects.toMatchObject({
        code: 'ROWS_INVALID',
        details: { rows: 1, condition: `p = 'a'`, examples: [expect.stringContaining('9')] },
      })
    expect((await lake.table('t').detail()).version).toBe(1)
  })
})

describe('REPLACE WHERE', () => {
  it.each([
    ['id IN (SELECT id FROM t)', 'SQL_FORBIDDEN'],
    ['EXISTS (SELECT 1)', 'SQL_FORBIDDEN'],
    ['id = $1', 'ARGUMENT_INVALID'],
    ['getenv(p) = 1', 'SQL_FORBIDDEN'],
    ['nope = 1', 'SQL_INVALID'],
  ])('refuses %s', async (condition, code) => {
    await using lake = await lakeWith()
    await expect(
      lake.sql(`INSERT INTO t REPLACE WHERE ${condition} VALUES (1, 'a', 'b')`, { params: [1] }),
    ).rejects.toMatchObject({
      code,
    })
  })
})

describe('Table.overwrite', () => {
  const lines = (...of: object[]) => new TextEncoder().encode(of.map((row) => `${JSON.stringify(row)}\n`).join(''))

  it('replaces the partitions of tables with column mapping', async () => {
    for (const mode of ['name', 'id']) {
      await using lake = await lakeWith({ 'columnMapping.mode': mode })
      await lake.table('t').overwrite(lines({ id: 9, p: 'a', q: 'x' }, { id: 8, p: null, q: 'x' }), { partitions: 'dynamic' })
      expect(await rows(lake)).toEqual(['2ay', '3bx', '8-x', '9ax'])
    }
  })

  it('takes rows in every form, and replaces all, some partitions, or what a condition selects', async () => {
    await using lake = await lakeWith()
    const table = lake.table('t')
    expect(await table.overwrite(lines({ id: 9, p: 'a', q: 'x' }), { partitions: 'dynamic' })).toMatchObject({ filesRemoved: 1 })
    expect(await rows(lake)).toEqual(['2ay', '3bx', '4-x', '9ax'])
    await table.overwrite({ sql: `SELECT 8, 'a', 'y'` }, { where: `p = 'a'` })
    expect(await rows(lake)).toEqual(['3bx', '4-x', '8ay'])
    await expect(table.overwrite(lines({ id: 9, p: 'b' }), { where: `p = 'a'` })).rejects.toMatchObject({ code: 'ROWS_INVALID' })
    await expect(table.overwrite(lines({ id: 'x' }))).rejects.toMatchObject({
      code: 'ROWS_INVALID',
      details: { lines: [{ line: 1 }] },
    })
    await table.overwrite(lines({ id: 1, p: null, q: null }))
    expect(await rows(lake)).toEqual(['1--'])
  })
})

describe('INSERT INTO t SELECT … FROM t', () => {
  const blind = async (lake: Lakehouse) => (await lake.table('t').history({ limit: 1 }))[0]?.isBlindAppend

  it('says that it read the table; others are blind appends', async () => {
    await using lake = await lakeWith()
    await lake.sql('CREATE TABLE other AS SELECT 7::BIGINT AS id')
    await lake.sql(`INSERT INTO t SELECT id, 'a', 'x' FROM other`)
    expect(await blind(lake)).toBe(true)
    await lake.sql('INSERT INTO t SELECT id + 100, p, q FROM t')
    expect(await blind(lake)).toBe(false)
    await lake.sql('INSERT INTO t SELECT id + 1000, p, q FROM t VERSION AS OF 1')
    expect(await blind(lake)).toBe(true)
    await lake.table('t').append({ sql: 'SELECT max(id) + 1, NULL, NULL FROM t' })
    expect(await blind(lake)).toBe(false)
  })
})
