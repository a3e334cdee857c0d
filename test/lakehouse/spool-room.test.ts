import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/base/clock.js'
import { type DeltaError, isDeltaError } from '../../src/base/errors.js'
import { SpoolRoom } from '../../src/lakehouse/spool-room.js'

const MIB = 2 ** 20
const owner = (name: string, share = 1) => [{ name, share }]

function newRoom() {
  let nowMs = 1_000_000
  const clock: Clock = { now: () => nowMs, sleep: async () => {} }
  const pass = (ms: number) => {
    nowMs += ms
  }
  return { room: new SpoolRoom(100 * MIB, clock), pass }
}

function refusal(work: () => unknown): DeltaError {
  try {
    work()
  } catch (error) {
    if (isDeltaError(error) && error.code === 'TOO_BUSY') return error
    throw error
  }
  return expect.unreachable('there was room')
}

describe('the room for requests', () => {
  it('lets one side fill half of it, and the next one half of what is left', () => {
    const { room } = newRoom()
    const fill = (name: string) => {
      for (let taken = 0; ; taken++) {
        try {
          room.enter(owner(name)).take(MIB)
        } catch {
          return taken
        }
      }
    }
    expect(fill('a')).toBe(50)
    expect(fill('b')).toBe(25)
    expect(refusal(() => room.enter(owner('a'))).details['owner']).toBe('a')
    const late = room.enter(owner('c'))
    late.take(20 * MIB)
    expect(refusal(() => late.take(20 * MIB)).details['owner']).toBeUndefined()
    late.leave()
    late.leave()
    expect(room.bytes).toBeLessThan(76 * MIB)
    expect(room.refusals).toBe(4)
  })

  it('says to come back when there will be room, by how fast it was given back', () => {
    const { room, pass } = newRoom()
    const asked = () => refusal(() => room.enter([]).take(30 * MIB)).details['retryAfterMs'] as number
    room.enter([]).take(80 * MIB)
    expect(asked()).toBe(1000)
    for (let second = 0; second < 5; second++) {
      const ticket = room.enter([])
      ticket.take(2 * MIB)
      pass(1000)
      ticket.leave()
    }
    // 10 MiB more are needed, and 2 MiB a second come free.
    expect(asked()).toBeGreaterThan(3000)
    expect(asked()).toBeLessThan(7000)
  })
})
