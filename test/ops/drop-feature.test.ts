import { describe, expect, it } from 'vitest'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { openLake, openWorld, readRowIds, rowsOf, skippingClock } from '../support/world.js'

const world = await openWorld()

const DAY_MS = 86_400_000

async function open() {
  const skipping = skippingClock()
  // No two versions come at one time.
  const clock = {
    ...skipping,
    now: () => {
      skipping.advance(1)
      return skipping.now()
    },
  }
  const store = new MemoryStore({ clock })
  return Object.assign(await openLake(store, { clock }), { files: store, clock })
}

const stateOf = async (lake: Lakehouse) => {
  const { protocol, metadata, version } = await lake.deltaOf('t').snapshot()
  return { protocol, configuration: metadata.configuration, version, fields: JSON.parse(metadata.schemaString).fields }
}
const operations = async (lake: Lakehouse, from: number) =>
  (await rowsOf(lake, 'DESCRIBE HISTORY t'))
    .flatMap(({ version, operation }) => (Number(version) > from ? [operation] : []))
    .reverse()
const refused = (details: Readonly<Record<string, unknown>> = {}) =>
  expect.objectContaining({ code: 'SCHEMA_CHANGE_REFUSED', details: expect.objectContaining(details) })
const BARRIERS = ['Empty Commit', 'Empty Commit', 'Empty Commit', 'DROP FEATURE']

describe('a feature that readers must know goes', () => {
  it('deletionVectors, with the vectors', async () => {
    await using lake = await open()
    await lake.sql("CREATE TABLE t TBLPROPERTIES ('delta.enableDeletionVectors' = 'true') AS SELECT range AS id FROM range(10)")
    await lake.sql('DELETE FROM t WHERE id = 3; DELETE FROM t WHERE id = 4')
    expect(await rowsOf(lake, 'ALTER TABLE t DROP FEATURE deletionVectors')).toEqual([{ version: 9 }])
    expect(await operations(lake, 2)).toEqual(['UNSET TBLPROPERTIES', 'REORG', 'Deletion Vector Tombstones', ...BARRIERS])
    const { protocol, configuration } = await stateOf(lake)
    expect(protocol).toEqual({ minReaderVersion: 1, minWriterVersion: 7, writerFeatures: ['checkpointProtection'] })
    expect(configuration).toEqual({ 'delta.requireCheckpointProtectionBeforeVersion': '9' })
    await lake.sql('DELETE FROM t WHERE id = 5')
    expect(await rowsOf(lake, 'SELECT sum(id)::BIGINT AS s, (SELECT count(*) FROM t@v1) AS n FROM t')).toEqual([{ s: 33, n: 9 }])
    await using other = await openLake(lake.files)
    expect(await rowsOf(other, 'SELECT count(*) AS n FROM t')).toEqual([{ n: 7 }])
  })

  it('columnMapping, with the names that only files had', async () => {
    await using lake = await open()
    await lake.sql(
      "CREATE TABLE t (id BIGINT, s STRUCT<x: INT, y: STRING>, p STRING) CLUSTER BY (id) TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.enableRowTracking' = 'true')",
    )
    await lake.sql(
      "INSERT INTO t VALUES (1, {'x': 1, 'y': 'a'}, 'p'), (2, NULL, NULL); ALTER TABLE t RENAME COLUMN s.y TO z; ALTER TABLE t RENAME COLUMN p TO q",
    )
    const state = async () => [
      await rowsOf(lake, 'SELECT * FROM t ORDER BY id'),
      await readRowIds(world, lake.deltaOf('t'), 'id'),
    ]
    const before = await state()
    await lake.sql('ALTER TABLE t DROP FEATURE columnMapping')
    const { protocol, fields, version } = await stateOf(lake)
    expect(fields.map((field: { metadata: unknown }) => field.metadata)).toEqual([{}, {}, {}])
    expect([protocol.minReaderVersion, protocol.writerFeatures]).toEqual([1, expect.not.arrayContaining(['columnMapping'])])
    expect(await state()).toEqual(before)
    expect(await operations(lake, version - 5)).toEqual(['REMOVE COLUMN MAPPING', ...BARRIERS])
    expect((await rowsOf(lake, 'DESCRIBE DETAIL t'))[0]).toMatchObject({ version })
    await lake.sql("OPTIMIZE t FULL; INSERT INTO t VALUES (3, {'x': 3, 'z': 'c'}, 'r')")
    expect(await rowsOf(lake, 'SELECT count(s.z) AS n FROM t WHERE id IN (1, 3)')).toEqual([{ n: 2 }])
  })

  it('typeWidening, with the files of older types', async () => {
    await using lake = await open()
    await lake.sql(
      "CREATE TABLE t (id INT, l ARRAY<SMALLINT>) TBLPROPERTIES ('delta.enableTypeWidening' = 'true'); INSERT INTO t VALUES (1, [1])",
    )
    await lake.sql(
      'ALTER TABLE t ALTER COLUMN id TYPE BIGINT; ALTER TABLE t ALTER COLUMN l.element TYPE INT; INSERT INTO t VALUES (9000000000, [70000])',
    )
    const newest = (await lake.table('t').snapshot()).version
    await lake.sql('ALTER TABLE t DROP FEATURE typeWidening')
    // The file that was written under the newest types stays.
    const entry = async (version: number) => Buffer.from((await lake.files.get(`t/${commitPath(version)}`)) ?? '').toString()
    expect((await entry(newest + 2)).match(/^\{"remove":/gm)).toHaveLength(1)
    const { protocol, fields } = await stateOf(lake)
    expect(fields.map((field: { metadata: unknown }) => field.metadata)).toEqual([{}, {}])
    expect(protocol).toEqual({ minReaderVersion: 1, minWriterVersion: 7, writerFeatures: ['checkpointProtection'] })
    expect(await rowsOf(lake, 'SELECT sum(id)::BIGINT AS s, sum(l[1])::BIGINT AS l FROM t')).toEqual([
      { s: 9000000001, l: 70001 },
    ])
  })

  it('v2Checkpoint, with classic checkpoints after its last', async () => {
    await using lake = await open()
    await lake.sql("CREATE TABLE t TBLPROPERTIES ('delta.checkpointPolicy' = 'v2') AS SELECT 1 AS id; CHECKPOINT t")
    await lake.sql('ALTER TABLE t DROP FEATURE v2Checkpoint')
    const names: string[] = []
    for await (const { path } of lake.files.list('t/_delta_log')) if (path.includes('.checkpoint.')) names.push(path.slice(13))
    expect(names.map((name) => name.replace(/[0-9a-f-]{36}/, '…'))).toEqual([
      '00000000000000000000.checkpoint.….parquet',
      ...[2, 3, 4, 5].map((version) => `0000000000000000000${version}.checkpoint.parquet`),
    ])
    expect((await stateOf(lake)).protocol.readerFeatures).toBeUndefined()
  })

  it.each(['vacuumProtocolCheck', 'timestampNtz', 'variantType'])('%s, once nothing uses it', async (feature) => {
    await using lake = await open()
    await lake.sql(`CREATE TABLE t TBLPROPERTIES ('delta.feature.${feature}' = 'supported') AS SELECT 1 AS id`)
    await lake.sql(`ALTER TABLE t DROP FEATURE '${feature}'`)
    expect(await operations(lake, 0)).toEqual(BARRIERS)
    expect((await stateOf(lake)).protocol).toEqual({
      minReaderVersion: 1,
      minWriterVersion: 7,
      writerFeatures: ['checkpointProtection'],
    })
  })
})

it('rowTracking goes with the ids of the files', async () => {
  await using lake = await open()
  await lake.sql(
    "CREATE TABLE t TBLPROPERTIES ('delta.enableRowTracking' = 'true') AS SELECT range AS id FROM range(5); UPDATE t SET id = 9 WHERE id = 2",
  )
  await lake.sql('ALTER TABLE t DROP FEATURE rowTracking')
  expect(await operations(lake, 1)).toEqual(['SET TBLPROPERTIES', 'ROW TRACKING UNBACKFILL', 'DROP FEATURE'])
  const { protocol, configuration } = await stateOf(lake)
  expect([protocol.writerFeatures, configuration]).toEqual([['domainMetadata'], {}])
  const { files } = await (await lake.deltaOf('t').snapshot()).files()
  expect(
    files
      .flatMap(({ baseRowId, defaultRowCommitVersion }) => [baseRowId, defaultRowCommitVersion])
      .filter((id) => id !== undefined),
  ).toEqual([])
  await lake.sql('INSERT INTO t VALUES (10); ALTER TABLE t DROP FEATURE domainMetadata')
  expect((await stateOf(lake)).protocol).toEqual({ minReaderVersion: 1, minWriterVersion: 1 })
  expect(await rowsOf(lake, 'SELECT sum(id)::BIGINT AS s FROM t')).toEqual([{ s: 27 }])
})

describe('TRUNCATE HISTORY', () => {
  it('is asked for twice, and leaves no version that uses the feature', async () => {
    await using lake = await open()
    await lake.sql("CREATE TABLE t TBLPROPERTIES ('delta.enableDeletionVectors' = 'true') AS SELECT range AS id FROM range(10)")
    await lake.sql('DELETE FROM t WHERE id = 3')
    const drop = () => lake.sql('ALTER TABLE t DROP FEATURE deletionVectors TRUNCATE HISTORY')
    await expect(drop()).rejects.toEqual(refused({ feature: 'deletionVectors', retentionMs: DAY_MS }))
    expect(await operations(lake, 1)).toEqual(['UNSET TBLPROPERTIES', 'REORG', 'Deletion Vector Tombstones', 'Empty Commit'])
    await expect(drop()).rejects.toEqual(refused())
    lake.clock.advance(DAY_MS + 1)
    await lake.sql('INSERT INTO t VALUES (11)')
    await drop()
    expect(await stateOf(lake)).toMatchObject({ protocol: { minReaderVersion: 1, minWriterVersion: 1 }, configuration: {} })
    await expect(lake.sql('SELECT * FROM t@v1')).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' })
    expect(await rowsOf(lake, 'SELECT count(*) AS n FROM t')).toEqual([{ n: 10 }])
  })

  it('ends what protects older versions, once these are old enough', async () => {
    await using lake = await open()
    await lake.sql(
      "CREATE TABLE t TBLPROPERTIES ('delta.feature.vacuumProtocolCheck' = 'supported', 'delta.dropFeatureTruncateHistory.retentionDuration' = 'interval 1 hour') AS SELECT 1 AS id",
    )
    await lake.sql('ALTER TABLE t DROP FEATURE vacuumProtocolCheck')
    await expect(lake.sql('ALTER TABLE t DROP FEATURE checkpointProtection')).rejects.toEqual(refused())
    const drop = () => lake.sql('ALTER TABLE t DROP FEATURE checkpointProtection TRUNCATE HISTORY')
    await expect(drop()).rejects.toEqual(refused({ version: 0 }))
    lake.clock.advance(DAY_MS / 24 + 1)
    await drop()
    expect((await stateOf(lake)).protocol).toEqual({ minReaderVersion: 1, minWriterVersion: 1 })
    await lake.sql('CHECKPOINT t; INSERT INTO t VALUES (2)')
    expect(await rowsOf(lake, 'SELECT count(*) AS n FROM t')).toEqual([{ n: 2 }])
  })
})

it('says why a feature stays', async () => {
  await using lake = await open()
  await lake.sql(
    "CREATE TABLE t (id INT, at TIMESTAMP_NTZ) TBLPROPERTIES ('delta.enableRowTracking' = 'true', 'delta.feature.variantShredding' = 'supported')",
  )
  const drop = (feature: string) => lake.sql(`ALTER TABLE t DROP FEATURE ${feature}`)
  await expect(drop('timestampNtz')).rejects.toMatchObject({ hint: 'drop the columns of type TIMESTAMP_NTZ' })
  await expect(drop('domainMetadata')).rejects.toEqual(refused({ needing: 'rowTracking' }))
  await expect(drop('rowTracking TRUNCATE HISTORY')).rejects.toEqual(refused({ feature: 'rowTracking' }))
  await expect(drop('deletionVectors')).rejects.toEqual(refused({ feature: 'deletionVectors' }))
  await expect(drop('variantShredding')).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
  expect((await stateOf(lake)).version).toBe(0)
})
