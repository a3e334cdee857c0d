import { describe, it } from 'vitest'
import { openInput } from '../../src/ingest/input.js'
import { loadInput } from '../../src/ingest/load.js'
import { deleteRows } from '../../src/ops/delete.js'
import type { RowQuery } from '../../src/ops/found-rows.js'
import { mergeRows } from '../../src/ops/merge.js'
import { updateRows } from '../../src/ops/update.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import type { Snapshot } from '../../src/table/snapshot.js'
import { sweepFaults } from '../support/fault-sweep.js'
import { withRows } from '../support/row-query.js'
import { createTable, ndjson, openWorld } from '../support/world.js'

const world = await openWorld()

async function prepare(table: DeltaTable, deletionVectors: boolean): Promise<void> {
  await createTable(table, { properties: { 'delta.enableDeletionVectors': String(deletionVectors) } })
  for (const ids of [[1, 2, 3], [4]]) {
    const path = world.spool.file('ndjson')
    await world.spool.write(path, ndjson(...ids.map((id) => ({ id, v: 'old' }))))
    await world.database.use(async (connection) =>
      loadInput(table, await openInput(connection, world.spool, 'ndjson', path), {
        onError: 'fail',
        keepRejects: async () => {},
      }),
    )
  }
}

async function changing(
  table: DeltaTable,
  rows: Parameters<typeof withRows>[3],
  work: (snapshot: Snapshot, query: RowQuery) => Promise<unknown>,
): Promise<void> {
  const snapshot = await table.snapshot()
  await withRows(world, table, snapshot, rows, async (query) => work(snapshot, query))
}

describe.each([true, false])('a statement on rows (deletion vectors: %s)', (vectors) => {
  const common = { predicate: undefined, readsWhole: false }

  it('DELETE survives the loss of any one call to the store, or of its reply, and a crash at any of them', async () => {
    await sweepFaults(world, {
      prepare: (table) => prepare(table, vectors),
      run: (table) =>
        changing(table, { where: 'id IN (2, 4)' }, (snapshot, query) =>
          deleteRows(table, world.source, snapshot, { ...common, query }),
        ),
      repeatable: true,
    })
  }, 60_000)

  it('UPDATE survives the loss of any one call to the store, or of its reply, and a crash at any of them', async () => {
    await sweepFaults(world, {
      prepare: (table) => prepare(table, vectors),
      run: (table) =>
        changing(table, { columns: [`'new' AS fresh`], where: `id IN (2, 4) AND v = 'old'` }, (snapshot, query) => {
          const values = new Map([['v', 'fresh']])
          return updateRows(table, world.source, snapshot, { ...common, query, values, defaults: new Set() })
        }),
      repeatable: true,
    })
  }, 60_000)

  it('MERGE survives the loss of any one call to the store, or of its reply, and a crash at any of them', async () => {
    const action = { condition: undefined, given: ['id', 'v'] }
    const actions = [
      { ...action, when: 'matched', kind: 'update' },
      { ...action, when: 'matched', kind: 'delete' },
      { ...action, when: 'notMatched', kind: 'insert' },
    ] as const
    const columns = ['CASE id WHEN 2 THEN 0 ELSE 1 END AS "__clause"', 'id AS "__new_0"', `'new' AS "__new_1"`]
    const others = `SELECT NULL, NULL, 2, 9, 'new' UNION ALL SELECT NULL, 3, -1, NULL, NULL`
    await sweepFaults(world, {
      prepare: (table) => prepare(table, vectors),
      run: (table) =>
        changing(table, { columns, where: 'id IN (2, 4)' }, (snapshot, query) => {
          const merging = { ...query, text: `${query.text} UNION ALL ${others}` }
          return mergeRows(table, world.source, snapshot, { query: merging, actions, predicate: 'TRUE', readsWhole: false })
        }),
      repeatable: false,
    })
  }, 120_000)
})
