import { describe, expect, it } from 'vitest'
import { GroupCommit } from '../../src/ingest/group-commit.js'
import { MemoryStore } from '../../src/storage/memory.js'
import type { CreateOptions } from '../../src/storage/store.js'
import { createTable, ndjson, openWorld, readRows } from '../support/world.js'

const world = await openWorld()

/** A store whose commits take as long as those of a far one. */
class SlowStore extends MemoryStore {
  slowMs = 0

  override async putIfAbsent(path: string, bytes: Uint8Array, options: CreateOptions = {}): Promise<'created' | 'exists'> {
    if (path.endsWith('.json')) await new Promise((resolve) => setTimeout(resolve, this.slowMs))
    return super.putIfAbsent(path, bytes, options)
  }
}

async function newGroup() {
  const store = new SlowStore()
  const table = world.table(store)
  await createTable(table)
  store.slowMs = 150
  const group = new GroupCommit(table, { lingerMs: 0, keepRejects: async () => {} })
  const send = (bytes: Buffer) =>
    group.ingest({
      body: { kind: 'bytes', chunks: [bytes], sizeBytes: bytes.length },
      format: 'ndjson',
      onError: 'fail',
      batch: undefined,
    })
  return { group, table, send }
}

describe('what comes in while a slow store commits', () => {
  it('makes the next group larger, not one commit for each', async () => {
    const { group, table, send } = await newGroup()
    const answers: Promise<{ version: number; rows: number }>[] = []
    for (let id = 0; id < 40; id++) {
      answers.push(send(ndjson({ id, v: 'x' })))
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const results = await Promise.all(answers)
    // The first, the one that was read while it committed, and at most as many as 150 ms a commit leave room for.
    expect(new Set(results.map(({ version }) => version)).size).toBeLessThan(12)
    expect(results.map(({ rows }) => rows)).toEqual(results.map(() => 1))
    expect((await readRows(world, table)).map(({ id }) => id).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: 40 }, (_, id) => id),
    )
    await group.close()
  })
})

describe('requests of one program', () => {
  it('are read typed, whichever of them is not like the others', async () => {
    const { group, table, send } = await newGroup()
    const like = (id: number) => ndjson({ id, v: `v${id}` })
    const odd = [Buffer.from('{"v":"a","id":100}\n'), Buffer.from('{"id":101}'), Buffer.from('{"id": 102, "v": "\\u00e9"}\n')]
    for (const round of [0, 10, 20]) {
      const bodies = [like(round), like(round + 1), ...(round === 10 ? odd : [])]
      expect((await Promise.all(bodies.map(send))).map(({ rows }) => rows)).toEqual(bodies.map(() => 1))
    }
    const wrong = await Promise.allSettled([send(like(30)), send(Buffer.from('{"id":"x","v":"y"}\n')), send(like(31))])
    expect(wrong.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    const rows = (await readRows(world, table)).toSorted((a, b) => a.id - b.id)
    expect(rows).toEqual([
      ...[0, 1, 10, 11, 20, 21, 30, 31].map((id) => ({ id, v: `v${id}` })),
      { id: 100, v: 'a' },
      { id: 101, v: null },
      { id: 102, v: 'é' },
    ])
    await group.close()
  })
})
