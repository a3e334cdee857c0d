import { describe, expect, it } from 'vitest'
import { unreadableColumn } from '../../src/ops/change-schema.js'
import { changesOf } from '../../src/ops/changes.js'
import { type Action, deletionVectorId } from '../../src/protocol/actions.js'
import { formatCommit, parseCommit } from '../../src/protocol/commit-file.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { type DataType, field, type StructType } from '../../src/protocol/schema.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { addOf, metadata, ndjson, openLake, PROTOCOL, removeOf, rowsOf, writeLog } from '../support/world.js'

const vector = (name: string) => ({ storageType: 'i' as const, pathOrInlineDv: name, sizeInBytes: 4, cardinality: 1 })
const [A, B] = [vector('A'), vector('B')]
const cdc = (path: string): Action => ({ cdc: { path, partitionValues: {}, size: 1, dataChange: false } })

/** `type file -vector without whose rows +vector of the only rows`. */
function told(...actions: Action[]): string[] {
  const changes = changesOf(parseCommit(0, formatCommit(actions), 'file'), ['/lake/t'])
  return changes.map(({ changeType, file, deletionVector, onlyVector }) =>
    [
      changeType ?? 'told',
      file,
      ...(deletionVector ? [`-${deletionVectorId(deletionVector)}`] : []),
      ...(onlyVector ? [`+${deletionVectorId(onlyVector)}`] : []),
    ].join(' '),
  )
}

describe('what a commit changes', () => {
  it.each<[string, Action[], string[]]>([
    ['rows of a new file came in', [{ add: addOf('a') }], ['insert a']],
    ['rows of a file that is gone went', [{ remove: removeOf('a') }], ['delete a']],
    ['rows that were deleted already do not go again', [{ remove: removeOf('a', { deletionVector: A }) }], ['delete a -iA']],
    ['a file comes back without the rows that stay deleted', [{ add: addOf('a', { deletionVector: A }) }], ['insert a -iA']],
    [
      'rows that only move do not change',
      [{ add: addOf('b', { dataChange: false }) }, { remove: removeOf('a', { dataChange: false }) }],
      [],
    ],
    [
      'a first vector deletes its rows',
      [{ remove: removeOf('a') }, { add: addOf('a', { deletionVector: A }) }],
      ['delete a +iA'],
    ],
    [
      'a vector that is gone brings its rows back',
      [{ add: addOf('a') }, { remove: removeOf('a', { deletionVector: A }) }],
      ['insert a +iA'],
    ],
    [
      'of two vectors those rows count that one of them lists',
      [{ add: addOf('a', { deletionVector: B }) }, { remove: removeOf('a', { deletionVector: A }) }],
      ['delete a -iA +iB', 'insert a -iB +iA'],
    ],
    [
      'the same vector again changes nothing',
      [{ remove: removeOf('a', { deletionVector: A }) }, { add: addOf('a', { deletionVector: A }) }],
      [],
    ],
    [
      'a file goes by one name however it is spelt',
      [{ remove: removeOf('/lake/t/x%20y') }, { add: addOf('x%20y', { deletionVector: A }) }],
      ['delete x y +iA'],
    ],
    [
      'change files tell everything',
      [cdc('_change_data/c'), { add: addOf('b') }, { remove: removeOf('a') }],
      ['told _change_data/c'],
    ],
  ])('%s', (_, actions, changes) => expect(told(...actions)).toEqual(changes))
})

describe('rows of an older schema', () => {
  const struct = (...fields: StructType['fields']): StructType => ({ type: 'struct', fields })
  const list = (elementType: DataType, containsNull = true) => ({ type: 'array' as const, elementType, containsNull })
  const mapped = (name: string, physical: string) => field(name, 'long', true, { 'delta.columnMapping.physicalName': physical })
  it.each<[string, StructType, StructType, string | undefined]>([
    [
      'can be read when columns came in addition',
      struct(field('a', 'long')),
      struct(field('a', 'long'), field('b', 'long')),
      undefined,
    ],
    ['cannot when a column is gone', struct(field('a', 'long')), struct(), 'a'],
    ['cannot when a column was widened', struct(field('a', 'integer')), struct(field('a', 'long')), 'a'],
    ['cannot when a column takes no NULL any more', struct(field('a', 'long')), struct(field('a', 'long', false)), 'a'],
    ['can when a column takes NULL now', struct(field('a', 'long', false)), struct(field('a', 'long')), undefined],
    ['cannot when a nested field is gone', struct(field('a', struct(field('b', 'long')))), struct(field('a', struct())), 'a.b'],
    ['cannot when elements changed', struct(field('a', list('long'))), struct(field('a', list('string'))), 'a.element'],
    ['cannot when a column was made anew', struct(mapped('a', 'c1')), struct(mapped('a', 'c2')), 'a'],
    ['can when columns got a mapping', struct(field('a', 'long')), struct(mapped('a', 'a')), undefined],
  ])('%s', (_, before, after, column) => expect(unreadableColumn(before, after)).toBe(column))
})

describe('a range of changes', () => {
  const feed = (on: boolean) => metadata({ 'delta.enableChangeDataFeed': String(on) })
  async function lakeWith(...commits: Action[][]) {
    const store = new MemoryStore()
    await writeLog(store.child('t'), [PROTOCOL, feed(true)], ...commits)
    return { store: store.child('t'), lake: await openLake(store) }
  }
  const count = async (lake: Awaited<ReturnType<typeof openLake>>, range: string) =>
    (await rowsOf(lake, `SELECT count(*) AS n FROM table_changes('t', ${range})`))[0]?.['n']

  it('names the first version at which nothing was kept', async () => {
    const { lake } = await lakeWith([], [feed(false)], [], [feed(true)])
    await using _ = lake
    await expect(count(lake, '0')).rejects.toMatchObject({ code: 'CHANGES_NOT_RECORDED', details: { version: 2 } })
    await expect(count(lake, '3, 4')).rejects.toMatchObject({ code: 'CHANGES_NOT_RECORDED', details: { version: 3 } })
    expect([await count(lake, '0, 1'), await count(lake, '4')]).toEqual([0, 0])
  })

  it('must be one that the log has', async () => {
    const { lake, store } = await lakeWith([], [])
    await using _ = lake
    await expect(count(lake, '0, 3')).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND', details: { latest: 2 } })
    await expect(count(lake, '3')).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND', details: { latest: 2 } })
    await expect(count(lake, '2, 1')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await store.delete([commitPath(1)])
    await expect(lake.table('t').changes({ from: 0 })).rejects.toMatchObject({
      kind: expect.stringMatching(/notFound|corrupt/) as string,
    })
  })

  it('is one of times as well, which end with the newest version', async () => {
    const { lake } = await lakeWith([], [])
    await using _ = lake
    const timesOf = async () => (await lake.table('t').history()).map(({ timestampMs }) => new Date(timestampMs)).reverse()
    const times = await timesOf()
    const versions = async (from: Date, to?: Date) => (await lake.table('t').changes({ from, to })).rows()
    expect(await versions(times[1] as Date, new Date((times[2] as Date).getTime() + 86_400_000))).toEqual([])
    await expect(versions(new Date((times[2] as Date).getTime() + 1))).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' })
    await expect(versions(times[2] as Date, times[0] as Date)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('says so when a file of it was vacuumed', async () => {
    const { lake } = await lakeWith([{ add: addOf('gone.parquet', { size: 1000 }) }])
    await using _ = lake
    await expect(count(lake, '0')).rejects.toMatchObject({ code: 'DATA_FILE_MISSING' })
  })

  it('gives each row with its commit', async () => {
    await using lake = await openLake()
    await lake.sql('CREATE TABLE plain (id BIGINT, v STRING)')
    await lake.table('plain').append(ndjson({ id: 1, v: 'a' }))
    await expect(lake.table('plain').changes({ from: 0 })).rejects.toMatchObject({
      code: 'CHANGES_NOT_RECORDED',
      details: { version: 0 },
    })
  })
})
