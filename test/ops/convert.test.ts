import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Database } from '../../src/engine/database.js'
import { literal } from '../../src/engine/sql-text.js'
import { openLakehouse } from '../../src/index.js'
import { rowsOf } from '../support/world.js'

const root = mkdtempSync(join(tmpdir(), 'deltaic-convert-'))
const lake = await openLakehouse(join(root, 'lake'), { threads: 2, memoryLimitBytes: 2 ** 29 })
const database = await Database.open({ threads: 1 })
afterAll(async () => {
  await lake.close()
  database.close()
  rmSync(root, { recursive: true, force: true })
})

let made = 0
/** A folder with a Parquet file for each query. */
async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = join(root, `folder-${made++}`)
  for (const [path, query] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    await database.rows(`COPY (${query}) TO ${literal(join(folder, path))} (FORMAT parquet)`)
  }
  return folder
}

const actions = (folder: string) =>
  readFileSync(join(folder, '_delta_log', `${'0'.repeat(20)}.json`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, Record<string, unknown>>)

describe('CONVERT TO DELTA', () => {
  it('makes a table of files as they are, with one schema and the bounds of the footers', async () => {
    const folder = await folderOf({
      'a.parquet': `SELECT i AS id, 'k' || i AS name, {'x': i::DECIMAL(9,2), 'f': 1.5::DOUBLE} AS s, TIMESTAMPTZ '2024-01-01 10:00:00.123456+00' AS at FROM range(3) r(i)`,
      'b.parquet': 'SELECT i AS id, [i] AS l, NULL::VARCHAR AS name FROM range(5, 9) r(i)',
      '_hidden/c.txt.parquet': 'SELECT 1 AS nothing',
    })
    expect(await rowsOf(lake, `CONVERT TO DELTA parquet.\`${folder}\``)).toEqual([
      { converted: true, version: 0, files: 2, rows: 7 },
    ])
    expect(
      await rowsOf(lake, `SELECT id, name, s.x::DOUBLE AS x, l FROM delta.\`${folder}\` WHERE id IN (1, 6) ORDER BY id`),
    ).toEqual([
      { id: 1, name: 'k1', x: 1, l: null },
      { id: 6, name: null, x: null, l: [6n] },
    ])
    const said = actions(folder)
    expect(said.find((action) => action['commitInfo'])?.['commitInfo']).toMatchObject({
      operation: 'CONVERT',
      operationParameters: { numFiles: 2, partitionedBy: '[]', collectStats: true, sourceFormat: 'parquet' },
      operationMetrics: { numConvertedFiles: '2' },
    })
    const stats = said.flatMap(({ add }) => (add ? [JSON.parse(String(add['stats']))] : []))
    expect(stats).toEqual(
      expect.arrayContaining([
        {
          numRecords: 3,
          minValues: { id: 0, name: 'k0', s: { x: 0 }, at: '2024-01-01T10:00:00.123Z' },
          maxValues: { id: 2, name: 'k2', s: { x: 2 }, at: '2024-01-01T10:00:00.123Z' },
          nullCount: { id: 0, name: 0, s: { x: 0, f: 0 }, at: 0 },
        },
      ]),
    )
    await lake.sql(`DELETE FROM delta.\`${folder}\` WHERE id = 6`)
    expect(await rowsOf(lake, `CONVERT TO DELTA parquet.\`${folder}\``)).toEqual([
      { converted: false, version: 1, files: 0, rows: 0 },
    ])
    expect(await rowsOf(lake, `SELECT count(*) AS n FROM delta.\`${folder}\``)).toEqual([{ n: 6 }])
  })

  it('takes partitions from the names of folders, with their types', async () => {
    const folder = await folderOf({
      'd=2024-01-02/n=07/a.parquet': 'SELECT 1 AS id',
      'd=2024-01-03/n=__HIVE_DEFAULT_PARTITION__/b.parquet': 'SELECT 2 AS id',
    })
    const named = await folderOf({ 'q=a%2Fb c/a.parquet': "SELECT 1 AS id, 'other' AS q" })
    await lake.convert(named, { partitionBy: [{ name: 'q', type: 'STRING' }], statistics: false })
    expect(await rowsOf(lake, `FROM delta.\`${named}\``)).toEqual([{ id: 1, q: 'a/b c' }])
    expect(JSON.parse(String(actions(named).find((action) => action['add'])?.['add']?.['stats']))).toMatchObject({
      numRecords: 1,
      minValues: {},
    })
    await expect(lake.convert(folder)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID', details: { folders: 'd, n' } })
    await expect(lake.sql(`CONVERT TO DELTA parquet.\`${folder}\` PARTITIONED BY (d INT, n INT)`)).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      details: { column: 'd' },
    })
    await lake.sql(`CONVERT TO DELTA parquet.\`${folder}\` PARTITIONED BY (d DATE, n INT)`)
    expect(await rowsOf(lake, `SELECT id, d::VARCHAR AS d, n FROM delta.\`${folder}\` ORDER BY id`)).toEqual([
      { id: 1, d: '2024-01-02', n: 7 },
      { id: 2, d: '2024-01-03', n: null },
    ])
    expect(actions(folder).flatMap(({ add }) => (add ? [add['partitionValues']] : []))).toContainEqual({
      d: '2024-01-02',
      n: '7',
    })
  })

  it.each([
    ['two types of a column', { 'a.parquet': 'SELECT 1::INT AS id', 'b.parquet': 'SELECT 1::BIGINT AS id' }, 'ARGUMENT_INVALID'],
    ['two spellings of a column', { 'a.parquet': 'SELECT 1 AS id', 'b.parquet': 'SELECT 1 AS "ID"' }, 'ARGUMENT_INVALID'],
    ['a name that no table has', { 'a.parquet': 'SELECT 1 AS "a b"' }, 'ARGUMENT_INVALID'],
    ['a type that no table has', { 'a.parquet': 'SELECT uuid() AS id' }, 'TYPE_UNSUPPORTED'],
    ['nothing', { '_a.parquet': 'SELECT 1 AS id' }, 'ARGUMENT_INVALID'],
  ])('refuses a folder with %s, and leaves it as it was', async (_, files, code) => {
    const folder = await folderOf(files)
    await expect(lake.convert(folder)).rejects.toMatchObject({ code })
    expect(() => actions(folder)).toThrow('ENOENT')
  })

  it('refuses files that are no Parquet, and locations where they are not allowed', async () => {
    const folder = await folderOf({ 'a.parquet': 'SELECT 1 AS id' })
    writeFileSync(join(folder, 'b.csv'), 'id\n1\n')
    await expect(lake.convert(folder)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID', details: { file: 'b.csv' } })
    rmSync(join(folder, 'b.csv'))
    await expect(lake.sql(`CONVERT TO DELTA parquet.\`${folder}\``, { locations: false })).rejects.toMatchObject({
      code: 'SQL_FORBIDDEN',
    })
    writeFileSync(join(folder, 'b.parquet'), 'PAR1 and nothing else')
    await expect(lake.convert(folder)).rejects.toMatchObject({ code: 'DATA_FILE_DAMAGED' })
  })
})
