import { describe, expect, it } from 'vitest'
import type { AddFile, Metadata, Protocol, RemoveFile } from '../../src/protocol/actions.js'
import { field, formatSchema, parseSchema } from '../../src/protocol/schema.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { Transaction } from '../../src/table/transaction.js'
import { addOf, openWorld, removeOf, writeLog } from '../support/world.js'

/*
 * Every pair of operations, each staged by hand as its statement stages it: rows are what commits after, columns what won.
 *
 *   ·  goes after it        A  the winner added rows that ours should have seen     M  metadata changed
 *   R  it took out rows that ours read        X  it took out a file that ours takes out too
 *   P  protocol changed     D  the same domain          T  the same producer
 *
 * `A/·` is Serializable/WriteSerializable; a single sign holds for both. In `same` both work on partition 1, in `apart` the
 * winner works on partition 2.
 */
const SAME = `
               1   2   3   4   5   6   7   8   9  10  11  12  13  14  15  16  17  18
append         ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   ·   ·   M  1
append txn     ·   T   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   ·   ·   M  2
append self  A/· A/·   A   A   A   R   A   A   A   A   A   A   ·   M   ·   ·   ·   M  3
delete rows  A/· A/·   A   A   R   R   A   A   A   A   A   A   X   M   ·   ·   ·   M  4
delete dv    A/· A/·   A   A   R   R   A   A   A   A   A   A   X   M   ·   ·   ·   M  5
delete part  A/· A/·   A   A   R   R   A   A   A   A   A   A   X   M   ·   ·   ·   M  6
update       A/· A/·   A   A   R   R   A   A   A   A   A   A   X   M   ·   ·   ·   M  7
merge by id  A/· A/·   A   A   R   R   A   A   A   A   A   A   X   M   ·   ·   ·   M  8
merge insert A/· A/·   A   A   R   R   A   A   A   A   A   A   ·   M   ·   ·   ·   M  9
replaceWhere A/· A/·   A   A   R   R   A   A   A   A   A   A   X   M   ·   ·   ·   M  10
overwrite    A/· A/·   A   A   R   R   A   A   A   A   A   A   X   M   ·   ·   ·   M  11
restore        A   A   A   A   R   R   A   A   A   A   A   M   X   M   M   ·   ·   M  12
optimize       ·   ·   ·   X   X   X   X   X   ·   X   X   X   X   M   ·   ·   ·   M  13
set property   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   M   M   ·   ·   M  14
enable dv      ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   M   M   ·   ·   M  15
add feature    ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   P   ·   M  16
set domain     ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   ·   D   M  17
append more    ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   M   M   ·   ·   M  18
`
const APART = `
               1   2   3   4   5   6   7   8   9  10  11  12  13  14  15  16  17  18
append         ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   ·   ·   M  1
append txn     ·   T   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   ·   ·   M  2
append self  A/· A/·   A   A   A   R   A   A   A   A   A   A   ·   M   ·   ·   ·   M  3
delete rows    ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   R   R   ·   M   ·   ·   ·   M  4
delete dv      ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   R   R   ·   M   ·   ·   ·   M  5
delete part    ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   R   R   ·   M   ·   ·   ·   M  6
update         ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   R   R   ·   M   ·   ·   ·   M  7
merge by id    ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   R   R   ·   M   ·   ·   ·   M  8
merge insert   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   R   R   ·   M   ·   ·   ·   M  9
replaceWhere   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   R   R   ·   M   ·   ·   ·   M  10
overwrite    A/· A/·   A   A   R   R   A   A   A   A   A   A   X   M   ·   ·   ·   M  11
restore        A   A   A   A   R   R   A   A   A   A   A   M   X   M   M   ·   ·   M  12
optimize       ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   X   X   ·   M   ·   ·   ·   M  13
set property   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   M   M   ·   ·   M  14
enable dv      ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   M   M   ·   ·   M  15
add feature    ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   P   ·   M  16
set domain     ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   ·   D   M  17
append more    ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   ·   M   ·   M   M   ·   ·   M  18
`

const world = await openWorld()

type Partition = '1' | '2'
interface Step {
  readonly partition: Partition
  /** Makes new files of two sides differ. */
  readonly side: string
}
type Stage = (transaction: Transaction, step: Step) => Transaction

const vector = (side: string) => ({ storageType: 'i', pathOrInlineDv: side, sizeInBytes: 1, cardinality: 1 })
const bounds = (partition: Partition) => {
  const id = partition === '1' ? 5 : 15
  return JSON.stringify({ numRecords: 10, minValues: { id }, maxValues: { id }, nullCount: { id: 0 } })
}
const file = (name: string, partition: Partition, more: Partial<AddFile> = {}) =>
  addOf(name, { partitionValues: { p: partition }, stats: bounds(partition), ...more })
const live = (partition: Partition) => (partition === '1' ? 'one' : 'two')
const fresh = ({ partition, side }: Step, more: Partial<AddFile> = {}) => file(`new-${side}`, partition, more)
const gone = (partition: Partition, more: Partial<RemoveFile> = {}) =>
  removeOf(live(partition), { partitionValues: { p: partition }, ...more })
const readsPartition: Stage = (t, { partition }) => t.readWhere(`part.p = ${partition}`).readFiles([{ file: live(partition) }])
const both = [gone('1'), gone('2')]
const configured = (t: Transaction, more: Record<string, string>): Metadata => ({
  ...t.metadata,
  configuration: { ...t.metadata.configuration, ...more },
})

const withColumn = ({ metadata }: Transaction, name: string): Metadata => {
  const schema = parseSchema(metadata.schemaString)
  return { ...metadata, schemaString: formatSchema({ ...schema, fields: [...schema.fields, field(name, 'long')] }) }
}

const OPERATIONS: Readonly<Record<string, Stage>> = {
  append: (t, step) => t.add([fresh(step)]),
  'append txn': (t, step) => t.add([fresh(step)]).setTransaction({ appId: 'app', version: 1, rows: 1, rejected: 0 }),
  'append self': (t, step) => t.readWhole().add([fresh(step)]),
  'delete rows': (t, step) =>
    readsPartition(t, step)
      .remove([gone(step.partition)])
      .add([fresh(step)]),
  'delete dv': (t, step) =>
    readsPartition(t, step)
      .remove([gone(step.partition)])
      .add([file(live(step.partition), step.partition, { deletionVector: vector(step.side) })]),
  'delete part': (t, step) => readsPartition(t, step).remove([gone(step.partition)]),
  update: (t, step) =>
    readsPartition(t, step)
      .remove([gone(step.partition)])
      .add([file(live(step.partition), step.partition, { deletionVector: vector(step.side) }), fresh(step)]),
  'merge by id': (t, step) =>
    t
      .readWhere(`stat."maxValues".id ${step.partition === '1' ? '< 10' : '>= 10'}`)
      .readFiles([{ file: live(step.partition) }])
      .remove([gone(step.partition)])
      .add([fresh(step)]),
  'merge insert': (t, step) => readsPartition(t, step).add([fresh(step)]),
  replaceWhere: (t, step) =>
    readsPartition(t, step)
      .remove([gone(step.partition)])
      .add([fresh(step)]),
  overwrite: (t, step) =>
    t
      .readWhole()
      .remove(both)
      .add([fresh(step)]),
  restore: (t, step) =>
    t
      .readWhole()
      .remove(both)
      .add([fresh(step)])
      .setMetadata(t.metadata),
  optimize: (t, step) => t.remove([gone(step.partition, { dataChange: false })]).add([fresh(step, { dataChange: false })]),
  'set property': (t) => t.setMetadata(configured(t, { note: 'x' })),
  'enable dv': (t) => t.setMetadata(configured(t, { 'delta.enableDeletionVectors': 'true' })),
  'add feature': (t) =>
    t.setProtocol({ ...t.protocol, writerFeatures: [...(t.protocol.writerFeatures ?? []), 'inCommitTimestamp'] }),
  'set domain': (t, { side }) => t.setDomain({ domain: 'mine', configuration: side, removed: false }),
  'append more': (t, step) => t.add([fresh(step)]).setMetadata(withColumn(t, step.side)),
}

const PROTOCOL: Protocol = {
  minReaderVersion: 3,
  minWriterVersion: 7,
  readerFeatures: ['deletionVectors'],
  writerFeatures: ['deletionVectors', 'domainMetadata'],
}

async function tableAt(isolation: Record<string, string>): Promise<MemoryStore> {
  const store = new MemoryStore()
  const metaData: Metadata = {
    id: 'c0ffee00-0000-4000-8000-000000000001',
    format: { provider: 'parquet', options: {} },
    schemaString: JSON.stringify({ type: 'struct', fields: [field('id', 'long'), field('p', 'long')] }),
    partitionColumns: ['p'],
    configuration: isolation,
  }
  await writeLog(store, [
    { commitInfo: { operation: 'CREATE TABLE' } },
    { protocol: PROTOCOL },
    { metaData },
    { add: file('one', '1') },
    { add: file('two', '2') },
  ])
  return store
}

const SIGN = {
  concurrentAppend: 'A',
  concurrentDeleteRead: 'R',
  concurrentDeleteDelete: 'X',
  metadataChanged: 'M',
  protocolChanged: 'P',
  domainChanged: 'D',
  sameProducer: 'T',
} as const

async function outcome(ours: Stage, winner: Stage, winnerAt: Partition, isolation: Record<string, string>): Promise<string> {
  const store = await tableAt(isolation)
  const table = world.table(store)
  const transaction = ours(await table.transaction(), { partition: '1', side: 'ours' })
  const won = await winner(await table.transaction(), { partition: winnerAt, side: 'theirs' }).commit()
  expect(won).toMatchObject({ kind: 'committed', version: 1 })
  const result = await transaction.commit()
  if (result.kind === 'committed') {
    const { files } = await (await table.snapshot()).files()
    expect(new Set(files.map((one) => one.file)).size).toBe(files.length)
  }
  await table.close()
  return result.kind === 'committed' ? '·' : SIGN[result.conflict.reason]
}

const NAMES = Object.keys(OPERATIONS)
const WIDTH = Math.max(...NAMES.map((name) => name.length))

async function matrix(winnerAt: Partition): Promise<string> {
  const lines = [' '.repeat(WIDTH) + NAMES.map((_, at) => String(at + 1).padStart(4)).join('')]
  for (const [at, ours] of NAMES.entries()) {
    const cells: string[] = []
    for (const winner of NAMES) {
      const [a, b] = [OPERATIONS[ours] as Stage, OPERATIONS[winner] as Stage]
      const strict = await outcome(a, b, winnerAt, { 'delta.isolationLevel': 'Serializable' })
      // The laxer level never forbids what the stricter one lets pass.
      const lax = strict === '·' ? strict : await outcome(a, b, winnerAt, {})
      cells.push((strict === lax ? strict : `${strict}/${lax}`).padStart(4))
    }
    lines.push(`${ours.padEnd(WIDTH)}${cells.join('')}  ${at + 1}`)
  }
  return lines.map((line) => line.trimEnd()).join('\n')
}

describe('every pair of operations', () => {
  it('on the same part of the table ends as the rules say', { timeout: 120_000 }, async () => {
    expect(await matrix('1')).toBe(SAME.slice(1).trimEnd())
  })

  it('on parts that have nothing in common ends as the rules say', { timeout: 120_000 }, async () => {
    expect(await matrix('2')).toBe(APART.slice(1).trimEnd())
  })
})
