import { describe, expect, it } from 'vitest'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { TableLog } from '../../src/log/table-log.js'
import { commitPath, LOG_FOLDER } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { addOf, metadata, openWorld, PROTOCOL, removeOf, writeLog } from '../support/world.js'

const world = await openWorld()

describe('a checkpoint', () => {
  const columnOf = async (store: MemoryStore, version: number, column: string) => {
    const file = world.spool.file('parquet')
    await world.spool.write(
      file,
      (await store.get(`${LOG_FOLDER}/${String(version).padStart(20, '0')}.checkpoint.parquet`)) ?? new Uint8Array(),
    )
    const rows = await world.database.rows<{ text: string }>(
      `SELECT to_json("${column}")::VARCHAR AS text FROM read_parquet('${file}') WHERE "${column}" IS NOT NULL`,
    )
    return rows.map(({ text }) => JSON.parse(text) as Record<string, unknown>)
  }
  const day = 86_400_000

  it('keeps the producers, the domains and the whole metadata', async () => {
    const store = new MemoryStore()
    const configuration = { 'delta.appendOnly': 'false', 'my.key': 'a "quoted" \u00e9' }
    await writeLog(
      store,
      [PROTOCOL, metadata(configuration)],
      [{ txn: { appId: 'a', version: 1, lastUpdated: 5 } }, { txn: { appId: 'b', version: 9 } }],
      [
        { txn: { appId: 'a', version: 2 } },
        { domainMetadata: { domain: 'd', configuration: '{}', removed: false } },
        { domainMetadata: { domain: 'gone', configuration: '{}', removed: true } },
      ],
    )
    const { deps } = world.table(store)
    const before = await TableLog.load(deps)
    await writeCheckpoint(deps, before, 0)
    await store.delete([0, 1, 2].map(commitPath))
    const after = await TableLog.load(deps)
    expect(after.transaction('a')).toMatchObject({ version: 2 })
    expect(after.transaction('b')).toMatchObject({ version: 9 })
    expect([...after.domainMetadata()]).toEqual([{ domain: 'd', configuration: '{}', removed: false }])
    expect(after.stateAt(2)).toEqual(before.stateAt(2))
  })

  it('of an earlier version than the newest says what was so then', async () => {
    const store = new MemoryStore()
    await writeLog(
      store,
      [PROTOCOL, metadata(), { txn: { appId: 'a', version: 1 } }],
      [{ domainMetadata: { domain: 'd', configuration: '{}', removed: false } }],
      [{ txn: { appId: 'a', version: 2 } }, { domainMetadata: { domain: 'd', configuration: '{}', removed: true } }],
    )
    const { deps } = world.table(store)
    const log = await TableLog.load(deps, 1)
    const head = log.head()
    await log.follow()
    await writeCheckpoint(deps, log, 0, head)
    expect(await columnOf(store, 1, 'txn')).toEqual([expect.objectContaining({ appId: 'a', version: 1 })])
    expect(await columnOf(store, 1, 'domainMetadata')).toHaveLength(1)
  })

  it('keeps a tombstone as long as the table says, each file once', async () => {
    const store = new MemoryStore()
    const configuration = { 'delta.deletedFileRetentionDuration': 'interval 2 days' }
    const gone = (path: string, deletionTimestamp: number) => ({ remove: removeOf(path, { deletionTimestamp }) })
    await writeLog(
      store,
      [PROTOCOL, metadata(configuration), ...['old', 'young', 'twice', 'back'].map((path) => ({ add: addOf(path) }))],
      [gone('old', day), gone('young', 9 * day), gone('twice', 9 * day), gone('back', 9 * day), gone('never seen', 9 * day)],
      [{ add: addOf('twice') }, { add: addOf('back') }],
      [gone('twice', 9.5 * day)],
    )
    const { deps } = world.table(store)
    await writeCheckpoint(deps, await TableLog.load(deps), 10 * day)
    const removes = await columnOf(store, 3, 'remove')
    expect(removes.map(({ path, deletionTimestamp }) => `${path} ${deletionTimestamp}`).toSorted()).toEqual(
      [`young ${9 * day}`, `never seen ${9 * day}`, `twice ${9.5 * day}`].toSorted(),
    )
    expect((await columnOf(store, 3, 'add')).map(({ path }) => path)).toEqual(['back'])
  })

  it('never turns the hint back', async () => {
    const store = new MemoryStore()
    await writeLog(store, [PROTOCOL, metadata()], [{ add: addOf('a') }], [{ add: addOf('b') }])
    const { deps } = world.table(store)
    const log = await TableLog.load(deps)
    const pointed = async () =>
      JSON.parse(Buffer.from((await store.get(`${LOG_FOLDER}/_last_checkpoint`)) ?? []).toString()) as {
        version: number
        size: number
      }
    await writeCheckpoint(deps, log, 0)
    expect(await pointed()).toMatchObject({ version: 2, size: 4 })
    await writeCheckpoint(deps, await TableLog.load(deps, 1), 0)
    expect((await pointed()).version).toBe(2)
  })

  it('forgets producers that have been silent for longer than the table says, and none without a time', async () => {
    const store = new MemoryStore()
    const txn = (appId: string, lastUpdated?: number) => ({ txn: { appId, version: 1, lastUpdated } })
    const configuration = { 'delta.setTransactionRetentionDuration': 'interval 2 days' }
    await writeLog(store, [PROTOCOL, metadata(configuration), txn('silent', 7 * day), txn('busy', 9 * day), txn('timeless')])
    const { deps } = world.table(store)
    await writeCheckpoint(deps, await TableLog.load(deps), 10 * day)
    expect((await columnOf(store, 0, 'txn')).map(({ appId }) => appId).toSorted()).toEqual(['busy', 'timeless'])
  })

  it('forgets keys of single batches after a week, in memory too, and producers never where the table says nothing', async () => {
    const store = new MemoryStore()
    const txn = (appId: string, lastUpdated?: number) => ({ txn: { appId, version: 1, lastUpdated } })
    await writeLog(store, [
      PROTOCOL,
      metadata(),
      txn('key:old', 2 * day),
      txn('key:new', 4 * day),
      txn('silent', 0),
      txn('key:timeless'),
    ])
    const { deps } = world.table(store)
    const log = await TableLog.load(deps)
    await writeCheckpoint(deps, log, 10 * day)
    const left = ['key:new', 'key:timeless', 'silent']
    expect((await columnOf(store, 0, 'txn')).map(({ appId }) => appId).toSorted()).toEqual(left)
    expect([...log.transactions()].map(({ appId }) => appId).toSorted()).toEqual(left)
  })
})
