import { getEventListeners } from 'node:events'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { Caller } from '../../server/caller.js'

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

it('keeps nothing of an answer that has passed', async () => {
  const caller = new Caller()
  const passed: WeakRef<Uint8Array>[] = []
  for (let part = 0; part < 20; part++) passed.push(new WeakRef(await caller.waitsFor(async () => new Uint8Array(2 ** 20))))
  await new Promise((resolve) => setTimeout(resolve))
  collectGarbage()
  expect(passed.filter((one) => one.deref()).length).toBeLessThan(3)
})

it('is listened to by nobody once a part of the work has ended', async () => {
  const caller = new Caller(60_000)
  for (let part = 0; part < 20; part++) {
    await caller.waitsFor(async () => part)
    await expect(caller.waitsFor(async () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  }
  expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0)
})
