import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../src/storage/memory.js'
import type { PutOptions } from '../../src/storage/store.js'
import { addOf, createTable, openWorld } from '../support/world.js'

const world = await openWorld()

/** A store that counts checkpoints on their way, each of which takes as long as it is told. */
class CheckpointStore extends MemoryStore {
  readonly versions: number[] = []
  mostAtOnce = 0
  private atOnce = 0
  takes: () => Promise<void> = async () => {}

  override async putFile(path: string, localFile: string, options: PutOptions = {}): Promise<void> {
    const version = /(\d{20})\.checkpoint/.exec(path)?.[1]
    if (version === undefined) return super.putFile(path, localFile, options)
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.atOnce)
    await this.takes()
    this.versions.push(Number(version))
    await super.putFile(path, localFile, options)
    this.atOnce--
  }
}

async function newTable(configuration: Readonly<Record<string, string>> = {}) {
  const store = new CheckpointStore()
  const table = world.table(store)
  await createTable(table, { properties: configuration })
  const commit = async (commits: number) => {
    for (let n = 0; n < commits; n++) await (await table.transaction()).add([addOf(`${n}.parquet`)]).commit()
  }
  return { store, table, commit }
}

describe('checkpoints behind commits', () => {
  it('come one at a time, however fast commits come', async () => {
    const { store, table, commit } = await newTable({ 'delta.checkpointInterval': '2' })
    const held: (() => void)[] = []
    store.takes = () => new Promise((resolve) => held.push(resolve))
    await commit(9)
    await expect.poll(() => held.length).toBe(1)
    // Those that fell due meanwhile are made up for by one, of the newest version.
    store.takes = async () => {}
    held[0]?.()
    await expect.poll(() => store.versions).toEqual([2, 9])
    expect(store.mostAtOnce).toBe(1)
    await commit(1)
    await table.close()
    expect(store.versions).toEqual([2, 9, 10])
  })

  it('take a tenth of the time of a table that does not say how often', async () => {
    const { store, table, commit } = await newTable()
    store.takes = async () => world.clock.advance(1000)
    await commit(10)
    await expect.poll(() => store.versions).toEqual([10])
    // Due at version 20, and not before nine seconds are over.
    await commit(15)
    expect(store.versions).toEqual([10])
    world.clock.advance(9000)
    await commit(1)
    await table.close()
    expect(store.versions).toEqual([10, 26])
  })

  it('are as many as a table asks for that says so', async () => {
    const { store, table, commit } = await newTable({ 'delta.checkpointInterval': '5' })
    store.takes = async () => world.clock.advance(1000)
    for (const version of [5, 10, 15]) {
      await commit(5)
      await expect.poll(() => store.versions.at(-1)).toBe(version)
    }
    await table.close()
  })
})
