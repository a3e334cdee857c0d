import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/lakehouse/lakehouse.js'

let folder: string
let lake: Lakehouse
const rows = async (statement: string) => (await lake.sql(statement)).rows()
const column = async (statement: string) => (await rows(statement)).map((row) => Object.values(row)[0])

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'deltaic-show-'))
  lake = await openLakehouse(join(folder, 'lake'))
  await lake.sql(
    "CREATE TABLE t (id BIGINT NOT NULL COMMENT 'it''s the key', day DATE, `a-b` STRUCT<x: INT, `y-z`: ARRAY<STRUCT<`null`: STRING NOT NULL COMMENT 'it''s in'>>>) PARTITIONED BY (day) " +
      "COMMENT 'the table' TBLPROPERTIES ('delta.appendOnly' = 'true', 'our.own' = 'x''y')",
  )
  await lake.sql(
    "INSERT INTO t VALUES (1, DATE '2026-11-01', NULL), (2, NULL, NULL), (3, DATE '2026-11-02', NULL), (4, DATE '2026-11-01', NULL)",
  )
})

afterAll(async () => {
  await lake?.close()
  await rm(folder, { recursive: true, force: true })
})

describe('SHOW', () => {
  it('TBLPROPERTIES lists the properties and the protocol, or one of them', async () => {
    expect(await rows('SHOW TBLPROPERTIES t')).toEqual([
      { key: 'delta.appendOnly', value: 'true' },
      { key: 'delta.minReaderVersion', value: '1' },
      { key: 'delta.minWriterVersion', value: '2' },
      { key: 'our.own', value: "x'y" },
    ])
    expect(await rows("SHOW TBLPROPERTIES t ('our.own')")).toEqual([{ key: 'our.own', value: "x'y" }])
    expect(await rows("SHOW TBLPROPERTIES t ('other')")).toEqual([])
  })

  it('COLUMNS lists their names in order', async () => {
    expect(await column('SHOW COLUMNS IN t')).toEqual(['id', 'day', 'a-b'])
  })

  it('PARTITIONS lists each that holds files once', async () => {
    expect(await rows('SHOW PARTITIONS t')).toEqual([{ day: '2026-11-01' }, { day: '2026-11-02' }, { day: null }])
    await lake.sql('CREATE TABLE unpartitioned (a INT); INSERT INTO unpartitioned VALUES (1)')
    expect(await rows('SHOW PARTITIONS unpartitioned')).toEqual([])
    await lake.sql('DROP TABLE unpartitioned')
  })

  it('CREATE TABLE gives a statement that makes the same table again', async () => {
    const [statement] = (await column('SHOW CREATE TABLE t')) as [string]
    await lake.sql(statement.replace('`t`', '`again`'))
    const [of, again] = await Promise.all(
      ['t', 'again'].map(async (name) => {
        const { schema, partitionColumns, properties, protocol } = await lake.table(name).snapshot()
        return { schema, partitionColumns, properties, protocol, description: (await lake.table(name).detail()).description }
      }),
    )
    expect(again).toEqual(of)
    expect(await column('SHOW CREATE TABLE again')).toEqual([statement.replace('`t`', '`again`')])
    await lake.sql('DROP TABLE again')
  })

  it('CREATE TABLE repeats what columns, constraints and clustering say', async () => {
    await lake.sql(
      "CREATE TABLE u (id BIGINT, `kind of` STRING DEFAULT 'plain, or not', twice BIGINT GENERATED ALWAYS AS (id * 2), " +
        "CONSTRAINT positive CHECK (id > 0)) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
    )
    const [statement] = (await column('SHOW CREATE TABLE u')) as [string]
    for (const part of [
      "`kind of` string DEFAULT 'plain, or not'",
      '`twice` long GENERATED ALWAYS AS (id * 2)',
      'CONSTRAINT `positive` CHECK (id > 0)',
    ])
      expect(statement).toContain(part)
    await lake.sql(statement.replace('CREATE TABLE', 'CREATE OR REPLACE TABLE'))
    expect(await column('SHOW CREATE TABLE u')).toEqual([statement])
    await lake.sql('INSERT INTO u (id) VALUES (1)')
    expect(await rows('SELECT * FROM u')).toEqual([{ id: 1n, 'kind of': 'plain, or not', twice: 2n }])
    await expect(lake.sql('INSERT INTO u (id) VALUES (0)')).rejects.toMatchObject({ code: 'CONSTRAINT_VIOLATED' })
    await lake.sql('DROP TABLE u')
  })

  it('names the table that is not there', async () => {
    for (const statement of [
      'SHOW COLUMNS IN x',
      'SHOW TBLPROPERTIES x',
      'SHOW CREATE TABLE x',
      'SHOW PARTITIONS x',
      'DESCRIBE EXTENDED x',
    ])
      await expect(lake.sql(statement)).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
  })
})

describe('DESCRIBE EXTENDED', () => {
  it('lists the columns, the partition columns, and what there is to say about the table', async () => {
    const found = (await rows('DESCRIBE EXTENDED t')) as { col_name: string; data_type: string; comment: string | null }[]
    expect(found.slice(0, 3)).toEqual([
      { col_name: 'id', data_type: 'long', comment: "it's the key" },
      { col_name: 'day', data_type: 'date', comment: null },
      { col_name: 'a-b', data_type: 'struct<x:integer,y-z:array<struct<null:string>>>', comment: null },
    ])
    const of = (name: string) => found.find(({ col_name }) => col_name === name)?.data_type
    expect(found.map(({ col_name }) => col_name)).toContain('# Partition Information')
    expect([of('Comment'), of('Provider'), of('Location')]).toEqual(['the table', 'delta', lake.table('t').uri])
  })
})

describe('COPY … FROM', () => {
  it('takes the rows of a file in one commit, rejects apart where it is told so', async () => {
    const file = join(folder, 'rows.data')
    await writeFile(file, '{"a": 1}\n{"a": 2}\nbroken\n')
    await lake.sql('CREATE TABLE c (a INT)')
    await expect(lake.sql(`COPY c FROM '${file}' (FORMAT ndjson)`)).rejects.toMatchObject({ code: 'ROWS_INVALID' })
    expect(await rows(`COPY c FROM '${file}' (FORMAT ndjson, ON_ERROR reject)`)).toEqual([
      { rows_added: 2n, rows_rejected: 1n, version: 1n },
    ])
    expect(await rows('SELECT a FROM c ORDER BY a')).toEqual([{ a: 1 }, { a: 2 }])
  })

  it('refuses options that there are not, and files where strangers write the SQL', async () => {
    await expect(lake.sql("COPY c FROM 'x' (FORMAT xml)")).rejects.toMatchObject({ code: 'SQL_INVALID' })
    await expect(lake.sql("COPY c FROM 'x' (DELIMITER ';')")).rejects.toMatchObject({ code: 'SQL_INVALID' })
    await expect(lake.sql("COPY c FROM '/etc/passwd' (FORMAT csv)", { locations: false })).rejects.toMatchObject({
      code: 'SQL_FORBIDDEN',
    })
    await expect(lake.sql("COPY c FROM 'x.csv'", { readOnly: true })).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
  })
})

describe('statements and clauses that nothing carries out', () => {
  it.each(["CREATE TABLE u (a INT) LOCATION '/x'", 'GENERATE symlink_format_manifest FOR TABLE t'])(
    '%s is answered with its name, and changes nothing',
    async (statement) => {
      await expect(lake.sql(statement)).rejects.toMatchObject({ code: 'STATEMENT_UNSUPPORTED' })
      expect((await lake.tables()).map(({ name }) => name)).not.toContain('u')
    },
  )
})
