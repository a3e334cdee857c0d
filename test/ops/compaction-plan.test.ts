import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CompactionCandidate, planCompaction } from '../../src/ops/compaction-plan.js'

interface File extends CompactionCandidate {
  readonly at: number
}

const AIM = 1000
const files = fc
  .array(
    fc.record({
      sizeBytes: fc.integer({ min: 0, max: 1500 }),
      day: fc.constantFrom('1', '2', null),
      hour: fc.constantFrom('a', null),
    }),
    { maxLength: 60 },
  )
  .map((some) =>
    some.map(
      ({ sizeBytes, day, hour }, at): File => ({ at, sizeBytes, partitionValues: at % 2 ? { day, hour } : { hour, day } }),
    ),
  )
const keyOf = ({ partitionValues }: File) => JSON.stringify([partitionValues['day'], partitionValues['hour']])
const bytesOf = (group: readonly File[]) => group.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)

describe('planCompaction', () => {
  const holds = (title: string, check: (groups: File[][], all: File[]) => void) =>
    it(title, () => fc.assert(fc.property(files, (all) => check(planCompaction(all, AIM), all))))

  holds('never puts files of two partitions together', (groups) => {
    for (const group of groups) expect(new Set(group.map(keyOf)).size).toBe(1)
  })

  holds('takes every file at most once', (groups) => {
    const taken = groups.flat().map(({ at }) => at)
    expect(new Set(taken).size).toBe(taken.length)
  })

  holds('stays within the aim, and never rewrites a file alone', (groups) => {
    for (const group of groups) {
      expect(bytesOf(group)).toBeLessThanOrEqual(AIM)
      expect(group.length).toBeGreaterThan(1)
    }
  })

  holds('keeps the order of files', (groups) => {
    for (const group of groups) expect(group.map(({ at }) => at)).toEqual(group.map(({ at }) => at).toSorted((a, b) => a - b))
  })

  holds('leaves files alone that are large enough', (groups) => {
    for (const { sizeBytes } of groups.flat()) expect(sizeBytes).toBeLessThan(AIM * 0.75)
  })

  holds('leaves no two small neighbours that would have gone together', (groups, all) => {
    const taken = new Set(groups.flat())
    for (const key of new Set(all.map(keyOf))) {
      const small = all.filter((file) => keyOf(file) === key && file.sizeBytes < AIM * 0.75)
      for (const [at, file] of small.entries()) {
        const next = small[at + 1]
        if (next && !taken.has(file) && !taken.has(next)) expect(file.sizeBytes + next.sizeBytes).toBeGreaterThan(AIM)
      }
    }
  })

  it('has nothing to do for no file, one file, or a NULL beside an empty text', () => {
    const file = (day: string | null) => ({ sizeBytes: 1, partitionValues: { day } })
    expect([planCompaction([], AIM), planCompaction([file('1')], AIM), planCompaction([file(null), file('')], AIM)]).toEqual([
      [],
      [],
      [],
    ])
  })

  it('refuses an aim without bytes', () => {
    expect(() => planCompaction([], 0)).toThrowError(expect.objectContaining({ code: 'INVARIANT_BROKEN' }))
  })

  it('rewrites a file of which many rows are deleted, however large it is and even alone', () => {
    const file = (sizeBytes: number, deletedShare: number) => ({ sizeBytes, deletedShare, partitionValues: {} })
    const [large, fine] = [file(10 * AIM, 0.06), file(10 * AIM, 0.05)]
    expect(planCompaction([large, fine], AIM)).toEqual([[large]])
  })
})
