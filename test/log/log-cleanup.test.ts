import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { writeCheckpoint } from '../../src/log/checkpoint-write.js'
import { cleanUpLog } from '../../src/log/log-cleanup.js'
import { TableLog } from '../../src/log/table-log.js'
import type { Action } from '../../src/protocol/actions.js'
import { formatCommit } from '../../src/protocol/commit-file.js'
import { commitPath, formatLogPath, LOG_FOLDER } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { checkpoint } from '../../src/table/checkpoint.js'
import { addOf, metadata, openWorld, removeOf, skippingClock } from '../support/world.js'

const world = await openWorld()
const DAY = 86_400_000
const START = Date.UTC(2026, 0, 1)
const V2: Action = {
  protocol: { minReaderVersion: 3, minWriterVersion: 7, readerFeatures: ['v2Checkpoint'], writerFeatures: ['v2Checkpoint'] },
}

/** A table with a commit at each of these days, and checkpoints of some versions. */
async function tableOf(days: readonly number[], checkpoints: readonly number[], configuration: Record<string, string> = {}) {
  let now = START
  const store = new MemoryStore({ clock: { ...skippingClock(), now: () => now } })
  for (const [version, day] of days.entries()) {
    now = START + day * DAY
    const actions: Action[] = [{ add: addOf(`f${version}`) }]
    if (version > 1) actions.push({ remove: removeOf(`f${version - 2}`) })
    await store.put(commitPath(version), formatCommit(version === 0 ? [V2, metadata(configuration), ...actions] : actions))
  }
  const { deps } = world.table(store)
  for (const version of checkpoints) {
    const log = await TableLog.load(deps, version)
    await writeCheckpoint(deps, log, now)
    await log.close()
  }
  return store
}

async function cleaned(store: MemoryStore, day: number) {
  const { deps } = world.table(store)
  const log = await TableLog.load(deps)
  const deleted = await cleanUpLog(deps, log, START + day * DAY)
  await log.close()
  return deleted.map((path) => path.slice(LOG_FOLDER.length + 1))
}

const filesAt = async (store: MemoryStore, version: number) =>
  (await (await world.table(store).snapshot({ version })).files()).files.map(({ path }) => path).toSorted()
const historyOf = async (store: MemoryStore) => {
  const history = await world.table(store).history(100)
  return new Map(history.map(({ version, timestampMs }) => [version, timestampMs]))
}

describe('cleaning up the log', () => {
  it('changes no version that it keeps, and leaves none half', async () => {
    const versions = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 3, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(
        versions,
        fc.uniqueArray(fc.nat(9), { maxLength: 4 }),
        fc.integer({ min: 28, max: 42 }),
        fc.boolean(),
        async (days, checkpoints, now, isV2) => {
          const some = checkpoints.filter((version) => version < days.length)
          const store = await tableOf(days, some, isV2 ? { 'delta.checkpointPolicy': 'v2' } : {})
          const before = await Promise.all(days.map(async (_, version) => filesAt(store, version)))
          const times = await historyOf(store)
          const deleted = await cleaned(store, now)
          const timesAfter = await historyOf(store)
          const kept = [...timesAfter.keys()].toSorted((a, b) => a - b)
          const [first = 0] = kept
          if (deleted.length === 0) expect(first).toBe(0)
          else expect(some).toContain(first)
          for (const version of kept) {
            expect(await filesAt(store, version)).toEqual(before[version])
            expect(timesAfter.get(version)).toBe(times.get(version))
          }
          for (let version = 0; version < first; version++)
            await expect(filesAt(store, version)).rejects.toMatchObject({
              code: 'VERSION_NOT_FOUND',
              details: { earliest: first, latest: days.length - 1 },
            })
          expect(await cleaned(store, now)).toEqual([])
        },
      ),
      { numRuns: 20, interruptAfterTimeLimit: 20_000 },
    )
  })

  const days = [0, 1, 2, 3, 4, 5]
  it('deletes what comes before the newest checkpoint that is old enough, in whole days', async () => {
    const store = await tableOf(days, [2, 4])
    expect(await cleaned(store, 31.9)).toEqual([])
    expect(await cleaned(store, 33.9)).toEqual([0, 1].map((version) => formatLogPath({ kind: 'commit', version })))
    expect((await cleaned(store, 99)).length).toBe(3)
    expect(await filesAt(store, 5)).toEqual(['f4', 'f5'])
  })

  it.each([
    ['the table says so', { 'delta.enableExpiredLogCleanup': 'false' }],
    ['the log is kept for longer', { 'delta.logRetentionDuration': 'interval 200 days' }],
    ['some of what is protected would stay', { 'delta.requireCheckpointProtectionBeforeVersion': '5' }],
  ])('deletes nothing where %s', async (_, configuration) => {
    expect(await cleaned(await tableOf(days, [2, 4], configuration), 99)).toEqual([])
  })

  it('deletes what is protected when all of it goes', async () => {
    const store = await tableOf(days, [2, 4], { 'delta.requireCheckpointProtectionBeforeVersion': '4' })
    expect((await cleaned(store, 99)).length).toBeGreaterThan(0)
  })

  it('deletes nothing on the word of a damaged checkpoint', async () => {
    const store = await tableOf(days, [4])
    await store.put(`${LOG_FOLDER}/${formatLogPath({ kind: 'checkpoint', version: 4 })}`, Buffer.from('no'))
    expect(await cleaned(store, 99)).toEqual([])
  })

  it('keeps the sidecars that a checkpoint names, and young ones', async () => {
    const store = await tableOf(days, [2, 4], { 'delta.checkpointPolicy': 'v2' })
    const sidecars = async () => {
      const found: string[] = []
      for await (const { path } of store.list(`${LOG_FOLDER}/_sidecars`)) found.push(path)
      return found
    }
    expect(await sidecars()).toHaveLength(2)
    expect((await cleaned(store, 5.5 + 30)).length).toBeGreaterThan(0)
    expect(await sidecars()).toHaveLength(1)
    expect(await filesAt(store, 5)).toEqual(['f4', 'f5'])
  })

  it('deletes old sidecars that no checkpoint names, though nothing else expired', async () => {
    const store = await tableOf(days, [2, 4], { 'delta.checkpointPolicy': 'v2' })
    const orphan = `${LOG_FOLDER}/_sidecars/orphan.parquet`
    await store.put(orphan, Buffer.from('left behind'))
    expect(await cleaned(store, 5.5)).toEqual([])
    expect(await cleaned(store, 6.5)).toEqual(['_sidecars/orphan.parquet'])
    expect(await filesAt(store, 5)).toEqual(['f4', 'f5'])
    expect(await cleaned(store, 6.5)).toEqual([])
  })

  it('follows a checkpoint that is asked for, with a checksum', async () => {
    const store = await tableOf(days, [], { 'delta.checkpointPolicy': 'v2' })
    const clock = skippingClock(START + 99 * DAY)
    const table = world.table(store, { clock })
    const written = await checkpoint(table)
    expect(written).toMatchObject({ version: 5 })
    expect([...(await historyOf(store)).keys()]).toEqual([5])
    const told = JSON.parse(
      Buffer.from((await store.get(`${LOG_FOLDER}/${formatLogPath({ kind: 'checksum', version: 5 })}`)) ?? []).toString(),
    ) as object
    expect(told).toMatchObject({ numFiles: 2, tableSizeBytes: 20, numMetadata: 1, numProtocol: 1, setTransactions: [] })
    expect(await filesAt(store, 5)).toEqual(['f4', 'f5'])
  })
})
