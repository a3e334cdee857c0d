import { describe, expect, it } from 'vitest'
import { DeltaError, isDeltaError } from '../../src/base/errors.js'
import { GroupCommit } from '../../src/ingest/group-commit.js'
import { openInput } from '../../src/ingest/input.js'
import { loadInput } from '../../src/ingest/load.js'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { compact } from '../../src/ops/optimize.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { ObjectStore } from '../../src/storage/store.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { everyFault, type Fault, FaultyStore } from '../support/faulty-store.js'
import { createTable, ndjson, openWorld, readRows } from '../support/world.js'

/*
 * Every call that a write path makes of the store fails once, before its work and after it. Whatever happened then, the
 * table is as it was or as it was to be; what was acknowledged is there once; doing it again settles it; and what is left
 * over are data files that no version names.
 */
const world = await openWorld()
const ROWS = [1, 2, 3].map((id) => ({ id, v: 'old' }))
const NEW_ROWS = [4, 5].map((id) => ({ id, v: 'new' }))

async function load(table: DeltaTable, rows: readonly object[], batch?: { appId: string; version: number }) {
  const path = world.spool.file('ndjson')
  await world.spool.write(path, ndjson(...rows))
  return world.database.use(async (connection) =>
    loadInput(table, await openInput(connection, world.spool, 'ndjson', path), {
      onError: 'fail',
      batch,
      keepRejects: async () => {},
    }),
  )
}

async function ingest(table: DeltaTable) {
  const group = new GroupCommit(table, { lingerMs: 0, keepRejects: async () => {} })
  const results = await Promise.allSettled(
    NEW_ROWS.map(async (row, at) => {
      const bytes = ndjson(row)
      const body = { kind: 'bytes' as const, chunks: [bytes], sizeBytes: bytes.length }
      return group.ingest({ body, format: 'ndjson', onError: 'fail', batch: { appId: `p${at}`, version: 1 } })
    }),
  )
  await group.close()
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
  return results
}

interface WritePath {
  readonly properties?: Readonly<Record<string, string>>
  run(table: DeltaTable): Promise<unknown>
  readonly rowsAfter: readonly object[]
  /** It is several requests, of which each may fail alone. */
  readonly each?: boolean
  /** Doing it again after it landed changes nothing. */
  readonly repeatable: boolean
}

const PATHS: Readonly<Record<string, WritePath>> = {
  append: { run: async (table) => load(table, NEW_ROWS), rowsAfter: [...ROWS, ...NEW_ROWS], repeatable: false },
  'append with a txn': {
    run: async (table) => load(table, NEW_ROWS, { appId: 'p', version: 7 }),
    rowsAfter: [...ROWS, ...NEW_ROWS],
    repeatable: true,
  },
  'append that brings a checkpoint': {
    properties: { 'delta.checkpointInterval': '4' },
    run: async (table) => load(table, NEW_ROWS, { appId: 'p', version: 7 }),
    rowsAfter: [...ROWS, ...NEW_ROWS],
    repeatable: true,
  },
  'a group of requests': { run: ingest, each: true, rowsAfter: [...ROWS, ...NEW_ROWS], repeatable: true },
  optimize: { run: async (table) => compact(table, world.source), rowsAfter: ROWS, repeatable: true },
  checkpoint: {
    run: async (table) => writeCheckpoint(table.deps, await table.refresh(), (await table.snapshot()).version, world.clock.now()),
    rowsAfter: ROWS,
    repeatable: true,
  },
}

const made = new Map<WritePath, Promise<MemoryStore>>()

/** A store of its own with the table before the write. */
async function tableOf(path: WritePath): Promise<MemoryStore> {
  const original = made.get(path) ?? makeTable(path)
  made.set(path, original)
  const copy = new MemoryStore()
  for await (const info of (await original).list(''))
    await copy.put(info.path, (await (await original).get(info.path)) ?? new Uint8Array())
  return copy
}

async function makeTable(path: WritePath): Promise<MemoryStore> {
  const store = new MemoryStore()
  const table = world.table(store)
  await createTable(table, { properties: path.properties })
  for (const row of ROWS) await load(table, [row])
  await table.close()
  return store
}

const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).toSorted()
const read = async (store: ObjectStore) => {
  const table = world.table(store)
  const rows = sorted(await readRows(world, table))
  await table.close()
  return rows
}

/** What is in the store beside the log's own files and the data files that some version names. */
async function strangers(store: MemoryStore): Promise<string[]> {
  const found: string[] = []
  for await (const { path } of store.list('')) found.push(path)
  return found.filter(
    (path) =>
      !/^_delta_log\/(\d{20}\.(json|checkpoint\.parquet)|_last_checkpoint)$|^part-00000-[0-9a-f-]+\.c000\.(snappy|zstd)\.parquet$/.test(
        path,
      ),
  )
}

async function attempt(path: WritePath, store: ObjectStore): Promise<unknown> {
  const table = world.table(store)
  try {
    await path.run(table)
    return undefined
  } catch (error) {
    return error
  } finally {
    await table.close()
  }
}

const READS = ['get', 'head', 'list', 'list-folders', 'ensure-safe'] as const

/** A read that fails is the same before and after. */
function faultsOf({ journal }: FaultyStore): Fault[] {
  return [...everyFault(journal), ...everyFault(journal, READS).filter(({ when }) => when === 'before')]
}

describe.each(Object.entries(PATHS))('%s', (_, path) => {
  it('survives the loss of any one call to the store, or of its reply', async () => {
    const rehearsal = new FaultyStore(await tableOf(path))
    expect(await attempt(path, rehearsal)).toBeUndefined()
    const before = sorted(ROWS)
    const after = sorted(path.rowsAfter)
    const faults = faultsOf(rehearsal)
    expect(faults.length).toBeGreaterThanOrEqual(4)
    for (const fault of faults) {
      const story = `the ${fault.nth}th of ${String(fault.call)} lost ${fault.when}`
      const inner = await tableOf(path)
      const error = await attempt(path, new FaultyStore(inner, [fault]))
      if (error !== undefined) expect(isDeltaError(error, 'unavailable'), `${story}: ${String(error)}`).toBe(true)
      const found = await read(inner)
      if (path.each) expect(after, story).toEqual(expect.arrayContaining(found))
      else expect([before, after], story).toContainEqual(found)
      if (error === undefined) expect(found, story).toEqual(after)
      expect(await strangers(inner), story).toEqual([])
      if (path.repeatable || sameRows(found, before)) {
        expect(await attempt(path, inner), story).toBeUndefined()
        expect(await read(inner), story).toEqual(after)
      }
    }
  })
})

function sameRows(a: readonly string[], b: readonly string[]): boolean {
  return a.join('\n') === b.join('\n')
}

describe('a commit of which nobody knows whether it landed', () => {
  /** The first put fails, and from then on no put is done and nothing is read back, as often as the committer tries. */
  function losePut(store: FaultyStore, when: 'before' | 'after'): void {
    const away = () => new DeltaError('STORE_UNAVAILABLE', 'away')
    const error = () => {
      for (const nth of [1, 2, 3, 4]) {
        if (nth < 4) store.fail({ call: 'put-if-absent', nth, when: 'before', error: away })
        store.fail({ call: 'get', nth, when: 'before', error: away })
      }
      return away()
    }
    store.fail({ call: 'put-if-absent', nth: 1, when, error })
  }

  it.each([
    ['append with a txn', 'here', 'after'],
    ['append with a txn', 'here', 'before'],
    ['append with a txn', 'elsewhere', 'after'],
    ['append with a txn', 'elsewhere', 'before'],
    ['a group of requests', 'here', 'after'],
    ['a group of requests', 'here', 'before'],
    ['a group of requests', 'elsewhere', 'after'],
    ['a group of requests', 'elsewhere', 'before'],
  ] as const)('is settled by sending %s again, %s (the reply is lost %s the write)', async (name, where, when) => {
    const path = PATHS[name] as WritePath
    const inner = await tableOf(path)
    const faulty = new FaultyStore(inner)
    const table = world.table(faulty)
    await table.snapshot()
    losePut(faulty, when)
    await expect(path.run(table)).rejects.toMatchObject({ code: 'COMMIT_OUTCOME_UNKNOWN' })
    await path.run(where === 'here' ? table : world.table(inner))
    expect(await read(inner)).toEqual(sorted(path.rowsAfter))
  })
})

describe('creating a table', () => {
  it('survives the loss of any one call to the store, or of its reply', async () => {
    const rehearsal = new FaultyStore(new MemoryStore())
    await createTable(world.table(rehearsal))
    for (const fault of faultsOf(rehearsal)) {
      const inner = new MemoryStore()
      const made = await createTable(world.table(new FaultyStore(inner, [fault]))).catch((error: unknown) => {
        expect(isDeltaError(error, 'unavailable')).toBe(true)
        return undefined
      })
      const exists = await world.table(inner).exists()
      if (made !== undefined) expect([made, exists]).toEqual([true, true])
      expect(await createTable(world.table(inner))).toBe(!exists)
      expect((await world.table(inner).snapshot()).version).toBe(0)
    }
  })
})
