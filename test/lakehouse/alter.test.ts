import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-alter-'))
const lake = await openLakehouse(folder)
afterAll(async () => {
  await lake.close()
  rmSync(folder, { recursive: true, force: true })
})
const run = async (text: string) => (await lake.sql(text)).rows()
let made = 0
const create = async (columns = 'id INT, name STRING, s STRUCT<x: INT, y: STRING>', clauses = '') => {
  const name = `t${made++}`
  await run(`CREATE TABLE ${name} (${columns}) ${clauses}`)
  return name
}
const mapped = `TBLPROPERTIES ('delta.columnMapping.mode' = 'name')`
const lastOf = async (lakehouse: Lakehouse, name: string) => (await lakehouse.table(name).history({ limit: 1 }))[0]
const refusal = (code = 'SCHEMA_CHANGE_REFUSED') => ({ code })

describe('ALTER TABLE', () => {
  it('adds columns, which are NULL in the rows that are there', async () => {
    const t = await create()
    await run(`INSERT INTO ${t} VALUES (1, 'a', {'x': 1, 'y': 'p'})`)
    await run(`ALTER TABLE ${t} ADD COLUMNS (n DECIMAL(5,2) COMMENT 'more' FIRST, s.z DATE AFTER x)`)
    await run(`INSERT INTO ${t} VALUES (2.5, 2, 'b', {'x': 2, 'z': DATE '2026-01-01', 'y': 'q'})`)
    expect(await run(`SELECT id, n::VARCHAR AS n, s.z::VARCHAR AS z, s.y AS y FROM ${t} ORDER BY id`)).toEqual([
      { id: 1, n: null, z: null, y: 'p' },
      { id: 2, n: '2.50', z: '2026-01-01', y: 'q' },
    ])
    const history = await lastOf(lake, t)
    expect(history?.operation).toBe('WRITE')
    await expect(run(`ALTER TABLE ${t} ADD COLUMN q INT NOT NULL`)).rejects.toMatchObject(refusal())
    await expect(run(`ALTER TABLE ${t} ADD COLUMN q INT DEFAULT 3`)).rejects.toMatchObject(refusal())
    await expect(run(`ALTER TABLE ${t} ADD COLUMN "a b" INT`)).rejects.toMatchObject(refusal('ARGUMENT_INVALID'))
  })

  it('renames and drops columns of a table with column mapping, and nothing of a dropped one shows again', async () => {
    const t = await create('id INT, p STRING, v STRING', `PARTITIONED BY (p)`)
    await run(`INSERT INTO ${t} VALUES (1, 'a', 'old')`)
    await expect(run(`ALTER TABLE ${t} RENAME COLUMN v TO w`)).rejects.toMatchObject(refusal())
    await run(`ALTER TABLE ${t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')`)
    await run(`INSERT INTO ${t} VALUES (2, 'b', 'mid')`)
    await run(`ALTER TABLE ${t} RENAME COLUMN p TO "part of"`)
    await run(`ALTER TABLE ${t} RENAME COLUMN v TO w`)
    expect(await lastOf(lake, t)).toMatchObject({
      operation: 'RENAME COLUMN',
      operationParameters: { oldColumnPath: 'v', newColumnPath: 'w' },
    })
    expect(await run(`SELECT * FROM ${t} WHERE "part of" >= 'a' AND w > 'a' ORDER BY id`)).toEqual([
      { id: 1, 'part of': 'a', w: 'old' },
      { id: 2, 'part of': 'b', w: 'mid' },
    ])
    await run(`ALTER TABLE ${t} DROP COLUMN w`)
    await run(`ALTER TABLE ${t} DROP COLUMN IF EXISTS w`)
    await run(`ALTER TABLE ${t} ADD COLUMN w STRING`)
    await run(`INSERT INTO ${t} VALUES (3, 'b', 'new')`)
    expect(await run(`SELECT id, w FROM ${t} ORDER BY id`)).toEqual([
      { id: 1, w: null },
      { id: 2, w: null },
      { id: 3, w: 'new' },
    ])
    await expect(run(`ALTER TABLE ${t} DROP COLUMN "part of"`)).rejects.toMatchObject(refusal())
    await run(`UPDATE ${t} SET w = 'set' WHERE id = 2`)
    await run(`DELETE FROM ${t} WHERE "part of" = 'a'`)
    await lake.table(t).optimize()
    expect(await run(`SELECT id, w FROM ${t} WHERE "part of" = 'b' ORDER BY id`)).toEqual([
      { id: 2, w: 'set' },
      { id: 3, w: 'new' },
    ])
  })

  it('widens types, and reads and skips old files as before', async () => {
    const t = await create('a INT, d DATE, f FLOAT, l ARRAY<INT>')
    await run(`INSERT INTO ${t} VALUES (1, DATE '2026-01-01', 1.5, [1])`)
    await expect(run(`ALTER TABLE ${t} ALTER COLUMN a TYPE BIGINT`)).rejects.toMatchObject(refusal())
    await run(`ALTER TABLE ${t} SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true')`)
    await run(`ALTER TABLE ${t} ALTER COLUMN a TYPE BIGINT`)
    await run(`ALTER TABLE ${t} ALTER COLUMN d TYPE TIMESTAMP_NTZ`)
    await run(`ALTER TABLE ${t} ALTER COLUMN f TYPE DOUBLE`)
    await run(`ALTER TABLE ${t} ALTER COLUMN l.element TYPE BIGINT`)
    await expect(run(`ALTER TABLE ${t} ALTER COLUMN a TYPE INT`)).rejects.toMatchObject(refusal())
    await run(`INSERT INTO ${t} VALUES (3000000000, TIMESTAMP '2026-01-02 03:00:00', 0.1, [3000000000])`)
    expect(await run(`SELECT a, d::VARCHAR AS d, f, l[1] AS l FROM ${t} ORDER BY a`)).toEqual([
      { a: 1n, d: '2026-01-01 00:00:00', f: 1.5, l: 1n },
      { a: 3000000000n, d: '2026-01-02 03:00:00', f: 0.1, l: 3000000000n },
    ])
    expect(await run(`SELECT a FROM ${t} WHERE d < TIMESTAMP '2026-01-01 00:00:01'`)).toEqual([{ a: 1n }])
    expect(await run(`SELECT a FROM ${t} WHERE a > 2147483647`)).toEqual([{ a: 3000000000n }])
  })

  it('sets and drops NOT NULL, after a look at the rows', async () => {
    const t = await create()
    await run(`INSERT INTO ${t} VALUES (1, NULL, {'x': NULL, 'y': 'p'}), (NULL, NULL, NULL)`)
    await expect(run(`ALTER TABLE ${t} ALTER COLUMN id SET NOT NULL`)).rejects.toMatchObject({
      code: 'VALUE_NULL',
      details: { column: 'id', rows: 1 },
    })
    await expect(run(`ALTER TABLE ${t} ALTER COLUMN s.x SET NOT NULL`)).rejects.toMatchObject({ code: 'VALUE_NULL' })
    await run(`ALTER TABLE ${t} ALTER COLUMN s.y SET NOT NULL`)
    await expect(run(`INSERT INTO ${t} VALUES (1, NULL, {'x': 1, 'y': NULL})`)).rejects.toMatchObject({ code: 'VALUE_NULL' })
    await run(`ALTER TABLE ${t} ALTER COLUMN s.y DROP NOT NULL`)
    await run(`INSERT INTO ${t} VALUES (1, NULL, {'x': 1, 'y': NULL})`)
  })

  it('adds a constraint that the rows keep, and names rows that do not', async () => {
    const t = await create()
    await run(`INSERT INTO ${t} VALUES (1, 'a', NULL), (-1, 'b', NULL)`)
    await expect(run(`ALTER TABLE ${t} ADD CONSTRAINT Pos CHECK (id > 0)`)).rejects.toMatchObject({
      code: 'CONSTRAINT_VIOLATED',
      details: { constraint: 'pos', rows: 1, examples: [expect.stringContaining('-1')] },
    })
    await run(`ALTER TABLE ${t} ADD CONSTRAINT Pos CHECK (id > -5)`)
    expect(await lastOf(lake, t)).toMatchObject({ operation: 'ADD CONSTRAINT', operationParameters: { expr: 'id > -5' } })
    await expect(run(`INSERT INTO ${t} VALUES (-5, 'c', NULL)`)).rejects.toMatchObject({ code: 'CONSTRAINT_VIOLATED' })
    await expect(run(`ALTER TABLE ${t} ADD CONSTRAINT pos CHECK (id > 1)`)).rejects.toMatchObject(refusal())
    await expect(run(`ALTER TABLE ${t} DROP FEATURE checkConstraints`)).rejects.toMatchObject(refusal())
    await run(`ALTER TABLE ${t} DROP CONSTRAINT POS`)
    await run(`ALTER TABLE ${t} DROP CONSTRAINT IF EXISTS pos`)
    await run(`INSERT INTO ${t} VALUES (-5, 'c', NULL)`)
    await run(`ALTER TABLE ${t} DROP FEATURE checkConstraints`)
    expect((await lake.table(t).snapshot()).protocol).toEqual({ minReaderVersion: 1, minWriterVersion: 2 })
  })

  it('sets properties with the features they need, and takes them away', async () => {
    const t = await create()
    await run(`ALTER TABLE ${t} SET TBLPROPERTIES ('DELTA.APPENDONLY' = 'true', 'mine' = '1', 'comment' = 'what it is')`)
    await run(`ALTER TABLE ${t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`)
    const { protocol } = await lake.table(t).snapshot()
    expect(protocol.writerFeatures).toContain('deletionVectors')
    await run(`ALTER TABLE ${t} UNSET TBLPROPERTIES ('delta.appendOnly', 'mine')`)
    await run(`ALTER TABLE ${t} UNSET TBLPROPERTIES IF EXISTS ('mine')`)
    await expect(run(`ALTER TABLE ${t} UNSET TBLPROPERTIES ('mine')`)).rejects.toMatchObject(refusal())
    await expect(run(`ALTER TABLE ${t} SET TBLPROPERTIES ('delta.nonsense' = '1')`)).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
    })
    await expect(run(`ALTER TABLE ${t} DROP FEATURE nothing`)).rejects.toMatchObject(refusal())
    await run(`ALTER TABLE ${t} DROP FEATURE appendOnly`)
  })

  it('takes clustering and domains out of the protocol, once nothing is clustered', async () => {
    const t = await create()
    await run(`ALTER TABLE ${t} CLUSTER BY (id)`)
    await expect(run(`ALTER TABLE ${t} DROP FEATURE domainMetadata`)).rejects.toMatchObject(refusal())
    await expect(run(`ALTER TABLE ${t} DROP FEATURE clustering`)).rejects.toMatchObject(refusal())
    await run(`ALTER TABLE ${t} CLUSTER BY NONE`)
    await run(`ALTER TABLE ${t} DROP FEATURE clustering`)
    expect((await lake.table(t).snapshot()).protocol.writerFeatures).not.toContain('clustering')
    await run(`ALTER TABLE ${t} DROP FEATURE domainMetadata`)
    expect((await lake.table(t).snapshot()).protocol.writerFeatures).toBeUndefined()
  })

  it('sets defaults, comments and places', async () => {
    const t = await create('id INT, name STRING', mapped)
    await run(`ALTER TABLE ${t} ALTER COLUMN name SET DEFAULT 'none'`)
    await run(`ALTER TABLE ${t} ALTER COLUMN id COMMENT 'key'`)
    await run(`ALTER TABLE ${t} ALTER COLUMN id AFTER name`)
    await run(`INSERT INTO ${t} (id) VALUES (1)`)
    expect(await run(`SELECT * FROM ${t}`)).toEqual([{ name: 'none', id: 1 }])
    await run(`ALTER TABLE ${t} ALTER COLUMN name DROP DEFAULT`)
    await run(`INSERT INTO ${t} (id) VALUES (2)`)
    expect(await run(`SELECT name FROM ${t} WHERE id = 2`)).toEqual([{ name: null }])
    await run(`ALTER TABLE ${t} REPLACE COLUMNS (more DATE, id INT)`)
    expect(await run(`SELECT * FROM ${t} ORDER BY id`)).toEqual([
      { more: null, id: 1 },
      { more: null, id: 2 },
    ])
  })

  it('decides which statistics new files have, through renames too', async () => {
    const t = await create('id INT, name STRING, s STRUCT<x: INT, y: STRING>', mapped)
    await run(`ALTER TABLE ${t} SET TBLPROPERTIES ('delta.dataSkippingStatsColumns' = 'NAME, s.y')`)
    await run(`ALTER TABLE ${t} SET TBLPROPERTIES ('delta.dataSkippingStringPrefixLength' = '2')`)
    await run(`ALTER TABLE ${t} SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')`)
    await run(`ALTER TABLE ${t} RENAME COLUMN s.y TO "z z"`)
    await run(`INSERT INTO ${t} VALUES (1, 'abc', {'x': 1, 'z z': 'def'})`)
    const [file] = await (await lake.table(t).snapshot()).files()
    const stats = JSON.parse(file?.stats ?? '{}')
    expect(Object.values(stats.minValues)).toEqual([
      'ab',
      { [Object.keys(Object.values(stats.minValues)[1] as object)[0] ?? '']: 'de' },
    ])
    expect(stats.tightBounds).toBe(true)
    expect(await run(`SELECT id FROM ${t} WHERE s."z z" = 'def' AND name > 'ab'`)).toEqual([{ id: 1 }])
  })
})
