import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type AccessLogFormat, accessLogFields } from '../../src/ingest/access-log.js'
import { openInput } from '../../src/ingest/input.js'
import { loadInput } from '../../src/ingest/load.js'
import type { RejectedLine } from '../../src/ingest/staging.js'
import { checkDesign, createDeltaTable } from '../../src/lakehouse/create.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { describeWhen } from '../support/needs.js'
import { openWorld, readRows } from '../support/world.js'

const world = await openWorld()

interface Hit {
  readonly time: Date
  readonly [column: string]: unknown
}

async function loadFile(path: string, format: AccessLogFormat) {
  const table = world.table(new MemoryStore())
  await createDeltaTable(table, checkDesign({ fields: accessLogFields(format) }), { name: 'CREATE TABLE' })
  const rejects: RejectedLine[] = []
  await world.database.use(async (connection) =>
    loadInput(table, await openInput(connection, world.spool, format, path), {
      onError: 'reject',
      keepRejects: async (some) => {
        rejects.push(...some)
      },
    }),
  )
  return { hits: await readRows<Hit>(world, table), rejects }
}

async function load(format: AccessLogFormat, ...lines: readonly string[]) {
  const path = world.spool.file('log')
  await world.spool.write(path, Buffer.from(lines.map((line) => `${line}\n`).join('')))
  return loadFile(path, format)
}

const PREFIX = '83.149.9.216 - frank [17/May/2015:10:05:03 +0000]'
const request = (text: string, rest = '200 12') => `${PREFIX} "${text}" ${rest} "http://from/" "Mozilla/5.0 (X11)"`

describe("nginx's main format", () => {
  it('is the combined one, and for whom a proxy asked', async () => {
    const line = request('GET /a HTTP/2.0')
    const { hits, rejects } = await load('nginx', `${line} "10.0.0.1, 10.0.0.2"`, `${line} "-"`, line)
    expect(rejects).toEqual([])
    expect(hits.map((hit) => [hit['user_agent'], hit['forwarded_for']])).toEqual([
      ['Mozilla/5.0 (X11)', '10.0.0.1, 10.0.0.2'],
      ['Mozilla/5.0 (X11)', null],
      ['Mozilla/5.0 (X11)', null],
    ])
  })

  it('keeps what is no request as it was sent', async () => {
    const { hits } = await load('nginx', `${PREFIX} "\\x16\\x03\\x01" 400 157 "-" "-" "-"`)
    expect(hits).toMatchObject([{ path: '\\x16\\x03\\x01', method: null, status: 400, referrer: null, forwarded_for: null }])
  })

  it('has nothing behind that', async () => {
    const { hits, rejects } = await load('nginx', `${request('GET /a HTTP/2.0')} "10.0.0.1" 0.003`)
    expect(hits).toEqual([])
    expect(rejects[0]?.reason).toContain('"forwarded for"')
  })
})

describe('the combined format', () => {
  it('becomes typed columns', async () => {
    const { hits, rejects } = await load('combined', request('GET /a/b.html?q=1&r=%20 HTTP/1.1', '304 203023'))
    expect(rejects).toEqual([])
    expect(hits).toEqual([
      {
        time: new Date('2015-05-17T10:05:03Z'),
        address: '83.149.9.216',
        remote_user: 'frank',
        method: 'GET',
        path: '/a/b.html',
        query: 'q=1&r=%20',
        protocol: 'HTTP/1.1',
        status: 304,
        bytes: 203023,
        referrer: 'http://from/',
        user_agent: 'Mozilla/5.0 (X11)',
      },
    ])
  })

  it.each([
    [
      '`-` bytes and user',
      '1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 - "-" "-"',
      { bytes: null, remote_user: null, referrer: null, user_agent: null },
    ],
    [
      'an IPv6 address',
      `2001:db8::1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.0" 200 1 "-" "x"`,
      { address: '2001:db8::1' },
    ],
    ['a user with a space', request('GET / HTTP/1.1').replace('frank', 'frank jr'), { remote_user: 'frank jr' }],
    ['a zone', request('GET / HTTP/1.1').replace('+0000', '+0530'), { time: new Date('2015-05-17T04:35:03Z') }],
    ['escaped quotes in the request', request('GET /\\"a\\" HTTP/1.1'), { path: '/\\"a\\"', status: 200 }],
    [
      'escaped quotes in the browser',
      request('GET / HTTP/1.1').replace('(X11)', '\\"X11\\"'),
      { user_agent: 'Mozilla/5.0 \\"X11\\"' },
    ],
    ['no request at all', request('-', '408 0'), { method: null, path: null, protocol: null, status: 408 }],
    ['a request that is none', request('\\x16\\x03\\x01', '400 226'), { method: null, path: '\\x16\\x03\\x01' }],
    ['a request without a protocol', request('GET /'), { method: 'GET', path: '/', protocol: null }],
    ['HTTP/2', request('GET /?a?b HTTP/2.0'), { path: '/', query: 'a?b', protocol: 'HTTP/2.0' }],
  ])('reads %s', async (_, line, expected) => {
    const { hits, rejects } = await load('combined', line)
    expect(rejects).toEqual([])
    expect(hits[0]).toMatchObject(expected)
  })

  it.each([
    ['a time that is none', request('GET /').replace('17/May', '99/May'), /its time|no address/],
    ['a time of another form', request('GET /').replace('17/May/2015:10:05:03', '2015-05-17 10:05:03'), /its time is not like/],
    ['no time', 'hello world', /no address and \[time\]/],
    ['no status', `${PREFIX} "GET /"`, /no "request", status and bytes/],
    ['a quote that does not end', request('GET /').slice(0, -1), /no "referrer" and "user agent"/],
    ['the common format', `${PREFIX} "GET /" 200 1`, /no "referrer" and "user agent"/],
  ])('refuses a line with %s, and says so', async (_, line, reason) => {
    const good = request('GET / HTTP/1.1')
    const { hits, rejects } = await load('combined', good, '', line, good)
    expect(hits).toHaveLength(2)
    expect(rejects).toEqual([{ line: 3, raw: line, reason: expect.stringMatching(reason) }])
  })
})

describe('the common format', () => {
  it('ends with the bytes', async () => {
    const { hits, rejects } = await load('clf', `${PREFIX} "GET /a HTTP/1.1" 200 5`, `${PREFIX} "GET /a HTTP/1.1" 200 5 more`)
    expect(hits).toEqual([expect.objectContaining({ path: '/a', bytes: 5, referrer: null, user_agent: null })])
    expect(rejects).toEqual([expect.objectContaining({ line: 2, reason: 'more text after its bytes' })])
  })
})

const REAL = fileURLToPath(new URL('../../../shared/data/apache_access.log', import.meta.url))

describeWhen(existsSync(REAL), 'no real access log is here', 'a real access log', () => {
  it('comes in but for its one broken line', async () => {
    const { hits, rejects } = await loadFile(REAL, 'combined')
    expect(hits).toHaveLength(9999)
    expect(rejects.map(({ line, reason }) => [line, reason])).toEqual([[8899, 'no "referrer" and "user agent" at its end']])
    expect(hits.filter(({ time }) => time.getUTCFullYear() !== 2015)).toEqual([])
    expect(hits.filter(({ method, path, status }) => method === null || path === null || status === null)).toEqual([])
  })
})
