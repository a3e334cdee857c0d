import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JSON_TYPE, type LakeServer, problemOf, serveLake } from './lake-server.js'

let at: LakeServer
let runs = 0

beforeAll(async () => {
  at = await serveLake({ limits: { cacheBytesMax: 80_000 } })
  await at.lake.sql('CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2)')
  const sql = at.lake.sql.bind(at.lake)
  at.lake.sql = async (text, options) => {
    const result = await sql(text, options)
    runs++
    return result
  }
})
afterAll(() => at[Symbol.asyncDispose]())

const asUrl = (query: string, more = '') => `/v1/sql?q=${encodeURIComponent(query)}${more}`

async function ask(url: string, headers: Record<string, string> = {}) {
  const before = runs
  const response = await at.get(url, headers)
  const text = await response.text()
  return { status: response.status, tag: response.headers.get('etag'), text, ran: runs > before }
}

describe('an ETag', () => {
  it('stands for statement, parameters, versions and format', async () => {
    const query = 'SELECT a FROM t ORDER BY a'
    const { tag, status } = await ask(asUrl(query))
    expect([status, tag]).toEqual([200, expect.stringMatching(/^W\/".+"$/)])
    expect((await ask(asUrl(query))).tag).toBe(tag)
    const others = [await ask(asUrl(`${query} DESC`)), await ask(asUrl(query, '&format=csv'))]
    for (const params of [[1], ['1'], [2]]) {
      const body = JSON.stringify({ statement: 'SELECT a FROM t WHERE a <= $1', params })
      const response = await at.post('/v1/sql', body, JSON_TYPE)
      await response.text()
      others.push({ status: 200, tag: response.headers.get('etag'), text: '', ran: true })
    }
    expect(new Set([tag, ...others.map((other) => other.tag)]).size).toBe(6)
    await at.lake.sql('INSERT INTO t VALUES (3)')
    expect((await ask(asUrl(query))).tag).not.toBe(tag)
  })

  it('spares the query for whoever has the answer, until the table changes', async () => {
    const url = asUrl('SELECT count(*) AS n FROM t', '&format=csv')
    const first = await ask(url)
    const again = await ask(url, { 'if-none-match': first.tag ?? '' })
    expect(again).toMatchObject({ status: 304, tag: first.tag, text: '', ran: false })
    await at.lake.sql('INSERT INTO t VALUES (4)')
    const changed = await ask(url, { 'if-none-match': first.tag ?? '' })
    expect(changed).toMatchObject({ status: 200, ran: true })
    expect(changed.text).not.toBe(first.text)
  })

  it('changes with the sources of a view, though the view be stored as before', async () => {
    await at.lake.sql('CREATE TABLE seen (url STRING); INSERT INTO seen VALUES (1)')
    await at.lake.sql('CREATE MATERIALIZED VIEW counted AS SELECT url, count(*) AS views FROM seen GROUP BY url')
    const url = asUrl('SELECT sum(views) AS n FROM counted', '&format=csv')
    const first = await ask(url)
    expect(await ask(url, { 'if-none-match': first.tag ?? '' })).toMatchObject({ status: 304 })
    await at.lake.sql('INSERT INTO seen VALUES (2)')
    expect(await ask(url, { 'if-none-match': first.tag ?? '' })).toMatchObject({ status: 200, text: 'n\n2\n', ran: true })
  })

  it('is not that of a table which was dropped and made again', async () => {
    const url = asUrl('SELECT * FROM again')
    const make = async (value: number) => await at.lake.sql(`CREATE TABLE again (a INT); INSERT INTO again VALUES (${value})`)
    await make(1)
    const first = await ask(url)
    await at.lake.dropTable('again')
    await make(2)
    expect(await ask(url, { 'if-none-match': first.tag ?? '' })).toMatchObject({ status: 200, ran: true })
  })

  it.each(['SELECT random() AS r', 'SELECT now() AS n', 'SELECT uuid() AS u', 'SHOW TABLES', 'SELECT 1; SELECT 2'])(
    'is not given to what may answer otherwise: %s',
    async (query) => {
      const response = await at.sql(query)
      await response.text()
      expect([response.status, response.headers.get('etag')]).toEqual([200, null])
    },
  )

  it('is not given to a query that is refused', async () => {
    expect(await ask(asUrl("SELECT * FROM read_text('/etc/passwd')"))).toMatchObject({ status: 403, tag: null })
  })
})

describe('the cache of answers', () => {
  it('answers what it has kept without running it', async () => {
    const url = asUrl('SELECT sum(a) AS s FROM t', '&format=ndjson')
    const first = await ask(url)
    expect(await ask(url)).toEqual({ ...first, ran: false })
    await at.lake.sql('INSERT INTO t VALUES (100)')
    expect(await ask(url)).toMatchObject({ ran: true })
  })

  it('keeps nothing that is large', async () => {
    const url = asUrl("SELECT repeat('x', 1000) AS x FROM range(20)")
    expect((await ask(url)).ran).toBe(true)
    expect((await ask(url)).ran).toBe(true)
  })

  it('lets go of what was asked for longest ago', async () => {
    const url = (n: number) => asUrl(`SELECT repeat('x', 8000) AS x, ${n} AS n`)
    for (let n = 0; n < 12; n++) await ask(url(n))
    expect((await ask(url(11))).ran).toBe(false)
    expect((await ask(url(0))).ran).toBe(true)
  })
})

describe('minVersion', () => {
  it('answers from that version or a newer one', async () => {
    const { version } = await at.lake.table('t').append(Buffer.from('{"a": 7}\n'))
    const url = asUrl('SELECT count(*) AS n FROM t WHERE a = 7')
    expect((await ask(`${url}&minVersion=t:${version}`)).status).toBe(200)
    expect((await ask(`${url}&minVersion=T:0,other:9`)).status).toBe(200)
    const early = await at.get(`${url}&minVersion=t:${version + 1}`)
    expect(await problemOf(early)).toMatchObject({
      status: 412,
      code: 'VERSION_NOT_REACHED',
      details: { table: 't', minVersion: version + 1, latest: version },
    })
    expect((await ask(asUrl(`SELECT * FROM t VERSION AS OF 1`, `&minVersion=t:${version + 1}`))).status).toBe(200)
  })

  it.each(['t', 't:', ':1', 't:x', 't:1,', 't:99999999999999999999'])('refuses %s', async (minVersion) => {
    const response = await at.get(asUrl('SELECT 1 AS n', `&minVersion=${minVersion}`))
    expect(await problemOf(response)).toMatchObject({ status: 400, code: 'ARGUMENT_INVALID' })
  })
})
