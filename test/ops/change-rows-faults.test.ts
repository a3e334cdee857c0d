import { describe, it } from 'vitest'
import { openInput } from '../../src/ingest/input.js'
import { loadInput } from '../../src/ingest/load.js'
import { deleteRows } from '../../src/ops/delete.js'
import type { RowQuery } from '../../src/ops/found-rows.js'
import { updateRows } from '../../src/ops/update.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { scanSql } from '../../src/table/scan-sql.js'
import type { Snapshot } from '../../src/table/snapshot.js'
import { sweepFaults } from '../support/fault-sweep.js'
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

/** Runs `work` with a query for the rows that a condition selects. */
async function withRows(
  table: DeltaTable,
  columns: string,
  where: string,
  work: (snapshot: Snapshot, query: RowQuery) => Promise<unknown>,
): Promise<void> {
  const snapshot = await table.snapshot()
  const { files } = await snapshot.files()
  const held = await world.source.open(table.deps.store, files, snapshot, undefined)
  const session = await world.database.session()
  try {
    const { schema, partitionColumns, mapping } = snapshot
    const scan = scanSql({ fields: schema.fields, partitionColumns, mapping, address: true }, held.files)
    await work(snapshot, {
      snapshot,
      session,
      text: `SELECT ${columns} FROM (${scan}) WHERE ${where}`,
      params: undefined,
      condition: 'TRUE',
      files: new Map(files.map((file, at) => [held.files[at]?.localFile ?? '', file])),
    })
  } finally {
    session.close()
    held.release()
  }
}

const ADDRESS = '"__file", "__row"'

describe.each([true, false])('a statement on rows (deletion vectors: %s)', (vectors) => {
  const common = { predicate: undefined, readsWhole: false }

  it('DELETE survives the loss of any one call to the store, or of its reply, and a crash at any of them', async () => {
    await sweepFaults(world, {
      prepare: (table) => prepare(table, vectors),
      run: (table) =>
        withRows(table, ADDRESS, 'id IN (2, 4)', (snapshot, query) =>
          deleteRows(table, world.source, snapshot, { ...common, query }),
        ),
      repeatable: true,
    })
  }, 60_000)

  it('UPDATE survives the loss of any one call to the store, or of its reply, and a crash at any of them', async () => {
    await sweepFaults(world, {
      prepare: (table) => prepare(table, vectors),
      run: (table) =>
        withRows(table, `${ADDRESS}, 'new' AS fresh`, `id IN (2, 4) AND v = 'old'`, (snapshot, query) => {
          const values = new Map([['v', 'fresh']])
          return updateRows(table, world.source, snapshot, { ...common, query, values, defaults: new Set() })
        }),
      repeatable: true,
    })
  }, 60_000)
})
