import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse, openTable } from '../../src/index.js'

const root = await mkdtemp(join(tmpdir(), 'deltaic-catalog-'))
let made = 0
const open: Lakehouse[] = []
async function lakehouse(uri = join(root, `lake-${made++}`), options?: Parameters<typeof openLakehouse>[1]): Promise<Lakehouse> {
  const lake = await openLakehouse(uri, options)
  open.push(lake)
  return lake
}
afterEach(async () => {
  for (const lake of open.splice(0)) await lake.close()
})
afterAll(() => rm(root, { recursive: true, force: true }))

const rows = async (lake: Lakehouse, query: string) => (await lake.sql(query)).rows()
const names = async (lake: Lakehouse) => (await lake.tables()).map(({ name }) => name)

describe.each([
  ['on disk', () => join(root, `disk-${made++}`)],
  ['in memory', () => `memory:catalog-${made++}`],
])('a lakehouse %s', (_, uri) => {
  it('creates, fills, describes, compacts and drops a table', async () => {
    const lake = await lakehouse(uri())
    expect(
      await rows(lake, "CREATE TABLE t (id BIGINT NOT NULL COMMENT 'key', p STRING) PARTITIONED BY (p) COMMENT 'c'"),
    ).toEqual([{ created: true, version: 0n }])
    await lake.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'); INSERT INTO t (p, id) SELECT 'a', 3; INSERT INTO t VALUES (4, NULL)")
    expect(await rows(lake, 'SELECT * FROM t ORDER BY id')).toEqual([
      { id: 1n, p: 'a' },
      { id: 2n, p: 'b' },
      { id: 3n, p: 'a' },
      { id: 4n, p: null },
    ])
    expect(await rows(lake, 'DESCRIBE t')).toEqual([
      { column: 'id', type: 'long', nullable: false, partition: false, comment: 'key' },
      { column: 'p', type: 'string', nullable: true, partition: true, comment: null },
    ])
    expect((await rows(lake, 'DESCRIBE DETAIL T'))[0]).toMatchObject({
      version: 3n,
      rows: 4n,
      files: 4n,
      partition_columns: ['p'],
      description: 'c',
    })
    expect((await rows(lake, "OPTIMIZE t WHERE p = 'a'"))[0]).toMatchObject({ version: 4n, files_added: 1n, files_removed: 2n })
    expect(await rows(lake, 'SELECT count(*) AS n FROM t')).toEqual([{ n: 4n }])
    expect(await rows(lake, 'SELECT count(*) AS n FROM t@v1')).toEqual([{ n: 2n }])
    expect(await names(lake)).toEqual(['t'])
    expect(await rows(lake, 'DROP TABLE T')).toEqual([{ dropped: true }])
    expect(await names(lake)).toEqual([])
  })

  it('lets one of many creators win', async () => {
    const lake = await lakehouse(uri())
    const create = () => lake.createTable('t', { columns: [{ name: 'a', type: 'INT' }], ifNotExists: true })
    const outcomes = await Promise.all(Array.from({ length: 8 }, create))
    expect(outcomes.filter(({ created }) => created)).toHaveLength(1)
    const as = await Promise.all(Array.from({ length: 4 }, () => rows(lake, 'CREATE TABLE IF NOT EXISTS u AS SELECT 1 AS x')))
    expect(as.flat().filter((row) => row['created'])).toHaveLength(1)
    expect(await rows(lake, 'SELECT * FROM u')).toEqual([{ x: 1 }])
    await expect(lake.sql('CREATE TABLE U (b INT)')).rejects.toMatchObject({ code: 'TABLE_EXISTS' })
    await expect(lake.sql('CREATE TABLE u AS SELECT 1')).rejects.toMatchObject({ code: 'TABLE_EXISTS' })
  })

  it('takes a table away under those who hold it, and gives them the next of its name', async () => {
    const lake = await lakehouse(uri())
    await lake.sql('CREATE TABLE t AS SELECT 1 AS old; CREATE TABLE t2 AS SELECT 2 AS kept')
    const held = lake.table('t')
    expect(await held.exists()).toBe(true)
    expect(await lake.dropTable('t')).toBe(true)
    expect([await held.exists(), await lake.dropTable('t', { ifExists: true })]).toEqual([false, false])
    await expect(lake.dropTable('t')).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
    await lake.sql('CREATE TABLE t AS SELECT 5 AS fresh')
    expect(await rows(lake, 'SELECT * FROM t')).toEqual([{ fresh: 5 }])
    expect((await held.snapshot()).schema.fields.map(({ name }) => name)).toEqual(['fresh'])
    expect(await rows(lake, 'SELECT * FROM t2')).toEqual([{ kept: 2 }])
  })
})

it('keeps a table that was asked for before it was there, and waits for it when closing', async () => {
  const lake = await lakehouse('memory:early', { lingerMs: 50 })
  const table = lake.table('t')
  await expect(lake.sql('SELECT * FROM t')).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
  expect(lake.table('t')).toBe(table)
  const ingested = table.ingest(Buffer.from('{"id":1}'), { create: true })
  await ingested
  expect(await rows(lake, 'SELECT * FROM T')).toEqual([{ id: 1n }])
})

describe('names of tables', () => {
  it.each([
    '',
    ' ',
    '../x',
    'a/b',
    '/etc',
    '.hidden',
    'a b',
    'a.b',
    '1st',
    '_delta_log',
    'x'.repeat(129),
    'a\u0000b',
    "a'b",
    '..',
  ])('are not %j', async (name) => {
    const lake = await lakehouse('memory:names')
    expect(() => lake.table(name)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }) as Error)
    await expect(lake.createTable(name, { columns: [{ name: 'a', type: 'INT' }] })).rejects.toMatchObject({
      code: 'NAME_INVALID',
    })
    await expect(lake.dropTable(name)).rejects.toMatchObject({ code: 'NAME_INVALID' })
    await expect(lake.sql(`CREATE TABLE "${name.replace('\u0000', '')}x/../y" (a INT)`)).rejects.toMatchObject({
      code: 'NAME_INVALID',
    })
    await expect(lake.sql(`SELECT * FROM "../${name.replace('\u0000', '')}"`)).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
  })

  it.each(['grün', '_t', 'a-b', 'Views', 'select', 'order'])('may be %s', async (name) => {
    const lake = await lakehouse('memory:good-names')
    await lake.sql(`CREATE TABLE "${name}" AS SELECT 1 AS "order"`)
    expect(await rows(lake, `SELECT "order" FROM "${name.toUpperCase()}"`)).toEqual([{ order: 1 }])
  })
})

describe('new tables', () => {
  it.each([
    ['CREATE TABLE t (a INT, A INT)', 'ARGUMENT_INVALID'],
    ['CREATE TABLE t ("a b" INT)', 'ARGUMENT_INVALID'],
    ['CREATE TABLE t AS SELECT count(*)', 'ARGUMENT_INVALID'],
    ['CREATE TABLE t (a INT) PARTITIONED BY (b)', 'ARGUMENT_INVALID'],
    ['CREATE TABLE t (a INT) PARTITIONED BY (a)', 'ARGUMENT_INVALID'],
    ['CREATE TABLE t (a INT, b INT) PARTITIONED BY (a, A)', 'ARGUMENT_INVALID'],
    ['CREATE TABLE t (a INT[], b INT) PARTITIONED BY (a)', 'ARGUMENT_INVALID'],
    ["CREATE TABLE t (a INT) TBLPROPERTIES ('delta.checkpointInterval' = '0')", 'ARGUMENT_INVALID'],
    ['CREATE TABLE t (a TIME)', 'TYPE_UNSUPPORTED'],
    ['CREATE TABLE t AS SELECT INTERVAL 1 DAY AS a', 'TYPE_UNSUPPORTED'],
    ['CREATE TABLE t (s STRUCT<a: INT, A: INT>)', 'TYPE_UNSUPPORTED'],
    ['DROP TABLE delta.`/tmp/x`', 'STATEMENT_UNSUPPORTED'],
    ['CREATE TABLE t AS SELECT * FROM missing', 'TABLE_NOT_FOUND'],
  ])('are not made by %s', async (statement, code) => {
    const lake = await lakehouse('memory:refused')
    await expect(lake.sql(statement)).rejects.toMatchObject({ name: 'DeltaError', code })
    expect(await names(lake)).toEqual([])
  })

  it('have properties in the protocol\u2019s spelling, whatever was typed', async () => {
    const lake = await lakehouse('memory:spelling')
    await lake.sql("CREATE TABLE t (a INT) TBLPROPERTIES ('DELTA.APPENDONLY' = 'true', mine = 1)")
    expect((await lake.table('t').snapshot()).properties).toEqual({ 'delta.appendOnly': 'true', mine: '1' })
    expect((await lake.table('t').detail()).minWriterVersion).toBe(2)
  })
})

describe('INSERT', () => {
  it.each([
    ['VALUES (1)', 'SCHEMA_MISMATCH'],
    ["(a, nope) VALUES (1, 'x')", 'SCHEMA_MISMATCH'],
    ['(a, A) VALUES (1, 2)', 'SCHEMA_MISMATCH'],
    ["VALUES (300, 'x')", 'SQL_INVALID'],
    ["VALUES ('many', 'x')", 'SQL_INVALID'],
    ["VALUES (NULL, 'x')", 'VALUE_NULL'],
    ["(b) VALUES ('x')", 'VALUE_NULL'],
    ['SELECT * FROM missing', 'TABLE_NOT_FOUND'],
  ])('refuses %s, and writes nothing', async (tail, code) => {
    const lake = await lakehouse(`memory:insert-${made++}`)
    await lake.sql('CREATE TABLE t (a TINYINT NOT NULL, b STRING)')
    await expect(lake.sql(`INSERT INTO t ${tail}`)).rejects.toMatchObject({ code })
    expect((await lake.table('t').snapshot()).version).toBe(0)
  })

  it('casts to the table\u2019s types, reads itself, and makes no version of nothing', async () => {
    const lake = await lakehouse('memory:insert')
    await lake.sql(
      "CREATE TABLE t (a TINYINT, d DECIMAL(5,2), ts TIMESTAMP); INSERT INTO t VALUES ('1', 1.005, '2024-01-01 00:00:00+01')",
    )
    expect(await rows(lake, 'INSERT INTO t SELECT a + 1, d, ts FROM t')).toEqual([
      { rows_added: 1n, version: 2n, files_added: 1n },
    ])
    expect(await rows(lake, 'INSERT INTO t SELECT * FROM t WHERE false')).toEqual([
      { rows_added: 0n, version: 2n, files_added: 0n },
    ])
    expect(await rows(lake, 'SELECT a, d::VARCHAR AS d, ts::VARCHAR AS ts FROM t ORDER BY a')).toEqual(
      [1, 2].map((a) => ({ a, d: '1.01', ts: '2023-12-31 23:00:00+00' })),
    )
  })
})

describe('tables by location', () => {
  it('are read and described where that is allowed, at any version', async () => {
    const lake = await lakehouse()
    await lake.sql('CREATE TABLE t AS SELECT 1 AS x; INSERT INTO t VALUES (2)')
    const other = await lakehouse()
    const place = `delta.\`${lake.uri}/t\``
    expect(await rows(other, `SELECT count(*) AS n FROM ${place} VERSION AS OF 0`)).toEqual([{ n: 1n }])
    expect(await rows(other, `SELECT max(x) AS x FROM ${place} a JOIN ${place}@v0 b USING (x)`)).toEqual([{ x: 1 }])
    expect((await rows(other, `DESCRIBE HISTORY ${place}`)).length).toBe(2)
    await expect(other.sql(`SELECT * FROM delta.\`${root}/nowhere\``)).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
    await expect(other.sql(`OPTIMIZE ${place}`)).rejects.toMatchObject({ code: 'STATEMENT_UNSUPPORTED' })
    const closed = await lakehouse(undefined, { locations: false })
    for (const statement of [`SELECT * FROM ${place}`, `DESCRIBE ${place}`, `INSERT INTO ${place} VALUES (3)`])
      await expect(closed.sql(statement)).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
  })

  it('are opened without a lakehouse', async () => {
    const lake = await lakehouse()
    await lake.sql('CREATE TABLE t AS SELECT range AS x FROM range(3)')
    const table = await openTable(`${lake.uri}/t`)
    const snapshot = await table.snapshot()
    expect(
      (await snapshot.scan({ columns: ['X'], where: 'x > $low -- as asked', params: { low: 0 } }).toArrow())
        .toArray()
        .map((row) => row?.['x']),
    ).toEqual([1n, 2n])
    await expect(snapshot.scan({ columns: ['y'] }).toArrow()).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await expect(snapshot.scan({ where: 'true) UNION SELECT (1' }).toArrow()).rejects.toMatchObject({ kind: 'invalid' })
    await table.close()
    await table.close()
  })
})

describe('closing', () => {
  it('frees the spool, may be repeated, and ends everything', async () => {
    const lake = await lakehouse()
    await lake.sql('CREATE TABLE t AS SELECT 1 AS x')
    const result = await lake.sql('SELECT * FROM t')
    await Promise.all([lake.close(), lake.close()])
    expect(await readdir(new URL(lake.uri))).toEqual(['t'])
    await expect(lake.sql('SELECT 1')).rejects.toMatchObject({ code: 'CLOSED' })
    await result.close()
    await expect(result.rows()).rejects.toMatchObject({ code: 'CLOSED' })
    expect(() => lake.table('t')).toThrow(expect.objectContaining({ code: 'CLOSED' }) as Error)
  })

  it('refuses settings that make no sense', async () => {
    await expect(openLakehouse('memory:x', { lingerMs: 101 })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await expect(openLakehouse('ftp://x')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('of read-only SQL lets nothing change', async () => {
    const lake = await lakehouse()
    await lake.sql('CREATE TABLE t AS SELECT 1 AS x')
    for (const statement of [
      'INSERT INTO t VALUES (2)',
      'DROP TABLE t',
      'OPTIMIZE t',
      'CREATE TABLE u (a INT)',
      'SELECT 1; DROP TABLE t',
    ])
      await expect(lake.sql(statement, { readOnly: true })).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
    expect(await (await lake.sql('SHOW TABLES', { readOnly: true })).rows()).toHaveLength(1)
  })
})

describe('tables at a location', () => {
  it('are made where locations are allowed, under no name', async () => {
    const lake = await lakehouse()
    const place = join(root, `elsewhere-${made++}`)
    expect(await rows(lake, `CREATE TABLE delta.\`${place}\` (id BIGINT)`)).toEqual([{ created: true, version: 0n }])
    await expect(lake.sql(`CREATE TABLE delta.\`${place}\` (id BIGINT)`)).rejects.toMatchObject({ code: 'TABLE_EXISTS' })
    await lake.sql(`CREATE OR REPLACE TABLE delta.\`${place}\` PARTITIONED BY (p) AS SELECT 1::BIGINT AS id, 'a' AS p`)
    await lake.sql(`INSERT INTO delta.\`${place}\` VALUES (2, 'b')`)
    expect(await rows(lake, `SELECT sum(id)::INTEGER AS s FROM delta.\`file://${place}\``)).toEqual([{ s: 3 }])
    expect(await names(lake)).toEqual([])
  })

  it('are not made over HTTP, and no name stands for another folder than its own', async () => {
    const lake = await lakehouse()
    const place = join(root, `elsewhere-${made++}`)
    const create = `CREATE TABLE delta.\`${place}\` (a INT)`
    await expect(lake.sql(create, { locations: false })).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
    await expect((await lakehouse(undefined, { locations: false })).sql(create)).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
    await expect(lake.sql(`CREATE TABLE t (a INT) LOCATION '${place}'`)).rejects.toMatchObject({ code: 'STATEMENT_UNSUPPORTED' })
    const own = `CREATE TABLE t (a INT) LOCATION '${lake.uri}/t'`
    await expect(lake.sql(own, { locations: false })).rejects.toMatchObject({ code: 'STATEMENT_UNSUPPORTED' })
    await lake.sql(own)
    expect(await names(lake)).toEqual(['t'])
    expect(await readdir(root)).not.toContain(place.split('/').at(-1))
  })
})
