// Features that deltaic takes out of a table are gone for Spark too, and the versions before are still what they were.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Lakehouse, openLakehouse } from '../../src/index.js'
import { describeWhen } from '../support/needs.js'
import { peers, sharedSpark } from '../support/peers.js'
import { done } from './engines.js'

describeWhen(peers.available('spark'), peers.reason('spark'), 'dropped features', () => {
  let root: string
  let lake: Lakehouse
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'deltaic-dropped-'))
    lake = await openLakehouse(root)
  })
  afterAll(async () => {
    await lake?.close()
    await rm(root, { recursive: true, force: true })
  })
  const spark = sharedSpark()
  const sql = async (text: string) =>
    done(await (await spark()).run({ sql: text.replaceAll(' t ', ` delta.\`${join(root, 't')}\` `) }))

  it('are gone for Spark, which reads every version and goes on', { timeout: 180_000 }, async () => {
    await lake.sql(
      "CREATE TABLE t (id INT, v STRING, p STRING) PARTITIONED BY (p) TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableTypeWidening' = 'true', 'delta.enableRowTracking' = 'true', 'delta.enableDeletionVectors' = 'true', 'delta.checkpointPolicy' = 'v2')",
    )
    await lake.sql(
      "INSERT INTO t SELECT range, 'v', 'p' || range % 2 FROM range(10); DELETE FROM t WHERE id = 3; ALTER TABLE t RENAME COLUMN v TO w; ALTER TABLE t ALTER COLUMN id TYPE BIGINT; CHECKPOINT t",
    )
    for (const feature of ['deletionVectors', 'rowTracking', 'typeWidening', 'columnMapping', 'v2Checkpoint'])
      await lake.sql(`ALTER TABLE t DROP FEATURE ${feature}`)
    const { protocol } = await lake.table('t').snapshot()
    expect(protocol).toEqual({
      minReaderVersion: 1,
      minWriterVersion: 7,
      writerFeatures: ['domainMetadata', 'checkpointProtection'],
    })
    expect((await sql('SELECT count(*) AS n, sum(id) AS s, max(w) AS w FROM t '))['rows']).toEqual([{ n: 9, s: 42, w: 'v' }])
    expect((await sql('SELECT count(*) AS n FROM t VERSION AS OF 1'))['rows']).toEqual([{ n: 10 }])
    await sql("INSERT INTO t VALUES (100, 'x', 'p0')")
    await sql('DELETE FROM t WHERE id = 5')
    await lake.sql("INSERT INTO t VALUES (200, 'y', 'p1')")
    expect((await sql('SELECT count(*) AS n, sum(id) AS s FROM t '))['rows']).toEqual([{ n: 10, s: 337 }])
    expect(await (await lake.sql('SELECT count(*)::INTEGER AS n, sum(id)::INTEGER AS s FROM t')).rows()).toEqual([
      { n: 10, s: 337 },
    ])
  })
})
