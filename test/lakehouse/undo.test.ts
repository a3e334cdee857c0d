import { describe, expect, it } from 'vitest'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { openLake, rowsOf } from '../support/world.js'

const TRACKED = "TBLPROPERTIES ('delta.enableRowTracking' = 'true', 'delta.enableDeletionVectors' = 'true')"

/** Versions 1 to 3 add ten rows each, of which 2 is polluted; then others change some, and compaction moves all. */
async function polluted(lake: Lakehouse, properties = TRACKED): Promise<void> {
  await lake.sql(`CREATE TABLE t (n BIGINT, v VARCHAR) ${properties}`)
  for (const at of [0, 10, 20]) await lake.sql(`INSERT INTO t SELECT i, 'new' FROM range(${at}, ${at + 10}) r(i)`)
  await lake.sql(`UPDATE t SET v = 'mended' WHERE n IN (12, 22)`)
  await lake.sql('DELETE FROM t WHERE n IN (13, 23)')
  await lake.sql('OPTIMIZE t')
}

const ids = async (lake: Lakehouse) => (await rowsOf(lake, 'SELECT n FROM t ORDER BY n')).map(({ n }) => Number(n))
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => from + at)

describe('undo', () => {
  it('takes out the rows that came with a commit, proves it, and tells apart what was changed since', async () => {
    await using lake = await openLake()
    await polluted(lake)
    const dry = await lake.table('t').undo({ versions: 2, dryRun: true })
    expect(dry).toMatchObject({ dryRun: true, version: 6, rowsDeleted: 8, rowsAdded: 10, rowsGone: 1, rowsChanged: 1 })
    expect(dry.changedBy).toEqual([{ version: 4, rows: 1, operation: 'UPDATE' }])
    expect(dry.examples).toEqual(['{"n":12,"v":"mended"}'])
    expect(dry.files).toMatchObject([{ rows: 8, rowsLeft: 20 }])
    const done = await lake.table('t').undo({ versions: 2, proof: 'table' })
    expect(done).toMatchObject({ version: 7, rowsDeleted: 8, filesMarked: 1, filesAdded: 0, filesRemoved: 0 })
    expect(done.proof).toMatchObject({ holds: true, rowsTaken: 8, rowsWritten: 8, table: { rowsBefore: 28, rowsAfter: 20 } })
    expect(done.proof?.hashTaken).toBe(done.proof?.hashWritten)
    expect(await ids(lake)).toEqual([...range(0, 10), 12, 20, 21, 22, ...range(24, 30)])
    expect(await lake.table('t').undo({ versions: 2, changed: 'remove' })).toMatchObject({ rowsDeleted: 1, version: 8 })
    expect(await ids(lake)).toEqual([...range(0, 10), 20, 21, 22, ...range(24, 30)])
  })

  it('goes by a condition among rows of shared commits', async () => {
    await using lake = await openLake()
    await lake.sql(`CREATE TABLE t (n BIGINT, producer VARCHAR, day INT) PARTITIONED BY (day) ${TRACKED}`)
    for (const at of [0, 20]) await lake.sql(`INSERT INTO t SELECT i, 'p' || i % 2, i % 3 FROM range(${at}, ${at + 20}) r(i)`)
    await lake.sql('OPTIMIZE t')
    const undo = (text: string) => rowsOf(lake, text)
    expect(await undo(`UNDO TABLE t VERSION 2 WHERE producer = 'p1' DRY RUN`)).toMatchObject([
      { rows_deleted: 10, version: 3, proven: null },
    ])
    expect(await undo(`UNDO TABLE t VERSION 2 WHERE producer = 'p1'`)).toMatchObject([
      { rows_deleted: 10, version: 4, proven: true },
    ])
    expect(await undo(`UNDO t VERSIONS 1 TO 3 WHERE day = 0 AND n > (SELECT min(n) FROM t)`)).toMatchObject([{ rows_deleted: 9 }])
    const wanted = range(0, 40).filter((n) => (n < 20 || n % 2 === 0) && (n % 3 !== 0 || n === 0))
    expect(await ids(lake)).toEqual(wanted)
    await expect(lake.sql('UNDO t VERSION 2 WHERE nothing = 1')).rejects.toMatchObject({ code: 'SQL_INVALID' })
  })

  it('comes back when it is taken back, with the ids of its rows, and once', async () => {
    await using lake = await openLake()
    await polluted(lake)
    await lake.table('t').undo({ versions: 2 })
    await lake.sql('INSERT INTO t VALUES (99, NULL)')
    const back = await lake.table('t').undo({ versions: 7 })
    expect(back).toMatchObject({
      version: 9,
      rowsRestored: 8,
      rowsDeleted: 0,
      proof: { holds: true, rowsTaken: 8, rowsWritten: 8 },
    })
    expect(await ids(lake)).toEqual([...range(0, 13), ...range(14, 23), ...range(24, 30), 99])
    expect(await lake.table('t').undo({ versions: 7 })).toMatchObject({ version: 9, rowsRestored: 0 })
    expect(await lake.table('t').undo({ versions: 2, dryRun: true })).toMatchObject({ rowsDeleted: 8, rowsChanged: 1 })
  })

  it('goes beside appends and compaction', async () => {
    await using lake = await openLake()
    await polluted(lake)
    await lake.sql('INSERT INTO t VALUES (90, NULL)')
    const [undone] = await Promise.all([
      lake.table('t').undo({ versions: 2 }),
      lake.sql('INSERT INTO t VALUES (91, NULL)'),
      lake.sql('OPTIMIZE t'),
      lake.sql('DELETE FROM t WHERE n = 1'),
    ])
    expect(undone).toMatchObject({ rowsDeleted: 8, proof: { holds: true } })
    expect(await ids(lake)).toEqual([0, ...range(2, 10), 12, 20, 21, 22, ...range(24, 30), 90, 91])
  })

  it('says when the files in which the rows came are gone', async () => {
    await using lake = await openLake()
    await polluted(lake)
    await lake.table('t').vacuum({ retentionMs: 0, force: true })
    const { version, proof, rowsAdded, rowsDeleted } = await lake.table('t').undo({ versions: 2 })
    expect({ rowsAdded, rowsDeleted }).toEqual({ rowsAdded: undefined, rowsDeleted: 8 })
    expect(proof).toMatchObject({ holds: undefined, rowsTaken: 8, rowsWritten: undefined })
    expect(proof?.missing).toMatch(/\.parquet$/)
    await lake.table('t').optimize()
    await lake.sql('REORG TABLE t APPLY (PURGE)')
    await lake.table('t').vacuum({ retentionMs: 0, force: true })
    await expect(lake.table('t').undo({ versions: version })).rejects.toMatchObject({ code: 'DATA_FILE_MISSING' })
  })

  it('changes nothing when the rows are not those that were written', async () => {
    await using lake = await openLake()
    await lake.sql(`CREATE TABLE t (n BIGINT, v VARCHAR) ${TRACKED}`)
    for (const at of [0, 1]) await lake.sql(`INSERT INTO t SELECT i, 'a' FROM range(${at}, ${at + 10}) r(i)`)
    const [, other] = await (await lake.table('t').snapshot()).files()
    await lake.sql('DELETE FROM t')
    // As another engine might leave it: rows that say they are those of version 1.
    const { path, sizeBytes: size, modifiedAtMs, partitionValues, stats } = other as NonNullable<typeof other>
    const transaction = await lake.table('t').transaction()
    const forged = { baseRowId: 0, defaultRowCommitVersion: 1, dataChange: true }
    transaction.add([{ path, size, modificationTime: modifiedAtMs, partitionValues, stats, ...forged }])
    await transaction.commit()
    const before = await ids(lake)
    await expect(lake.table('t').undo({ versions: 1 })).rejects.toMatchObject({ code: 'PROOF_FAILED' })
    expect(await ids(lake)).toEqual(before)
  })

  it('refuses tables without row tracking, versions that are not there, and ranges that are none', async () => {
    await using lake = await openLake()
    await polluted(lake, '')
    const refused = (versions: { from: number; to: number }) => expect(lake.table('t').undo({ versions })).rejects
    await refused({ from: 2, to: 2 }).toMatchObject({ code: 'ROWS_NOT_TRACKED', kind: 'notFound' })
    await refused({ from: 2, to: 9 }).toMatchObject({ code: 'VERSION_NOT_FOUND' })
    await refused({ from: 3, to: 2 }).toMatchObject({ code: 'ARGUMENT_INVALID' })
    await refused({ from: -1, to: 2 }).toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('has nothing to do for commits that added no row', async () => {
    await using lake = await openLake()
    await polluted(lake)
    expect(await lake.table('t').undo({ versions: { from: 4, to: 6 } })).toMatchObject({
      rowsDeleted: 0,
      rowsAdded: 0,
      version: 6,
      attempts: 0,
    })
    await lake.sql(`ALTER TABLE t SET TBLPROPERTIES ('delta.appendOnly' = 'true')`)
    await expect(lake.table('t').undo({ versions: 1 })).rejects.toMatchObject({ code: 'TABLE_APPEND_ONLY' })
  })

  it('goes for what came after a table began to track its rows', async () => {
    await using lake = await openLake()
    await lake.sql('CREATE TABLE t (n BIGINT, v VARCHAR)')
    const insert = (at: number) => lake.sql(`INSERT INTO t SELECT i, 'new' FROM range(${at}, ${at + 10}) r(i)`)
    await insert(0)
    await insert(10)
    const on = `ALTER TABLE t SET TBLPROPERTIES ('delta.enableRowTracking' = 'true')`
    await Promise.all([lake.sql(on), insert(20)])
    await insert(30)
    await lake.sql('OPTIMIZE t')
    expect((await (await lake.table('t').snapshot()).files()).every(({ baseRowId }) => baseRowId !== undefined)).toBe(true)
    await expect(lake.table('t').undo({ versions: 1 })).rejects.toMatchObject({ code: 'ROWS_NOT_TRACKED' })
    const { version } = (await lake.table('t').history()).find(({ operation }) => operation === 'WRITE') ?? { version: 0 }
    expect(await lake.table('t').undo({ versions: version })).toMatchObject({ rowsDeleted: 10, proof: { holds: true } })
    expect(await ids(lake)).toEqual(range(0, 30))
    await insert(40)
    const last = (await lake.table('t').history({ limit: 1 }))[0]?.version ?? 0
    await lake.sql(`ALTER TABLE t SET TBLPROPERTIES ('delta.enableRowTracking' = 'false')`)
    await lake.sql('OPTIMIZE t')
    await expect(lake.table('t').undo({ versions: last })).rejects.toMatchObject({ code: 'ROWS_NOT_TRACKED' })
    await lake.sql(on)
    await expect(lake.table('t').undo({ versions: last })).rejects.toMatchObject({ code: 'ROWS_NOT_TRACKED' })
    await insert(50)
    const again = (await lake.table('t').history({ limit: 1 }))[0]?.version ?? 0
    expect(await lake.table('t').undo({ versions: again })).toMatchObject({ rowsDeleted: 10 })
    expect(await ids(lake)).toEqual([...range(0, 30), ...range(40, 50)])
  })
})
