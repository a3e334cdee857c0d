import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GroupPace } from '../../src/ingest/group-pace.js'

const BODY = 150_000

/**
 * Senders that send again when they are answered, and groups of which one is read while the one before commits.
 *
 * @returns the requests of each group.
 */
function groupsOf(senders: number, bodyBytes: number, rounds: number): number[] {
  const pace = new GroupPace()
  const sizes: number[] = []
  let [waiting, committing] = [senders, 0]
  for (let round = 0; round < rounds; round++) {
    // All have come while the group before was read.
    const taken = Math.min(waiting, Math.floor(pace.begin(waiting * bodyBytes, committing * bodyBytes) / bodyBytes))
    sizes.push(taken)
    waiting += committing - taken
    committing = taken
  }
  return sizes
}

describe('how large groups are', () => {
  it('is half of what is under way, so that one half is read while the other commits', () => {
    expect(groupsOf(16, BODY, 40).slice(-10)).toSatisfy((sizes: number[]) => sizes.every((size) => size === 8))
  })

  it('is all of it when there is little', () => {
    expect(groupsOf(16, 100, 40).slice(-10)).toSatisfy((sizes: number[]) => sizes.every((size) => size === 16 || size === 0))
  })

  it('is one for one sender, who never waits for others', () => {
    expect(groupsOf(1, BODY, 5)).toEqual([1, 1, 0, 1, 0].map((_, at) => (at % 2 === 0 ? 1 : 0)))
    const pace = new GroupPace()
    expect(pace.isEnough(BODY)).toBe(false)
    pace.begin(BODY, 0)
    expect(pace.isEnough(BODY)).toBe(true)
  })

  it('lets every request of those that wait go with some group', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ waiting: fc.integer({ min: 1, max: 1e8 }), begun: fc.nat(1e8) }), { minLength: 1 }),
        (steps) => {
          const pace = new GroupPace()
          for (const { waiting, begun } of steps) expect(pace.begin(waiting, begun)).toBeGreaterThanOrEqual(Math.min(waiting, 1))
        },
      ),
    )
  })

  it('forgets senders that are gone', () => {
    const pace = new GroupPace()
    pace.begin(64 * BODY, 0)
    for (let groups = 0; groups < 60; groups++) pace.begin(BODY, 0)
    expect(pace.isEnough(BODY)).toBe(true)
  })
})
