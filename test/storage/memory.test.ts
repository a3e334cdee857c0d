import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/base/clock.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { describeObjectStore } from '../conformance/object-store.js'

describeObjectStore('MemoryStore', () => new MemoryStore(), { putters: 64, races: 20 })

describe('MemoryStore', () => {
  it('takes the time from its clock', async () => {
    const store = new MemoryStore({ name: 'clocked', clock: { ...systemClock, now: () => 1_700_000_000_000 } })
    await store.child('a').put('x', new Uint8Array(1))
    expect(await store.head('a/x')).toEqual({ path: 'a/x', sizeBytes: 1, modifiedAtMs: 1_700_000_000_000 })
  })

  it('holds an object and objects below its name', async () => {
    const store = new MemoryStore()
    await store.put('a', new Uint8Array(1))
    await store.put('a/b', new Uint8Array(2))
    expect(await store.get('a')).toHaveLength(1)
    expect(await store.get('a/b')).toHaveLength(2)
  })

  it('is no disk', () => {
    expect(new MemoryStore().localPath('a')).toBeUndefined()
  })
})
