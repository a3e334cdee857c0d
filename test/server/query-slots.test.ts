import { describe, expect, it } from 'vitest'
import { QuerySlots, type Release } from '../../server/query-slots.js'

const never = new AbortController().signal

async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve()
}

describe('QuerySlots', () => {
  it('serves callers in turn, however much one of them asks for', async () => {
    const slots = new QuerySlots({ queriesMax: 1, queriesWaitingMax: 10 })
    const served: string[] = []
    let current: Release = await slots.take('ann', never)
    for (const who of ['ann', 'ann', 'ann', 'bob', 'cid', 'bob'])
      void slots.take(who, never).then((release) => {
        served.push(who)
        current = release
      })
    expect(slots.waiting).toBe(6)
    while (slots.waiting > 0) {
      current()
      await settled()
    }
    expect(served).toEqual(['ann', 'bob', 'cid', 'ann', 'bob', 'ann'])
    current()
    expect([slots.running, slots.waiting]).toEqual([0, 0])
  })

  it('refuses one more than may wait', async () => {
    const slots = new QuerySlots({ queriesMax: 1, queriesWaitingMax: 1 })
    const release = await slots.take('ann', never)
    const waits = slots.take('ann', never)
    await expect(slots.take('bob', never)).rejects.toMatchObject({ code: 'TOO_BUSY', details: { retryAfterMs: 1000 } })
    expect(() => slots.checkRoom()).toThrow(expect.objectContaining({ code: 'TOO_BUSY' }))
    release()
    release()
    await waits
    expect(slots.running).toBe(1)
  })

  it('forgets a caller who leaves the line', async () => {
    const slots = new QuerySlots({ queriesMax: 1, queriesWaitingMax: 5 })
    const release = await slots.take('ann', never)
    const leaving = new AbortController()
    const left = slots.take('ann', leaving.signal)
    const stays = slots.take('ann', never)
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    release()
    await stays
    expect(slots.waiting).toBe(0)
  })

  it('has a few slots for quick ones beside the others, where any may wait', async () => {
    const slots = new QuerySlots({ queriesMax: 1, queriesWaitingMax: 5 })
    await slots.take('ann', never)
    expect(slots.takeFree()).toBeUndefined()
    const quick = [slots.takeQuick(), slots.takeQuick()]
    expect(slots.takeQuick()).toBeUndefined()
    quick[0]?.()
    expect(slots.takeQuick()).toBeDefined()
    expect(new QuerySlots({ queriesMax: 1, queriesWaitingMax: 0 }).takeQuick()).toBeUndefined()
  })
})
