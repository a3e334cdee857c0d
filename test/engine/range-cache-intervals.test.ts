import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IntervalSet, lengthOf, planRequests } from '../../src/engine/range-cache-intervals.js'
import type { ByteRange } from '../../src/storage/store.js'

const SPACE = 64
const range = fc
  .tuple(fc.integer({ min: 0, max: SPACE }), fc.integer({ min: 0, max: SPACE }))
  .map(([one, other]): ByteRange => ({ start: Math.min(one, other), endExclusive: Math.max(one, other) }))
const edits = fc.array(fc.record({ range, isAdded: fc.boolean() }), { maxLength: 30 })

function build(steps: readonly { readonly range: ByteRange; readonly isAdded: boolean }[]) {
  const set = new IntervalSet()
  const truth = new Set<number>()
  for (const step of steps) {
    if (step.isAdded) set.add(step.range)
    else set.delete(step.range)
    for (const position of positions([step.range])) {
      if (step.isAdded) truth.add(position)
      else truth.delete(position)
    }
  }
  return { set, truth }
}

function positions(ranges: readonly ByteRange[]): number[] {
  return ranges.flatMap(({ start, endExclusive }) => Array.from({ length: endExclusive - start }, (_, at) => start + at))
}

describe('IntervalSet', () => {
  it('is a set of positions, whatever was added and deleted', () => {
    fc.assert(
      fc.property(edits, range, (steps, asked) => {
        const { set, truth } = build(steps)
        const absent = positions([asked]).filter((position) => !truth.has(position))
        expect(positions(set.missing(asked))).toEqual(absent)
        expect(set.isClearOf(asked)).toBe(absent.length === lengthOf(asked))
      }),
    )
  })

  it('gives what is missing in as few ranges as there can be', () => {
    fc.assert(
      fc.property(edits, range, (steps, asked) => {
        const parts = build(steps).set.missing(asked)
        for (const [at, part] of parts.entries()) {
          expect(lengthOf(part)).toBeGreaterThan(0)
          expect(part.start).toBeGreaterThan(parts[at - 1]?.endExclusive ?? -1)
        }
      }),
    )
  })
})

describe('planRequests', () => {
  const plan = fc.record({ gapBytesMax: fc.integer({ min: 0, max: 8 }), requestBytesMax: fc.integer({ min: 1, max: 40 }) })

  it('asks for all that is wanted and for nothing that is present', () => {
    fc.assert(
      fc.property(edits, fc.array(range, { maxLength: 12 }), plan, (steps, wanted, limits) => {
        const { set, truth } = build(steps)
        const requests = planRequests(wanted, set, limits)
        const asked = positions(requests)
        expect(new Set(asked).size).toBe(asked.length)
        expect(asked).toEqual(asked.toSorted((one, other) => one - other))
        expect(asked.filter((position) => truth.has(position))).toEqual([])
        const needed = positions(wanted).filter((position) => !truth.has(position))
        expect(needed.every((position) => asked.includes(position))).toBe(true)
        for (const request of requests) expect(lengthOf(request)).toBeLessThanOrEqual(limits.requestBytesMax)
      }),
    )
  })

  it('asks for nothing else when gaps are not joined', () => {
    fc.assert(
      fc.property(edits, fc.array(range, { maxLength: 12 }), (steps, wanted) => {
        const { set, truth } = build(steps)
        const needed = new Set(positions(wanted).filter((position) => !truth.has(position)))
        const requests = planRequests(wanted, set, { gapBytesMax: 0, requestBytesMax: SPACE })
        expect(new Set(positions(requests))).toEqual(needed)
      }),
    )
  })

  it.each([
    ['joins pieces at most the gap apart', [], 10, [{ start: 0, endExclusive: 30 }]],
    ['keeps pieces apart that are further apart', [], 9, [piece(0), piece(20)]],
    ['does not fetch what is present to join two pieces', [{ start: 14, endExclusive: 15 }], 10, [piece(0), piece(20)]],
  ])('%s', (_, present, gapBytesMax, expected) => {
    const set = new IntervalSet()
    for (const one of present) set.add(one)
    expect(planRequests([piece(20), piece(0)], set, { gapBytesMax, requestBytesMax: 1000 })).toEqual(expected)
  })

  it('joins the smallest gaps, as far as their share of what is wanted goes', () => {
    const wanted = [piece(0), piece(13), piece(28), piece(40)]
    const requests = (gapShareMax: number) =>
      planRequests(wanted, new IntervalSet(), { gapBytesMax: 100, gapShareMax, requestBytesMax: 1000 })
    expect(requests(0)).toEqual(wanted)
    expect(requests(0.1)).toEqual([piece(0), piece(13), { start: 28, endExclusive: 50 }])
    expect(requests(1)).toEqual([{ start: 0, endExclusive: 50 }])
  })

  it('cuts long requests', () => {
    const requests = planRequests([{ start: 5, endExclusive: 30 }], new IntervalSet(), { gapBytesMax: 0, requestBytesMax: 10 })
    expect(requests).toEqual([piece(5), piece(15), { start: 25, endExclusive: 30 }])
  })
})

function piece(start: number): ByteRange {
  return { start, endExclusive: start + 10 }
}
