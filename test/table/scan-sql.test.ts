import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Database } from '../../src/engine/database.js'
import { emptyParquet } from '../../src/engine/empty-parquet.js'
import { Spool } from '../../src/engine/spool.js'
import { literal } from '../../src/engine/sql-text.js'
import { type DataType, field, type StructField } from '../../src/protocol/schema.js'
import { type ScanFile, type ScanShape, scanSql } from '../../src/table/scan-sql.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-scan-'))
let database: Database
beforeAll(async () => {
  database = await Database.open({ threads: 1 })
})
afterAll(() => {
  database.close()
  rmSync(folder, { recursive: true, force: true })
})

let count = 0
async function file(query: string, more: Partial<ScanFile> = {}, options = ''): Promise<ScanFile> {
  const localFile = join(folder, `${++count}.parquet`)
  await database.use((connection) => connection.run(`COPY (${query}) TO ${literal(localFile)} (FORMAT parquet${options})`))
  return { localFile, partitionValues: {}, ...more }
}

/** Rows as JSON, sorted. */
async function scan(shape: ScanShape, files: readonly ScanFile[], where = 'TRUE'): Promise<string[]> {
  const rows = await database.rows<{ row: string }>(
    `SELECT to_json(q)::VARCHAR AS row FROM (SELECT * FROM (${scanSql(shape, files)}) WHERE ${where}) AS q`,
  )
  return rows.map(({ row }) => row).sort()
}

const mapped = (name: string, id: number, type: DataType): StructField =>
  field(name, type, true, { 'delta.columnMapping.id': id, 'delta.columnMapping.physicalName': `p${id}` })
const struct = (...fields: StructField[]): DataType => ({ type: 'struct', fields })
const array = (elementType: DataType): DataType => ({ type: 'array', elementType, containsNull: true })
const map = (keyType: DataType, valueType: DataType): DataType => ({ type: 'map', keyType, valueType, valueContainsNull: true })
const widened = (name: string, fromType: string, toType: string) =>
  field(name, toType, true, { 'delta.typeChanges': [{ fromType, toType }] })

it('reads a large lone file beside an empty one, which adds nothing', async () => {
  const empty = emptyParquet(await Spool.create(folder))
  const shape = { fields: [field('i', 'long'), field('new', 'double')], partitionColumns: [], address: true }
  const of = (physicalRows: number) => file('SELECT range AS i FROM range(3)', { physicalRows, deletedRows: undefined })
  const large = await of(200_000)
  expect(scanSql({ ...shape, empty }, [large])).toContain(empty)
  expect(scanSql({ ...shape, empty }, [await of(3)])).not.toContain(empty)
  expect(await scan({ ...shape, empty }, [large])).toEqual(await scan(shape, [large]))
  expect(await scan({ ...shape, empty }, [large])).toHaveLength(3)
})

describe('a scan of mapped columns', () => {
  const inner = struct(mapped('x', 2, 'long'), mapped('added', 3, 'string'))
  const fields = [mapped('s', 1, inner), mapped('l', 4, array(inner)), mapped('m', 5, map('string', inner))]
  const files = () =>
    Promise.all([
      file(`SELECT {'p9': 7, 'p2': 1} AS p1, [{'p2': 2}, NULL] AS p4, MAP {'k': {'p2': 3, 'p3': 'new'}} AS p5`),
      file(`SELECT NULL::STRUCT(p2 INTEGER, p3 VARCHAR) AS p1`),
    ])
  const expected = [
    '{"s":{"x":1,"added":null},"l":[{"x":2,"added":null},null],"m":{"k":{"x":3,"added":"new"}}}',
    '{"s":null,"l":null,"m":null}',
  ]

  it('finds them by physical name at every depth: renamed, added, dropped and widened fields alike', async () => {
    expect(await scan({ fields, partitionColumns: [], mapping: 'name' }, await files())).toEqual(expected.toSorted())
  })

  it('filters on fields inside structs', async () => {
    expect(await scan({ fields, partitionColumns: [], mapping: 'name' }, await files(), 's.x = 1')).toEqual(expected.slice(0, 1))
    expect(await scan({ fields, partitionColumns: [], mapping: 'name' }, await files(), 's.x = 7')).toEqual([])
    expect(await scan({ fields, partitionColumns: [], mapping: 'name' }, await files(), `s.added = 'new'`)).toEqual([])
  })

  it('finds them by field id, whatever the file calls them', async () => {
    const one = await file('SELECT 1 AS a, 2 AS b', { partitionValues: { p8: '2024-01-01' } }, ', FIELD_IDS {a: 7, b: 6}')
    const shape = {
      fields: [mapped('b', 7, 'long'), mapped('c', 9, 'string'), mapped('day', 8, 'date')],
      partitionColumns: ['day'],
      mapping: 'id' as const,
    }
    expect(await scan(shape, [one])).toEqual(['{"b":1,"c":null,"day":"2024-01-01"}'])
    expect(await scan({ ...shape, address: true }, [one], 'b = 1')).toEqual([
      `{"b":1,"c":null,"day":"2024-01-01","__file":${JSON.stringify(one.localFile)},"__row":0}`,
    ])
  })
})

describe('a scan of files whose types are narrower than the table’s', () => {
  it.each([
    ['integer', 'double', '1::INTEGER', 'c = 1.4', []],
    ['integer', 'double', '1::INTEGER', 'c < 1.4', ['1.0']],
    ['integer', 'decimal(12,2)', '1::INTEGER', 'c > 0.5', ['1.0']],
    ['float', 'double', '0.1::FLOAT', 'c = 0.1::DOUBLE', []],
    ['float', 'double', '0.1::FLOAT', 'c > 0.1::DOUBLE', ['0.10000000149011612']],
    ['decimal(5,1)', 'decimal(8,3)', '0.1::DECIMAL(5,1)', 'c < 0.149', ['0.1']],
    ['date', 'timestamp_ntz', `DATE '2020-01-02'`, `c < TIMESTAMP '2020-01-02 12:00'`, ['"2020-01-02 00:00:00"']],
    ['byte', 'long', '1::TINYINT', 'c < 1000000000000', ['1']],
    ['byte', 'long', '1::TINYINT', 'c = 257', []],
  ])('compares values of %s as %s: %s, %s', async (from, to, value, where, found) => {
    const one = await file(`SELECT ${value} AS c`)
    const rows = found.map((text) => `{"c":${text}}`)
    expect(await scan({ fields: [widened('c', from, to)], partitionColumns: [] }, [one], where)).toEqual(rows)
    const nested = { fields: [field('s', struct(widened('c', from, to)))], partitionColumns: [] }
    const within = await file(`SELECT {'c': ${value}} AS s`)
    expect(await scan(nested, [within], `s.${where}`)).toEqual(rows.map((row) => `{"s":${row}}`))
  })
})

describe('a scan of files with deleted rows', () => {
  const shape = { fields: [field('i', 'long'), field('p', 'string')], partitionColumns: ['p'] }
  const files = async () => {
    const vector = await file('SELECT 1::INT AS list, unnest([0, 2])::BIGINT AS row UNION ALL SELECT 3, 1')
    const other = await file('SELECT 2::INT AS list, 1::BIGINT AS row')
    return [
      await file('SELECT i FROM range(3) t(i)', {
        deletedRows: { path: vector.localFile, list: 1 },
        partitionValues: { p: 'a' },
      }),
      await file('SELECT i FROM range(3, 5) t(i)', { partitionValues: { p: '' } }),
      await file('SELECT i FROM range(5, 7) t(i)', {
        deletedRows: { path: other.localFile, list: 2 },
        partitionValues: { p: null },
      }),
    ]
  }

  it('leaves them out, wherever the filter stands', async () => {
    expect(await scan(shape, await files(), 'i <> 4')).toEqual(['{"i":1,"p":"a"}', '{"i":3,"p":""}', '{"i":5,"p":null}'])
    expect(await scan({ fields: [], partitionColumns: [] }, await files())).toHaveLength(4)
  })

  it('leaves them out, however many the files are', async () => {
    const list = async (n: number) => ({
      path: (await file(`SELECT ${n}::INT AS list, ${n % 3}::BIGINT AS row`)).localFile,
      list: n,
    })
    const many = Array.from({ length: 6 }, async (_, n) =>
      file(`SELECT i FROM range(${n * 3}, ${n * 3 + 3}) t(i)`, {
        [n < 4 ? 'deletedRows' : 'onlyRows']: await list(n),
        partitionValues: { p: 'a' },
      }),
    )
    const found = await scan({ fields: shape.fields.slice(0, 1), partitionColumns: [] }, await Promise.all(many))
    expect(new Set(found)).toEqual(new Set([1, 2, 3, 5, 6, 7, 10, 11, 13, 17].map((i) => `{"i":${i}}`)))
    const few = await Promise.all(many.slice(3, 5))
    const left = await scan({ fields: shape.fields.slice(0, 1), partitionColumns: [] }, few)
    expect(new Set(left)).toEqual(new Set([10, 11, 13].map((i) => `{"i":${i}}`)))
  })

  it('says where each row lies', async () => {
    const [first, second, third] = await files()
    const held = [first, second, third] as ScanFile[]
    const rows = await scan({ fields: shape.fields.slice(0, 1), partitionColumns: [], address: true }, held)
    expect(rows.map((row) => JSON.parse(row) as unknown)).toEqual([
      { i: 1, __file: first?.localFile, __row: 1 },
      { i: 3, __file: second?.localFile, __row: 0 },
      { i: 4, __file: second?.localFile, __row: 1 },
      { i: 5, __file: third?.localFile, __row: 0 },
    ])
  })
})

describe('a scan with row ids', () => {
  it('gives what the file kept, and otherwise counts from its base', async () => {
    const files = [
      await file('SELECT i, CASE WHEN i = 1 THEN 77 END AS kept, CASE WHEN i = 0 THEN 3 END AS since FROM range(2) t(i)', {
        baseRowId: 100,
        defaultRowCommitVersion: 9,
      }),
      await file('SELECT 5 AS i', { baseRowId: 200, defaultRowCommitVersion: 10 }),
      await file('SELECT 6 AS i'),
    ]
    const rowIds = { materializedId: 'kept', materializedVersion: 'since' }
    expect(await scan({ fields: [field('i', 'long')], partitionColumns: [], rowIds }, files)).toEqual([
      '{"i":0,"__row_id":100,"__row_commit_version":3}',
      '{"i":1,"__row_id":77,"__row_commit_version":9}',
      '{"i":5,"__row_id":200,"__row_commit_version":10}',
      '{"i":6,"__row_id":null,"__row_commit_version":null}',
    ])
  })

  it('and addresses answers with these columns when there is no file', async () => {
    const [row] = await database.rows<{ names: string[] }>(
      `SELECT list(column_name) AS names FROM (DESCRIBE ${scanSql({ fields: [field('i', 'long')], partitionColumns: [], rowIds: {}, address: true }, [])})`,
    )
    expect(JSON.stringify(row?.names)).toContain('__row_commit_version')
  })
})

describe('a scan of odd columns', () => {
  it('takes names that the reader has for columns of its own', async () => {
    const fields = ['file_row_number', 'filename', '__file', 'a b'].map((name) => field(name, 'long'))
    const one = await file('SELECT 9 AS file_row_number, 8 AS filename, 7 AS "__file", 6 AS "a b"')
    expect(await scan({ fields, partitionColumns: [] }, [one])).toEqual(['{"file_row_number":9,"filename":8,"__file":7,"a b":6}'])
    expect(await scan({ fields: [], partitionColumns: [], address: true }, [one])).toEqual([
      `{"__file":${JSON.stringify(one.localFile)},"__row":0}`,
    ])
  })

  it('pads CHAR values, gives NULL for void, and matches names in any letter case', async () => {
    const fields = [
      field('C', 'string', true, { __CHAR_VARCHAR_TYPE_STRING: 'char(3)' }),
      field('v', 'void'),
      field('p', 'string', true, { __CHAR_VARCHAR_TYPE_STRING: 'char(2)' }),
    ]
    const one = await file(`SELECT unnest(['a', 'abcd', NULL]) AS c`, { partitionValues: { p: 'x' } })
    expect(await scan({ fields, partitionColumns: ['p'] }, [one])).toEqual([
      '{"C":"a  ","v":null,"p":"x "}',
      '{"C":"abcd","v":null,"p":"x "}',
      '{"C":null,"v":null,"p":"x "}',
    ])
  })

  it.each([
    ['date', '+12345-01-01', '"12345-01-01"'],
    ['timestamp', '2024-01-01 10:00:00', '"2024-01-01 10:00:00+00"'],
    ['timestamp', '2024-01-01T10:00:00.000000Z', '"2024-01-01 10:00:00+00"'],
    ['timestamp_ntz', '2024-01-01T10:00:00', '"2024-01-01 10:00:00"'],
    ['decimal(10,2)', '1E+2', '100.0'],
    ['boolean', 'TRUE', 'true'],
    ['string', '', '""'],
    ['binary', '', '""'],
    ['integer', '', 'null'],
    ['float', 'NaN', 'NaN'],
  ])('reads a partition value of %s from %j', async (type, text, expected) => {
    const one = await file('SELECT 1 AS i', { partitionValues: { p: text } })
    expect(await scan({ fields: [field('p', type)], partitionColumns: ['p'] }, [one])).toEqual([`{"p":${expected}}`])
  })
})
