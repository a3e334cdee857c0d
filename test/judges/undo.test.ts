// Rows that deltaic took back, and brought back: Spark sees the same rows and ids, and goes on from there.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'
import { describeWhen } from '../support/needs.js'
import { peers, sharedSpark } from '../support/peers.js'
import { rowsOf } from '../support/world.js'
import { done } from './engines.js'

const TIMEOUT = { timeout: 120_000 }
const folder = mkdtempSync(join(tmpdir(), 'deltaic-undone-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describeWhen(peers.available('spark'), peers.reason('spark'), 'undo beside Spark', () => {
  const spark = sharedSpark()
  const sql = async (text: string) => done(await (await spark()).run({ sql: text }))['rows'] as Record<string, unknown>[]

  it('takes back what Spark appended and moved, and Spark reads what is left', TIMEOUT, async () => {
    await using lake = await openLakehouse(join(folder, 'lake'), { threads: 2, memoryLimitBytes: 2 ** 29 })
    const properties = "TBLPROPERTIES ('delta.enableRowTracking' = 'true', 'delta.enableDeletionVectors' = 'true')"
    await lake.sql(`CREATE TABLE t (n BIGINT, v VARCHAR) ${properties}`)
    const table = `delta.\`${join(folder, 'lake', 't')}\``
    await lake.sql(`INSERT INTO t SELECT i, 'ours' FROM range(10) r(i)`)
    await sql(`INSERT INTO ${table} SELECT id, 'theirs' FROM range(10, 20)`)
    await sql(`UPDATE ${table} SET v = 'mended' WHERE n IN (3, 13)`)
    await sql(`OPTIMIZE ${table}`)
    const undone = await lake.table('t').undo({ versions: { from: 2, to: 2 }, proof: 'table' })
    expect(undone).toMatchObject({ rowsDeleted: 9, rowsChanged: 1, rowsGone: 0, proof: { holds: true, rowsWritten: 9 } })
    const seen = `SELECT n, v, _metadata.row_id AS id FROM ${table} ORDER BY n`
    const left = (await sql(seen)).map(({ n }) => n)
    expect(left).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 13])
    expect((await rowsOf(lake, 'SELECT n FROM t ORDER BY n')).map(({ n }) => Number(n))).toEqual(left)
    await lake.table('t').undo({ versions: undone.version })
    await sql(`INSERT INTO ${table} VALUES (20, 'after')`)
    const back = await sql(seen)
    expect(back.map(({ n }) => n)).toEqual(Array.from({ length: 21 }, (_, n) => n))
    expect(back.slice(0, 20).map(({ id }) => id)).toEqual(Array.from({ length: 20 }, (_, id) => id))
  })

  it('gives ids to the rows of a table that is there, and Spark goes on giving them', TIMEOUT, async () => {
    await using lake = await openLakehouse(join(folder, 'later'), { threads: 2, memoryLimitBytes: 2 ** 29 })
    await lake.sql('CREATE TABLE t (n BIGINT)')
    for (const at of [0, 5]) await lake.sql(`INSERT INTO t SELECT i FROM range(${at}, ${at + 5}) r(i)`)
    await lake.sql(`ALTER TABLE t SET TBLPROPERTIES ('delta.enableRowTracking' = 'true')`)
    const table = `delta.\`${join(folder, 'later', 't')}\``
    await sql(`INSERT INTO ${table} SELECT id FROM range(10, 15)`)
    await sql(`OPTIMIZE ${table}`)
    const seen = await sql(`SELECT n, _metadata.row_id AS id FROM ${table} ORDER BY n`)
    expect(seen.map(({ id }) => id).toSorted((a, b) => Number(a) - Number(b))).toEqual(Array.from({ length: 15 }, (_, id) => id))
    const inserted = (await lake.table('t').history()).find(({ operation }) => operation === 'WRITE')?.version ?? 0
    expect(await lake.table('t').undo({ versions: inserted })).toMatchObject({ rowsDeleted: 5, proof: { holds: true } })
    expect((await sql(`SELECT n FROM ${table} ORDER BY n`)).map(({ n }) => n)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })
})
