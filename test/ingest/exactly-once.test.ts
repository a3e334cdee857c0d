import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DeltaError } from '../../src/base/errors.js'
import { seededRandom } from '../../src/base/random.js'
import { GroupCommit } from '../../src/ingest/group-commit.js'
import { compact } from '../../src/ops/optimize.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { FaultyStore, type StoreCall } from '../support/faulty-store.js'
import { createTable, ndjson, openWorld, readRows, skippingClock } from '../support/world.js'

const world = await openWorld()
let runs = 0
const PRODUCERS = 3
const BATCHES = 4
const CALLS: readonly StoreCall[] = ['get', 'put-if-absent', 'put-file', 'put', 'list']

/**
 * Producers send their batches in order to nodes of their choice, over and over until each is acknowledged, while the
 * store loses calls and replies, and a compaction runs.
 */
async function simulate(seed: number): Promise<{ rows: number[]; acknowledged: number[]; lost: number }> {
  const random = seededRandom(seed)
  // A name of its own: a seed that comes twice makes the same file names, and caches go by store and name.
  const inner = new MemoryStore({ name: `run-${++runs}` })
  await createTable(world.table(inner), { properties: { 'delta.checkpointInterval': '3' } })
  const faulty = new FaultyStore(inner)
  let lost = 0
  for (let at = 0; at < 12; at++)
    faulty.fail({
      call: CALLS[Math.floor(random.next() * CALLS.length)],
      nth: 1 + Math.floor(random.next() * 25),
      when: random.next() < 0.5 ? 'before' : 'after',
      error: () => {
        lost++
        return new DeltaError('STORE_UNAVAILABLE', 'lost')
      },
    })
  const nodes = [0, 1].map((at) => {
    const table = world.table(faulty, { random: seededRandom(seed * 7 + at), clock: skippingClock() })
    return { table, group: new GroupCommit(table, { lingerMs: 1, keepRejects: async () => {} }) }
  })
  const acknowledged: number[] = []
  const produce = async (producer: number) => {
    for (let version = 1; version <= BATCHES; version++) {
      const ids = [0, 1].map((at) => producer * 1000 + version * 10 + at)
      const bytes = ndjson(...ids.map((id) => ({ id, v: 'x' })))
      for (let tries = 0; ; tries++) {
        expect(tries, `seed ${seed}`).toBeLessThan(60)
        const { group } = nodes[Math.floor(random.next() * nodes.length)] as (typeof nodes)[0]
        const body = { kind: 'bytes' as const, chunks: [bytes], sizeBytes: bytes.length }
        const send = async () =>
          group.ingest({ body, format: 'ndjson', onError: 'fail', batch: { appId: `p${producer}`, version } })
        // Now and then the same batch is under way twice.
        const sent = await Promise.allSettled(random.next() < 0.3 ? [send(), send()] : [send()])
        const failed = sent.find((result) => result.status === 'rejected')
        if (
          failed &&
          !['STORE_UNAVAILABLE', 'COMMIT_OUTCOME_UNKNOWN', 'COMMIT_CONFLICT'].includes((failed.reason as DeltaError).code)
        )
          throw failed.reason
        if (failed) continue
        expect(sent.every((result) => result.status === 'fulfilled' && result.value.rows === 2)).toBe(true)
        acknowledged.push(...ids)
        break
      }
    }
  }
  const tidy = async () => {
    for (let at = 0; at < 3; at++)
      await compact((nodes[at % 2] as (typeof nodes)[0]).table, world.source).catch((error: unknown) => {
        if (!(error instanceof DeltaError && error.kind === 'unavailable')) throw error
      })
  }
  await Promise.all([...Array.from({ length: PRODUCERS }, async (_, producer) => produce(producer)), tidy()])
  for (const { group, table } of nodes) {
    await group.close()
    await table.close()
  }
  const rows = await readRows(world, world.table(inner))
  return { rows: rows.map(({ id }) => id).toSorted((a, b) => a - b), acknowledged: acknowledged.toSorted((a, b) => a - b), lost }
}

describe('batches that are sent until they are acknowledged', () => {
  it('are in the table exactly once, whatever the store loses and whoever takes them in', async () => {
    let lost = 0
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), async (seed) => {
        const run = await simulate(seed)
        lost += run.lost
        expect(run.rows, `seed ${seed}`).toEqual(run.acknowledged)
        expect(run.rows).toHaveLength(PRODUCERS * BATCHES * 2)
      }),
      { numRuns: 12 },
    )
    expect(lost).toBeGreaterThan(12)
  })
})
