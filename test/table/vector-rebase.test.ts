import { describe, expect, it } from 'vitest'
import type { AddFile } from '../../src/protocol/actions.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import type { VectorRebase } from '../../src/table/transaction.js'
import { addOf, openWorld, removeOf, writeLog } from '../support/world.js'

/* A vector is spelt by the rows that it deletes, such as `1,4`: what brings two together is then plain to see. */
const world = await openWorld()
const METADATA = { id: 'x', format: { provider: 'parquet' }, schemaString: '{"type":"struct","fields":[]}', partitionColumns: [] }
const vectorOf = (rows: string) => ({
  storageType: 'u',
  pathOrInlineDv: rows,
  sizeInBytes: 1,
  cardinality: rows.split(',').length,
})
const fileWith = (rows: string): AddFile => addOf('f', rows === '' ? {} : { deletionVector: vectorOf(rows) })
const rowsOf = ({ deletionVector }: AddFile) => deletionVector?.pathOrInlineDv.split(',') ?? []
const union: VectorRebase = async ({ ours, theirs }) =>
  fileWith([...new Set([...rowsOf(theirs), ...rowsOf(ours)])].toSorted().join(','))

async function tableWith(rows: string) {
  const store = new MemoryStore()
  const protocol = {
    minReaderVersion: 3,
    minWriterVersion: 7,
    readerFeatures: ['deletionVectors'],
    writerFeatures: ['deletionVectors'],
  }
  await writeLog(store, [{ protocol }, { metaData: { ...METADATA, configuration: {} } }, { add: fileWith(rows) }])
  return { ours: world.table(store), theirs: world.table(store) }
}
const deleting = async (table: DeltaTable, before: string, after: string) => {
  const { deletionVector } = fileWith(before)
  return (await table.transaction())
    .readFiles([{ file: 'f' }])
    .remove([removeOf('f', { deletionVector })])
    .add([fileWith(after)])
}
const live = async (table: DeltaTable) =>
  (await (await table.snapshot()).files()).files.map((file) => [file.path, file.deletionVector?.pathOrInlineDv])

describe('two deletes of rows of one file', () => {
  it.each(['', '0'])('are brought together by the operation, over any number of winners (deleted before: %j)', async (before) => {
    const with0 = (rows: string) => [before, rows].filter(Boolean).join(',')
    const { ours, theirs } = await tableWith(before)
    const transaction = (await deleting(ours, before, with0('3'))).rebaseVectors(union)
    await (await deleting(theirs, before, with0('1'))).commit()
    await (await deleting(theirs, with0('1'), with0('1,2'))).commit()
    expect(await transaction.commit()).toMatchObject({ kind: 'committed', version: 3 })
    for (const table of [ours, theirs]) expect(await live(table)).toEqual([['f', with0('1,2,3')]])
  })

  it('collide where the operation does not bring them together', async () => {
    for (const rebase of [undefined, async () => undefined]) {
      const { ours, theirs } = await tableWith('')
      const transaction = await deleting(ours, '', '3')
      if (rebase) transaction.rebaseVectors(rebase)
      await (await deleting(theirs, '', '3')).commit()
      expect(await transaction.commit()).toMatchObject({
        kind: 'conflict',
        conflict: { reason: 'concurrentDeleteRead', subjects: ['f'] },
      })
      expect(await live(ours)).toEqual([['f', '3']])
    }
  })

  it('collide with one that took the whole file out, or rewrote it', async () => {
    for (const add of [[], [addOf('g', { dataChange: false })]]) {
      const { ours, theirs } = await tableWith('')
      const transaction = (await deleting(ours, '', '3')).rebaseVectors(union)
      const dataChange = add.length === 0
      await (await theirs.transaction())
        .remove([removeOf('f', { dataChange })])
        .add(add)
        .commit()
      expect(await transaction.commit()).toMatchObject({ kind: 'conflict', conflict: { subjects: ['f'] } })
    }
  })
})
