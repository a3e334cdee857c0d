import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { TableLog } from '../../src/log/table-log.js'
import { type Action, type AddFile, deletionVectorId, type RemoveFile } from '../../src/protocol/actions.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { commitPath, formatLogPath, LOG_FOLDER } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { Snapshot } from '../../src/table/snapshot.js'
import { FaultyStore } from '../support/faulty-store.js'
import { addOf, metadata, openWorld, PROTOCOL, removeOf, writeLog } from '../support/world.js'

const world = await openWorld()

/** What may be done to a file in one commit. Swapping takes one vector away and puts another in its place. */
type Step = {
  readonly file: number
  readonly kind: 'add' | 'remove' | 'swap'
  readonly vector: number
  readonly addFirst: boolean
}

const vectorOf = (at: number) =>
  at === 0
    ? {}
    : {
        deletionVector: {
          storageType: 'i',
          pathOrInlineDv: `v${at}`,
          sizeInBytes: 1,
          cardinality: 1,
          ...(at === 2 ? { offset: 4 } : {}),
        },
      }

/** Random commits: each touches a few of four files, each file once. Removes may miss, and adds may find the file alive. */
const history = fc.array(
  fc.uniqueArray(
    fc.record({
      file: fc.nat(3),
      kind: fc.constantFrom('add' as const, 'remove' as const, 'swap' as const),
      vector: fc.nat(2),
      addFirst: fc.boolean(),
    }),
    { selector: ({ file }) => file, maxLength: 4 },
  ),
  { minLength: 1, maxLength: 9 },
)

function actionsOf(step: Step, version: number): Action[] {
  const path = `f${step.file}`
  const remove: RemoveFile = removeOf(path, { ...vectorOf(step.vector), deletionTimestamp: 1000 + version })
  if (step.kind === 'remove') return [{ remove }]
  const vector = step.kind === 'swap' ? (step.vector + 1) % 3 : step.vector
  const add: AddFile = addOf(path, { size: version * 10 + step.file, ...vectorOf(vector) })
  if (step.kind === 'add') return [{ add }]
  return step.addFirst ? [{ add }, { remove }] : [{ remove }, { add }]
}

type Files = Map<string, { readonly size: number; readonly path: string }>
const keyOf = (file: AddFile | RemoveFile) => `${file.path}/${deletionVectorId(file.deletionVector)}`

/** The protocol's own words: the newest action on a file, which is a path and a vector, says whether it is there. */
function fold(commits: readonly (readonly Action[])[]): Files[] {
  const files: Files = new Map()
  return commits.map((actions) => {
    for (const action of actions) if ('remove' in action) files.delete(keyOf(action.remove))
    for (const action of actions) if ('add' in action) files.set(keyOf(action.add), action.add)
    return new Map(files)
  })
}

const told = (files: Files) => [...files.values()].map(({ path, size }) => `${path} ${size}`).toSorted()

async function filesAt(log: TableLog, version: number): Promise<string[]> {
  const { files } = await new Snapshot(world.table(new MemoryStore()).deps, log, version).files()
  return files.map(({ path, sizeBytes }) => `${path} ${sizeBytes}`).toSorted()
}

const commitsOf = (steps: readonly (readonly Step[])[]): Action[][] => [
  [PROTOCOL, metadata()],
  ...steps.map((some, at) => some.flatMap((step) => actionsOf(step, at + 1))),
]

describe('replay', () => {
  it('of any history, at every version, is the plain fold of its actions', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const commits = commitsOf(steps)
        const store = new MemoryStore()
        await writeLog(store, ...commits)
        const log = await TableLog.load(world.table(store).deps)
        for (const [version, files] of fold(commits).entries()) expect(await filesAt(log, version)).toEqual(told(files))
        await log.close()
      }),
      { numRuns: 60 },
    )
  })

  it('is the same at once, version by version, and in leaps', async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.integer({ min: 1, max: 4 }), async (steps, leap) => {
        const commits = commitsOf(steps)
        const store = new MemoryStore()
        await writeLog(store, commits[0] ?? [])
        const followed = await TableLog.load(world.table(store).deps)
        for (let from = 1; from < commits.length; from += leap) {
          for (const [at, actions] of commits.slice(from, from + leap).entries())
            await store.put(commitPath(from + at), formatCommit([{ commitInfo: {} }, ...actions]))
          expect(await followed.follow()).toBe(true)
        }
        for (const [version, files] of fold(commits).entries()) expect(await filesAt(followed, version)).toEqual(told(files))
        await followed.close()
      }),
      { numRuns: 60 },
    )
  })

  it('from a checkpoint at any version is the replay of all commits, at that version and after it', async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.nat(), async (steps, seed) => {
        const commits = commitsOf(steps)
        const store = new MemoryStore()
        await writeLog(store, ...commits)
        const { deps } = world.table(store)
        const at = seed % commits.length
        const whole = await TableLog.load(deps)
        const then = await TableLog.load(deps, at)
        const head = then.head()
        // The log goes on before the checkpoint is written.
        await then.follow()
        await writeCheckpoint(deps, then, 0, head)
        await store.delete(Array.from({ length: at + 1 }, (_, version) => commitPath(version)))
        const fromCheckpoint = await TableLog.load(deps)
        expect(fromCheckpoint.firstVersion).toBe(at)
        for (let version = at; version < commits.length; version++)
          expect(await filesAt(fromCheckpoint, version)).toEqual(await filesAt(whole, version))
        // A second checkpoint, made of the first, is the same table again.
        await writeCheckpoint(deps, fromCheckpoint, 0)
        const fromSecond = await TableLog.load(deps)
        expect(await filesAt(fromSecond, commits.length - 1)).toEqual(told(fold(commits).at(-1) ?? new Map()))
        for (const log of [whole, then, fromCheckpoint, fromSecond]) await log.close()
      }),
      { numRuns: 40 },
    )
  })
})

describe('a log that is followed', () => {
  it('costs one request when there is nothing new, and never a listing', async () => {
    const store = new FaultyStore(new MemoryStore())
    await writeLog(store, [PROTOCOL, metadata()])
    const table = world.table(store)
    await table.snapshot()
    const before = store.journal.length
    await Promise.all([table.snapshot(), table.snapshot(), table.snapshot()])
    expect(store.journal.slice(before)).toEqual([`get ${commitPath(1)}`])
  })

  it('is listed from the hint on when it is loaded', async () => {
    const store = new FaultyStore(new MemoryStore())
    await writeLog(store, [PROTOCOL, metadata()], [{ add: addOf('a') }], [{ add: addOf('b') }], [{ add: addOf('c') }])
    const { deps } = world.table(store)
    await writeCheckpoint(deps, await TableLog.load(deps, 2), 0)
    const before = store.journal.length
    expect((await world.table(store).snapshot()).version).toBe(3)
    expect(store.journal.slice(before)).toEqual([
      'get _delta_log/_last_checkpoint',
      'list _delta_log',
      `get ${commitPath(3)}`,
      `get ${LOG_FOLDER}/${formatLogPath({ kind: 'checkpoint', version: 2 })}`,
    ])
  })

  it.each([
    [
      'a protocol that cannot be read',
      [
        {
          protocol: {
            minReaderVersion: 3,
            minWriterVersion: 7,
            readerFeatures: ['fromTheFuture'],
            writerFeatures: ['fromTheFuture'],
          },
        },
      ],
    ],
    [
      'a column mapping of an unknown kind',
      [{ protocol: { minReaderVersion: 2, minWriterVersion: 5 } }, metadata({ 'delta.columnMapping.mode': 'other' })],
    ],
  ] as const)('is refused when a commit brings %s', async (_, actions) => {
    const store = new MemoryStore()
    await writeLog(store, [PROTOCOL, metadata()])
    const table = world.table(store)
    await table.snapshot()
    await store.put(commitPath(1), formatCommit([{ commitInfo: {} }, ...actions]))
    await expect(table.snapshot()).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
    await expect(table.snapshot()).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
    await expect(table.transaction()).rejects.toMatchObject({ code: 'FEATURE_UNSUPPORTED' })
  })

  it('is refused, by the name of its feature, where a catalog alone knows the newest version', async () => {
    const store = new MemoryStore()
    const catalogManaged = ['inCommitTimestamp', 'vacuumProtocolCheck', 'catalogManaged']
    const protocol = {
      minReaderVersion: 3,
      minWriterVersion: 7,
      readerFeatures: ['vacuumProtocolCheck', 'catalogManaged'],
      writerFeatures: catalogManaged,
    }
    await writeLog(store, [{ protocol }, metadata()])
    const refusal = { code: 'FEATURE_UNSUPPORTED', kind: 'unsupported', details: { features: 'catalogManaged' } }
    await expect(world.table(store).snapshot()).rejects.toMatchObject(refusal)
    await expect(world.table(store).transaction()).rejects.toMatchObject(refusal)
  })
})
