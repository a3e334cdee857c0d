import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'
import { ndjson, rowsOf } from '../support/world.js'

let root: string
let lake: Lakehouse
/** The same tables, as another process would have them open. */
let other: Lakehouse
let made = 0

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'deltaic-identity-'))
  lake = await openLakehouse(root)
  other = await openLakehouse(root, { tempFolder: join(root, '.other') })
})
afterAll(async () => {
  await lake?.close()
  await other?.close()
  await rm(root, { recursive: true, force: true })
})

async function numbered(identity = 'GENERATED ALWAYS AS IDENTITY', more = ''): Promise<string> {
  const name = `t${++made}`
  await lake.sql(`CREATE TABLE ${name} (id BIGINT ${identity}, v STRING${more})`)
  return name
}
const ids = async (name: string) => (await rowsOf(lake, `SELECT id::VARCHAR AS id FROM ${name} ORDER BY id`)).map(({ id }) => id)

describe('a column that numbers the rows', () => {
  it.each([
    ['', ['1', '2', '3']],
    ['(START WITH 10 INCREMENT BY 5)', ['10', '15', '20']],
    ['(START WITH -1 INCREMENT BY -2)', ['-1', '-3', '-5']],
    ['(START WITH 9007199254740993)', ['9007199254740993', '9007199254740994', '9007199254740995']],
  ])('counts on from statement to statement: %s', async (sequence, expected) => {
    const name = await numbered(`GENERATED ALWAYS AS IDENTITY ${sequence}`)
    for (const v of ['a', 'b', 'c']) await lake.sql(`INSERT INTO ${name} (v) VALUES ('${v}')`)
    expect((await ids(name)).toSorted()).toEqual(expected.toSorted())
    await lake.sql(`INSERT INTO ${name} VALUES (DEFAULT, 'd')`)
    expect(await ids(name)).toHaveLength(4)
  })

  it('numbers what comes as lines, as CSV and from queries, in one sequence', async () => {
    const name = await numbered()
    const table = await lake.table(name)
    await table.append(ndjson({ v: 'a' }, { v: 'b' }), { format: 'ndjson' })
    await table.append(Buffer.from('v\nc\nd\n'), { format: 'csv' })
    await table.append(ndjson({ v: 'e' }, {}, { v: 'f' }), { format: 'ndjson', batchRows: 1 })
    await lake.sql(`INSERT INTO ${name} BY NAME SELECT v FROM ${name} LIMIT 2`)
    await table.ingest(ndjson({ v: 'g' }))
    expect(await ids(name)).toHaveLength(10)
    expect(new Set((await ids(name)).map(Number))).toEqual(new Set([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]))
  })

  it('goes on with the new rows of a MERGE, and is kept by those that it changes', async () => {
    for (const feed of [false, true]) {
      const name = await numbered()
      await lake.sql(`ALTER TABLE ${name} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = '${feed}')`)
      await lake.sql(`INSERT INTO ${name} (v) VALUES ('a'), ('b')`)
      const idsOf = async () => new Map((await rowsOf(lake, `SELECT id::INT AS id, v FROM ${name}`)).map(({ v, id }) => [v, id]))
      const before = await idsOf()
      const merge = (source: string) =>
        lake.sql(
          `MERGE INTO ${name} AS t USING (${source}) AS s ON t.v = s.v WHEN MATCHED THEN UPDATE SET * ` +
            "WHEN NOT MATCHED AND s.v < 'd' THEN INSERT (v) VALUES (s.v) WHEN NOT MATCHED THEN INSERT *",
        )
      await merge(`SELECT unnest(['b', 'c', 'd', 'e']) AS v`)
      const after = await idsOf()
      expect([after.get('a'), after.get('b')]).toEqual([before.get('a'), before.get('b')])
      expect([...after.values()].map(Number).toSorted()).toEqual([1, 2, 3, 4, 5])
      const { version } = await lake.table(name).snapshot()
      if (feed) {
        const told = await rowsOf(
          lake,
          `SELECT id::INT AS id, v FROM table_changes('${name}', ${version}) WHERE _change_type IN ('insert', 'update_postimage')`,
        )
        expect(new Map(told.map(({ v, id }) => [v, id]))).toEqual(new Map([...after].filter(([v]) => v !== 'a')))
      }
      await lake.sql(`INSERT INTO ${name} (v) VALUES ('f')`)
      expect((await idsOf()).get('f')).toBe(6)
      await expect(merge(`SELECT 1 AS id, 'g' AS v`)).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
    }
  })

  it('keeps its numbers, however large, when the table changes', async () => {
    const name = await numbered('GENERATED ALWAYS AS IDENTITY (START WITH 9007199254740993)')
    await lake.sql(`INSERT INTO ${name} (v) VALUES ('a')`)
    await lake.sql(`ALTER TABLE ${name} ADD COLUMN more INT`)
    await lake.sql(`ALTER TABLE ${name} ALTER COLUMN v COMMENT 'text'`)
    await lake.sql(`INSERT INTO ${name} (v) VALUES ('b')`)
    expect(await ids(name)).toEqual(['9007199254740993', '9007199254740994'])
  })

  it('goes on over rows that are replaced', async () => {
    const name = await numbered()
    await lake.sql(`INSERT INTO ${name} (v) VALUES ('a'), ('b')`)
    await lake.sql(`INSERT OVERWRITE ${name} (v) VALUES ('c')`)
    await lake.sql(`INSERT INTO ${name} (v) REPLACE WHERE v = 'c' VALUES ('c'), ('c')`)
    expect(await ids(name)).toEqual(['4', '5'])
  })

  it('takes no values where it always numbers', async () => {
    const name = await numbered()
    const table = await lake.table(name)
    await expect(lake.sql(`INSERT INTO ${name} VALUES (7, 'x')`)).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' })
    await expect(lake.sql(`INSERT INTO ${name} VALUES (DEFAULT, 'x'), (7, 'x')`)).rejects.toThrow(/numbers its rows/)
    await expect(table.append(ndjson({ id: 7, v: 'x' }), { format: 'ndjson' })).rejects.toMatchObject({ code: 'ROWS_INVALID' })
    expect(await ids(name)).toEqual([])
  })

  it('takes values where it numbers by default, and leaves the sequence where it was', async () => {
    const name = await numbered('GENERATED BY DEFAULT AS IDENTITY')
    const table = await lake.table(name)
    await lake.sql(`INSERT INTO ${name} VALUES (70, 'x')`)
    await table.append(ndjson({ id: 71, v: 'x' }), { format: 'ndjson' })
    await lake.sql(`INSERT INTO ${name} (v) VALUES ('y')`)
    await table.append(ndjson({ v: 'z' }), { format: 'ndjson' })
    await lake.sql(`INSERT INTO ${name} VALUES (DEFAULT, 'y'), (72, 'y')`)
    expect((await ids(name)).map(Number).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 70, 71, 72])
  })

  it('says so when no number is left', async () => {
    const name = await numbered('GENERATED ALWAYS AS IDENTITY (START WITH 9223372036854775806)')
    await lake.sql(`INSERT INTO ${name} (v) VALUES ('a'), ('b')`)
    await expect(lake.sql(`INSERT INTO ${name} (v) VALUES ('c')`)).rejects.toMatchObject({ code: 'ROWS_INVALID' })
    const down = await numbered('GENERATED ALWAYS AS IDENTITY (START WITH -9223372036854775807 INCREMENT BY -1)')
    await expect(lake.sql(`INSERT INTO ${down} (v) VALUES ('a'), ('b'), ('c')`)).rejects.toMatchObject({ code: 'ROWS_INVALID' })
    expect(await ids(name)).toEqual(['9223372036854775806', '9223372036854775807'])
  })

  it('is seen by constraints and generated columns', async () => {
    const name = `t${++made}`
    await lake.sql(
      `CREATE TABLE ${name} (twice BIGINT GENERATED ALWAYS AS (id * 2), id BIGINT GENERATED ALWAYS AS IDENTITY, v STRING, CONSTRAINT few CHECK (id < 3))`,
    )
    await lake.sql(`INSERT INTO ${name} (v) VALUES ('a'), ('b')`)
    expect(await rowsOf(lake, `SELECT id, twice FROM ${name} ORDER BY id`)).toEqual([
      { id: 1, twice: 2 },
      { id: 2, twice: 4 },
    ])
    await expect(lake.sql(`INSERT INTO ${name} (v) VALUES ('c')`)).rejects.toMatchObject({ code: 'CONSTRAINT_VIOLATED' })
  })

  it('gives each number once, whoever writes at the same time', async () => {
    const name = await numbered()
    const [one, two] = [await lake.table(name), await other.table(name)]
    const writes = Array.from({ length: 6 }, (_, i) => [
      lake.sql(`INSERT INTO ${name} (v) VALUES ('${i}')`),
      other.sql(`INSERT INTO ${name} (v) VALUES ('${i}'), ('${i}')`),
      one.ingest(ndjson({ v: 'i' }, { v: 'i' })),
      two.ingest(ndjson({ v: 'i' })),
      two.append(ndjson({ v: 'a' }), { format: 'ndjson' }),
    ]).flat()
    await Promise.all(writes)
    const given = await ids(name)
    expect(given).toHaveLength(42)
    expect(new Set(given).size).toBe(42)
  }, 60_000)

  it('stays in SHOW CREATE TABLE, without how far it came', async () => {
    const name = await numbered('GENERATED BY DEFAULT AS IDENTITY (START WITH 5 INCREMENT BY 2)')
    await lake.sql(`INSERT INTO ${name} (v) VALUES ('a')`)
    const [row] = await rowsOf(lake, `SHOW CREATE TABLE ${name}`)
    expect(row?.['createtab_stmt']).toContain('GENERATED BY DEFAULT AS IDENTITY (START WITH 5 INCREMENT BY 2)')
  })

  it.each([
    ['id INT GENERATED ALWAYS AS IDENTITY, v STRING', ''],
    ['id BIGINT GENERATED ALWAYS AS IDENTITY (INCREMENT BY 0), v STRING', ''],
    ['id BIGINT GENERATED ALWAYS AS IDENTITY, v STRING', 'PARTITIONED BY (id)'],
  ])('is refused as %s %s', async (columns, more) => {
    await expect(lake.sql(`CREATE TABLE t${++made} (${columns}) ${more}`)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})
