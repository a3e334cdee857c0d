import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jsonOf, type LakeServer, problemOf, serveLake } from './lake-server.js'

const JSON_TYPE = { 'content-type': 'application/json' }
let at: LakeServer

beforeAll(async () => {
  at = await serveLake()
  await at.rows(
    "CREATE TABLE t (n BIGINT) TBLPROPERTIES ('delta.enableRowTracking' = 'true', 'delta.enableDeletionVectors' = 'true')",
  )
  for (const from of [0, 10, 20]) await at.rows(`INSERT INTO t SELECT i FROM range(${from}, ${from + 10}) r(i)`)
  await at.rows('OPTIMIZE t')
})
afterAll(() => at[Symbol.asyncDispose]())

const undo = (body: unknown, table = 't') => at.post(`/v1/tables/${table}/undo`, JSON.stringify(body), JSON_TYPE)

describe('POST /v1/tables/:table/undo', () => {
  it('tells what it would do, does it with proof, and takes it back', async () => {
    expect(await jsonOf(await undo({ from: 2, dryRun: true }))).toMatchObject({ dryRun: true, rowsDeleted: 10, version: 4 })
    const done = await jsonOf(await undo({ from: 1, to: 2, where: 'n % 2 = 0', proof: 'table' }))
    expect(done).toMatchObject({
      version: 5,
      rowsDeleted: 10,
      filesMarked: 1,
      proof: { holds: true, rowsTaken: 10, rowsWritten: 10, table: { rowsBefore: 30, rowsAfter: 20 } },
    })
    expect(await at.rows('SELECT count(*) AS n FROM t WHERE n < 20 AND n % 2 = 0')).toEqual([{ n: 0 }])
    expect(await jsonOf(await undo({ from: 5, views: 'skip' }))).toMatchObject({ version: 6, rowsRestored: 10 })
    expect(await at.rows('SELECT count(*) AS n FROM t')).toEqual([{ n: 30 }])
  })

  it('refuses what is no range, what is not there, and what is not tracked', async () => {
    for (const body of [{}, { from: -1 }, { from: 3, to: 2 }, { from: 1, changed: 'perhaps' }, { from: 1, where: 'nothing = 1' }])
      expect((await undo(body)).status).toBe(400)
    expect(await problemOf(await undo({ from: 99 }))).toMatchObject({ status: 404, code: 'VERSION_NOT_FOUND' })
    expect(await problemOf(await undo({ from: 0 }, 'nope'))).toMatchObject({ status: 404, code: 'TABLE_NOT_FOUND' })
    await at.rows('CREATE TABLE plain (n BIGINT)')
    await at.rows('INSERT INTO plain VALUES (1)')
    expect(await problemOf(await undo({ from: 1 }, 'plain'))).toMatchObject({ status: 404, code: 'ROWS_NOT_TRACKED' })
  })
})
