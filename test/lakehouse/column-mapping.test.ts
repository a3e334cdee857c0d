import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-mapping-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.each(['name', 'id'])('a table with column mapping by %s', (mode) => {
  it('takes odd names, nested columns and partitions, and reads what it wrote', async () => {
    await using lake = await openLakehouse(join(folder, mode))
    await lake.createTable('t', {
      columns: [
        { name: 'a b', type: 'BIGINT' },
        { name: 's', type: 'STRUCT<x: INT, `y,z`: ARRAY<STRUCT<q: STRING>>>' },
        { name: 'm', type: 'MAP<STRING, STRUCT<v: DOUBLE>>' },
        { name: 'p=q', type: 'STRING' },
      ],
      partitionBy: ['p=q'],
      properties: { 'delta.columnMapping.mode': mode },
    })
    const table = lake.table('t')
    const row = (id: number, p: string) =>
      `SELECT ${id} AS "a b", {'x': ${id}, 'y,z': [{'q': 'w'}]} AS s, MAP {'k': {'v': 1.5}} AS m, ${p} AS "p=q"`
    await table.append({ sql: row(1, `'one'`) })
    await table.append({ sql: row(2, 'NULL::VARCHAR') })
    await table.optimize()
    const snapshot = await table.snapshot()
    const files = await snapshot.files()
    const metadata = JSON.stringify(snapshot.schema)
    for (const file of files) {
      expect(file.path).not.toContain('one')
      for (const key of [...Object.keys(file.partitionValues), ...Object.keys(JSON.parse(file.stats ?? '{}').minValues)])
        expect(metadata).toContain(`"delta.columnMapping.physicalName":"${key}"`)
    }
    const result = await lake.sql(`SELECT * FROM t WHERE "a b" < 10 AND s.x > 0 ORDER BY "a b"`)
    expect(await result.rows()).toMatchObject([
      { 'a b': 1n, 'p=q': 'one' },
      { 'a b': 2n, 'p=q': null },
    ])
  })

  it.each([
    [`SELECT id FROM o WHERE "part of" = 'a'`, [{ id: 1 }]],
    [`SELECT count(*)::INT AS n FROM o WHERE "part of" > 'a' AND "x;y" > 'a'`, [{ n: 1 }]],
    [`SELECT id FROM o WHERE coalesce("part of", 'b') > 'a'`, [{ id: 2 }]],
    [`SELECT id FROM o WHERE "x;y" = 'x'`, [{ id: 1 }]],
  ])('reads columns of odd names that only filters speak of: %s', async (query, rows) => {
    await using lake = await openLakehouse(join(folder, `${mode}-odd`))
    const columns = [
      { name: 'id', type: 'INT' },
      { name: 'part of', type: 'STRING' },
      { name: 'x;y', type: 'STRING' },
    ]
    const properties = { 'delta.columnMapping.mode': mode }
    const { created } = await lake.createTable('o', { columns, partitionBy: ['part of'], properties, ifNotExists: true })
    if (created) await lake.table('o').append({ sql: `VALUES (1, 'a', 'x'), (2, 'b', 'y')` })
    expect(await (await lake.sql(query)).rows()).toEqual(rows)
  })
})
