import { type Dice, dice, zipf } from './dice.js'
import { pagePath } from './page-views.js'

export interface AccessLogOptions {
  readonly seed: number
  /** How many lines in all, the broken one among them; whole number, at least 2. */
  readonly lines: number
  /** The time of the first request, in milliseconds since 1970. @defaultValue 2026-11-02T06:00:00Z */
  readonly startMs?: number | undefined
}

/**
 * Lines of a web server's access log in Apache's combined format, without their newlines. The same options give the
 * same lines.
 *
 * Every line is well formed but one, past the middle, which ends inside its request as if the server had died there.
 * IPv6 clients, signed-in users, percent-encoded URLs, `-` for a size that was not sent and quotes escaped inside
 * agents all occur. Addresses and hosts are those reserved for documentation.
 */
export function* generateAccessLog(options: AccessLogOptions): Generator<string, void, undefined> {
  const { seed, lines, startMs = Date.UTC(2026, 10, 2, 6) } = options
  const roll = dice(seed)
  const rankOf = zipf(200, 1.1)
  const visitors = Array.from({ length: Math.max(8, Math.floor(lines / 8)) }, () => visitor(roll))
  const active = Array.from({ length: 12 }, () => roll.pick(visitors))
  const brokenLine = Math.floor(lines * 0.6)
  let atMs = startMs
  for (let line = 0; line < lines; line++) {
    atMs += Math.floor(-Math.log(1 - roll.next()) * 9_000)
    const seat = roll.below(active.length)
    if (roll.next() < 0.15) active[seat] = roll.pick(visitors)
    const text = requestLine(roll, active[seat] as Visitor, atMs, rankOf)
    yield line === brokenLine ? text.slice(0, text.indexOf('"') + 7) : text
  }
}

/** The committed sample, `data/access.log`. */
export function accessLogSample(): string {
  return `${[...generateAccessLog({ seed: 20261102, lines: 2_000 })].join('\n')}\n`
}

interface Visitor {
  readonly address: string
  readonly user: string
  readonly agent: string
  readonly isBot: boolean
}

const BROWSERS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15',
  'Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1',
  'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36',
]
const BOTS = [
  'Mozilla/5.0 (compatible; ExampleBot/2.1; +https://bot.example/about.html)',
  'FeedPoller/4.2 (\\"the friendly reader\\"; +https://feeds.example/)',
  'curl/8.14.1',
  '-',
]

function visitor(roll: Dice): Visitor {
  const isBot = roll.next() < 0.15
  return {
    address: roll.next() < 0.15 ? ipv6(roll) : `${roll.pick(['192.0.2', '198.51.100', '203.0.113'])}.${1 + roll.below(254)}`,
    user: !isBot && roll.next() < 0.05 ? roll.pick(['maria', 'j.okafor', 'wei']) : '-',
    agent: roll.pick(isBot ? BOTS : BROWSERS),
    isBot,
  }
}

function ipv6(roll: Dice): string {
  const group = (): string => roll.below(65_536).toString(16)
  return `2001:db8:${group()}::${group()}`
}

function requestLine(roll: Dice, from: Visitor, atMs: number, rankOf: (roll: number) => number): string {
  const method = methodFor(roll, from)
  const url = method === 'POST' ? roll.pick(['/cart', '/login', '/newsletter']) : urlFor(roll, rankOf)
  const status = method === 'POST' ? roll.pick([200, 302, 303]) : statusFor(roll)
  const size = status === 304 || method === 'HEAD' ? '-' : sizeFor(roll, status, url)
  const protocol = roll.next() < 0.6 ? 'HTTP/2.0' : from.isBot && roll.next() < 0.3 ? 'HTTP/1.0' : 'HTTP/1.1'
  const referrer = referrerFor(roll, from, rankOf)
  return `${from.address} - ${from.user} [${logTime(atMs)}] "${method} ${url} ${protocol}" ${status} ${size} "${referrer}" "${from.agent}"`
}

function methodFor(roll: Dice, from: Visitor): string {
  const kind = roll.next()
  if (from.isBot) return kind < 0.1 ? 'HEAD' : 'GET'
  return kind < 0.03 ? 'POST' : 'GET'
}

const ASSETS = ['/favicon.ico', '/css/site.css', '/js/app.js', '/images/logo%402x.png', '/robots.txt', '/feed.xml']
const ODD_URLS = [
  '/search?q=caf%C3%A9+au+lait',
  '/search?q=%22blue+kite%22&page=2',
  '/files/annual%20report%202026.pdf',
  '/%E6%97%A5%E6%9C%AC/index.html',
]

function urlFor(roll: Dice, rankOf: (roll: number) => number): string {
  const kind = roll.next()
  if (kind < 0.2) return roll.pick(ASSETS)
  if (kind < 0.26) return roll.pick(ODD_URLS)
  if (kind < 0.28) return `/old/page-${roll.below(90)}.php?id=${roll.below(1_000)}`
  return pagePath(rankOf(roll.next()))
}

function statusFor(roll: Dice): number {
  const kind = roll.next()
  if (kind < 0.88) return 200
  if (kind < 0.94) return 304
  if (kind < 0.975) return 404
  return kind < 0.99 ? 301 : roll.pick([206, 403, 500, 503])
}

function sizeFor(roll: Dice, status: number, url: string): string {
  if (status >= 300) return String(180 + roll.below(400))
  return String(1_200 + url.length * 731 + roll.below(40_000))
}

function referrerFor(roll: Dice, from: Visitor, rankOf: (roll: number) => number): string {
  const kind = roll.next()
  if (from.isBot || kind < 0.35) return '-'
  if (kind < 0.55)
    return roll.pick(['https://search.example/', 'https://search.example/?q=paper%20kites', 'https://social.example/feed'])
  return `https://www.example.org${pagePath(rankOf(roll.next()))}`
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** `02/Nov/2026:06:00:07 +0000` */
function logTime(ms: number): string {
  const at = new Date(ms)
  const iso = at.toISOString()
  return `${iso.slice(8, 10)}/${MONTHS[at.getUTCMonth()]}/${iso.slice(0, 4)}:${iso.slice(11, 19)} +0000`
}
