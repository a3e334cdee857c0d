import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.js'
import { assert, DeltaError, isDeltaError, KIND_OF } from '../../src/base/errors.js'
import { seededRandom, systemRandom } from '../../src/base/random.js'
import { Serial } from '../../src/base/serial.js'

describe('DeltaError', () => {
  it('has the kind of its code, and its facts both in words and as values', () => {
    const error = new DeltaError('VERSION_NOT_FOUND', 'version is not in the log', { version: 9, latest: 4, list: [1] })
    expect(error).toMatchObject({ kind: 'notFound', code: 'VERSION_NOT_FOUND', details: { version: 9, latest: 4, list: [1] } })
    expect(error.message).toBe('version is not in the log. version=9 latest=4')
    expect(error.name).toBe('DeltaError')
    expect(error).toBeInstanceOf(Error)
  })

  it('keeps its cause and its hint, and has no cause where none was given', () => {
    const cause = new Error('disk')
    const error = new DeltaError('STORE_UNAVAILABLE', 'no answer', {}, { cause, hint: 'try later' })
    expect([error.cause, error.hint]).toEqual([cause, 'try later'])
    expect('cause' in new DeltaError('CLOSED', 'closed')).toBe(false)
  })

  it('is told from other errors, and by its kinds', () => {
    const error = new DeltaError('COMMIT_CONFLICT', 'lost')
    expect([isDeltaError(error), isDeltaError(error, 'conflict'), isDeltaError(error, 'invalid', 'limit')]).toEqual([
      true,
      true,
      false,
    ])
    expect([isDeltaError(new Error('x')), isDeltaError(undefined)]).toEqual([false, false])
  })

  it('says of a broken promise that it is our fault', () => {
    expect(() => assert(1 > 2, 'one is more than two')).toThrow(
      expect.objectContaining({ code: 'INVARIANT_BROKEN', kind: 'internal' }) as Error,
    )
    expect(() => assert(true, 'fine')).not.toThrow()
  })

  it('has codes in capitals only', () => {
    for (const code of Object.keys(KIND_OF)) expect(code).toMatch(/^[A-Z]+(_[A-Z]+)*$/)
  })
})

describe('the clock', () => {
  it('rejects a sleep with the reason of the signal', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const sleeping = systemClock.sleep(60_000, controller.signal)
    controller.abort(reason)
    await expect(sleeping).rejects.toBe(reason)
    await expect(systemClock.sleep(60_000, controller.signal)).rejects.toBe(reason)
  })

  it('sleeps when nobody interrupts', async () => {
    const before = systemClock.now()
    await systemClock.sleep(5, new AbortController().signal)
    expect(systemClock.now()).toBeGreaterThanOrEqual(before)
  })
})

describe('random numbers', () => {
  const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

  it('are the same for the same seed', () => {
    const draw = (seed: number) => {
      const random = seededRandom(seed)
      return [random.next(), random.uuid(), random.next()]
    }
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
  })

  it('lie in [0, 1), and UUIDs are of version 4', () => {
    const random = seededRandom(1)
    for (let i = 0; i < 1000; i++) {
      const value = random.next()
      expect(value >= 0 && value < 1).toBe(true)
    }
    expect(random.uuid()).toMatch(UUID)
    expect(systemRandom.uuid()).toMatch(UUID)
  })
})

describe('Serial', () => {
  it('runs work in the order handed in, and a failure is its own caller\u2019s alone', async () => {
    const serial = new Serial()
    const seen: number[] = []
    const work = [1, 2, 3].map((n) =>
      serial.run(async () => {
        await new Promise((resolve) => setImmediate(resolve))
        seen.push(n)
        if (n === 2) throw new Error('two')
        return n
      }),
    )
    const outcomes = await Promise.allSettled(work)
    expect(seen).toEqual([1, 2, 3])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  })
})
