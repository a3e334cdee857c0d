import { describe, expect, it } from 'vitest'
import { checkDesign, createDeltaTable } from '../../src/lakehouse/create.js'
import { syncIdentity } from '../../src/ops/sync-identity.js'
import { identityMetadata, identityOf } from '../../src/protocol/identity.js'
import { field } from '../../src/protocol/schema.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { stageFiles } from '../../src/table/stage.js'
import { openWorld } from '../support/world.js'

const world = await openWorld()

async function filled(step: bigint, query: string | undefined) {
  const table = world.table(new MemoryStore())
  const fields = [
    field('Id', 'long', true, identityMetadata({ start: 1n, step, allowExplicitInsert: true })),
    field('v', 'string'),
  ]
  await createDeltaTable(table, checkDesign({ fields }), { name: 'CREATE TABLE' })
  const transaction = await table.transaction()
  if (query !== undefined) {
    const stage = () => world.database.use((connection) => stageFiles(table.deps, connection, query, transaction.snapshot))
    await transaction.add((await stage()).adds).commit()
  }
  return table
}

describe('SYNC IDENTITY', () => {
  it.each([
    [3n, "SELECT 8 AS Id, 'a' AS v UNION ALL SELECT NULL, 'b'", 10n],
    [3n, "SELECT 7 AS Id, 'a' AS v", 7n],
    [-2n, "SELECT -8 AS Id, 'a' AS v", -9n],
    [3n, "SELECT -8 AS Id, 'a' AS v", undefined],
    [3n, undefined, undefined],
  ])('by steps of %s, after %s, lets numbers go on from %s', async (step, query, mark) => {
    const table = await filled(step, query)
    const before = (await table.snapshot()).version
    expect(await syncIdentity(table, world.source, 'id')).toEqual({ version: mark === undefined ? before : before + 1 })
    const [first] = (await table.snapshot()).schema.fields
    expect(first && identityOf(first)?.highWaterMark).toBe(mark)
    expect(await syncIdentity(table, world.source, 'Id')).toEqual({ version: mark === undefined ? before : before + 1 })
  })

  it('is refused for a column that numbers nothing', async () => {
    const table = await filled(1n, undefined)
    await expect(syncIdentity(table, world.source, 'v')).rejects.toMatchObject({ code: 'SCHEMA_MISMATCH' })
  })
})
