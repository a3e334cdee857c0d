import { describe, expect, it } from 'vitest'
import { isDeltaError } from '../../src/base/errors.js'
import { seededRandom } from '../../src/base/random.js'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { TableLog } from '../../src/log/table-log.js'
import type { Action } from '../../src/protocol/actions.js'
import { commitPath, LAST_CHECKPOINT_PATH, LOG_FOLDER } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { addOf, metadata, openWorld, writeLog } from '../support/world.js'

const world = await openWorld()
const SEED = 20_260_101
const SAMPLES = 24
const V2: Action = {
  protocol: { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: ['v2Checkpoint'], writerFeatures: ['v2Checkpoint'] },
}
const FILES = ['a', 'b', 'c']

/** Three commits, a checkpoint of the last but one, and a checksum; `policy` decides the kind of the checkpoint. */
async function tableOf(policy: 'v2' | 'classic'): Promise<MemoryStore> {
  const store = new MemoryStore()
  await writeLog(
    store,
    [V2, metadata({ 'delta.checkpointPolicy': policy }), { add: addOf('a') }],
    [{ add: addOf('b') }],
    [{ add: addOf('c') }],
  )
  const table = world.table(store)
  const log = await TableLog.load(table.deps, 1)
  await writeCheckpoint(table.deps, log, 0)
  await log.close()
  await table.checksums.request(await table.refresh(), true)
  return store
}

/** The paths of the newest version's files; `undefined` where a typed error said that something is damaged. */
async function read(store: MemoryStore, story: string): Promise<readonly string[] | undefined> {
  try {
    const log = await TableLog.load(world.table(store).deps)
    try {
      const { name } = await log.files()
      const rows = await world.database.rows<{ path: string }>(`SELECT path FROM "${name}" WHERE removed_at IS NULL ORDER BY 1`)
      return rows.map(({ path }) => path)
    } finally {
      await log.close()
    }
  } catch (error) {
    expect(isDeltaError(error, 'corrupt', 'unsupported'), `${story}: ${String(error)}`).toBe(true)
    return undefined
  }
}

/** Sampled bytes of a file flipped one at a time, and the file cut there. */
function* damages(bytes: Uint8Array): Generator<{ readonly what: string; readonly damaged: Uint8Array }> {
  const random = seededRandom(SEED)
  for (let sample = 0; sample < SAMPLES; sample++) {
    const at = Math.floor(random.next() * bytes.length)
    if (sample % 3 === 0) yield { what: `cut at ${at}`, damaged: bytes.slice(0, at) }
    else {
      const damaged = Uint8Array.from(bytes)
      damaged[at] = (damaged[at] ?? 0) ^ (1 << Math.floor(random.next() * 8))
      yield { what: `flipped at ${at}`, damaged }
    }
  }
}

async function sweep(
  policy: 'v2' | 'classic',
  isIt: (path: string) => boolean,
  check: (found: readonly string[] | undefined, damaged: Uint8Array, story: string) => void,
): Promise<void> {
  const store = await tableOf(policy)
  const paths: string[] = []
  for await (const { path } of store.list('')) if (isIt(path)) paths.push(path)
  expect(paths).not.toEqual([])
  for (const path of paths) {
    const whole = (await store.get(path)) ?? new Uint8Array()
    for (const { what, damaged } of damages(whole)) {
      await store.put(path, damaged)
      const story = `${path} ${what}, seed ${SEED}`
      check(await read(store, story), damaged, story)
    }
    await store.put(path, whole)
  }
}

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

describe('a log with one damaged byte, or cut short', () => {
  it.each([
    ['_last_checkpoint', (path: string) => path === LAST_CHECKPOINT_PATH],
    ['a checksum', (path: string) => path.endsWith('.crc')],
  ])('in %s is read as ever', async (_, isIt) => {
    for (const policy of ['classic', 'v2'] as const)
      await sweep(policy, isIt, (found, _damaged, story) => expect(found, story).toEqual(FILES))
  })

  it('in a commit says so, or means what its lines say', async () => {
    await sweep(
      'classic',
      (path) => path === commitPath(2),
      (found, damaged, story) => {
        const added = addedBy(damaged)
        if (found !== undefined) expect(found, story).toEqual(['a', 'b', ...(added ?? [])].toSorted())
      },
    )
  })

  it.each([
    ['a checkpoint', 'classic', /\.checkpoint\.parquet$/],
    ['a v2 checkpoint', 'v2', /\.checkpoint\..*parquet$/],
    ['a sidecar', 'v2', new RegExp(`^${LOG_FOLDER}/_sidecars/`)],
  ] as const)(
    'in %s is passed over for the commits where it is cut, and a flipped bit, which Parquet has no sum for, is no crash',
    async (_, policy, pattern) => {
      await sweep(
        policy,
        (path) => pattern.test(path),
        (found, damaged, story) => {
          if (isCut(damaged)) expect(found, story).toEqual(FILES)
        },
      )
    },
  )
})

/** A Parquet file ends with its magic. */
function isCut(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.slice(-4)).toString() !== 'PAR1'
}
