import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import { describeObjectStore } from '../conformance/object-store.js'
import { everyFault, FaultyStore } from '../support/faulty-store.js'

const bytes = Buffer.from('mine')

describeObjectStore('FaultyStore without faults', () => new FaultyStore(new MemoryStore()))

describe('FaultyStore', () => {
  it('loses the work before, and the reply after', async () => {
    const inner = new MemoryStore()
    const store = new FaultyStore(inner, [
      { call: 'put', nth: 1, when: 'before' },
      { call: 'put', nth: 2, when: 'after' },
    ])
    await expect(store.put('first', bytes)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await expect(store.put('second', bytes)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await store.put('third', bytes)
    expect([await inner.get('first'), await inner.get('second'), await inner.get('third')].map(Boolean)).toEqual([
      false,
      true,
      true,
    ])
  })

  it('keeps one journal and one count with its children', async () => {
    const store = new FaultyStore(new MemoryStore(), [
      { nth: 1, when: 'before', path: /^a\/b\/y$/, error: () => new Error('mine') },
    ])
    await store.child('a').put('b/x', bytes)
    await expect(store.child('a').child('b').get('y')).rejects.toThrow('mine')
    await store.delete(['a/b/x', 'z'])
    expect(store.journal).toEqual(['put a/b/x', 'get a/b/y', 'delete a/b/x z'])
  })

  it('gives all of a listing before its end is lost', async () => {
    const store = new FaultyStore(new MemoryStore())
    await store.put('x', bytes)
    store.fail({ call: 'list', nth: 1, when: 'after' })
    const seen: string[] = []
    const listing = async () => {
      for await (const { path } of store.list('')) seen.push(path)
    }
    await expect(listing()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(seen).toEqual(['x'])
  })

  it('names every single fault of a run', () => {
    const faults = everyFault(['get a', 'put b', 'put-if-absent c', 'list'])
    expect(faults.map(({ nth, when }) => `${nth} ${when}`)).toEqual(['1 before', '1 after', '2 before', '2 after'])
  })
})
