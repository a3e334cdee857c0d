import { dice, zipf } from './dice.js'
import { pagePath } from './page-views.js'

export interface CaseStreamOptions {
  readonly seed: number
  /** How many views happened: those that a bug sends twice count once. Whole number, 1 or more. */
  readonly rows: number
  /** @defaultValue 10,000 */
  readonly urls?: number | undefined
  /** Views in each post; the last one may hold fewer. @defaultValue 500 */
  readonly postRows?: number | undefined
}

/** What a collector sends at once. */
export interface ViewPost {
  readonly producer: string
  /** Counts the posts of a producer from 0. */
  readonly sequence: number
  /** Whether the post before it, of the same producer, holds the same views: what the bug made. */
  readonly isCopy: boolean
  /** Of each view, the place of its URL in `paths`. */
  readonly ranks: Uint16Array
  /** Of each view, when it happened, in milliseconds since 1970. */
  readonly atMs: Float64Array
  /** The same views as lines `{"viewed_at":"…Z","url":"…"}`; ASCII. */
  readonly ndjson: Uint8Array
}

export interface CaseStream {
  /** By rank of popularity. */
  readonly paths: readonly string[]
  readonly producers: readonly string[]
  /** When views arrive: a day, whatever their number. */
  readonly fromMs: number
  readonly toMs: number
  /** Who sends every post twice, under a number of its own, and when. */
  readonly bug: { readonly producer: string; readonly fromMs: number; readonly toMs: number }
  /** In order of arrival. */
  posts(): Generator<ViewPost, void, undefined>
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const PRODUCERS = 8
const ZIPF_EXPONENT = 1.1
const LATE_SHARE = 0.005
const LATE_MS = { min: 60_000, max: 6 * HOUR_MS }
/** These views out of a thousand arrive ten times as fast as the others, and most are for one URL. */
const BURST = { from: 400, to: 450, quicker: 10, urlShare: 0.8, rank: 7 }
const BUGGY = 3
const BUG_HOUR = 4

/**
 * A day of page views from eight collectors. The same options give the same bytes.
 *
 * URLs are Zipf-distributed. `viewed_at` trails arrival by up to two seconds, and one view in 200 by a minute to six hours. A burst
 * goes to one URL. From the fifth hour to the sixth one collector sends all that it has twice.
 */
export function caseStream(options: CaseStreamOptions): CaseStream {
  const { seed, rows, urls = 10_000, postRows = 500 } = options
  for (const [name, count] of Object.entries({ rows, urls, postRows }))
    if (!Number.isSafeInteger(count) || count < 1) throw new RangeError(`${name} is not a count`)
  if (urls > 65_536) throw new RangeError('there are at most 65,536 URLs')
  const fromMs = Date.UTC(2026, 10, 1)
  const paths = Array.from({ length: urls }, (_, rank) => pagePath(rank))
  const producers = Array.from({ length: PRODUCERS }, (_, n) => `collector-${n}`)
  const bug = { producer: `collector-${BUGGY}`, fromMs: fromMs + BUG_HOUR * HOUR_MS, toMs: fromMs + (BUG_HOUR + 1) * HOUR_MS }
  const inBurst = (row: number) => row * 1000 >= BURST.from * rows && row * 1000 < BURST.to * rows
  const burstShare = (BURST.to - BURST.from) / 1000
  const gapMs = DAY_MS / (rows * (1 - burstShare + burstShare / BURST.quicker))

  function* posts(): Generator<ViewPost, void, undefined> {
    const roll = dice(seed)
    const rankOf = zipf(urls, ZIPF_EXPONENT)
    const sequences = new Array<number>(PRODUCERS).fill(0)
    let arrivedMs = fromMs
    for (let first = 0, turn = 0; first < rows; first += postRows, turn = (turn + 1) % PRODUCERS) {
      const count = Math.min(postRows, rows - first)
      const ranks = new Uint16Array(count)
      const atMs = new Float64Array(count)
      const beganMs = arrivedMs
      let text = ''
      for (let n = 0; n < count; n++) {
        const isBurst = inBurst(first + n)
        arrivedMs += isBurst ? gapMs / BURST.quicker : gapMs
        const rank = isBurst && roll.next() < BURST.urlShare ? Math.min(BURST.rank, urls - 1) : rankOf(roll.next())
        const isLate = roll.next() < LATE_SHARE
        const delayMs = isLate ? LATE_MS.min + roll.next() * (LATE_MS.max - LATE_MS.min) : roll.next() ** 3 * 2000
        const at = Math.max(fromMs, Math.floor(arrivedMs - delayMs))
        ranks[n] = rank
        atMs[n] = at
        text += `{"viewed_at":"${new Date(at).toISOString()}","url":"${paths[rank]}"}\n`
      }
      const producer = producers[turn] as string
      const views = { producer, ranks, atMs, ndjson: Buffer.from(text, 'latin1') }
      yield { ...views, sequence: (sequences[turn] as number)++, isCopy: false }
      if (producer === bug.producer && beganMs >= bug.fromMs && beganMs < bug.toMs)
        yield { ...views, sequence: (sequences[turn] as number)++, isCopy: true }
    }
  }
  return { paths, producers, fromMs, toMs: fromMs + DAY_MS, bug, posts }
}
