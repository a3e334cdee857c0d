import { describe, expect, it } from 'vitest'
import { openInput } from '../../src/ingest/input.js'
import { loadInput } from '../../src/ingest/load.js'
import { readCommit } from '../../src/log/segment-load.js'
import { deleteRows } from '../../src/ops/delete.js'
import { updateRows } from '../../src/ops/update.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import type { Snapshot } from '../../src/table/snapshot.js'
import { withRows } from '../support/row-query.js'
import { createTable, ndjson, openWorld, readRows } from '../support/world.js'

const world = await openWorld()

/** A table of one file with ids 0 to 9, opened by two processes that saw the same version of it. */
async function twice(...deletedBefore: number[]) {
  const store = new MemoryStore()
  const [ours, theirs] = [world.table(store), world.table(store)]
  await createTable(ours, { properties: { 'delta.enableDeletionVectors': 'true' } })
  const path = world.spool.file('ndjson')
  await world.spool.write(path, ndjson(...Array.from({ length: 10 }, (_, id) => ({ id, v: 'old' }))))
  await world.database.use(async (connection) =>
    loadInput(ours, await openInput(connection, world.spool, 'ndjson', path), { onError: 'fail', keepRejects: async () => {} }),
  )
  if (deletedBefore.length > 0) await deleting(ours, await ours.snapshot(), deletedBefore)
  return { store, ours, theirs, seen: [await ours.snapshot(), await theirs.snapshot()] as const }
}

const deleting = async (table: DeltaTable, snapshot: Snapshot, ids: readonly number[], readsWhole = false) =>
  withRows(world, table, snapshot, { where: `id IN (${ids.join(', ')})` }, async (query) =>
    deleteRows(table, world.source, snapshot, { query, predicate: undefined, readsWhole }),
  )

const updating = async (table: DeltaTable, snapshot: Snapshot, ids: readonly number[]) =>
  withRows(world, table, snapshot, { columns: [`'new' AS fresh`], where: `id IN (${ids.join(', ')})` }, async (query) => {
    // Statistics keep the statement apart from new rows of other ids.
    const narrow = {
      ...query,
      condition: `stat."minValues"."id" <= ${Math.max(...ids)} AND stat."maxValues"."id" >= ${Math.min(...ids)}`,
    }
    const values = new Map([['v', 'fresh']])
    return updateRows(table, world.source, snapshot, {
      query: narrow,
      values,
      defaults: new Set(),
      predicate: undefined,
      readsWhole: false,
    })
  })

const rowsOf = async (table: DeltaTable) =>
  (await readRows(world, table)).map(({ id, v }) => (v === 'old' ? `${id}` : `${id}!`)).toSorted()

describe('statements that take other rows out of the same file', () => {
  it.each([[[]], [[0]], [[0, 9]]])('both count, without being run again (deleted before: %j)', async (before) => {
    const { store, ours, theirs, seen } = await twice(...before)
    const version = seen[0].version
    expect(await deleting(theirs, seen[1], [1, 2])).toMatchObject({ version: version + 1 })
    expect(await deleting(theirs, await theirs.snapshot(), [3])).toMatchObject({ version: version + 2 })
    expect(await deleting(ours, seen[0], [4, 5])).toMatchObject({ version: version + 3, rowsDeleted: 2 })
    const wanted = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
      .filter((id) => id > 5 || id === 0)
      .filter((id) => !(before as number[]).includes(id))
    for (const table of [ours, theirs]) expect(await rowsOf(table)).toEqual(wanted.map(String))
    expect((await readCommit(store, version + 3))?.commitInfo?.['readVersion']).toBe(version)
  })

  it('both count where they update', async () => {
    const { ours, theirs, seen } = await twice()
    await updating(theirs, seen[1], [1, 2])
    await updating(ours, seen[0], [4, 5])
    expect(await rowsOf(ours)).toEqual(['0', '1!', '2!', '3', '4!', '5!', '6', '7', '8', '9'])
  })

  it('collide over one row, where one takes out the whole file, where no row would be left, and where a condition saw more', async () => {
    const conflict = { kind: 'conflict' }
    for (const other of [[4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 6, 7, 8, 9]]) {
      const { ours, theirs, seen } = await twice()
      await deleting(theirs, seen[1], other)
      expect(await deleting(ours, seen[0], [4, 5])).toMatchObject(conflict)
    }
    const { ours, theirs, seen } = await twice(0)
    await deleting(theirs, seen[1], [1])
    expect(await deleting(ours, seen[0], [4], true)).toMatchObject(conflict)
    const { deletionVector } = (await (await theirs.snapshot()).files()).files[0] ?? {}
    expect(deletionVector?.cardinality).toBe(2)
  })
})
