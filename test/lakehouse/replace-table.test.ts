import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

const root = await mkdtemp(join(tmpdir(), 'deltaic-replace-'))
let made = 0
let lake: Lakehouse
const rows = async (statement: string) => (await lake.sql(statement)).rows()

beforeEach(async () => {
  await lake?.close()
  lake = await openLakehouse(join(root, `lake-${made++}`))
})
afterAll(async () => {
  await lake?.close()
  await rm(root, { recursive: true, force: true })
})

describe('CREATE OR REPLACE TABLE', () => {
  it('makes a table where there is none', async () => {
    expect(await rows('CREATE OR REPLACE TABLE t (a INT)')).toEqual([{ created: true, version: 0n, files_removed: 0n }])
    expect(await rows('DESCRIBE HISTORY t')).toMatchObject([{ version: 0n, operation: 'CREATE OR REPLACE TABLE' }])
  })

  it('puts another table in the place of the one that is there, and keeps its versions', async () => {
    await lake.sql("CREATE TABLE t (a INT, p STRING) PARTITIONED BY (p) COMMENT 'old' TBLPROPERTIES ('our.own' = 'x')")
    await lake.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    const { id } = await lake.table('t').detail()
    expect(await rows("CREATE OR REPLACE TABLE T (b STRING NOT NULL DEFAULT 'new')")).toEqual([
      { created: true, version: 2n, files_removed: 2n },
    ])
    const detail = await lake.table('t').detail()
    expect(detail).toMatchObject({ files: 0, partitionColumns: [], description: undefined, properties: {} })
    expect(detail.id).not.toBe(id)
    expect(await rows('SELECT * FROM t@v1 ORDER BY a')).toEqual([
      { a: 1, p: 'a' },
      { a: 2, p: 'b' },
    ])
    expect(await rows("INSERT INTO t VALUES ('x')")).toMatchObject([{ version: 3n }])
    expect(await rows('RESTORE TABLE t TO VERSION AS OF 1')).toMatchObject([{ version: 4n, files_added: 2n, files_removed: 1n }])
    expect(await rows('SELECT sum(a)::INT AS a FROM t')).toEqual([{ a: 3 }])
  })

  it('AS SELECT may read the table that it replaces, in one commit', async () => {
    await lake.sql('CREATE TABLE t AS SELECT range AS id FROM range(10)')
    expect(
      await rows(
        'CREATE OR REPLACE TABLE t (CONSTRAINT small CHECK (id < 100)) PARTITIONED BY (even) AS SELECT id, id % 2 = 0 AS even FROM t WHERE id > 3',
      ),
    ).toEqual([{ created: true, version: 1n, rows_added: 6n, files_removed: 1n }])
    expect(await rows('SELECT even, count(*) AS n FROM t GROUP BY even ORDER BY even')).toEqual([
      { even: false, n: 3n },
      { even: true, n: 3n },
    ])
    await expect(lake.sql('INSERT INTO t VALUES (100, true)')).rejects.toMatchObject({ code: 'CONSTRAINT_VIOLATED' })
    expect(await rows('DESCRIBE HISTORY t LIMIT 1')).toMatchObject([{ operation: 'CREATE OR REPLACE TABLE AS SELECT' }])
  })

  it('leaves the table as it was when the query fails, or its rows break a rule', async () => {
    await lake.sql('CREATE TABLE t AS SELECT 1 AS a')
    for (const [statement, code] of [
      ["CREATE OR REPLACE TABLE t AS SELECT CAST(s AS INT) AS a FROM (VALUES ('x')) v(s)", 'SQL_INVALID'],
      ['CREATE OR REPLACE TABLE t (CONSTRAINT c CHECK (a > 1)) AS SELECT 1 AS a', 'CONSTRAINT_VIOLATED'],
      ['CREATE OR REPLACE TABLE t (a INT, CONSTRAINT c CHECK (b > 1))', 'ARGUMENT_INVALID'],
    ] as const)
      await expect(lake.sql(statement), statement).rejects.toMatchObject({ code })
    expect((await lake.table('t').snapshot()).version).toBe(0)
    expect(await rows('SELECT * FROM t')).toEqual([{ a: 1 }])
  })

  it('lets a table that only takes appends stay', async () => {
    await lake.sql("CREATE TABLE t (a INT) TBLPROPERTIES ('delta.appendOnly' = 'true'); INSERT INTO t VALUES (1)")
    await expect(lake.sql('CREATE OR REPLACE TABLE t (a INT)')).rejects.toMatchObject({ code: 'TABLE_APPEND_ONLY' })
  })

  it('is refused with IF NOT EXISTS', async () => {
    await expect(lake.sql('CREATE OR REPLACE TABLE IF NOT EXISTS t (a INT)')).rejects.toMatchObject({ code: 'SQL_INVALID' })
    const both = { columns: [{ name: 'a', type: 'INT' }], ifNotExists: true, orReplace: true }
    await expect(lake.createTable('t', both)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})

describe('REPLACE TABLE', () => {
  it('needs a table to replace', async () => {
    await expect(lake.sql('REPLACE TABLE t (a INT)')).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
    await lake.sql('CREATE TABLE t (a INT)')
    expect(await rows('REPLACE TABLE t AS SELECT 7 AS b')).toEqual([
      { created: true, version: 1n, rows_added: 1n, files_removed: 0n },
    ])
    expect(await rows('DESCRIBE HISTORY t LIMIT 1')).toMatchObject([{ operation: 'REPLACE TABLE AS SELECT' }])
  })
})

describe('the library', () => {
  it('creates and replaces with all that SQL can say', async () => {
    const columns = [
      { name: 'id', type: 'BIGINT', nullable: false },
      { name: 'kind', type: 'STRING', default: "'plain'" },
      { name: 'twice', type: 'BIGINT', generatedAs: 'id * 2' },
    ]
    const options = { columns, constraints: [{ name: 'positive', expression: 'id > 0' }], orReplace: true }
    expect(await lake.createTable('t', options)).toEqual({ created: true, version: 0 })
    expect(await lake.createTable('t', options)).toEqual({ created: true, version: 1 })
    await lake.sql('INSERT INTO t (id) VALUES (4)')
    expect(await rows('SELECT * FROM t')).toEqual([{ id: 4n, kind: 'plain', twice: 8n }])
    const twofold = { name: 'a', type: 'INT', default: '1', generatedAs: '2' }
    await expect(lake.createTable('u', { columns: [twofold] })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})
