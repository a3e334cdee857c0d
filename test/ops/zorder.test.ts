import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { openLake, rowsOf } from '../support/world.js'

const ROWS = 4000

async function made(more = '') {
  const lake = await openLake(new MemoryStore())
  await lake.sql(`CREATE TABLE t (x BIGINT, y STRING, s STRUCT<z: DOUBLE>, p BIGINT) ${more}`)
  for (let at = 0; at < 4; at++)
    await lake.sql(
      `INSERT INTO t SELECT (i * 7919) % ${ROWS}, 'k' || lpad(((i * 104729) % ${ROWS})::VARCHAR, 5, '0'), {'z': nullif(i % 10, 3)}, i % 2 FROM range(${at * 1000}, ${at * 1000 + 1000}) r(i)`,
    )
  return lake
}

type Lake = Awaited<ReturnType<typeof made>>
const digest = (lake: Lake, asOf = '') => rowsOf(lake, `SELECT count(*) AS n, sum(hash(x, y, s, p))::VARCHAR AS h FROM t ${asOf}`)
const skippedBy = async (lake: Lake, where: string) => {
  const result = await lake.sql(`SELECT count(*) FROM t WHERE ${where}`)
  await result.rows()
  return result.stats.filesSkipped / (result.stats.filesRead + result.stats.filesSkipped)
}

describe('OPTIMIZE … ZORDER BY', () => {
  it('keeps every row, and lets a condition on any of the columns skip files', async () => {
    await using lake = await made()
    const before = await digest(lake)
    const bytes = (await lake.table('t').detail()).bytes
    await lake.table('t').optimize({ zorderBy: ['x', 'y'], targetFileSizeBytes: Math.ceil(bytes / 16) })
    expect(await digest(lake)).toEqual(before)
    expect((await lake.table('t').detail()).files).toBe(16)
    for (const where of ['x BETWEEN 100 AND 200', "y BETWEEN 'k03000' AND 'k03100'"])
      expect(await skippedBy(lake, where)).toBeGreaterThan(0.4)
    const commit = await lake.deltaOf('t').commitIfKept(5)
    expect(commit?.commitInfo).toMatchObject({
      operation: 'OPTIMIZE',
      operationParameters: { predicate: '[]', zOrderBy: '["x","y"]', clusterBy: '[]', auto: false },
      operationMetrics: { numRemovedFiles: '4', numAddedFiles: '16', minFileSize: expect.any(String) },
    })
  })

  it('orders inside of partitions, by fields of structs too, with NULLs', async () => {
    await using lake = await made('PARTITIONED BY (p)')
    const before = await digest(lake)
    expect(await rowsOf(lake, 'OPTIMIZE t ZORDER BY (s.z, x)')).toMatchObject([{ files_added: 2, files_removed: 8 }])
    expect(await rowsOf(lake, 'OPTIMIZE t WHERE p = 1 ZORDER BY (x)')).toMatchObject([{ files_added: 1, files_removed: 1 }])
    expect(await digest(lake)).toEqual(before)
  })

  it.each(['nothing', 's', 'p'])('refuses to order by %s', async (column) => {
    await using lake = await made('PARTITIONED BY (p)')
    await expect(lake.sql(`OPTIMIZE t ZORDER BY (${column})`)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})

describe('REORG TABLE … APPLY (PURGE)', () => {
  it('writes deleted rows out of the files, and touches no other file', async () => {
    await using lake = await made("TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
    await lake.sql('DELETE FROM t WHERE x = 7919 % 4000')
    const before = await digest(lake)
    expect(await rowsOf(lake, 'REORG TABLE t APPLY (PURGE)')).toMatchObject([{ files_added: 1, files_removed: 1 }])
    expect(await digest(lake)).toEqual(before)
    expect(await rowsOf(lake, 'REORG TABLE t APPLY (PURGE)')).toMatchObject([{ files_added: 0, files_removed: 0 }])
    const [first] = await lake.table('t').history({ limit: 1 })
    expect(first?.operation).toBe('REORG')
  })
})
