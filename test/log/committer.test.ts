import { describe, expect, it } from 'vitest'
import { DeltaError } from '../../src/base/errors.js'
import { seededRandom } from '../../src/base/random.js'
import { commitEntry } from '../../src/log/committer.js'
import { commitPath } from '../../src/protocol/log-path.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { FaultyStore } from '../support/faulty-store.js'
import { skippingClock } from '../support/world.js'

const mine = Buffer.from('{"commitInfo":{"txnId":"mine"}}\n')
const theirs = Buffer.from('{"commitInfo":{"txnId":"theirs"}}\n')
const path = commitPath(7)
const options = () => ({ clock: skippingClock(), random: seededRandom(1) })

describe('commitEntry', () => {
  it('costs one conditional write when nobody is in the way', async () => {
    const store = new FaultyStore(new MemoryStore())
    expect(await commitEntry(store, 7, mine, options())).toEqual({ kind: 'committed', version: 7 })
    expect(store.journal).toEqual([`put-if-absent ${path}`])
  })

  it('loses to an entry that is there, and leaves it alone', async () => {
    const inner = new MemoryStore()
    await inner.put(path, theirs)
    const store = new FaultyStore(inner)
    expect(await commitEntry(store, 7, mine, options())).toEqual({ kind: 'lost', version: 7 })
    expect(store.journal).toEqual([`put-if-absent ${path}`, `get ${path}`])
    expect(Buffer.from((await inner.get(path)) ?? [])).toEqual(theirs)
  })

  it('takes an entry with its own bytes for its own', async () => {
    const store = new MemoryStore()
    await store.put(path, mine)
    expect(await commitEntry(store, 7, mine, options())).toEqual({ kind: 'committed', version: 7 })
  })

  it('lets exactly one of many racing writers win', async () => {
    const store = new MemoryStore()
    const bodies = Array.from({ length: 20 }, (_, at) => Buffer.from(`{"commitInfo":{"txnId":"${at}"}}`))
    const outcomes = await Promise.all(bodies.map(async (body) => commitEntry(store, 7, body, options())))
    const winner = outcomes.findIndex(({ kind }) => kind === 'committed')
    expect(outcomes.filter(({ kind }) => kind === 'committed')).toHaveLength(1)
    expect(Buffer.from((await store.get(path)) ?? [])).toEqual(bodies[winner])
  })

  it('does nothing once the caller has given up', async () => {
    const store = new FaultyStore(new MemoryStore())
    const reason = new Error('given up')
    await expect(commitEntry(store, 7, mine, { ...options(), signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(store.journal).toEqual([])
  })

  it('does not go on, nor ask what became of it, when what it comes after fails', async () => {
    const store = new FaultyStore(new MemoryStore())
    const failed = new DeltaError('STORE_UNAVAILABLE', 'the file did not get there')
    const after = Promise.reject(failed)
    await expect(commitEntry(store, 7, mine, { ...options(), after })).rejects.toBe(failed)
    expect(store.journal).toEqual([`put-if-absent ${path}`])
    expect(await store.get(path)).toBeUndefined()
  })

  it('does not guess when the store refuses access', async () => {
    const denied = () => new DeltaError('STORE_DENIED', 'no')
    const store = new FaultyStore(new MemoryStore(), [{ call: 'put-if-absent', nth: 1, when: 'before', error: denied }])
    await expect(commitEntry(store, 7, mine, options())).rejects.toMatchObject({ code: 'STORE_DENIED' })
    expect(store.journal).toHaveLength(1)
  })
})

describe.each([
  ['lands', 'after'],
  ['never lands', 'before'],
] as const)('when the reply is lost and the write %s', (_, when) => {
  it('commits exactly once', async () => {
    const inner = new MemoryStore()
    const store = new FaultyStore(inner, [{ call: 'put-if-absent', nth: 1, when }])
    expect(await commitEntry(store, 7, mine, options())).toEqual({ kind: 'committed', version: 7 })
    expect(Buffer.from((await inner.get(path)) ?? [])).toEqual(mine)
    const sends = when === 'after' ? 1 : 2
    expect(store.journal.filter((call) => call.startsWith('put'))).toHaveLength(sends)
  })

  it('commits exactly once when the caller repeats itself', async () => {
    const store = new FaultyStore(new MemoryStore(), [{ call: 'put-if-absent', nth: 1, when }])
    const once = { ...options(), attemptsMax: 1 }
    const outcome = await commitEntry(store, 7, mine, once).catch(async () => commitEntry(store, 7, mine, once))
    expect(outcome).toEqual({ kind: 'committed', version: 7 })
  })

  it('knows another writer who came between', async () => {
    const inner = new MemoryStore()
    await inner.put(path, theirs)
    const store = new FaultyStore(inner, [{ call: 'put-if-absent', nth: 1, when }])
    expect(await commitEntry(store, 7, mine, options())).toEqual({ kind: 'lost', version: 7 })
  })

  it('says that it does not know when the entry cannot be read back, and keeps trying a while before', async () => {
    const store = new FaultyStore(
      new MemoryStore(),
      [1, 2, 3, 4].flatMap((nth) => [
        { call: 'put-if-absent' as const, nth, when },
        { call: 'get' as const, nth, when: 'before' as const },
      ]),
    )
    await expect(commitEntry(store, 7, mine, options())).rejects.toMatchObject({
      code: 'COMMIT_OUTCOME_UNKNOWN',
      kind: 'unavailable',
      details: { path },
    })
    expect(store.journal.filter((call) => call.startsWith('put'))).toHaveLength(4)
  })
})

describe('a write that is still on its way', () => {
  it('cannot make a second entry when it lands after the same put was sent again', async () => {
    const inner = new MemoryStore()
    const store = new FaultyStore(inner, [{ call: 'put-if-absent', nth: 1, when: 'before' }])
    await commitEntry(store, 7, mine, options())
    expect(await inner.putIfAbsent(path, mine)).toBe('exists')
  })

  it('leaves the outcome open when the store is away throughout', async () => {
    const away = [1, 2, 3, 4, 5, 6, 7, 8].map((nth) => ({ nth, when: 'before' as const }))
    const inner = new MemoryStore()
    const clock = skippingClock(0)
    await expect(commitEntry(new FaultyStore(inner, away), 7, mine, { clock, random: seededRandom(1) })).rejects.toMatchObject({
      code: 'COMMIT_OUTCOME_UNKNOWN',
    })
    expect(await inner.get(path)).toBeUndefined()
    expect(clock.now()).toBeGreaterThan(100)
  })
})
