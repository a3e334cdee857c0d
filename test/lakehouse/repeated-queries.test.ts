// A query that is asked again runs on a session that has its files bound already: never on the files of another version.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { openLakehouse } from '../../src/index.js'

const folder = mkdtempSync(join(tmpdir(), 'deltaic-repeated-'))
const lake = await openLakehouse(join(folder, 'lake'))
afterAll(async () => {
  await lake.close()
  rmSync(folder, { recursive: true, force: true })
})

const sum = async (text: string, params?: Record<string, number>) =>
  (await (await lake.sql(text, { params })).rows<{ n: number }>())[0]?.n

it('answers from the version that is asked for, however often and in whatever order', async () => {
  await lake.sql('CREATE TABLE t (x INT, part STRING) PARTITIONED BY (part)')
  for (let version = 1; version <= 4; version++) await lake.sql(`INSERT INTO t VALUES (${version}, 'p${version % 2}')`)
  const at = (version: number) => sum(`SELECT sum(x)::INT AS n FROM t VERSION AS OF ${version}`)
  for (const version of [1, 4, 2, 4, 1, 3, 3]) expect(await at(version)).toBe((version * (version + 1)) / 2)
  const newest = async () => sum('SELECT sum(x)::INT AS n FROM t')
  expect(await newest()).toBe(10)
  await lake.sql(`INSERT INTO t VALUES (5, 'p1')`)
  expect(await newest()).toBe(15)
})

it('reads the files that the parameters of this time need', async () => {
  const odd = async (part: number) => sum(`SELECT sum(x)::INT AS n FROM t VERSION AS OF 4 WHERE part = 'p' || $part`, { part })
  expect([await odd(0), await odd(1), await odd(0)]).toEqual([6, 4, 6])
})

it('answers many who ask at once, and one who asks after somebody gave up', async () => {
  const text = 'SELECT sum(x)::INT AS n FROM t VERSION AS OF 4'
  expect(await Promise.all(Array.from({ length: 20 }, () => sum(text)))).toEqual(Array.from({ length: 20 }, () => 10))
  const given = await lake.sql('SELECT x FROM t VERSION AS OF 4')
  for await (const batch of given.batches()) {
    expect(batch.numRows).toBeGreaterThan(0)
    break
  }
  const aborted = new AbortController()
  const late = await lake.sql(text, { signal: aborted.signal })
  aborted.abort(new Error('enough'))
  await expect(late.rows()).rejects.toThrow('enough')
  expect(await sum(text)).toBe(10)
  expect(await (await lake.sql('SELECT x FROM t VERSION AS OF 4 ORDER BY x')).rows()).toEqual([1, 2, 3, 4].map((x) => ({ x })))
})
