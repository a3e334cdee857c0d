// MERGE on tables with column mapping, row ids, deletion vectors, defaults, generated columns and constraints.
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { LocalStore } from '../../src/storage/local.js'
import { diskLake, openWorld, readRowIds, rowsOf } from '../support/world.js'

const world = await openWorld()
const { lake, folder } = await diskLake()

const BOTH = [true, false]
const KINDS = ['none', 'name', 'id'].flatMap((mode) =>
  BOTH.flatMap((vectors) => BOTH.map((tracking) => ({ mode, vectors, tracking }))),
)
const SHOWN = `k, b.x AS x, b.l[1].q AS q, p, twice`
const row = (k: number, x: number | null, p: string, q: string | null = null) => ({ k, x, q, p, twice: 2 * k })
const first = (k: number, x = k, p = String(k % 2)) => row(k, x, p, `w${k}`)

describe('MERGE', () => {
  it.each(KINDS)('keeps every value and row id (column mapping: $mode, vectors: $vectors, row ids: $tracking)', async (kind) => {
    const { mode, vectors, tracking } = kind
    const t = `t_${Object.values(kind).join('_')}`
    const properties = {
      'delta.columnMapping.mode': mode,
      'delta.enableDeletionVectors': vectors,
      'delta.enableRowTracking': tracking,
      'delta.enableChangeDataFeed': true,
      'delta.feature.allowColumnDefaults': 'supported',
    }
    await lake.sql(
      `CREATE TABLE ${t} (k BIGINT NOT NULL, b STRUCT<x: INT, l: ARRAY<STRUCT<q: STRING>>>, p STRING DEFAULT 'new', ` +
        `twice BIGINT GENERATED ALWAYS AS (k * 2), CONSTRAINT few CHECK (k IS NULL OR k < 100)) PARTITIONED BY (p) ` +
        `TBLPROPERTIES (${Object.entries(properties).map(([key, value]) => `'${key}' = '${value}'`)})`,
    )
    await lake.sql(
      `INSERT INTO ${t} (k, b, p) SELECT i, {'x': i::INT, 'l': [{'q': 'w' || i}]}, (i % 2)::VARCHAR FROM range(8) r(i)`,
    )
    const { version } = await lake.table(t).snapshot()
    const answer = await lake.sql(
      `MERGE INTO ${t} AS t USING (SELECT * FROM (VALUES (2, 20), (3, 30), (4, 40), (9, 90), (10, 100)) AS r(k, x)) AS u ON t.k = u.k
      WHEN MATCHED AND u.k = 3 THEN DELETE
      WHEN MATCHED AND u.k = 4 THEN UPDATE SET k = 14, p = '2'
      WHEN MATCHED THEN UPDATE SET b.x = u.x
      WHEN NOT MATCHED AND u.k = 9 THEN INSERT (k, b) VALUES (u.k, {'x': u.x, 'l': [{'q': 'nine'}]})
      WHEN NOT MATCHED THEN INSERT (k, p) VALUES (u.k, DEFAULT)
      WHEN NOT MATCHED BY SOURCE AND t.k = 5 THEN UPDATE SET p = DEFAULT
      WHEN NOT MATCHED BY SOURCE AND t.k = 6 THEN DELETE`,
    )
    expect(await answer.rows()).toMatchObject([{ rows_updated: 3n, rows_inserted: 2n, rows_deleted: 2n }])
    const moved = { ...row(14, 4, '2', 'w4') }
    const added = [row(9, 90, 'new', 'nine'), row(10, null, 'new')]
    const left = [first(0), first(1), first(2, 20), first(5, 5, 'new'), first(7), ...added, moved]
    expect(await rowsOf(lake, `SELECT ${SHOWN} FROM ${t} ORDER BY k`)).toEqual(left)

    const changes = `SELECT _change_type AS kind, ${SHOWN} FROM table_changes('${t}', ${version + 1}) ORDER BY kind, k`
    const told = (type: string, ...rows: object[]) => rows.map((one) => ({ kind: type, ...one }))
    expect(await rowsOf(lake, changes)).toEqual([
      ...told('delete', first(3), first(6)),
      ...told('insert', ...added),
      ...told('update_postimage', first(2, 20), first(5, 5, 'new'), moved),
      ...told('update_preimage', first(2), first(4), first(5)),
    ])

    if (tracking) {
      const tracked = world.table(new LocalStore(join(folder, t)))
      const before = new Map((await readRowIds(world, tracked, 'k', version)).map(({ value, id }) => [value, id]))
      const after = await readRowIds(world, tracked, 'k')
      const changed = [2, 5, 9, 10, 14]
      for (const { value, id, version: at } of after) {
        if (value !== 9 && value !== 10) expect([value, id]).toEqual([value, before.get(value === 14 ? 4 : value)])
        else expect([...before.values()]).not.toContain(id)
        expect([value, at]).toEqual([value, changed.includes(Number(value)) ? version + 1 : version])
      }
      expect(new Set(after.map(({ id }) => id)).size).toBe(left.length)
    }

    for (const [clause, code] of [
      ['WHEN MATCHED THEN UPDATE SET k = 100', 'CONSTRAINT_VIOLATED'],
      ['WHEN NOT MATCHED THEN INSERT (k) VALUES (100)', 'CONSTRAINT_VIOLATED'],
      ['WHEN NOT MATCHED THEN INSERT (p) VALUES (u.k)', 'VALUE_NULL'],
    ])
      await expect(
        lake.sql(`MERGE INTO ${t} AS t USING (SELECT unnest([1, 50]) AS k) AS u ON t.k = u.k ${clause}`),
        clause,
      ).rejects.toMatchObject({ code })
    expect(await rowsOf(lake, `SELECT ${SHOWN} FROM ${t} ORDER BY k`)).toEqual(left)
  })
})
