import { describe, expect, it } from 'vitest'
import { restore } from '../../src/ops/restore.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { checkpoint } from '../../src/table/checkpoint.js'
import type { Transaction } from '../../src/table/transaction.js'
import { addOf, openLake, openWorld, removeOf, rowsOf } from '../support/world.js'

const world = await openWorld()

/** A table with the rows 0, 1, …, one version each, from version 1 on. */
async function lakeOf(rows: number) {
  const store = new MemoryStore()
  const lake = await openLake(store)
  await lake.sql("CREATE TABLE t (id INT) COMMENT 'c' TBLPROPERTIES ('delta.checkpointInterval' = '1000')")
  for (let id = 0; id < rows; id++) await lake.sql(`INSERT INTO t VALUES (${id})`)
  const ids = async (at = '') => (await rowsOf(lake, `SELECT id FROM t ${at} ORDER BY id`)).map(({ id }) => id)
  return { store, lake, ids, delta: lake.deltaOf('t'), [Symbol.asyncDispose]: () => lake[Symbol.asyncDispose]() }
}

describe('restore', () => {
  it('gives the rows of an earlier version back, in a new one, and forgets none between', async () => {
    await using at = await lakeOf(4)
    expect(await restore(at.delta, { version: 2 })).toMatchObject({
      version: 5,
      restoredVersion: 2,
      filesAdded: 0,
      filesRemoved: 2,
      attempts: 1,
    })
    expect([await at.ids(), await at.ids('VERSION AS OF 4')]).toEqual([
      [0, 1],
      [0, 1, 2, 3],
    ])
    expect(await restore(at.delta, { version: 4 })).toMatchObject({ version: 6, filesAdded: 2, filesRemoved: 0 })
    expect(await at.ids()).toEqual([0, 1, 2, 3])
    expect((await at.lake.table('t').history({ limit: 1 }))[0]).toMatchObject({
      operation: 'RESTORE',
      operationParameters: { version: 4, timestamp: null },
      operationMetrics: { numRestoredFiles: '2', numRemovedFiles: '0', numOfFilesAfterRestore: '4' },
    })
  })

  it('goes back over a compaction: the same rows, other files', async () => {
    await using at = await lakeOf(3)
    await at.lake.sql('OPTIMIZE t')
    expect(await restore(at.delta, { version: 3 })).toMatchObject({ filesAdded: 3, filesRemoved: 1 })
    expect(await at.ids()).toEqual([0, 1, 2])
  })

  it('writes nothing when the table is like that already', async () => {
    await using at = await lakeOf(2)
    expect(await restore(at.delta, { version: 2 })).toMatchObject({ version: 2, restoredVersion: 2, attempts: 0 })
    expect(await at.ids()).toEqual([0, 1])
  })

  it('goes back to a time', async () => {
    await using at = await lakeOf(3)
    const [, second] = await at.lake.table('t').history({ limit: 2 })
    expect(await restore(at.delta, { timestampMs: second?.timestampMs ?? 0 })).toMatchObject({ restoredVersion: 2 })
    expect(await at.ids()).toEqual([0, 1])
  })

  it('takes schema, properties and comment back with the rows, never the protocol', async () => {
    await using at = await lakeOf(1)
    const transaction = await at.delta.transaction()
    const { metadata, protocol } = transaction.snapshot
    const schema = JSON.parse(metadata.schemaString) as { fields: object[] }
    const wider = { ...schema, fields: [...schema.fields, { name: 'more', type: 'string', nullable: true, metadata: {} }] }
    await transaction
      .setMetadata({
        ...metadata,
        description: 'new',
        schemaString: JSON.stringify(wider),
        configuration: { ...metadata.configuration, mine: 'x' },
      })
      .setProtocol({ ...protocol, minWriterVersion: 2 })
      .commit()
    await restore(at.delta, { version: 1 })
    const snapshot = await at.delta.snapshot()
    expect(snapshot.metadata).toEqual(metadata)
    expect(snapshot.protocol).toMatchObject({ minWriterVersion: 2 })
    await restore(at.delta, { version: 2 })
    expect((await at.delta.snapshot()).metadata).toMatchObject({ description: 'new', configuration: { mine: 'x' } })
  })

  it('takes domains back, and leaves out those of row ids', async () => {
    await using at = await lakeOf(1)
    const domain = (name: string, configuration: string) => ({ domain: name, configuration, removed: false })
    const set = async (...domains: ReturnType<typeof domain>[]) => {
      const transaction = await at.delta.transaction()
      for (const one of domains) transaction.setDomain(one)
      await transaction.commit()
    }
    await set(domain('a', '1'), domain('delta.rowTracking', '{"rowIdHighWaterMark":1}'))
    await set(domain('a', '2'), domain('b', '1'), domain('delta.rowTracking', '{"rowIdHighWaterMark":9}'))
    await restore(at.delta, { version: 2 })
    const after = [...(await at.delta.refresh()).domainMetadata()].map(({ domain: name, configuration }) => [name, configuration])
    expect(after.toSorted()).toEqual([
      ['a', '1'],
      ['delta.rowTracking', '{"rowIdHighWaterMark":9}'],
    ])
  })

  it('refuses versions whose files are gone, and changes nothing', async () => {
    await using at = await lakeOf(3)
    const [first] = (await (await at.delta.snapshot({ version: 1 })).files()).files
    await at.lake.sql('OPTIMIZE t')
    await at.store.delete([`t/${first?.file}`])
    await expect(restore(at.delta, { version: 3 })).rejects.toMatchObject({
      code: 'DATA_FILE_MISSING',
      details: { file: first?.file, version: 3 },
    })
    expect((await at.delta.snapshot()).version).toBe(4)
  })

  it('refuses a version that there is not, and a table that only takes appends', async () => {
    await using at = await lakeOf(1)
    await expect(restore(at.delta, { version: 9 })).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' })
    await at.lake.sql(
      "CREATE TABLE a (id INT) TBLPROPERTIES ('delta.appendOnly' = 'true'); INSERT INTO a VALUES (1); INSERT INTO a VALUES (2)",
    )
    await expect(restore(at.lake.deltaOf('a'), { version: 1 })).rejects.toMatchObject({ code: 'TABLE_APPEND_ONLY' })
  })

  it('conflicts with files that go meanwhile; rows that only come stay after it', async () => {
    await using at = await lakeOf(2)
    const other = world.table(at.store.child('t'))
    const meanwhile = async (stage: (theirs: Transaction) => Transaction) => {
      const begin = at.delta.transaction
      at.delta.transaction = async (...args) => {
        at.delta.transaction = begin
        const transaction = await at.delta.transaction(...args)
        await stage(await other.transaction()).commit()
        return transaction
      }
      return restore(at.delta, { version: 1 })
    }
    const [, second] = (await (await other.snapshot()).files()).files
    await expect(meanwhile((theirs) => theirs.remove([removeOf(second?.path ?? '')]))).rejects.toMatchObject({
      code: 'COMMIT_CONFLICT',
    })
    await restore(at.delta, { version: 2 })
    await meanwhile((theirs) => theirs.add([addOf('theirs.parquet')]))
    const files = (await (await at.delta.snapshot()).files()).files.map(({ file }) => file)
    expect(files).toHaveLength(2)
    expect(files).toContain('theirs.parquet')
    await other.close()
  })

  it('is typed as SQL, with parameters too', async () => {
    await using at = await lakeOf(3)
    expect(await rowsOf(at.lake, 'RESTORE TABLE t TO VERSION AS OF 1')).toMatchObject([
      { version: 4, restored_version: 1, files_removed: 2 },
    ])
    await at.lake.sql('RESTORE t VERSION AS OF ?', { params: [3] })
    expect(await at.ids()).toEqual([0, 1, 2])
    await expect(at.lake.sql("RESTORE t TO TIMESTAMP AS OF 'yesterday, perhaps'")).rejects.toMatchObject({ code: 'SQL_INVALID' })
    await expect(at.lake.sql('RESTORE t TO VERSION AS OF 1', { readOnly: true })).rejects.toMatchObject({ code: 'SQL_FORBIDDEN' })
    await expect(at.lake.table('t').restore({})).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})

describe('checkpoint', () => {
  it('holds the newest version, and readers start from it', async () => {
    await using at = await lakeOf(3)
    const written = await checkpoint(at.delta)
    expect(written).toMatchObject({ version: 3 })
    await at.store.delete([0, 1, 2].map((version) => `t/_delta_log/${String(version).padStart(20, '0')}.json`))
    const other = world.table(at.store.child('t'))
    expect((await (await other.snapshot()).files()).files).toHaveLength(3)
    await other.close()
  })

  it('is typed as SQL and asked of a table', async () => {
    await using at = await lakeOf(1)
    expect(await rowsOf(at.lake, 'CHECKPOINT t')).toMatchObject([{ version: 1, actions: 3 }])
    expect(await at.lake.table('t').checkpoint()).toMatchObject({ version: 1, actions: 3 })
    await expect(at.lake.sql('CHECKPOINT nowhere')).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' })
  })
})
