import { describe, expect, it } from 'vitest'
import { checkDesign, createDeltaTable, type TableDesign } from '../../src/lakehouse/create.js'
import { type DataType, field, type StructField } from '../../src/protocol/schema.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { type StageOptions, stageFiles } from '../../src/table/stage.js'
import { openWorld } from '../support/world.js'

const world = await openWorld()

async function stage(design: TableDesign, query: string, options: StageOptions = {}) {
  const table = world.table(new MemoryStore())
  expect(await createDeltaTable(table, checkDesign(design), { name: 'CREATE TABLE' })).toBe(true)
  const snapshot = await table.snapshot()
  const staged = await world.database.use((connection) => stageFiles(table.deps, connection, query, snapshot, options))
  return { table, ...staged }
}

/** The first file's smallest and largest values tell what was written. */
async function written(design: TableDesign, query: string, options?: StageOptions) {
  const { adds } = await stage(design, query, options)
  return JSON.parse(adds[0]?.stats ?? '{}') as { numRecords: number; minValues: Record<string, unknown> }
}

const id = field('id', 'long')
const list = (elementType: DataType, containsNull: boolean): DataType => ({ type: 'array', elementType, containsNull })
const struct = (...fields: StructField[]): DataType => ({ type: 'struct', fields })
const violated = (details: Readonly<Record<string, unknown>>) => ({
  code: 'CONSTRAINT_VIOLATED',
  details: expect.objectContaining(details) as unknown,
})

describe('a CHECK constraint', () => {
  const design = { fields: [id, field('name', 'string')], constraints: [{ name: 'Positive', expression: 'id > 0' }] }

  it('lets rows in that keep it', async () => {
    expect((await stage(design, "SELECT i AS id, 'x' AS name FROM range(1, 4) t(i)")).rows).toBe(3)
  })

  it('names the first rows that break it, and how many do', async () => {
    const error = violated({
      constraint: 'positive',
      expression: 'id > 0',
      rows: 21,
      examples: Array.from({ length: 10 }, (_, i) => `{"id":${i - 20},"name":"x"}`),
    })
    await expect(stage(design, "SELECT i AS id, 'x' AS name FROM range(-20, 100) t(i)")).rejects.toMatchObject(error)
  })

  it('takes NULL for broken', async () => {
    await expect(stage(design, "SELECT NULL::BIGINT AS id, 'x' AS name")).rejects.toMatchObject(violated({ rows: 1 }))
  })

  it('is not asked about rows that only move', async () => {
    expect((await stage(design, "SELECT -1 AS id, 'x' AS name", { dataChange: false })).rows).toBe(1)
  })

  it('is not asked about rows that a query leaves out', async () => {
    const query = "SELECT i AS id, 'x' AS name FROM range(-20, 100) t(i) WHERE i > 0 LIMIT 5"
    expect((await stage(design, query)).rows).toBe(5)
  })

  it('is found out by its own name where there are several', async () => {
    const several = { ...design, constraints: [...design.constraints, { name: 'b', expression: "name <> 'b'" }] }
    await expect(stage(several, "SELECT 1 AS id, 'b' AS name")).rejects.toMatchObject(violated({ constraint: 'b' }))
    await expect(stage(several, "SELECT -1 AS id, 'b' AS name")).rejects.toMatchObject(violated({ constraint: 'positive' }))
  })

  it.each([
    ['an unknown function', 'reverse(name) = name', 'FEATURE_UNSUPPORTED'],
    ['a column that is not there', 'age > 3', 'ARGUMENT_INVALID'],
    ['what is no expression', '1) FROM x WHERE (true', 'FEATURE_UNSUPPORTED'],
    ['a value that is no truth', 'id + 1', 'SQL_INVALID'],
  ])('is refused with %s when the table is made', async (_, expression, code) => {
    await expect(stage({ ...design, constraints: [{ name: 'c', expression }] }, 'SELECT 1')).rejects.toMatchObject({ code })
  })
})

describe('an invariant', () => {
  it('holds for each row', async () => {
    const design = { fields: [field('x', 'integer', true, { 'delta.invariants': '{"expression":{"expression":"x > 3"}}' })] }
    expect((await stage(design, 'SELECT 4 AS x')).rows).toBe(1)
    await expect(stage(design, 'SELECT 3 AS x')).rejects.toMatchObject(violated({ expression: 'x > 3' }))
  })
})

describe('NOT NULL', () => {
  it.each<[string, StructField, string, string]>([
    ['of a column', field('v', 'long', false), 'NULL', 'v'],
    ['of a struct', field('v', struct(id), false), 'NULL', 'v'],
    ['inside a struct', field('v', struct(field('a', 'long', false))), '{a: NULL}', 'v.a'],
    ['inside structs', field('v', struct(field('s', struct(field('a', 'long', false))))), '{s: {a: NULL}}', 'v.s.a'],
    ['of elements', field('v', list('long', false)), '[1, NULL]', 'v'],
    ['in structs in arrays', field('v', list(struct(field('a', 'long', false)), true)), '[NULL, {a: NULL}]', 'v.a'],
    [
      'of values in maps',
      field('v', { type: 'map', keyType: 'string', valueType: 'long', valueContainsNull: false }),
      "MAP {'a': NULL}",
      'v.value',
    ],
  ])('%s is kept', async (_, column, value, path) => {
    const error = { code: 'VALUE_NULL', details: expect.objectContaining({ column: path, rows: 2 }) as unknown }
    await expect(stage({ fields: [id, column] }, `SELECT i AS id, ${value} AS v FROM range(2) t(i)`)).rejects.toMatchObject(error)
  })

  it('of a field says that the struct around it is there', async () => {
    const fields = [id, field('v', struct(field('a', 'long', false)))]
    await expect(stage({ fields }, 'SELECT 1 AS id, NULL AS v')).rejects.toMatchObject({ code: 'VALUE_NULL' })
  })

  it('says nothing of elements of an array that is NULL itself', async () => {
    expect((await stage({ fields: [id, field('l', list('long', false))] }, 'SELECT 1 AS id, NULL AS l')).rows).toBe(1)
  })

  it('shows the rows', async () => {
    const error = { details: expect.objectContaining({ rows: 1, examples: ['{"id":7,"v":null}'] }) as unknown }
    await expect(
      stage({ fields: [id, field('v', 'long', false)] }, 'SELECT i AS id, nullif(i, 7) AS v FROM range(9) t(i)'),
    ).rejects.toMatchObject(error)
  })
})

describe('text of limited length', () => {
  const fields = [field('v', 'string', true, { __CHAR_VARCHAR_TYPE_STRING: 'varchar(3)' })]

  it('is refused beyond its limit, spaces at its end too', async () => {
    expect(await written({ fields }, "SELECT 'äöü' AS v")).toMatchObject({ minValues: { v: 'äöü' } })
    await expect(stage({ fields }, "SELECT 'ab    ' AS v")).rejects.toMatchObject(violated({ rows: 1 }))
    await expect(stage({ fields }, "SELECT 'abcd' AS v")).rejects.toMatchObject(violated({ expression: 'length(v) <= 3' }))
  })
})

describe('a generated column', () => {
  const fields = [field('t', 'timestamp'), field('day', 'date', true, { 'delta.generationExpression': 'CAST(t AS DATE)' })]
  const query = "SELECT TIMESTAMPTZ '2026-01-02 23:30:00+00' AS t"

  it('is computed where it is not given', async () => {
    expect(await written({ fields }, query, { given: ['t'] })).toMatchObject({ minValues: { day: '2026-01-02' } })
    expect(await written({ fields }, `${query}, NULL::DATE AS day`)).toMatchObject({ minValues: { day: '2026-01-02' } })
  })

  it('is compared where it is given, NULL too', async () => {
    expect((await stage({ fields }, `${query}, DATE '2026-01-02' AS day`, { given: ['t', 'day'] })).rows).toBe(1)
    const broken = violated({ constraint: 'generated column day', expression: 'day <=> CAST(t AS DATE)' })
    await expect(stage({ fields }, `${query}, DATE '2026-01-03' AS day`, { given: ['t', 'day'] })).rejects.toMatchObject(broken)
    await expect(stage({ fields }, `${query}, NULL AS day`, { given: ['t', 'day'] })).rejects.toMatchObject(broken)
    expect((await stage({ fields }, 'SELECT NULL AS t, NULL AS day', { given: ['t', 'day'] })).rows).toBe(1)
  })

  it('may partition the table', async () => {
    const { adds } = await stage({ fields, partitionBy: ['day'] }, query, { given: ['t'] })
    expect(adds.map(({ partitionValues }) => partitionValues)).toEqual([{ day: '2026-01-02' }])
  })
})

describe('the codec of data files', () => {
  it.each(['uncompressed', 'snappy', 'gzip', 'zstd', 'lz4_raw', 'brotli'])('is %s where the table says so', async (codec) => {
    const properties = { 'delta.parquet.compression.codec': codec.toUpperCase() }
    const { adds } = await stage({ fields: [id], properties }, 'SELECT 1 AS id', { codec: 'zstd' })
    expect(adds[0]?.path).toContain(`.${codec}.parquet`)
  })
})
