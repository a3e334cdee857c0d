import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/base/random.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { probeStore } from '../../src/storage/probe.js'
import type { ObjectStore } from '../../src/storage/store.js'
import { FaultyStore } from '../support/faulty-store.js'
import { describeWhen } from '../support/needs.js'
import { S3_REASON, s3Servers } from '../support/s3-servers.js'
import { storeOn } from './s3-store.js'

/** Answers `created` to everybody, as servers do that ignore the condition. */
class IgnoringStore extends MemoryStore {
  override async putIfAbsent(path: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    await this.put(path, bytes)
    return 'created'
  }
}

/** Looks first and writes later: right one request at a time, wrong in a race. */
class RacyStore extends MemoryStore {
  override async putIfAbsent(path: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    if (await this.head(path)) return 'exists'
    await new Promise((resolve) => setTimeout(resolve, 1))
    await this.put(path, bytes)
    return 'created'
  }
}

async function leftBehind(store: ObjectStore): Promise<string[]> {
  const paths: string[] = []
  for await (const { path } of store.list('')) paths.push(path)
  return paths
}

const random = () => seededRandom(7)

describe('probeStore', () => {
  it('finds a store safe that is, with one winner in each round', async () => {
    const store = new MemoryStore()
    const report = await probeStore(store, { racing: true, random: random() })
    expect(report).toMatchObject({ safe: true, sequential: 'ok' })
    expect(report.rounds).toEqual(Array.from({ length: 3 }, () => ({ putters: 8, bytes: 2_000_000, winners: 1 })))
    expect(report.elapsedMs).toBeGreaterThanOrEqual(0)
    expect(await leftBehind(store)).toEqual([])
  })

  it('finds out a store that ignores the condition, without a race', async () => {
    const store = new IgnoringStore()
    expect(await probeStore(store, { racing: true })).toMatchObject({ safe: false, sequential: 'ignored', rounds: [] })
    expect(await leftBehind(store)).toEqual([])
  })

  it('finds out a store that looks before it writes, by a race alone', async () => {
    const store = new RacyStore()
    expect(await probeStore(store, { racing: false })).toMatchObject({ safe: true, rounds: [] })
    const report = await probeStore(store, { racing: true, putters: 4, bytes: 100 })
    expect(report).toMatchObject({ safe: false, sequential: 'ok', rounds: [{ putters: 4, bytes: 100, winners: 4 }] })
    expect(await leftBehind(store)).toEqual([])
  })

  it('asks for few requests: two puts, a read and a delete, and as much for a race', async () => {
    const store = new FaultyStore(new MemoryStore())
    await probeStore(store, { racing: true, putters: 2, bytes: 100, rounds: 1, random: random() })
    expect(store.journal.map((entry) => entry.split(' ')[0])).toEqual([
      ...['put-if-absent', 'put-if-absent', 'get', 'delete'],
      ...['put-if-absent', 'put-if-absent', 'get', 'delete'],
    ])
  })

  // The first two puts are the sequential ones; all that follow race.
  it.each([
    ['lost the race and its refusal', 5, 'after'],
    ['won the race and its reply', 3, 'after'],
    ['never reached the store', 3, 'before'],
  ] as const)('counts one winner when a put %s', async (_what, nth, when) => {
    const store = new FaultyStore(new MemoryStore(), [{ call: 'put-if-absent', nth, when }])
    expect(await probeStore(store, { racing: true, bytes: 100, rounds: 1 })).toMatchObject({
      safe: true,
      rounds: [{ winners: 1 }],
    })
  })

  it('does not judge a store that answers none of the racing puts', async () => {
    const faults = [3, 4].map((nth) => ({ call: 'put-if-absent', nth, when: 'before' }) as const)
    const store = new FaultyStore(new MemoryStore(), faults)
    await expect(probeStore(store, { racing: true, putters: 2, bytes: 100 })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  it('rejects with the own reason of an aborted signal', async () => {
    const reason = new Error('enough')
    await expect(probeStore(new MemoryStore(), { racing: true, signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })
})

describeWhen(s3Servers.length > 0, S3_REASON, 'probeStore on real servers', () => {
  it.each(s3Servers)(
    'tells that the safety of $name is $safe',
    async (server) => {
      const store = storeOn(server)
      // A racy server betrays itself in nine rounds of ten; ten rounds miss it once in 10^10 runs.
      const report = await probeStore(store, { racing: true, rounds: server.safe ? 2 : 10 })
      expect(report.safe).toBe(server.safe)
      expect(await leftBehind(store)).toEqual([])
      await store.close()
    },
    120_000,
  )
})
