import { type Dice, dice, zipf } from './dice.js'

export interface PageViewOptions {
  readonly seed: number
  /** How many views in all; whole number, 0 or more. */
  readonly rows: number
  /** How many URLs there are to view. @defaultValue 1,000 */
  readonly urls?: number | undefined
  /** How many users there are. @defaultValue 50,000 */
  readonly users?: number | undefined
  /** When the first view arrives, in milliseconds since 1970. @defaultValue 2026-11-01T00:00:00Z */
  readonly startMs?: number | undefined
  /** Views in each batch; the last one may hold fewer. @defaultValue 10,000 */
  readonly batchRows?: number | undefined
}

export interface PageViewBatch {
  readonly rows: number
  /** One JSON object a line, in order of arrival, each line ended by a newline; ASCII. */
  readonly ndjson: Uint8Array
  /** The views of each URL in this batch: what a count over `ndjson` must give. URLs without a view are absent. */
  readonly perUrl: Map<string, number>
}

const GAP_MS = 50
const ZIPF_EXPONENT = 1.1
const LATE_SHARE = 0.005
const LATE_MS_MIN = 60_000
const LATE_MS_MAX = 6 * 3_600_000
/** The burst: these views out of a thousand arrive ten times as fast, and most are for one URL. */
const BURST = { from: 400, to: 450, gapMs: GAP_MS / 10, urlShare: 0.8 }

/**
 * Page views as a collector receives them. The same options give the same bytes.
 *
 * Columns: `viewed_at` (ISO 8601, UTC, milliseconds), `url`, `user_id`, `status`, `bytes`, `referrer` (a string or null).
 * URLs are Zipf-distributed. Arrival moves forward, 20 views a second; `viewed_at` trails it by up to two seconds, so
 * neighbours are out of order, and one view in 200 is late by a minute to six hours. Past two fifths of the run a burst
 * sends most views to one URL.
 */
export function* generatePageViews(options: PageViewOptions): Generator<PageViewBatch, void, undefined> {
  const { seed, rows, urls = 1_000, users = 50_000, startMs = Date.UTC(2026, 10, 1), batchRows = 10_000 } = options
  const counts = { rows, urls: urls - 1, users: users - 1, batchRows: batchRows - 1 }
  for (const [name, count] of Object.entries(counts)) {
    if (!Number.isSafeInteger(count) || count < 0) throw new RangeError(`${name} is not a count`)
  }
  const roll = dice(seed)
  const paths = Array.from({ length: urls }, (_, rank) => pagePath(rank))
  const rankOf = zipf(urls, ZIPF_EXPONENT)
  const viral = Math.min(urls - 1, 7)
  const isoTime = isoTimes()
  let arrivedMs = startMs
  for (let first = 0; first < rows; first += batchRows) {
    const end = Math.min(rows, first + batchRows)
    const views = new Uint32Array(urls)
    let text = ''
    for (let row = first; row < end; row++) {
      const permille = (row * 1000) / rows
      const inBurst = permille >= BURST.from && permille < BURST.to
      arrivedMs += inBurst ? BURST.gapMs : GAP_MS
      const rank = inBurst && roll.next() < BURST.urlShare ? viral : rankOf(roll.next())
      views[rank] = (views[rank] as number) + 1
      const status = statusFor(roll.next())
      const user = Math.floor(users * roll.next() ** 2)
      text +=
        `{"viewed_at":"${isoTime(Math.floor(arrivedMs - delayMs(roll)))}","url":"${paths[rank]}","user_id":${user},` +
        `"status":${status},"bytes":${bytesFor(rank, status, roll)},"referrer":${referrerFor(roll, paths)}}\n`
    }
    const perUrl = new Map<string, number>()
    for (let rank = 0; rank < urls; rank++) if (views[rank]) perUrl.set(paths[rank] as string, views[rank] as number)
    yield { rows: end - first, ndjson: Buffer.from(text, 'latin1'), perUrl }
  }
}

const SECTIONS = ['docs', 'blog', 'products', 'guides', 'help', 'news', 'shop']
const SUBJECTS = [
  'lanterns',
  'bicycles',
  'teapots',
  'maps',
  'kites',
  'telescopes',
  'boots',
  'clocks',
  'canoes',
  'tents',
  'globes',
]

/** The path of the page at this rank of popularity, counted from 0; no two ranks share one. */
export function pagePath(rank: number): string {
  if (rank === 0) return '/'
  return `/${SECTIONS[rank % SECTIONS.length]}/${SUBJECTS[(rank * 5) % SUBJECTS.length]}-${rank}`
}

function statusFor(roll: number): number {
  if (roll < 0.92) return 200
  if (roll < 0.96) return 304
  if (roll < 0.985) return 404
  return roll < 0.995 ? 301 : 500
}

function bytesFor(rank: number, status: number, roll: Dice): number {
  if (status === 304) return 0
  if (status !== 200) return 200 + roll.below(300)
  return 2_000 + ((rank * 7_919) % 60_000) + roll.below(512)
}

const REFERRERS = [
  'https://search.example/',
  'https://news.example/today',
  'https://social.example/feed',
  'https://mail.example/',
]

function referrerFor(roll: Dice, paths: readonly string[]): string {
  const kind = roll.next()
  if (kind < 0.4) return 'null'
  if (kind < 0.75) return `"${roll.pick(REFERRERS)}"`
  return `"https://www.example.org${paths[roll.below(Math.min(paths.length, 50))]}"`
}

function delayMs(roll: Dice): number {
  if (roll.next() < LATE_SHARE) return LATE_MS_MIN + roll.next() * (LATE_MS_MAX - LATE_MS_MIN)
  return roll.next() ** 3 * 2_000
}

/** `toISOString` by hand, with the day kept: three times as quick on a run of times. */
function isoTimes(): (ms: number) => string {
  const two = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'))
  const days = new Map<number, string>()
  return (ms) => {
    const day = Math.floor(ms / 86_400_000)
    let date = days.get(day)
    if (date === undefined) {
      date = new Date(ms).toISOString().slice(0, 11)
      days.set(day, date)
    }
    const inDay = ms - day * 86_400_000
    const seconds = Math.floor(inDay / 1000)
    const minutes = Math.floor(seconds / 60)
    const time = `${two[Math.floor(minutes / 60)]}:${two[minutes % 60]}:${two[seconds % 60]}`
    return `${date}${time}.${String(inDay % 1000).padStart(3, '0')}Z`
  }
}
