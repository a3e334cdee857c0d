import { describe, expect, it } from 'vitest'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { TableLog } from '../../src/log/table-log.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { addOf, metadata, openWorld, PROTOCOL, skippingClock } from '../support/world.js'

const world = await openWorld()
const START = Date.UTC(2026, 0, 1)

/** A log whose commits were written at these seconds after the start. */
async function logWritten(...seconds: readonly number[]) {
  const times = [...seconds]
  const clock = { ...skippingClock(), now: () => START + (times[0] ?? 0) * 1000 }
  const store = new MemoryStore({ clock })
  for (const version of seconds.keys()) {
    const actions =
      version === 0 ? [PROTOCOL, metadata()] : [{ commitInfo: { operation: `OP ${version}` } }, { add: addOf(`f${version}`) }]
    await store.put(commitPath(version), formatCommit(actions))
    times.shift()
  }
  return store
}

const at = (seconds: number) => START + seconds * 1000
const versionAt = async (store: MemoryStore, timestampMs: number) => (await world.table(store).snapshot({ timestampMs })).version

describe('the version at a time', () => {
  it('is the newest one that was there', async () => {
    const store = await logWritten(0, 10, 20)
    expect([
      await versionAt(store, at(0)),
      await versionAt(store, at(9.999)),
      await versionAt(store, at(10)),
      await versionAt(store, at(20)),
    ]).toEqual([0, 0, 1, 2])
  })

  it.each([
    ['before the first', -1],
    ['after the last', 21],
  ])('is none %s, and the error says which times there are', async (_, seconds) => {
    const store = await logWritten(0, 10, 20)
    await expect(versionAt(store, at(seconds))).rejects.toMatchObject({
      code: 'VERSION_NOT_FOUND',
      details: { earliest: new Date(at(0)).toISOString(), latest: new Date(at(20)).toISOString() },
    })
  })

  it('never goes back, though the clocks of writers did', async () => {
    const store = await logWritten(0, 50, 10, 10, 60)
    expect([
      await versionAt(store, at(49)),
      await versionAt(store, at(50)),
      await versionAt(store, at(50) + 1),
      await versionAt(store, at(50) + 2),
      await versionAt(store, at(60)),
    ]).toEqual([0, 1, 2, 3, 4])
  })

  it('is what the commits say where the table has in-commit timestamps', async () => {
    const store = new MemoryStore()
    const configuration = { 'delta.enableInCommitTimestamps': 'true' }
    const info = (seconds: number) => ({ commitInfo: { inCommitTimestamp: at(seconds) } })
    await store.put(commitPath(0), formatCommit([info(100), PROTOCOL, metadata(configuration)]))
    await store.put(commitPath(1), formatCommit([info(200), { add: addOf('a') }]))
    expect([await versionAt(store, at(199)), await versionAt(store, at(200))]).toEqual([0, 1])
  })

  it('is not to be told where a commit does not say its time and should; the table is read all the same', async () => {
    const store = new MemoryStore()
    const configuration = { 'delta.enableInCommitTimestamps': 'true' }
    await store.put(
      commitPath(0),
      formatCommit([{ commitInfo: { inCommitTimestamp: at(1) } }, PROTOCOL, metadata(configuration)]),
    )
    await store.put(commitPath(1), formatCommit([{ commitInfo: { operation: 'WRITE' } }, { add: addOf('a') }]))
    await store.put(commitPath(2), formatCommit([{ commitInfo: { inCommitTimestamp: at(3) } }, { add: addOf('b') }]))
    const failure = { code: 'LOG_INCOMPLETE', kind: 'corrupt', details: { file: commitPath(1) } }
    await expect(versionAt(store, at(2))).rejects.toMatchObject(failure)
    await expect(world.table(store).history(10)).rejects.toMatchObject(failure)
    expect((await (await world.table(store).snapshot()).files()).files).toHaveLength(2)
    expect((await world.table(store).snapshot({ version: 1 })).version).toBe(1)
  })

  describe('where in-commit timestamps were enabled later', () => {
    const on = (timestampMs: number) => ({
      'delta.enableInCommitTimestamps': 'true',
      'delta.inCommitTimestampEnablementVersion': '2',
      'delta.inCommitTimestampEnablementTimestamp': String(timestampMs),
    })
    /** Files of versions 0 to 3 are written at seconds 0, 10, 20 and 30; from version 2 on commits say 1000, 2000. */
    const mixed = async (configuration: Readonly<Record<string, string>> = on(at(1000))) => {
      const store = await logWritten(0, 10, 20, 30)
      const clock = { ...skippingClock(), now: () => at(20) }
      const again = new MemoryStore({ clock })
      for (const version of [2, 3]) {
        const info = { commitInfo: { inCommitTimestamp: at(version === 2 ? 1000 : 2000) } }
        await again.put(commitPath(version), formatCommit(version === 2 ? [info, metadata(configuration)] : [info]))
        await store.put(commitPath(version), (await again.get(commitPath(version))) ?? new Uint8Array())
      }
      return store
    }

    it('searches each side by its own clock', async () => {
      const store = await mixed()
      const found = await Promise.all([0, 9, 10, 999, 1000, 1999, 2000].map((seconds) => versionAt(store, at(seconds))))
      expect(found).toEqual([0, 0, 1, 1, 2, 2, 3])
      await expect(versionAt(store, at(2001))).rejects.toMatchObject({
        details: { earliest: new Date(at(0)).toISOString(), latest: new Date(at(2000)).toISOString() },
      })
    })

    it('finds nothing before, when the commits before are gone', async () => {
      const store = await mixed()
      const table = world.table(store)
      await writeCheckpoint(table.deps, await table.refresh(), 0)
      await store.delete([0, 1, 2].map(commitPath))
      await expect(versionAt(store, at(999))).rejects.toMatchObject({ details: { earliest: new Date(at(2000)).toISOString() } })
      expect(await versionAt(store, at(2000))).toBe(3)
    })

    it('goes by the files alone once they are off again', async () => {
      const history = await world.table(await mixed({})).history(4)
      expect(history.every(({ timestampMs }) => timestampMs !== at(1000) && timestampMs !== at(2000))).toBe(true)
    })
  })

  it('is one that can be rebuilt', async () => {
    const store = await logWritten(0, 10, 20, 30)
    const table = world.table(store)
    await writeCheckpoint(table.deps, await TableLog.load(table.deps, 2), 0)
    await store.delete([commitPath(0)])
    await expect(versionAt(store, at(19))).rejects.toMatchObject({ details: { earliest: new Date(at(20)).toISOString() } })
    expect(await versionAt(store, at(29))).toBe(2)
    await expect(world.table(store).snapshot({ version: 1 })).rejects.toMatchObject({
      code: 'VERSION_NOT_FOUND',
      details: { version: 1, earliest: 2, latest: 3 },
    })
  })

  it('is refused where it is no time', async () => {
    await expect(versionAt(await logWritten(0), Number.NaN)).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})

describe('history', () => {
  it('tells the newest first, as many as asked for, and of commits without a word only that they are there', async () => {
    const history = await world.table(await logWritten(0, 10, 20)).history(2)
    expect(history.map(({ version, operation, timestampMs }) => [version, operation, timestampMs])).toEqual([
      [2, 'OP 2', at(20)],
      [1, 'OP 1', at(10)],
    ])
    expect((await world.table(await logWritten(0)).history(5))[0]).toMatchObject({ version: 0, operation: 'UNKNOWN' })
  })
})

describe('a version', () => {
  it.each([-1, 1.5, Number.NaN])('is refused when it is %s', async (version) => {
    await expect(world.table(await logWritten(0)).snapshot({ version })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('that is not there yet is not found, and the newest is named', async () => {
    await expect(world.table(await logWritten(0, 1)).snapshot({ version: 5 })).rejects.toMatchObject({
      code: 'VERSION_NOT_FOUND',
      details: { version: 5, earliest: 0, latest: 1 },
    })
  })
})
