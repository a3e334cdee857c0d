import { describe, expect, it } from 'vitest'
import { type OverwriteScope, overwrite } from '../../src/ops/overwrite.js'
import { replaceTable } from '../../src/ops/replace-table.js'
import type { Metadata } from '../../src/protocol/actions.js'
import { tableProperties } from '../../src/protocol/properties.js'
import { parseSchema } from '../../src/protocol/schema.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { scanSql } from '../../src/table/scan-sql.js'
import { stageFiles } from '../../src/table/stage.js'
import { sweepFaults } from '../support/fault-sweep.js'
import { addOf, createTable, openWorld, readRows } from '../support/world.js'

const world = await openWorld()
type Row = { id: number; p: string | null }

const VALUES = `SELECT * FROM (VALUES (1::BIGINT, 'a'), (2, 'a'), (3, 'b'), (4, NULL)) AS t(id, p)`
const insert = async (table: DeltaTable, query: string) => {
  const snapshot = await table.snapshot()
  const staged = await world.database.use((connection) => stageFiles(table.deps, connection, query, snapshot))
  return { snapshot, staged }
}
async function append(table: DeltaTable, query: string): Promise<void> {
  const { snapshot, staged } = await insert(table, query)
  await (await table.transaction(snapshot)).add(staged.adds).commit()
}
const prepare =
  (partitionBy: readonly string[] = ['p'], properties: Record<string, string> = {}) =>
  async (table: DeltaTable) => {
    const columns = [
      { name: 'id', type: 'BIGINT' },
      { name: 'p', type: 'STRING' },
    ]
    await createTable(table, { columns, partitionBy, properties })
    await append(table, VALUES)
    return table
  }
const made = async (partitionBy?: readonly string[], properties?: Record<string, string>) =>
  prepare(partitionBy, properties)(world.table(new MemoryStore()))
type Scope = Exclude<OverwriteScope, { kind: 'where' }> | { readonly kind: 'where'; readonly condition: string }
async function run(table: DeltaTable, scope: Scope, query: string) {
  const { snapshot, staged } = await insert(table, query)
  if (scope.kind !== 'where') return overwrite(table, world.source, snapshot, staged, scope)
  const { files } = await snapshot.files()
  const held = await world.source.open(table.deps.store, files, snapshot, undefined)
  const { schema, partitionColumns, mapping } = snapshot
  const scan = scanSql({ fields: schema.fields, partitionColumns, mapping, address: true }, held.files)
  try {
    return await world.database.use(async (session) => {
      const text = `SELECT "__file", "__row" FROM (${scan}) WHERE ${scope.condition}`
      const byName = new Map(files.map((file, at) => [held.files[at]?.localFile ?? '', file]))
      const rows = { snapshot, session, text, params: undefined, condition: 'TRUE', files: byName }
      return overwrite(table, world.source, snapshot, staged, { kind: 'where', query: rows, text: scope.condition })
    })
  } finally {
    held.release()
  }
}
const rowsOf = async (table: DeltaTable) => (await readRows<Row>(world, table)).map(({ id, p }) => `${id}${p ?? '-'}`).toSorted()
const where = (condition: string): Scope => ({ kind: 'where', condition })
const lastCommit = async (table: DeltaTable) => {
  const { version } = await table.snapshot()
  return (await table.commitsBetween(version, version))[0]
}

describe('overwrite', () => {
  it('of all rows leaves the new ones', async () => {
    const table = await made()
    expect(await run(table, { kind: 'all' }, `SELECT 9::BIGINT AS id, 'z' AS p`)).toMatchObject({
      filesAdded: 1,
      filesRemoved: 3,
    })
    expect(await rowsOf(table)).toEqual(['9z'])
    expect((await lastCommit(table))?.commitInfo).toMatchObject({
      operation: 'WRITE',
      operationParameters: { mode: 'Overwrite', partitionBy: '[]' },
      isBlindAppend: false,
      operationMetrics: { numFiles: '1', numRemovedFiles: '3', numOutputRows: '1' },
    })
  })

  it('with no rows empties the table', async () => {
    const table = await made()
    await run(table, { kind: 'all' }, `${VALUES} WHERE false`)
    expect(await rowsOf(table)).toEqual([])
  })

  it.each([
    [`SELECT 9::BIGINT AS id, 'b' AS p`, ['1a', '2a', '4-', '9b']],
    [`SELECT 9::BIGINT AS id, NULL::VARCHAR AS p`, ['1a', '2a', '3b', '9-']],
    [`SELECT unnest([8, 9])::BIGINT AS id, unnest(['a', 'new']) AS p`, ['3b', '4-', '8a', '9new']],
    [`${VALUES} WHERE false`, ['1a', '2a', '3b', '4-']],
  ])('of the partitions of %s leaves the others', async (query, expected) => {
    const table = await made()
    await run(table, { kind: 'partitions' }, query)
    expect(await rowsOf(table)).toEqual(expected)
  })

  it('of partitions takes all of a table that has none', async () => {
    const table = await made([])
    await run(table, { kind: 'partitions' }, `SELECT 9::BIGINT AS id, 'b' AS p`)
    expect(await rowsOf(table)).toEqual(['9b'])
  })

  it('of partitions goes beside appends to others, and not beside one that read the same', async () => {
    for (const [partition, ends] of [
      ['b', 'committed'],
      ['a', 'conflict'],
    ] as const) {
      const table = await made()
      const { snapshot, staged } = await insert(table, `SELECT 9::BIGINT AS id, 'a' AS p`)
      const other = await insert(table, `SELECT 7::BIGINT AS id, '${partition}' AS p`)
      await (await table.transaction()).readWhole().add(other.staged.adds).commit()
      const done = overwrite(table, world.source, snapshot, staged, { kind: 'partitions' })
      if (ends === 'committed') expect((await done).version).toBe(3)
      else await expect(done).rejects.toMatchObject({ code: 'COMMIT_CONFLICT', details: { reason: 'concurrentAppend' } })
    }
  })

  it('where a condition on partitions is true takes whole files', async () => {
    const table = await made()
    const done = await run(table, where(`p = 'a'`), `SELECT 9::BIGINT AS id, 'a' AS p`)
    expect(done).toMatchObject({ filesRemoved: 1, rowsCopied: 0 })
    expect(await rowsOf(table)).toEqual(['3b', '4-', '9a'])
  })

  it('where a condition is true writes the other rows of those files again, and NULL is not true', async () => {
    const table = await made([])
    expect(await run(table, where(`p = 'a' AND id > 1`), `SELECT 9::BIGINT AS id, 'a' AS p`)).toMatchObject({
      filesRemoved: 1,
      rowsCopied: 3,
    })
    expect(await rowsOf(table)).toEqual(['1a', '3b', '4-', '9a'])
    expect((await lastCommit(table))?.commitInfo?.operationParameters).toMatchObject({ predicate: `p = 'a' AND id > 1` })
  })

  it('where a condition is true of no row adds the new ones alone', async () => {
    const table = await made()
    expect(await run(table, where('id = 99'), `SELECT 99::BIGINT AS id, 'a' AS p`)).toMatchObject({ filesRemoved: 0 })
    expect(await rowsOf(table)).toEqual(['1a', '2a', '3b', '4-', '99a'])
  })

  it('is refused by a table that only takes appends', async () => {
    const table = await made(['p'], { 'delta.appendOnly': 'true' })
    await expect(run(table, { kind: 'all' }, VALUES)).rejects.toMatchObject({ code: 'TABLE_APPEND_ONLY' })
  })

  it.each([
    ['all', { kind: 'all' }],
    ['some partitions', { kind: 'partitions' }],
    ['some rows', where('id < 3')],
  ] as const)(
    'of %s survives the loss of any call to the store, and a crash at any of them',
    { timeout: 60_000 },
    async (_, scope) => {
      const run1 = async (table: DeltaTable) => run(table, scope, `SELECT 1::BIGINT AS id, 'a' AS p`)
      await sweepFaults(world, { prepare: prepare(), run: run1, repeatable: true })
    },
  )
})

describe('replacing a table', () => {
  const next: Metadata = {
    id: 'c0ffee00-0000-4000-8000-00000000000f',
    format: { provider: 'parquet', options: {} },
    schemaString: JSON.stringify({ type: 'struct', fields: [{ name: 'other', type: 'integer', nullable: true, metadata: {} }] }),
    partitionColumns: [],
    configuration: { note: 'new' },
  }
  const target = { ...next, schema: parseSchema(next.schemaString), properties: tableProperties(next.configuration) }
  const replace = async (table: DeltaTable) => {
    const snapshot = await table.snapshot()
    const shape = { protocol: snapshot.protocol, mapping: 'none' as const, metadata: next, ...target }
    const staged = await world.database.use((connection) =>
      stageFiles(table.deps, connection, 'SELECT 5::INTEGER AS other', shape as never),
    )
    const protocol = { minReaderVersion: 1, minWriterVersion: 2 }
    return replaceTable(table, { metadata: next, protocol }, staged, { name: 'CREATE OR REPLACE TABLE AS SELECT' })
  }

  it('puts another schema, other rows and another id in its place, and keeps what was', async () => {
    const table = await made(['p'], { 'delta.enableInCommitTimestamps': 'true', 'delta.feature.rowTracking': 'supported' })
    const before = await table.snapshot()
    expect(await replace(table)).toEqual({ version: 2, filesRemoved: 3 })
    const after = await table.snapshot()
    expect(after.metadata).toMatchObject(next)
    expect(after.protocol.writerFeatures).toEqual(expect.arrayContaining([...(before.protocol.writerFeatures ?? [])]))
    expect(await readRows(world, table)).toEqual([{ other: 5 }])
    expect((await readRows(world, table, 1)).length).toBe(4)
    expect((await lastCommit(table))?.adds[0]).toMatchObject({ baseRowId: 4, defaultRowCommitVersion: 2 })
    expect(await readRows(world, world.table(table.deps.store))).toEqual([{ other: 5 }])
  })

  it('is what an append that began before it does not go after', async () => {
    const table = await made()
    const transaction = (await table.transaction()).add([addOf('x', { partitionValues: { p: 'a' } })])
    await replace(table)
    expect(await transaction.commit()).toMatchObject({ kind: 'conflict', conflict: { reason: 'metadataChanged' } })
  })

  it('survives the loss of any call to the store, and a crash at any of them', { timeout: 60_000 }, async () => {
    await sweepFaults(world, { prepare: prepare(), run: replace, repeatable: true })
  })
})
