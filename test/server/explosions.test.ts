import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Caller } from '../../server/caller.js'
import { type LakeServer, problemOf, serveLake } from './lake-server.js'

const MIB = 2 ** 20

let at: LakeServer

beforeAll(async () => {
  const limits = { queryTimeoutMs: 1500, answerBytesMax: 10 * MIB }
  at = await serveLake({ limits }, { memoryLimitBytes: 300 * MIB, threads: 2 })
  await at.lake.sql('CREATE TABLE t (id INT); INSERT INTO t VALUES (1)')
})
afterAll(() => at[Symbol.asyncDispose]())

/** Each level names the one before twice. */
const levels = (more: string, count: number) =>
  `WITH a0 AS (SELECT 1 AS x)${Array.from({ length: count }, (_, n) => `, a${n + 1} AS ${more} (SELECT l.x FROM a${n} l, a${n} r)`).join('')} SELECT count(*) FROM a${count}`

/** Which may also run out of time, on a machine that has much to do. */
const EXPLODING: readonly (readonly [what: string, statement: string, codes: RegExp])[] = [
  ['a range without an end', 'SELECT count(*) FROM range(1000000000000) r(n) WHERE n % 7 = 3', /^(QUERY_TIMEOUT)$/],
  ['all of such a range', 'SELECT * FROM range(1000000000000)', /^(ANSWER_TOO_LARGE|QUERY_TIMEOUT)$/],
  ['a cross join', 'SELECT sum(a.range * b.range) FROM range(3000000) a, range(3000000) b', /^(QUERY_TIMEOUT)$/],
  [
    'a cross join in order',
    'SELECT a.range FROM range(100000) a, range(100000) b ORDER BY hash(a.range, b.range)',
    /^(QUERY_TIMEOUT|MEMORY_LIMIT|ANSWER_TOO_LARGE)$/,
  ],
  ['a list of everything', 'SELECT list(range) FROM range(1000000000000)', /^(MEMORY_LIMIT|QUERY_TIMEOUT)$/],
  ['a list that is too long', 'SELECT unnest(range(100000000000))', /^(SQL_INVALID|MEMORY_LIMIT|QUERY_TIMEOUT)$/],
  ['a text that is too long', "SELECT repeat('x', 3000000000)", /^(MEMORY_LIMIT|SQL_INVALID|QUERY_TIMEOUT)$/],
  [
    'texts that add up',
    "SELECT string_agg(repeat('x', 100000), '') FROM range(1000000)",
    /^(MEMORY_LIMIT|QUERY_TIMEOUT|SQL_INVALID)$/,
  ],
  [
    'a recursion without an end',
    'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r',
    /^(QUERY_TIMEOUT|MEMORY_LIMIT)$/,
  ],
  [
    'a recursion that doubles',
    'WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r, range(2)) SELECT count(*) FROM r',
    /^(QUERY_TIMEOUT|MEMORY_LIMIT)$/,
  ],
  ['copies of copies', levels('NOT MATERIALIZED', 30), /^(SQL_FORBIDDEN|QUERY_TIMEOUT)$/],
  ['a pattern of patterns', "SELECT regexp_matches('a', '((a{0,100}){0,100}){0,100}')", /^(SQL_INVALID|QUERY_TIMEOUT)$/],
  [
    'a pattern for all texts',
    "SELECT count(*) FROM range(1000000) r(n) WHERE regexp_matches(repeat('a', 1000) || n, '(a*)*(a*)*b')",
    /^(QUERY_TIMEOUT)$/,
  ],
  ['brackets', `SELECT ${'('.repeat(100_000)}1${')'.repeat(100_000)}`, /^(SQL_INVALID|QUERY_TIMEOUT)$/],
  ['lists in lists', `SELECT ${'['.repeat(100_000)}1${']'.repeat(100_000)}`, /^(SQL_INVALID|QUERY_TIMEOUT)$/],
  ['a long sum', `SELECT ${'1 + '.repeat(100_000)}1`, /^(SQL_INVALID|QUERY_TIMEOUT)$/],
  ['many NOTs', `SELECT ${'NOT '.repeat(100_000)}true`, /^(SQL_INVALID|QUERY_TIMEOUT)$/],
  ['CASE in CASE', `SELECT ${'CASE WHEN true THEN '.repeat(20_000)}1${' END'.repeat(20_000)}`, /^(SQL_INVALID|QUERY_TIMEOUT)$/],
  [
    'queries in queries',
    `SELECT * FROM ${'(SELECT * FROM '.repeat(20_000)}t${')'.repeat(20_000)}`,
    /^(SQL_INVALID|QUERY_TIMEOUT)$/,
  ],
]

/** Of an answer that broke off, it is the last line. */
async function failureOf(response: Response): Promise<{ readonly code: string; readonly status: number }> {
  if (response.status !== 200) return await problemOf(response)
  const last = (await response.text()).trimEnd().split('\n').at(-1) ?? ''
  return (JSON.parse(last) as { readonly error: { readonly code: string; readonly status: number } }).error
}

describe('a query that explodes', () => {
  it.each(EXPLODING)('hits a limit: %s', async (_what, statement, codes) => {
    const { code, status } = await failureOf(await at.sql(statement, 'ndjson'))
    expect(code).toMatch(codes)
    expect([400, 403, 504, 507]).toContain(status)
    expect((await at.get('/healthz')).status).toBe(200)
  })

  it('leaves a server that answers', async () => {
    expect(await (await at.lake.sql('SELECT id FROM t')).rows()).toEqual([{ id: 1 }])
  })

  it('leaves the event loop free, however long its text', async () => {
    const words = `SELECT ${Array.from({ length: 50_000 }, (_, n) => `c${n} AS d${n}`).join(', ')} FROM t`
    const before = performance.eventLoopUtilization()
    expect((await problemOf(await at.sql(words))).code).toMatch(/^(SQL_INVALID|QUERY_TIMEOUT)$/)
    expect(performance.eventLoopUtilization(before).active).toBeLessThan(5000)
  })

  it('may name its parts often, where they are not copied', async () => {
    for (const query of [levels('MATERIALIZED', 10), levels('NOT MATERIALIZED', 4), levels('', 10)])
      expect(await (await at.lake.sql(query)).rows()).toHaveLength(1)
  })
})

describe('a caller', () => {
  it('is answered in time although the work cannot be interrupted', async () => {
    const caller = new Caller(50)
    let end = () => {}
    const work = new Promise<void>((resolve) => {
      end = resolve
    })
    await expect(caller.waitsFor(() => work)).rejects.toMatchObject({ code: 'QUERY_TIMEOUT' })
    let isSettled = false
    const settled = caller.settled().then(() => {
      isSettled = true
    })
    await Promise.resolve()
    expect(isSettled).toBe(false)
    end()
    await settled
  })
})
