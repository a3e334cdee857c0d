import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tableFromIPC } from 'apache-arrow'
import { afterEach, describe, expect, it } from 'vitest'
import { type LakeServer, problemOf, serveLake } from './lake-server.js'

/** Longer than any test waits; it stops when it is told to. */
const ENDLESS = 'SELECT sum(a.range * b.range) AS s FROM range(3000000) a, range(3000000) b'

interface Facts {
  readonly id: string
  readonly state: string
  readonly versions?: Record<string, number>
  readonly rowCount?: number
  readonly progress: { readonly rows: number; readonly rowsTotal?: number; readonly bytes: number }
  readonly stats?: { readonly filesRead: number }
  readonly result?: { readonly url: string; readonly bytes: number; readonly parts: number }
  readonly problem?: { readonly code: string }
}

const servers: LakeServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
})

async function serve(...[options]: Parameters<typeof serveLake>): Promise<LakeServer> {
  const server = await serveLake(options)
  servers.push(server)
  return server
}

async function submit(at: LakeServer, statement: string, format = 'ndjson'): Promise<string> {
  const response = await at.post(`/v1/sql?async=true&format=${format}`, statement, { 'content-type': 'text/plain' })
  expect(response.status, await response.clone().text()).toBe(202)
  const { id } = (await response.json()) as Facts
  expect(response.headers.get('location')).toBe(`/v1/queries/${id}`)
  return `/v1/queries/${id}`
}

async function facts(at: LakeServer, url: string): Promise<Facts> {
  return (await (await at.get(url)).json()) as Facts
}

async function ended(at: LakeServer, url: string): Promise<Facts> {
  for (;;) {
    const found = await facts(at, url)
    if (!['queued', 'running'].includes(found.state)) return found
    await sleep(20)
  }
}

async function resultFiles(at: LakeServer): Promise<string[]> {
  return (await readdir(join(at.folder, 'lake'), { recursive: true })).filter((name) =>
    /\.(ndjson|json|csv|arrow|parquet)$/.test(name),
  )
}

describe('a query with async=true', () => {
  it('runs on its own, and tells state, statistics and where its result is', async () => {
    const at = await serve()
    await at.lake.sql('CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2)')
    const url = await submit(at, 'SELECT a FROM t ORDER BY a', 'json')
    expect(await ended(at, url)).toMatchObject({
      state: 'succeeded',
      versions: { t: 1 },
      rowCount: 2,
      stats: { filesRead: 1 },
      result: { url: `${url}/result`, parts: 1 },
    })
    const response = await at.get(`${url}/result`)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.json()).toMatchObject({ rows: [{ a: 1 }, { a: 2 }], rowCount: 2 })
    const { queries } = (await (await at.get('/v1/queries')).json()) as { queries: Facts[] }
    expect(queries.map(({ state }) => state)).toEqual(['succeeded'])
  })

  it.each(['ndjson', 'csv', 'arrow', 'parquet'])(
    'gives its result in %s, whole, from any byte, and part by part',
    async (format) => {
      const at = await serve()
      const url = await submit(at, "SELECT range AS n, md5(range::VARCHAR) || repeat('x', 60) AS t FROM range(100000)", format)
      const { result } = await ended(at, url)
      const whole = Buffer.from(await (await at.get(`${url}/result`)).arrayBuffer())
      expect(whole.length).toBe(result?.bytes)
      const tail = await at.get(`${url}/result`, { range: 'bytes=1000-' })
      expect([tail.status, tail.headers.get('content-range')]).toEqual([206, `bytes 1000-${whole.length - 1}/${whole.length}`])
      expect(Buffer.from(await tail.arrayBuffer()).equals(whole.subarray(1000))).toBe(true)
      const parts: Buffer[] = []
      for (let part = 1; part <= (result?.parts ?? 0); part++)
        parts.push(Buffer.from(await (await at.get(`${url}/result?part=${part}`)).arrayBuffer()))
      if (format !== 'parquet') expect(parts.length).toBeGreaterThan(1)
      expect(Buffer.concat(parts).equals(whole)).toBe(true)
      if (format === 'arrow') expect(tableFromIPC(whole).numRows).toBe(100_000)
      expect((await at.get(`${url}/result`, { range: `bytes=${whole.length}-` })).status).toBe(416)
      const changed = await at.get(`${url}/result`, { range: 'bytes=5-', 'if-range': '"another"' })
      expect(changed.status).toBe(200)
      await changed.arrayBuffer()
      expect((await at.get(`${url}/result?part=99`)).status).toBe(400)
    },
  )

  it('waits with its result until it is there', async () => {
    const at = await serve()
    const url = await submit(at, 'SELECT sum(a.range + b.range) AS s FROM range(3000) a, range(10000) b')
    expect(await (await at.get(`${url}/result`)).json()).toEqual({ s: expect.any(Number) })
  })

  it('tells how far it is', async () => {
    const at = await serve({ limits: { queriesMax: 1 } })
    await at.lake.sql('CREATE TABLE t (a BIGINT); INSERT INTO t SELECT range FROM range(3000000)')
    const url = await submit(at, 'SELECT sum(length(md5(a::VARCHAR) || sha256(a::VARCHAR))) AS s FROM t')
    const seen: Facts['progress'][] = []
    for (let found = await facts(at, url); ['queued', 'running'].includes(found.state); found = await facts(at, url)) {
      seen.push(found.progress)
      await sleep(50)
    }
    expect((await ended(at, url)).state).toBe('succeeded')
    const told = seen.filter(({ rowsTotal }) => rowsTotal !== undefined)
    for (const { rows, rowsTotal = 0 } of told) expect(rows).toBeLessThanOrEqual(rowsTotal)
    expect(told.map(({ rows }) => rows)).toEqual(told.map(({ rows }) => rows).toSorted((a, b) => a - b))
    expect(told.length).toBeGreaterThan(0)
  })

  it('is cancelled by DELETE, and forgotten by another', async () => {
    const at = await serve({ limits: { queriesMax: 1, queriesWaitingMax: 1 } })
    const [running, waiting] = [await submit(at, ENDLESS), await submit(at, ENDLESS)]
    expect((await facts(at, running)).state).toBe('running')
    const refused = await at.post('/v1/sql?async=true', ENDLESS, { 'content-type': 'text/plain' })
    expect(await problemOf(refused)).toMatchObject({ status: 429, code: 'TOO_BUSY' })
    for (const url of [waiting, running]) {
      expect((await fetch(at.url + url, { method: 'DELETE' })).status).toBe(204)
      expect(await facts(at, url)).toMatchObject({ state: 'cancelled', problem: { code: 'CANCELLED' } })
      expect((await at.get(`${url}/result`)).status).toBe(499)
      expect((await fetch(at.url + url, { method: 'DELETE' })).status).toBe(204)
      expect(await problemOf(await at.get(url))).toMatchObject({ status: 404, code: 'QUERY_NOT_FOUND' })
    }
    expect(await at.rows('SELECT 1 AS n')).toEqual([{ n: 1 }])
  })

  it('tells with its result why there is none', async () => {
    const hasty = await serve({ limits: { asyncTimeoutMs: 200 } })
    const late = await submit(hasty, ENDLESS)
    expect(await ended(hasty, late)).toMatchObject({ state: 'failed', problem: { code: 'QUERY_TIMEOUT' } })
    expect(await problemOf(await hasty.get(`${late}/result`))).toMatchObject({ status: 504, code: 'QUERY_TIMEOUT' })
    const at = await serve()
    const wrong = await submit(at, 'SELECT nope')
    expect(await problemOf(await at.get(`${wrong}/result`))).toMatchObject({ status: 400, code: 'SQL_INVALID' })
    const evil = await submit(at, "SELECT * FROM read_text('/etc/passwd')")
    expect(await problemOf(await at.get(`${evil}/result`))).toMatchObject({ status: 403, code: 'SQL_FORBIDDEN' })
  })

  it('keeps its result for a while, in bounded room, the oldest giving way', async () => {
    const at = await serve({ limits: { resultsBytesMax: 300_000, resultsKeptMs: 60_000 } })
    const rows = (n: number) => `SELECT repeat('x', 990) AS t FROM range(${n})`
    const [first, second] = [await submit(at, rows(150)), await submit(at, rows(100))]
    await Promise.all([ended(at, first), ended(at, second)])
    const third = await submit(at, rows(140))
    expect((await ended(at, third)).state).toBe('succeeded')
    expect((await at.get(first)).status).toBe(404)
    expect((await at.get(`${second}/result`)).status).toBe(200)
    const large = await submit(at, rows(400))
    expect(await ended(at, large)).toMatchObject({ state: 'failed', problem: { code: 'ANSWER_TOO_LARGE' } })
    expect((await resultFiles(at)).length).toBeLessThanOrEqual(1)
  })

  it('leaves no result behind after its time', async () => {
    const at = await serve({ limits: { resultsKeptMs: 100 } })
    const url = await submit(at, 'SELECT 1 AS n')
    while ((await at.get(url)).status !== 404) await sleep(20)
    while ((await resultFiles(at)).length > 0) await sleep(20)
  })
})
