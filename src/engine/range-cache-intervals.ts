import type { ByteRange } from '../storage/store.js'

/** A set of byte positions, kept as sorted ranges that neither touch nor overlap. */
export class IntervalSet {
  readonly #ranges: ByteRange[] = []

  /** In order. */
  get ranges(): readonly ByteRange[] {
    return this.#ranges
  }

  add(range: ByteRange): void {
    if (lengthOf(range) <= 0) return
    // Touching neighbours melt into the new range.
    const from = this.#firstEndingAt(range.start)
    let until = from
    let { start, endExclusive } = range
    for (let next = this.#ranges[until]; next && next.start <= range.endExclusive; next = this.#ranges[++until]) {
      start = Math.min(start, next.start)
      endExclusive = Math.max(endExclusive, next.endExclusive)
    }
    this.#ranges.splice(from, until - from, { start, endExclusive })
  }

  delete(range: ByteRange): void {
    if (lengthOf(range) <= 0) return
    const from = this.#firstEndingAt(range.start + 1)
    let until = from
    const rest: ByteRange[] = []
    for (let next = this.#ranges[until]; next && next.start < range.endExclusive; next = this.#ranges[++until]) {
      if (next.start < range.start) rest.push({ start: next.start, endExclusive: range.start })
      if (next.endExclusive > range.endExclusive) rest.push({ start: range.endExclusive, endExclusive: next.endExclusive })
    }
    this.#ranges.splice(from, until - from, ...rest)
  }

  /** The parts of `range` that are not in the set, in order. */
  missing(range: ByteRange): readonly ByteRange[] {
    const parts: ByteRange[] = []
    let start = range.start
    for (let at = this.#firstEndingAt(range.start + 1); start < range.endExclusive; at++) {
      const next = this.#ranges[at]
      const endExclusive = Math.min(next?.start ?? range.endExclusive, range.endExclusive)
      if (endExclusive > start) parts.push({ start, endExclusive })
      start = next?.endExclusive ?? range.endExclusive
    }
    return parts
  }

  /** Whether no position of `range` is in the set. */
  isClearOf(range: ByteRange): boolean {
    const next = this.#ranges[this.#firstEndingAt(range.start + 1)]
    return !next || next.start >= range.endExclusive || lengthOf(range) <= 0
  }

  /** The index of the first range that ends at `position` or later. */
  #firstEndingAt(position: number): number {
    let low = 0
    let high = this.#ranges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#ranges[middle]?.endExclusive ?? 0) < position) low = middle + 1
      else high = middle
    }
    return low
  }
}

export interface RequestPlan {
  /** Two ranges at most this far apart become one request, when all between them is new as well. */
  readonly gapBytesMax: number
  /** What such gaps may come to, as a share of what is wanted and not present. @defaultValue no limit */
  readonly gapShareMax?: number | undefined
  /** Longer requests are cut, which bounds the memory that an answer takes. */
  readonly requestBytesMax: number
}

/**
 * The requests that bring `wanted` into `present`: whatever is present is not asked for again. They are sorted and do
 * not overlap.
 */
export function planRequests(wanted: readonly ByteRange[], present: IntervalSet, plan: RequestPlan): readonly ByteRange[] {
  const needed = new IntervalSet()
  for (const range of wanted) needed.add(range)
  const parts = needed.ranges.flatMap((range) => present.missing(range))
  const joins = joinsOf(parts, present, plan)
  const requests: ByteRange[] = []
  for (const [at, part] of parts.entries()) {
    const last = requests.at(-1)
    if (last && joins.has(at)) requests[requests.length - 1] = { start: last.start, endExclusive: part.endExclusive }
    else requests.push(part)
  }
  return requests.flatMap((range) => cut(range, plan.requestBytesMax))
}

/** Which parts are fetched together with the one before: those behind the smallest gaps, as far as their share goes. */
function joinsOf(parts: readonly ByteRange[], present: IntervalSet, plan: RequestPlan): ReadonlySet<number> {
  const { gapBytesMax, gapShareMax = Number.POSITIVE_INFINITY } = plan
  let left = gapShareMax * parts.reduce((sum, part) => sum + lengthOf(part), 0)
  const gaps = parts.slice(1).map((part, before) => ({
    at: before + 1,
    gap: { start: (parts[before] as ByteRange).endExclusive, endExclusive: part.start },
  }))
  const joins = new Set<number>()
  for (const { at, gap } of gaps.toSorted((one, other) => lengthOf(one.gap) - lengthOf(other.gap))) {
    if (lengthOf(gap) > gapBytesMax || lengthOf(gap) > left) break
    if (!present.isClearOf(gap)) continue
    joins.add(at)
    left -= lengthOf(gap)
  }
  return joins
}

export function lengthOf(range: ByteRange): number {
  return range.endExclusive - range.start
}

function cut(range: ByteRange, bytesMax: number): ByteRange[] {
  const pieces: ByteRange[] = []
  for (let start = range.start; start < range.endExclusive; start += bytesMax) {
    pieces.push({ start, endExclusive: Math.min(start + bytesMax, range.endExclusive) })
  }
  return pieces
}
