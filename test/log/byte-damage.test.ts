import { describe, expect, it } from 'vitest'
import { isDeltaError } from '../../src/base/errors.js'
import { seededRandom } from '../../src/base/random.js'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import type { TableState } from '../../src/log/log-head.js'
import { TableLog } from '../../src/log/table-log.js'
import type { Action } from '../../src/protocol/actions.js'
import { commitPath, LAST_CHECKPOINT_PATH, LOG_FOLDER } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { addOf, createTable, metadata, openWorld, PROTOCOL, removeOf, writeLog } from '../support/world.js'

const world = await openWorld()
const SEED = 20_260_101
/**
 * `all` damages every byte and cuts at every byte, which takes hours: each time the log is loaded anew. `3/8` takes the third of every
 * eight bytes, so that eight runs have taken all.
 */
const [PART, PARTS] = partOf(process.env['DELTAIC_TEST_BYTES'])
const EVERY_BYTE = PARTS > 0
const PLACES = 24

function partOf(text = ''): readonly [part: number, parts: number] {
  if (text === '') return [0, 0]
  const [, part, parts] = /^([1-9]\d*)\/([1-9]\d*)$/.exec(text === 'all' ? '1/1' : text) ?? []
  if (!part || Number(part) > Number(parts)) throw new TypeError(`DELTAIC_TEST_BYTES is all, or a part as 3/8, not ${text}`)
  return [Number(part) - 1, Number(parts)]
}

const stats = (id: number) => JSON.stringify({ numRecords: 1, minValues: { id }, maxValues: { id }, nullCount: { id: 0, v: 0 } })
const fileOf = (name: string, id: number, size: number) =>
  addOf(`v=${name}/${name}`, { size, stats: stats(id), partitionValues: { v: name } })

/** Four commits of ours, a checkpoint of the third, and a checksum of the last; `policy` decides the kind of the checkpoint. */
async function ownTable(policy: 'v2' | 'classic'): Promise<MemoryStore> {
  const store = new MemoryStore()
  const table = world.table(store)
  const properties = {
    'delta.checkpointPolicy': policy,
    ...(policy === 'v2' ? { 'delta.feature.v2Checkpoint': 'supported' } : {}),
  }
  await createTable(table, { properties, partitionBy: ['v'] })
  const commit = async (change: (transaction: Awaited<ReturnType<DeltaTable['transaction']>>) => unknown) => {
    const transaction = await table.transaction()
    change(transaction)
    expect(await transaction.commit()).toMatchObject({ kind: 'committed' })
  }
  await commit((one) =>
    one.add([fileOf('a', 1, 10), fileOf('x', 4, 40)]).setTransaction({ appId: 'p', version: 7, rows: 2, rejected: 0 }),
  )
  await commit((one) => one.add([fileOf('b', 2, 20)]))
  await writeCheckpoint(table.deps, await table.refresh(), 0)
  await commit((one) => one.add([fileOf('c', 3, 30)]).remove([removeOf('v=x/x', { size: 40 })]))
  await table.close()
  return store
}

/** Commits of a writer that gives no sums; where `summed`, there is a version checksum. */
async function foreignTable(summed: boolean): Promise<MemoryStore> {
  const store = new MemoryStore()
  const adds: Action[] = [{ add: fileOf('b', 2, 20) }, { txn: { appId: 'p', version: 7 } }]
  const partitioned = metadata()
  await writeLog(store, [PROTOCOL, partitioned, { add: fileOf('a', 1, 10) }], adds, [{ add: fileOf('c', 3, 30) }])
  if (summed) {
    const table = world.table(store)
    await table.checksums.request(await table.refresh(), true)
    await table.close()
  }
  return store
}

/** What a version checksum tells of protocol and metadata. One with another id in it is another table's, and tells nothing. */
function toldOf({ state: { protocol, metadata } }: State) {
  const { schemaString, partitionColumns, configuration } = metadata
  return { protocol, schemaString, partitionColumns, configuration }
}

/** All that a reader learns from a log. */
interface State {
  readonly files: readonly Readonly<Record<string, unknown>>[]
  readonly state: TableState
  readonly txns: unknown
}

/** The newest version; `undefined` where a typed error said that something is damaged. */
async function read(store: MemoryStore, story: string): Promise<State | undefined> {
  try {
    const log = await TableLog.load(world.table(store).deps)
    try {
      const { name } = await log.files()
      const files = await world.database.rows(
        `SELECT file, "size", stats, to_json("partitionValues")::VARCHAR AS part, dv_id FROM "${name}" WHERE removed_at IS NULL ORDER BY 1`,
      )
      const txns = [...log.transactions()].map(({ appId, version }) => [appId, version])
      return { files, state: log.stateAt(log.version), txns }
    } finally {
      await log.close()
    }
  } catch (error) {
    expect(isDeltaError(error, 'corrupt', 'unsupported'), `${story}: ${String(error)}`).toBe(true)
    return undefined
  }
}

/** Bytes of a file with one bit flipped at a time, and the file cut there. */
function* damages(bytes: Uint8Array): Generator<{ readonly what: string; readonly damaged: Uint8Array }> {
  const random = seededRandom(SEED)
  yield { what: 'cut at 0', damaged: new Uint8Array() }
  const step = EVERY_BYTE ? PARTS : Math.max(1, bytes.length / PLACES)
  for (let place = PART; place < bytes.length; place += step) {
    const at = Math.min(bytes.length - 1, Math.floor(place + (EVERY_BYTE ? 0 : random.next() * step)))
    const damaged = Uint8Array.from(bytes)
    const bit = Math.floor(random.next() * 8)
    damaged[at] = (damaged[at] ?? 0) ^ (1 << bit)
    yield { what: `bit ${bit} of byte ${at} flipped`, damaged }
    yield { what: `cut at ${at}`, damaged: bytes.slice(0, at) }
  }
}

async function sweep(
  store: MemoryStore,
  isIt: (path: string) => boolean,
  check: (found: State | undefined, whole: State | undefined, story: string, damaged: Uint8Array) => unknown,
): Promise<void> {
  const whole = await read(store, 'nothing damaged')
  expect(whole).toBeDefined()
  const paths: string[] = []
  for await (const { path } of store.list('')) if (isIt(path)) paths.push(path)
  expect(paths).not.toEqual([])
  for (const path of paths) {
    const bytes = (await store.get(path)) ?? new Uint8Array()
    for (const { what, damaged } of damages(bytes)) {
      await store.put(path, damaged)
      const story = `${path} ${what}, seed ${SEED}`
      await check(await read(store, story), whole, story, damaged)
    }
    await store.put(path, bytes)
  }
}

const CHECKPOINTS = /\.checkpoint\..*parquet$|\/_sidecars\//
const timeout = EVERY_BYTE ? 3_600_000 : 30_000

describe.each(['classic', 'v2'] as const)(
  'a log of ours with %s checkpoints, of which one byte is damaged or the rest lost',
  (policy) => {
    it.each([
      ['_last_checkpoint', (path: string) => path === LAST_CHECKPOINT_PATH],
      ['a checksum', (path: string) => path.endsWith('.crc')],
      ['a checkpoint', (path: string) => CHECKPOINTS.test(path)],
    ])('in %s is read as ever', { timeout }, async (_, isIt) => {
      await sweep(await ownTable(policy), isIt, (found, whole, story) => expect(found, story).toEqual(whole))
    })

    it('in a commit says so, or is read as ever; and then nothing is written on top', { timeout }, async () => {
      const store = await ownTable(policy)
      for await (const { path } of store.list('')) if (path.endsWith('.crc') || CHECKPOINTS.test(path)) await store.delete([path])
      let refused = 0
      await sweep(
        store,
        (path) => path.endsWith('.json'),
        async (found, whole, story) => {
          if (found !== undefined) return expect(found, story).toEqual(whole)
          if (refused++ % (PARTS === 1 ? 50 : 8) > 0) return undefined
          const table = world.table(store)
          const append = async () => (await table.transaction()).add([addOf('on-top')]).commit()
          await expect(append(), story).rejects.toMatchObject({ kind: expect.stringMatching(/corrupt|unsupported/) })
          expect(await store.head(commitPath(4)), story).toBeUndefined()
        },
      )
      expect(refused).toBeGreaterThan(0)
    })

    it('in a checkpoint is never believed, also where no older commit is left', { timeout }, async () => {
      const store = await ownTable(policy)
      await store.delete([0, 1, 2].map(commitPath))
      let refused = 0
      await sweep(
        store,
        (path) => CHECKPOINTS.test(path),
        (found, whole, story) => {
          if (found) expect(found, story).toEqual(whole)
          else refused++
        },
      )
      expect(refused).toBeGreaterThan(0)
    })
  },
)

/**
 * What the protocol gives no way to see, of a writer that keeps no sum of its commits: letters and digits inside a value, which
 * is then another value. With a version checksum, number and size of the files, protocol and metadata are out of it.
 */
const UNSEEN = ['stats', 'part', 'file', 'dv_id']

describe('a log of another writer, of which one byte is damaged or the rest lost', () => {
  it.each([
    ['without checksums says so, or means what its lines say', false],
    ['with a checksum says so, but for statistics, partition values, names of files, and producers', true],
  ])('%s', { timeout }, async (_, summed) => {
    await sweep(
      await foreignTable(summed),
      (path) => path.endsWith('.json'),
      (found, whole, story, damaged) => {
        if (!found || !whole) return
        const isNewest = story.includes(commitPath(2))
        if (isNewest)
          for (const path of addedBy(damaged) ?? [])
            expect(
              found.files.map(({ file }) => file),
              story,
            ).toContain(path)
        if (!summed || found.state.metadata.id !== whole.state.metadata.id) return
        expect(toldOf(found), story).toEqual(toldOf(whole))
        const seen = ({ files }: State) => files.map((file) => Object.entries(file).filter(([name]) => !UNSEEN.includes(name)))
        expect(seen(found).map(String).toSorted(), story).toEqual(seen(whole).map(String).toSorted())
      },
    )
  })
})

/** The files that the lines of a commit add, read as plainly as can be; `undefined` for lines that are no JSON. */
function addedBy(bytes: Uint8Array): readonly string[] | undefined {
  try {
    const lines = Buffer.from(bytes)
      .toString()
      .split('\n')
      .filter((line) => line.trim() !== '')
    return lines.flatMap((line) => (JSON.parse(line) as { add?: { path: string } }).add?.path ?? [])
  } catch {
    return undefined
  }
}

it('a log folder holds nothing that the sweep leaves out', async () => {
  for (const policy of ['classic', 'v2'] as const)
    for await (const { path } of (await ownTable(policy)).list(LOG_FOLDER))
      expect(path).toMatch(/\.json$|\.crc$|_last_checkpoint$|\.checkpoint\..*parquet$|_sidecars\//)
})

it('a checksum that another table left behind is no witness', async () => {
  const store = await foreignTable(true)
  await writeLog(store, [PROTOCOL, idOf(metadata()), { add: fileOf('z', 9, 90) }])
  expect(await store.head('_delta_log/00000000000000000002.crc')).toBeDefined()
  const found = await read(store, 'a checksum of another table')
  expect(found?.files).toHaveLength(3)
})

it('a checksum that is at odds with the log ends the reading, and names itself', async () => {
  const store = await foreignTable(true)
  await writeLog(store, [PROTOCOL, metadata(), { add: fileOf('a', 1, 11) }])
  const failure = {
    code: 'CHECKSUM_MISMATCH',
    kind: 'corrupt',
    details: { file: '_delta_log/00000000000000000002.crc', version: 2 },
  }
  await expect(world.table(store).snapshot()).rejects.toMatchObject(failure)
})

/** The metadata of a table of another id. */
function idOf(action: Action): Action {
  return 'metaData' in action ? { metaData: { ...action.metaData, id: 'c0ffee00-0000-4000-8000-00000000beef' } } : action
}
