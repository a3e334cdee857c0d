import { describe, expect, it } from 'vitest'
import { DeltaError } from '../../src/base/errors.js'
import { GroupCommit } from '../../src/ingest/group-commit.js'
import { openInput } from '../../src/ingest/input.js'
import { commitRows, loadInput } from '../../src/ingest/load.js'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { alterTable } from '../../src/ops/alter.js'
import { clusteringBy } from '../../src/ops/alter-clustering.js'
import { compact } from '../../src/ops/optimize.js'
import { field } from '../../src/protocol/schema.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { ObjectStore } from '../../src/storage/store.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { evolvedFor } from '../../src/table/evolve.js'
import { stageFiles } from '../../src/table/stage.js'
import { sweepFaults, type WriteOperation } from '../support/fault-sweep.js'
import { FaultyStore } from '../support/faulty-store.js'
import { createTable, ndjson, openWorld, readRows } from '../support/world.js'

const world = await openWorld()
const ROWS = [1, 2, 3].map((id) => ({ id, v: 'old' }))
const NEW_ROWS = [4, 5].map((id) => ({ id, v: 'new' }))
const BATCH = { appId: 'p', version: 7 }

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

const prepare =
  (properties?: Readonly<Record<string, string>>) =>
  async (table: DeltaTable): Promise<void> => {
    await createTable(table, { properties })
    for (const row of ROWS) await load(table, [row])
  }

const PATHS: Readonly<Record<string, WriteOperation>> = {
  'creating a table': { prepare: async () => {}, run: async (table) => createTable(table), repeatable: true },
  append: { prepare: prepare(), run: async (table) => load(table, NEW_ROWS), repeatable: false },
  'append with a txn': { prepare: prepare(), run: async (table) => load(table, NEW_ROWS, BATCH), repeatable: true },
  'append that brings a checkpoint': {
    prepare: prepare({ 'delta.checkpointInterval': '4' }),
    run: async (table) => load(table, NEW_ROWS, BATCH),
    repeatable: true,
  },
  'append to a table with in-commit timestamps and row ids': {
    prepare: prepare({ 'delta.enableInCommitTimestamps': 'true', 'delta.feature.rowTracking': 'supported' }),
    run: async (table) => load(table, NEW_ROWS, BATCH),
    repeatable: true,
  },
  'append that brings a column': {
    prepare: prepare(),
    run: async (table) => {
      const incoming = { type: 'struct', fields: [field('id', 'long'), field('v', 'string'), field('more', 'long')] } as const
      const evolved = evolvedFor(table, await table.snapshot(), incoming, 'merge')
      const rows = "SELECT 4::BIGINT AS id, 'new' AS v, 1::BIGINT AS more"
      return world.database.use(async (connection) =>
        commitRows(table, evolved, (base) => stageFiles(table.deps, connection, rows, base), undefined),
      )
    },
    repeatable: false,
  },
  'clustering by a column': {
    prepare: prepare(),
    run: async (table) =>
      alterTable(table, world.source, async (snapshot, domains) => clusteringBy(snapshot, domains, [['v'], ['id']])),
    repeatable: true,
  },
  'optimize of a clustered table': {
    prepare: async (table) => {
      await createTable(table, { clusterBy: [['id']] })
      for (const row of ROWS) await load(table, [row])
    },
    run: async (table) => compact(table, world.source),
    repeatable: true,
  },
  'a group of requests': { prepare: prepare(), run: ingest, each: true, repeatable: true },
  optimize: { prepare: prepare(), run: async (table) => compact(table, world.source), repeatable: true },
  'a change of the metadata': {
    prepare: prepare(),
    run: async (table) => {
      const transaction = await table.transaction()
      const { metadata } = transaction
      return transaction.setMetadata({ ...metadata, configuration: { ...metadata.configuration, note: 'x' } }).commit()
    },
    repeatable: true,
  },
  checkpoint: {
    prepare: prepare(),
    run: async (table) => writeCheckpoint(table.deps, await table.refresh(), world.clock.now()),
    repeatable: true,
  },
}

/** A store of its own with the table before the write. */
async function tableOf(operation: WriteOperation): Promise<MemoryStore> {
  const store = new MemoryStore()
  await operation.prepare(world.table(store))
  return store
}
const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).toSorted()
const read = async (store: ObjectStore) => sorted(await readRows(world, world.table(store)))

describe.each(Object.entries(PATHS))('%s', (_, operation) => {
  it('survives the loss of any one call to the store, or of its reply, and a crash at any of them', {
    timeout: 60_000,
  }, async () => {
    await sweepFaults(world, operation)
  })
})

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
    const path = PATHS[name] as WriteOperation
    const inner = await tableOf(path)
    const faulty = new FaultyStore(inner)
    const table = world.table(faulty)
    await table.snapshot()
    losePut(faulty, when)
    await expect(path.run(table)).rejects.toMatchObject({ code: 'COMMIT_OUTCOME_UNKNOWN' })
    await path.run(where === 'here' ? table : world.table(inner))
    expect(await read(inner)).toEqual(sorted([...ROWS, ...NEW_ROWS]))
  })
})
