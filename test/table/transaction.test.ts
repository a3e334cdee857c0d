import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/base/random.js'
import type { AddFile } from '../../src/protocol/actions.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { stageFiles } from '../../src/table/stage.js'
import { FaultyStore } from '../support/faulty-store.js'
import { addOf, createTable, metadata, openWorld, PROTOCOL, removeOf, skippingClock, writeLog } from '../support/world.js'

const world = await openWorld()

/** A fresh table, opened as often as asked for: as many processes. */
async function tables(
  count = 1,
  store = new FaultyStore(new MemoryStore()),
): Promise<{ store: FaultyStore; opened: DeltaTable[] }> {
  const opened = Array.from({ length: count }, () => world.table(store))
  if (opened[0]) await createTable(opened[0])
  return { store, opened }
}

const append = async (table: DeltaTable, ...adds: readonly AddFile[]) => (await table.transaction()).add(adds).commit()
const pathsOf = async (table: DeltaTable, version?: number) =>
  (await (await table.snapshot({ version })).files()).files.map(({ path }) => path)
const one = <T>(list: readonly T[]): T => list[0] as T

describe('a transaction', () => {
  it('costs one conditional write when nobody is in the way', async () => {
    const { store, opened } = await tables()
    const transaction = await one(opened).transaction()
    const before = store.journal.length
    expect(await transaction.add([addOf('a')]).commit()).toEqual({ kind: 'committed', version: 1, attempts: 1 })
    expect(store.journal.slice(before).filter((call) => !call.endsWith('.crc'))).toEqual([`put-if-absent ${commitPath(1)}`])
  })

  it('goes after appends that won, reading each of them once', async () => {
    const { store, opened } = await tables(2)
    const [ours, theirs] = opened as [DeltaTable, DeltaTable]
    const transaction = await ours.transaction()
    for (const path of ['b', 'c', 'd']) await append(theirs, addOf(path))
    const before = store.journal.length
    expect(await transaction.add([addOf('a')]).commit()).toEqual({ kind: 'committed', version: 4, attempts: 2 })
    const reads = store.journal.slice(before).filter((call) => call === `get ${commitPath(2)}`)
    expect(reads.length).toBeLessThanOrEqual(2)
    expect(await pathsOf(ours)).toEqual(['b', 'c', 'd', 'a'])
  })

  it('gives a conflict back as a value, having written nothing', async () => {
    const { store, opened } = await tables(2)
    const [ours, theirs] = opened as [DeltaTable, DeltaTable]
    await append(ours, addOf('a'), addOf('b'))
    const transaction = (await ours.transaction()).remove([removeOf('a')]).add([addOf('ab')])
    await (await theirs.transaction()).remove([removeOf('a')]).commit()
    const outcome = await transaction.commit()
    expect(outcome).toMatchObject({
      kind: 'conflict',
      conflict: { version: 2, reason: 'concurrentDeleteDelete', subjects: ['a'] },
    })
    expect(await store.get(commitPath(3))).toBeUndefined()
    expect(await pathsOf(ours)).toEqual(['b'])
  })

  it('is over after one commit', async () => {
    const { opened } = await tables()
    const transaction = (await one(opened).transaction()).add([addOf('a')])
    await transaction.commit()
    await expect(transaction.commit()).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('that is aborted before its commit leaves nothing', async () => {
    const { store, opened } = await tables()
    const transaction = (await one(opened).transaction()).add([addOf('a')])
    const before = store.journal.length
    const reason = new Error('enough')
    await expect(transaction.commit({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(store.journal.slice(before).filter((call) => !call.endsWith('.crc'))).toEqual([])
    expect(await pathsOf(one(opened))).toEqual([])
  })

  it('refuses actions that nobody could read back, before it writes them', async () => {
    const { store, opened } = await tables()
    for (const adds of [[addOf('a'), addOf('a')], [addOf('', {})], [addOf('a', { size: -1 })]])
      await expect(append(one(opened), ...adds)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    expect(await store.get(commitPath(1))).toBeUndefined()
    expect(await append(one(opened), addOf('a'))).toMatchObject({ kind: 'committed', version: 1 })
  })

  it('may add a file again that is in the table, and it is there once', async () => {
    const { opened } = await tables(2)
    const [ours, theirs] = opened as [DeltaTable, DeltaTable]
    await append(ours, addOf('a'))
    await append(ours, addOf('a', { stats: '{"numRecords":3}' }))
    expect([await pathsOf(ours), await pathsOf(theirs), await pathsOf(ours, 1)]).toEqual([['a'], ['a'], ['a']])
  })

  it('may add the very file that it staged a second time, and it is there once', async () => {
    const { opened } = await tables()
    const table = one(opened)
    const staged = await world.database.use(async (connection) =>
      stageFiles(table.deps, connection, "SELECT 1 AS id, 'x' AS v", await table.snapshot()),
    )
    await append(table, ...staged.adds)
    await append(table, ...staged.adds)
    expect(await pathsOf(table)).toEqual(staged.adds.map(({ path }) => path))
  })

  it('stands even when this process cannot take its own commit in', async () => {
    const { opened } = await tables()
    const table = one(opened)
    const transaction = (await table.transaction()).add([addOf('a')])
    const log = await table.known()
    const applyOwn = log.applyOwn.bind(log)
    log.applyOwn = async () => Promise.reject(new Error('no memory'))
    world.events.splice(0)
    expect(await transaction.commit()).toMatchObject({ kind: 'committed', version: 1 })
    expect(world.events).toContainEqual(expect.objectContaining({ type: 'degraded', what: 'take in version 1' }))
    log.applyOwn = applyOwn
    expect(await pathsOf(table)).toEqual(['a'])
  })

  it('refuses to take rows out of a table that only takes appends, but may rearrange them', async () => {
    const store = new MemoryStore()
    await writeLog(store, [PROTOCOL, metadata({ 'delta.appendOnly': 'true' }), { add: addOf('a') }])
    const transaction = await world.table(store).transaction()
    expect(() => transaction.remove([removeOf('a')])).toThrowError(expect.objectContaining({ code: 'TABLE_APPEND_ONLY' }))
    transaction.remove([removeOf('a', { dataChange: false })])
  })
})

describe('a table that asks for more than this library keeps', () => {
  it.each([
    ['a writer version of the future', [{ protocol: { minReaderVersion: 1, minWriterVersion: 8 } }, metadata()]],
    [
      'a named writer feature',
      [{ protocol: { minReaderVersion: 1, minWriterVersion: 7, writerFeatures: ['icebergCompatV2'] } }, metadata()],
    ],
  ])('is not written to, where that is %s', async (_, first) => {
    const store = new FaultyStore(new MemoryStore())
    await writeLog(store, first)
    const puts = () => store.journal.filter((call) => call.startsWith('put')).length
    const before = puts()
    await expect(world.table(store).transaction()).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
    expect(puts()).toBe(before)
  })
})

describe('many writers at once', () => {
  it.each([1, 2, 3])('lose no append and leave no gap, from several processes (seed %i)', async (seed) => {
    const store = new FaultyStore(new MemoryStore())
    const random = seededRandom(seed)
    const writers = [0, 1].map(() => world.table(store, { random, clock: skippingClock() }))
    await createTable(one(writers))
    const paths = Array.from({ length: 40 }, (_, at) => `f${at}`)
    const outcomes = await Promise.all(paths.map(async (path, at) => append(writers[at % 2] as DeltaTable, addOf(path))))
    const versions = outcomes.map((outcome) => (outcome.kind === 'committed' ? outcome.version : -1))
    expect(versions.toSorted((a, b) => a - b)).toEqual(paths.map((_, at) => at + 1))
    for (const table of [...writers, world.table(store)]) expect((await pathsOf(table)).toSorted()).toEqual(paths.toSorted())
    const at = versions.indexOf(20)
    expect(await pathsOf(world.table(store), 20)).toContain(paths[at])
    expect(await pathsOf(world.table(store), 19)).not.toContain(paths[at])
  })

  it('gives up after losing the race again and again, and has written nothing', async () => {
    const store = new MemoryStore()
    const table = world.table(store)
    await createTable(table)
    const transaction = (await table.transaction()).add([addOf('mine')])
    // Somebody else is always there first.
    const putIfAbsent = store.putIfAbsent.bind(store)
    store.putIfAbsent = async (path, bytes) => {
      if (path.startsWith('_delta_log/')) await putIfAbsent(path, formatCommit([{ commitInfo: { txnId: path } }]))
      return putIfAbsent(path, bytes)
    }
    await expect(transaction.commit()).rejects.toMatchObject({ code: 'COMMIT_CONFLICT', details: { attempts: 100 } })
    expect(await pathsOf(table)).toEqual([])
  })
})

describe('create', () => {
  it('lets one of two win, and the other know', async () => {
    const store = new MemoryStore()
    const [a, b] = [world.table(store), world.table(store)]
    const created = await Promise.all([createTable(a), createTable(b)])
    expect(created.toSorted()).toEqual([false, true])
    expect((await a.snapshot()).metadata.id).toBe((await b.snapshot()).metadata.id)
  })

  it('never takes the log of a table that it cannot read for an empty place', async () => {
    const store = new FaultyStore(new MemoryStore())
    await store.put('_delta_log/00000000000000000009.checkpoint.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.parquet', new Uint8Array(8))
    const table = world.table(store)
    await expect(table.exists()).rejects.toMatchObject({ code: 'CHECKPOINT_DAMAGED' })
  })
})

describe('older versions', () => {
  it('are loaded once for everybody who asks, and one who gives up takes nobody along', async () => {
    const store = new FaultyStore(new MemoryStore())
    const table = world.table(store)
    await createTable(table, { properties: { 'delta.checkpointInterval': '2' } })
    for (let at = 1; at <= 6; at++) await append(table, addOf(`f${at}`))
    await table.close()
    const reader = world.table(store)
    await reader.snapshot()
    const lists = () => store.journal.filter((call) => call.startsWith('list')).length
    const before = lists()
    const impatient = new AbortController()
    const asked = [
      reader.snapshot({ version: 3 }, { signal: impatient.signal }),
      reader.snapshot({ version: 3 }),
      reader.snapshot({ version: 3 }),
    ]
    await new Promise((resolve) => setImmediate(resolve))
    impatient.abort(new Error('mine'))
    const results = await Promise.allSettled(asked)
    expect(results.map(({ status }) => status).slice(1)).toEqual(['fulfilled', 'fulfilled'])
    expect(lists() - before).toBe(1)
    for (const version of [0, 1, 2, 3, 4, 5, 6]) expect(await pathsOf(reader, version)).toHaveLength(version)
    await reader.close()
  })
})
