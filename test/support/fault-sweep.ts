import { expect } from 'vitest'
import { isDeltaError } from '../../src/base/errors.js'
import { readCommit } from '../../src/log/segment-load.js'
import { decodeFilePath, isAbsoluteFilePath } from '../../src/protocol/file-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { ObjectStore } from '../../src/storage/store.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { everyFault, type Fault, FaultyStore } from './faulty-store.js'
import { readRows, type World } from './world.js'

/** Anything that writes to a table. */
export interface WriteOperation {
  /** Makes the table, in an empty store. */
  prepare(table: DeltaTable): Promise<unknown>
  run(table: DeltaTable): Promise<unknown>
  /** Doing it again after it landed changes nothing: it names its batch, or has nothing left to do. */
  readonly repeatable: boolean
  /** It is several requests, of which each may fail alone. */
  readonly each?: boolean
}

const READS = ['get', 'head', 'list', 'list-folders', 'ensure-safe'] as const
const OWN_FILES =
  /^(_delta_log\/(\d{20}\.(json|crc|checkpoint\.parquet)|_last_checkpoint)|(.*\/)?part-\d{5}-[0-9a-f-]+\.c000\.\w+\.parquet|(.*\/)?deletion_vector_[0-9a-f-]+\.bin)$/

/**
 * Fails every call that an operation makes of the store, one a run: before its work, after it, and as a crash after which
 * nothing is done any more. Whatever happened, the table is as it was or as it was to be, what was acknowledged is there
 * once, every file that a commit names is there, and what else lies about are files that no commit names. Where it had
 * not landed, or may be repeated, doing it again on the same store settles it.
 */
export async function sweepFaults(world: World, operation: WriteOperation): Promise<void> {
  const original = new MemoryStore()
  await closing(world.table(original), (table) => operation.prepare(table))
  const rehearsed = await copyOf(original)
  const rehearsal = new FaultyStore(rehearsed)
  expect(await attempt(world, operation, rehearsal)).toBeUndefined()
  const [before, after] = [await look(world, original), await look(world, rehearsed)]
  const faults = faultsOf(rehearsal.journal)
  expect(faults.length).toBeGreaterThanOrEqual(4)
  for (const fault of faults) {
    const story = `the ${fault.nth}th of ${String(fault.call)} lost ${fault.when}${fault.crash ? ', and the process with it' : ''}`
    const store = await copyOf(original)
    const error = await attempt(world, operation, new FaultyStore(store, [fault]))
    if (error !== undefined) expect(isDeltaError(error, 'unavailable'), `${story}: ${String(error)}`).toBe(true)
    const found = await look(world, store)
    if (operation.each) expect(after.rows, story).toEqual(expect.arrayContaining(found.rows))
    else expect([before, after], story).toContainEqual(found)
    if (error === undefined) expect(found, story).toEqual(after)
    await checkFiles(store, story)
    if (operation.repeatable || JSON.stringify(found) === JSON.stringify(before)) {
      expect(await attempt(world, operation, store), story).toBeUndefined()
      expect(await look(world, store), story).toEqual(after)
    }
  }
}

/** A read that fails is the same before and after. */
function faultsOf(journal: readonly string[]): Fault[] {
  const lost = [...everyFault(journal), ...everyFault(journal, READS).filter(({ when }) => when === 'before')]
  return [...lost, ...everyFault(journal).map((fault) => ({ ...fault, crash: true }))]
}

async function attempt(world: World, operation: WriteOperation, store: ObjectStore): Promise<unknown> {
  return closing(world.table(store), async (table) => {
    try {
      await operation.run(table)
      return undefined
    } catch (error) {
      return error
    }
  })
}

/** What everybody sees of a table: its rows, and what it says of itself but for what differs from run to run. */
async function look(world: World, store: ObjectStore) {
  return closing(world.table(store), async (table) => {
    if (!(await table.exists())) return { rows: [], schema: undefined }
    const { metadata, protocol } = await table.snapshot()
    const { schemaString, partitionColumns, configuration } = metadata
    const rows = (await readRows<object>(world, table)).map((row) => JSON.stringify(row)).toSorted()
    return { rows, schema: { schemaString, partitionColumns, configuration, protocol } }
  })
}

async function checkFiles(store: MemoryStore, story: string): Promise<void> {
  const there = new Set<string>()
  for await (const { path } of store.list('')) there.add(path)
  expect(
    [...there].filter((path) => !OWN_FILES.test(path)),
    story,
  ).toEqual([])
  for (let version = 0; ; version++) {
    const commit = await readCommit(store, version)
    if (!commit) break
    const named = [...commit.adds, ...commit.cdc].map(({ path }) => path).filter((path) => !isAbsoluteFilePath(path))
    expect(
      named.filter((path) => !there.has(decodeFilePath(path))),
      story,
    ).toEqual([])
  }
}

async function copyOf(store: MemoryStore): Promise<MemoryStore> {
  const copy = new MemoryStore()
  for await (const { path } of store.list('')) await copy.put(path, (await store.get(path)) ?? new Uint8Array())
  return copy
}

async function closing<T>(table: DeltaTable, work: (table: DeltaTable) => Promise<T>): Promise<T> {
  try {
    return await work(table)
  } finally {
    await table.close()
  }
}
