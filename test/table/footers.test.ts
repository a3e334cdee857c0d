// What only the footer of a data file tells: which members of a struct it has, under which names, and in which calendar.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { gregorianDate } from '../../src/engine/julian-calendar.js'
import { parquetFields } from '../../src/engine/parquet-shape.js'
import { literal } from '../../src/engine/sql-text.js'
import { openLakehouse } from '../../src/index.js'
import { type DataType, field, type StructField } from '../../src/protocol/schema.js'
import { scanSql } from '../../src/table/scan-sql.js'
import { storedColumns } from '../../src/table/stored-columns.js'
import { openWorld } from '../support/world.js'

const world = await openWorld()
const folder = mkdtempSync(join(tmpdir(), 'deltaic-footers-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const open = (name: string) => openLakehouse(join(folder, name), { threads: 1 })
const array = (elementType: DataType): DataType => ({ type: 'array', elementType, containsNull: true })
const struct = (...fields: StructField[]): DataType => ({ type: 'struct', fields })
const mapped = (name: string, id: number, type: DataType): StructField =>
  field(name, type, true, { 'delta.columnMapping.id': id, 'delta.columnMapping.physicalName': `p${id}` })

describe.each(['name', 'id'])('a table with column mapping by %s', (mode) => {
  it('gives a struct whose members came later than the file its NULLs, and NULL only where it was NULL', async () => {
    await using lake = await open(`structs-${mode}`)
    await lake.sql(
      'CREATE TABLE t (id INT, s STRUCT<a: INT, i: STRUCT<x: ARRAY<INT>>>, l ARRAY<STRUCT<q: INT>>, m MAP<STRING, STRUCT<z: INT>>) ' +
        `TBLPROPERTIES ('delta.columnMapping.mode' = '${mode}')`,
    )
    await lake.sql(`INSERT INTO t SELECT 1, {'a': 1, 'i': {'x': [1]}}, [{'q': 1}, NULL], MAP {'k': {'z': 1}, 'n': NULL}`)
    await lake.sql(`INSERT INTO t SELECT 2, NULL, NULL, NULL`)
    await lake.sql('ALTER TABLE t ADD COLUMNS (s.c INT, s.i.y INT, l.element.r INT, m.value.y INT)')
    await lake.sql('ALTER TABLE t DROP COLUMNS (s.a, s.i.x, l.element.q, m.value.z)')
    await lake.sql(`INSERT INTO t SELECT 3, {'i': {'y': 4}, 'c': 3}, [{'r': 3}], MAP {'k': {'y': 3}}`)
    const rows = await (await lake.sql('SELECT to_json(t)::VARCHAR AS row FROM t ORDER BY id')).rows()
    expect(rows.map(({ row }) => row)).toEqual([
      '{"id":1,"s":{"i":{"y":null},"c":null},"l":[{"r":null},null],"m":{"k":{"y":null},"n":null}}',
      '{"id":2,"s":null,"l":null,"m":null}',
      '{"id":3,"s":{"i":{"y":4},"c":3},"l":[{"r":3}],"m":{"k":{"y":3}}}',
    ])
    expect(await (await lake.sql('SELECT id FROM t WHERE s.c = 3 OR s IS NULL ORDER BY id')).rows()).toEqual([
      { id: 2 },
      { id: 3 },
    ])
    await lake.sql('DELETE FROM t WHERE s.c = 3')
    await lake.table('t').optimize()
    expect(await (await lake.sql('SELECT id, s IS NULL AS gone FROM t ORDER BY id')).rows()).toEqual([
      { id: 1, gone: false },
      { id: 2, gone: true },
    ])
  })
})

describe('a file with field ids', () => {
  it('is read by them at every depth, whatever its names, in mode id', async () => {
    const localFile = join(folder, 'ids.parquet')
    await world.database.use((connection) =>
      connection.run(
        `COPY (SELECT {'b': 1, 'p3': 'other'} AS x, [{'e': 5}] AS p1) TO ${literal(localFile)} ` +
          `(FORMAT parquet, FIELD_IDS {x: {__duckdb_field_id: 1, b: 2, p3: 9}, p1: {__duckdb_field_id: 4, element: {__duckdb_field_id: 8, e: 5}}})`,
      ),
    )
    const fields = [
      mapped('s', 1, struct(mapped('b', 2, 'integer'), mapped('c', 3, 'string'))),
      mapped('l', 4, array(struct(mapped('f', 5, 'integer')))),
    ]
    const [file = []] = await parquetFields(world.database, [localFile])
    const scan = scanSql({ fields, partitionColumns: [], mapping: 'id' }, [
      { localFile, partitionValues: {}, stored: storedColumns(fields, 'id', file) },
    ])
    const [row] = await world.database.rows<{ row: string }>(`SELECT to_json(q)::VARCHAR AS row FROM (${scan}) AS q`)
    expect(row?.row).toBe('{"s":{"b":1,"c":null},"l":[{"f":5}]}')
  })
})

describe('a file in the old calendar of Spark', () => {
  const written = async (table: string, query: string, entries: string) => {
    mkdirSync(join(folder, 'old', table), { recursive: true })
    const file = join(folder, 'old', table, 'a.parquet')
    await world.database.use((connection) =>
      connection.run(`COPY (${query}) TO ${literal(file)} (FORMAT parquet, KV_METADATA {${entries}})`),
    )
  }
  const LEGACY = `'org.apache.spark.version': '3.5.0', 'org.apache.spark.legacyDateTime': '', 'org.apache.spark.timeZone': `
  const query = `SELECT DATE '1000-01-06' AS d, TIMESTAMPTZ '1500-03-10 01:02:03Z' AS t, {'d': DATE '2020-01-01'} AS s, [DATE '1582-10-14', NULL] AS l`

  it('gives days and instants of the same name in ours', async () => {
    await written('utc', query, `${LEGACY} 'Etc/UTC'`)
    await using lake = await open('old')
    await lake.convert(join(folder, 'old', 'utc'))
    const rows = await (
      await lake.sql('SELECT d::VARCHAR AS d, t::VARCHAR AS t, s::VARCHAR AS s, l::VARCHAR AS l FROM utc')
    ).rows()
    expect(rows).toEqual([{ d: '1000-01-01', t: '1500-03-01 01:02:03+00', s: "{'d': 2020-01-01}", l: '[1582-10-04, NULL]' }])
    expect(await (await lake.sql(`SELECT count(*)::INT AS n FROM utc WHERE d = DATE '1000-01-01'`)).rows()).toEqual([{ n: 1 }])
  })

  it('refuses an old instant that depends on the clocks of a place, and gives the others', async () => {
    await written('place', query, `${LEGACY} 'Europe/Berlin'`)
    await using lake = await open('old')
    await lake.convert(join(folder, 'old', 'place'))
    expect(await (await lake.sql('SELECT d::VARCHAR AS d FROM place')).rows()).toEqual([{ d: '1000-01-01' }])
    await expect((async () => (await lake.sql('SELECT t FROM place')).rows())()).rejects.toMatchObject({
      code: 'FEATURE_UNSUPPORTED',
    })
  })

  it('is told by the version that wrote it, and other versions are taken at their word', async () => {
    await written('before', query, `'org.apache.spark.version': '2.4.4'`)
    await written('after', query, `'org.apache.spark.version': '3.5.0'`)
    await using lake = await open('old')
    for (const name of ['before', 'after']) await lake.convert(join(folder, 'old', name))
    const dates = async (name: string) => (await lake.sql(`SELECT d::VARCHAR AS d FROM ${name}`)).rows()
    expect(await dates('before')).toEqual([{ d: '1000-01-01' }])
    expect(await dates('after')).toEqual([{ d: '1000-01-06' }])
  })
})

describe('gregorianDate', () => {
  it('is the date of the same name, for every day of the Julian calendar that has one', async () => {
    const days = `SELECT (DATE '0001-01-01' + i::INT)::DATE AS d FROM range(-2, 577735, 13) AS r(i)`
    const rows = await world.database.rows<{ stored: number; date: string }>(
      `SELECT (d - DATE '1970-01-01')::INT AS stored, (${gregorianDate('d')})::DATE::VARCHAR AS date FROM (${days})`,
    )
    const wrong = rows.filter(({ stored, date }) => !julianNames(stored).includes(date))
    expect(wrong).toEqual([])
  })
})

/** The name of a stored day, and for one that only the Julian calendar has that of the next. */
function julianNames(days: number): readonly string[] {
  if (days >= -141_427) return [new Date(days * 86_400_000).toISOString().slice(0, 10)]
  const c = days + 2_440_588 + 32_082
  const d = Math.floor((4 * c + 3) / 1461)
  const e = c - Math.floor((1461 * d) / 4)
  const m = Math.floor((5 * e + 2) / 153)
  const [year, month, day] = [
    d - 4800 + Math.floor(m / 10),
    m + 3 - 12 * Math.floor(m / 10),
    e - Math.floor((153 * m + 2) / 5) + 1,
  ]
  const name = (mm: number, dd: number) =>
    `${String(year).padStart(4, '0')}-${String(mm).padStart(2, '0')}-${String(dd).padStart(2, '0')}`
  return month === 2 && day === 29 ? [name(2, 29), name(3, 1)] : [name(month, day)]
}
