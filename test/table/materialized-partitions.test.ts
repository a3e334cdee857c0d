import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { literal } from '../../src/engine/sql-text.js'
import { openLakehouse } from '../../src/index.js'
import { openWorld } from '../support/world.js'

const world = await openWorld()
const folder = mkdtempSync(join(tmpdir(), 'deltaic-materialized-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.each(['none', 'id'])('a table with materializePartitionColumns and column mapping %s', (mode) => {
  it('has its partition columns in every file that is written, too, and not in the statistics', async () => {
    await using lake = await openLakehouse(join(folder, mode), { threads: 1 })
    await lake.sql(
      'CREATE TABLE t (id INT, p DATE, q STRING) PARTITIONED BY (p, q) TBLPROPERTIES ' +
        `('delta.feature.materializePartitionColumns' = 'supported', 'delta.columnMapping.mode' = '${mode}')`,
    )
    const table = lake.table('t')
    await lake.sql(`INSERT INTO t VALUES (1, DATE '2026-01-01', 'a b'), (2, NULL, NULL)`)
    await lake.sql(`INSERT INTO t VALUES (3, DATE '2026-01-01', 'a b')`)
    await lake.sql('UPDATE t SET id = 4 WHERE id = 3')
    await table.optimize()
    const snapshot = await table.snapshot()
    const [p, q] = snapshot.schema.fields
      .slice(1)
      .map(({ name, metadata }) => String(metadata['delta.columnMapping.physicalName'] ?? name))
    for (const { path, partitionValues, stats } of await snapshot.files()) {
      const file = join(folder, mode, 't', decodeURIComponent(path))
      const read = `read_parquet(${literal(file)}, hive_partitioning = false)`
      const inFile = await world.database.rows(`SELECT DISTINCT "${p}"::VARCHAR AS p, "${q}" AS q FROM ${read}`)
      expect(inFile).toEqual([{ p: partitionValues[p ?? ''], q: partitionValues[q ?? ''] }])
      expect(Object.keys(JSON.parse(stats ?? '{}').nullCount as object)).toHaveLength(1)
    }
    expect(await (await lake.sql('SELECT id, p::VARCHAR AS p, q FROM t ORDER BY id')).rows()).toEqual([
      { id: 1, p: '2026-01-01', q: 'a b' },
      { id: 2, p: null, q: null },
      { id: 4, p: '2026-01-01', q: 'a b' },
    ])
  })
})
