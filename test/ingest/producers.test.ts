import { describe, expect, it } from 'vitest'
import { findFirstResult } from '../../src/ingest/batches.js'
import { GroupCommit } from '../../src/ingest/group-commit.js'
import { openInput } from '../../src/ingest/input.js'
import { loadInput } from '../../src/ingest/load.js'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { FaultyStore } from '../support/faulty-store.js'
import { addOf, createTable, ndjson, openWorld, readRows } from '../support/world.js'

const world = await openWorld()

interface Node {
  readonly table: DeltaTable
  send(appId: string, version: number, ...ids: readonly number[]): ReturnType<GroupCommit['ingest']>
  /** Fails for a line that is no row, and for a gap. */
  sendClosely(appId: string, version: number, ...ids: readonly (number | string)[]): ReturnType<GroupCommit['ingest']>
  close(): Promise<void>
}

/** A process that takes in batches. */
function nodeOn(store: MemoryStore | FaultyStore, lingerMs = 0): Node {
  const table = world.table(store)
  const group = new GroupCommit(table, { lingerMs, keepRejects: async () => {} })
  return {
    table,
    send: async (appId, version, ...ids) => {
      const bytes = ndjson(...ids.map((id) => (id < 0 ? 'broken' : { id, v: `${appId}/${version}` })))
      const body = { kind: 'bytes' as const, chunks: [bytes], sizeBytes: bytes.length }
      return group.ingest({ body, format: 'ndjson', onError: 'reject', batch: { appId, version } })
    },
    sendClosely: async (appId, version, ...ids) => {
      const bytes = ndjson(...ids.map((id) => ({ id })))
      const body = { kind: 'bytes' as const, chunks: [bytes], sizeBytes: bytes.length }
      return group.ingest({ body, format: 'ndjson', onError: 'fail', batch: { appId, version, follows: 'closely' } })
    },
    close: async () => {
      await group.close()
      await table.close()
    },
  }
}

async function newStore(): Promise<FaultyStore> {
  const store = new FaultyStore(new MemoryStore())
  await createTable(world.table(store))
  return store
}

const idsOf = async (store: MemoryStore | FaultyStore) =>
  (await readRows(world, world.table(store))).map(({ id }) => id).toSorted((a, b) => a - b)

describe('a batch that is sent again', () => {
  it('is answered as it was the first time, and adds nothing', async () => {
    const store = await newStore()
    const node = nodeOn(store)
    const first = await node.send('p', 1, 1, 2, -1)
    expect(first).toMatchObject({ version: 1, rows: 2, rejected: 1, replayed: false })
    await node.send('q', 1, 3)
    const before = store.journal.length
    expect(await node.send('p', 1, 1, 2, -1)).toEqual({ version: 1, rows: 2, rejected: 1, replayed: true, rejects: [] })
    // The checksum of the commit before may still be on its way.
    expect(store.journal.slice(before).filter((call) => !call.endsWith('.crc'))).toEqual([])
    expect(await idsOf(store)).toEqual([1, 2, 3])
    await node.close()
  })

  it('while the first is on its way, waits for it', async () => {
    const store = await newStore()
    const node = nodeOn(store, 20)
    const [first, second] = await Promise.all([node.send('p', 1, 1), node.send('p', 1, 1)])
    expect([first.replayed, second.replayed, first.version, second.version]).toEqual([false, true, 1, 1])
    expect(await idsOf(store)).toEqual([1])
    await node.close()
  })

  it.each(['another process', 'the same place after a restart', 'a checkpoint alone'])(
    'is known from the table itself: in %s',
    async (where) => {
      const store = await newStore()
      const node = nodeOn(store)
      await node.send('p', 1, 1, 2)
      await node.send('p', 2, 3)
      await node.send('q', 1, 4)
      if (where !== 'another process') await node.close()
      if (where === 'a checkpoint alone') {
        const { deps } = node.table
        await writeCheckpoint(deps, await node.table.refresh(), 0)
        await node.close()
      }
      const next = nodeOn(store)
      expect(await next.send('p', 2, 3)).toMatchObject({ version: 2, rows: 1, replayed: true })
      expect(await next.send('p', 1, 1, 2)).toMatchObject({ version: 1, rows: 2, replayed: true })
      expect(await next.send('p', 3, 5)).toMatchObject({ version: 4, replayed: false })
      expect(await idsOf(store)).toEqual([1, 2, 3, 4, 5])
      await next.close()
    },
  )

  it('is still known when the log no longer tells what became of it', async () => {
    const store = await newStore()
    const node = nodeOn(store)
    await node.send('p', 1, 1)
    await node.send('p', 2, 2)
    await writeCheckpoint(node.table.deps, await node.table.refresh(), 0)
    await node.close()
    await store.delete([0, 1, 2].map(commitPath))
    const next = nodeOn(store)
    expect(await next.send('p', 2, 2)).toMatchObject({ replayed: true })
    await expect(next.send('p', 1, 1)).rejects.toMatchObject({ code: 'SEQUENCE_OUT_OF_ORDER' })
    await next.close()
  })

  it('may have been another engine’s', async () => {
    const store = await newStore()
    const actions = [
      { commitInfo: { operationMetrics: { numOutputRows: '7' } } },
      { txn: { appId: 'spark', version: 5 } },
      { add: addOf('x') },
    ]
    await store.put(commitPath(1), formatCommit(actions))
    const table = world.table(store)
    await table.snapshot()
    expect(await findFirstResult(table, { appId: 'spark', version: 5 })).toMatchObject({ rows: 7, committedAt: 1 })
    expect(await findFirstResult(table, { appId: 'spark', version: 6 })).toBeUndefined()
    await expect(findFirstResult(table, { appId: 'spark', version: 4 })).rejects.toMatchObject({ code: 'SEQUENCE_OUT_OF_ORDER' })
  })
})

describe('a producer', () => {
  it('that goes back to a sequence which was never taken is told so, and how far it had come', async () => {
    const store = await newStore()
    const node = nodeOn(store)
    await node.send('p', 3, 1)
    await expect(node.send('p', 2, 9)).rejects.toMatchObject({
      code: 'SEQUENCE_OUT_OF_ORDER',
      kind: 'conflict',
      details: { producer: 'p', sequence: 2, last: 3 },
    })
    expect(await idsOf(store)).toEqual([1])
    await node.close()
  })

  it('is not looked for in all of the log when its sequence is old', async () => {
    const store = await newStore()
    const node = nodeOn(store)
    for (let version = 1; version <= 5; version++) await node.send('other', version, version)
    await node.send('p', 10, 10)
    await node.send('p', 20, 20)
    await node.close()
    const next = nodeOn(store)
    await next.table.snapshot()
    const before = store.journal.length
    await expect(next.send('p', 15, 15)).rejects.toMatchObject({ code: 'SEQUENCE_OUT_OF_ORDER' })
    expect(store.journal.slice(before).filter((call) => call.startsWith('get'))).toEqual(
      [7, 6].map((version) => `get ${commitPath(version)}`),
    )
    await next.close()
  })

  it('may have several batches in one group', async () => {
    const store = await newStore()
    const node = nodeOn(store, 20)
    const results = await Promise.all([1, 2, 3].map(async (version) => node.send('p', version, version)))
    expect(results.map(({ version, replayed }) => [version, replayed])).toEqual([
      [1, false],
      [1, false],
      [1, false],
    ])
    expect(await node.send('p', 2, 2)).toMatchObject({ version: 1, rows: 1, replayed: true })
    expect(await idsOf(store)).toEqual([1, 2, 3])
    await node.close()
  })

  it('may send a batch without rows, and it is remembered', async () => {
    const store = await newStore()
    const node = nodeOn(store)
    expect(await node.send('p', 1)).toMatchObject({ version: 1, rows: 0, replayed: false })
    expect(await node.send('p', 1)).toMatchObject({ version: 1, rows: 0, replayed: true })
    await node.close()
  })
})

describe('a producer that asks for no gaps', () => {
  const closely = (node: Node, version: number, ...ids: readonly (number | string)[]) => node.sendClosely('p', version, ...ids)

  it('is refused a batch before which one is missing, also when that one comes in beside it and fails', async () => {
    const store = await newStore()
    const node = nodeOn(store, 20)
    await expect(closely(node, 2, 9)).rejects.toMatchObject({
      code: 'SEQUENCE_OUT_OF_ORDER',
      details: { last: null, sequence: 2 },
    })
    expect(await closely(node, 1, 1)).toMatchObject({ replayed: false })
    const together = await Promise.allSettled([closely(node, 2, 2), closely(node, 3, 3), closely(node, 5, 5)])
    expect(together.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
    const after = await Promise.allSettled([closely(node, 4, 'broken'), closely(node, 5, 5)])
    expect(after.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await closely(node, 3, 3)).toMatchObject({ replayed: true })
    expect(await idsOf(store)).toEqual([1, 2, 3])
    await node.close()
  })
})

describe('two processes', () => {
  it('that take in one batch at one time write it once, beside what came in with it', async () => {
    const store = await newStore()
    const nodes = [nodeOn(store, 10), nodeOn(store, 10)]
    const results = await Promise.all(
      nodes.flatMap((node, at) => [node.send('p', 1, 1, 2), node.send(`own-${at}`, 1, 10 + at), node.send('q', 1, 3)]),
    )
    expect(results.filter(({ replayed }) => replayed)).toHaveLength(2)
    expect(await idsOf(store)).toEqual([1, 2, 3, 10, 11])
    const of = (at: number) => results[at] as { version: number; rows: number }
    expect([of(0).version, of(0).rows]).toEqual([of(3).version, of(3).rows])
    for (const node of nodes) await node.close()
  })

  it('do not stop one another when only one of them knows of a change to the table', async () => {
    const store = await newStore()
    const node = nodeOn(store)
    await node.send('p', 1, 1)
    const { metadata, protocol } = await node.table.snapshot()
    await store.put(commitPath(2), formatCommit([{ protocol }, { metaData: { ...metadata, description: 'changed' } }]))
    expect(await node.send('p', 2, 2)).toMatchObject({ version: 3, replayed: false })
    expect(await idsOf(store)).toEqual([1, 2])
    await node.close()
  })
})

describe('a load in several commits', () => {
  it('goes on where it broke off', async () => {
    const store = await newStore()
    const path = world.spool.file('ndjson')
    await world.spool.write(path, ndjson(...Array.from({ length: 10 }, (_, id) => ({ id, v: 'x' }))))
    const load = async () =>
      world.database.use(async (connection) =>
        loadInput(world.table(store), await openInput(connection, world.spool, 'ndjson', path), {
          onError: 'fail',
          batchRows: 3,
          batch: { appId: 'loader', version: 100 },
          keepRejects: async () => {},
        }),
      )
    store.fail({ call: 'put-file', nth: 3, when: 'before' })
    await expect(load()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(await idsOf(store)).toEqual([0, 1, 2, 3, 4, 5])
    expect(await load()).toMatchObject({ commits: 2, rowsAdded: 10, replayed: false })
    expect(await idsOf(store)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(await load()).toMatchObject({ commits: 0, rowsAdded: 10, replayed: true })
  })
})
