import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bearsToken, isFromAnotherSite, isLocalName, isLoopback } from '../../server/guard.js'
import { startServer } from '../../server/server.js'
import { type LakeServer, lakeThatAnswers, problemOf, serveLake } from './lake-server.js'

const TOKEN = 'correct-horse-battery-staple'

/** fetch does not let a caller choose the Host header. */
function ask(at: LakeServer, headers: Record<string, string>, path = '/v1/tables'): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const sent = request({ port: at.port, host: '127.0.0.1', path, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    sent.on('error', reject)
    sent.end()
  })
}

describe('a server without a token', () => {
  let at: LakeServer
  beforeAll(async () => {
    at = await serveLake()
  })
  afterAll(() => at[Symbol.asyncDispose]())

  it.each(['localhost', '127.0.0.1', '127.0.0.1:8080', 'LOCALHOST:1', '[::1]:8080'])('answers to the name %s', async (host) => {
    expect(await ask(at, { host })).toMatchObject({ status: 200 })
  })

  it.each([
    'evil.example',
    'evil.example:8080',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
    'user@localhost@evil.example',
    ' ',
  ])('does not answer to the name %s', async (host) => {
    for (const path of ['/v1/tables', '/healthz', '/nope']) {
      // One that was let in before does not let others in.
      await ask(at, { host: 'localhost' }, path)
      const { status, text } = await ask(at, { host }, path)
      expect([status, (JSON.parse(text) as { code: string }).code]).toEqual([403, 'HOST_FORBIDDEN'])
    }
  })

  it.each<[string, Record<string, string>]>([
    ['posts from a page elsewhere', { origin: 'https://evil.example' }],
    ['a page without an origin', { origin: 'null' }],
    ['another port of this machine', { origin: 'http://localhost:3000' }],
    ['pictures in a page elsewhere', { 'sec-fetch-site': 'cross-site' }],
    ['pages of a sibling', { 'sec-fetch-site': 'same-site' }],
  ])('refuses %s', async (_what, headers) => {
    const { status, text } = await ask(at, { host: `localhost:${at.port}`, ...headers })
    expect([status, (JSON.parse(text) as { code: string }).code]).toEqual([403, 'ORIGIN_FORBIDDEN'])
  })

  it('lets the address bar and its own pages in, and says nothing of sharing', async () => {
    const host = `localhost:${at.port}`
    expect(await ask(at, { host, 'sec-fetch-site': 'none' })).toMatchObject({ status: 200 })
    expect(await ask(at, { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' })).toMatchObject({ status: 200 })
    const response = await at.get('/v1/tables')
    expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  it.each(['0.0.0.0', '::', '192.168.1.5', 'example.com'])('is not started on %s', async (host) => {
    const start = startServer(lakeThatAnswers(at.lake.sql), { host, port: 0 })
    await expect(start).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      details: { host },
      hint: expect.stringContaining('--token'),
    })
  })
})

describe('a server with a token', () => {
  let at: LakeServer
  beforeAll(async () => {
    at = await serveLake({ token: TOKEN })
  })
  afterAll(() => at[Symbol.asyncDispose]())

  it('answers who shows it, by whatever name', async () => {
    expect((await at.get('/v1/tables', { authorization: `Bearer ${TOKEN}` })).status).toBe(200)
    expect(await ask(at, { host: 'tables.example', authorization: `bearer ${TOKEN}` })).toMatchObject({ status: 200 })
  })

  it.each<[string, Record<string, string>]>([
    ['no token', {}],
    ['another token', { authorization: 'Bearer wrong' }],
    ['half of it', { authorization: `Bearer ${TOKEN.slice(0, 10)}` }],
    ['more than it', { authorization: `Bearer ${TOKEN}x` }],
    ['another scheme', { authorization: `Basic ${TOKEN}` }],
    ['an empty one', { authorization: 'Bearer ' }],
  ])('refuses %s', async (_what, headers) => {
    for (const path of ['/v1/tables', '/v1/sql?q=SELECT%201', '/openapi.json', '/nope']) {
      const response = await at.get(path, headers)
      expect(response.headers.get('www-authenticate')).toBe('Bearer')
      const problem = await problemOf(response)
      expect(problem).toMatchObject({ status: 401, code: 'UNAUTHORIZED' })
      expect(JSON.stringify(problem)).not.toContain(TOKEN)
    }
  })

  it('refuses rows without reading them', async () => {
    const response = await at.post('/v1/tables/views/rows?create=true', '{"id": 1}\n', { 'content-type': 'application/x-ndjson' })
    expect(response.status).toBe(401)
    expect(await at.lake.tables()).toEqual([])
  })

  it('tells anybody that it lives', async () => {
    const response = await at.get('/healthz')
    expect([response.status, await response.json()]).toEqual([200, { status: 'ok' }])
  })

  it('may be reached from elsewhere', async () => {
    const server = await startServer(at.lake, { host: '0.0.0.0', port: 0, token: TOKEN })
    expect(server.url).toBe(`http://localhost:${server.port}`)
    await server.close()
  })
})

describe('a token that may only read', () => {
  let at: LakeServer
  const read = { authorization: 'Bearer may-only-read' }
  const asRead = async (path: string, init: RequestInit = {}) => await fetch(at.url + path, { ...init, headers: read })
  const rows = async () => await (await at.lake.sql('SELECT * FROM views')).rows()

  beforeAll(async () => {
    at = await serveLake({ token: TOKEN, readToken: 'may-only-read' })
    await at.lake.sql('CREATE TABLE views (id INT); INSERT INTO views VALUES (1)')
  })
  afterAll(() => at[Symbol.asyncDispose]())

  it('reads, by GET and by POST, and runs queries of its own', async () => {
    expect((await asRead('/v1/tables/views/history')).status).toBe(200)
    expect((await asRead('/v1/sql?q=SELECT%201')).status).toBe(200)
    expect((await asRead('/v1/sql', { method: 'POST', body: 'SELECT id FROM views' })).status).toBe(200)
    const mine = await asRead('/v1/sql?async=true', { method: 'POST', body: 'SELECT id FROM views' })
    expect((await asRead(`${mine.headers.get('location')}/result`)).status).toBe(200)
    expect((await asRead(`${mine.headers.get('location')}`, { method: 'DELETE' })).status).toBe(204)
  })

  it('is refused by every route that writes', async () => {
    const { paths } = (await (await asRead('/openapi.json')).json()) as { paths: Record<string, Record<string, unknown>> }
    const reading = new Set(['post /v1/sql', 'post /v1/views/{view}/lookup', 'delete /v1/queries/{id}'])
    const writing = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods)
        .filter((method) => method !== 'get' && method !== 'head' && !reading.has(`${method} ${path}`))
        .map((method) => ({ method: method.toUpperCase(), path: path.replace('{table}', 'views').replaceAll(/\{\w+\}/g, 'x') })),
    )
    expect(writing.length).toBeGreaterThan(4)
    for (const { method, path } of writing) {
      const problem = await problemOf(await asRead(path, { method, body: '{"id": 2}' }))
      expect(problem, `${method} ${path}`).toMatchObject({ status: 403, code: 'READ_ONLY' })
    }
    expect(await rows()).toEqual([{ id: 1 }])
  })

  it.each([
    'INSERT INTO views VALUES (2)',
    'SELECT 1; DELETE FROM views',
    'DELETE FROM views',
    'UPDATE views SET id = 2',
    'TRUNCATE TABLE views',
    'MERGE INTO views USING (SELECT 1 AS id) s ON views.id = s.id WHEN MATCHED THEN DELETE',
    'CREATE TABLE sneaked (a INT)',
    'CREATE TABLE sneaked AS SELECT * FROM views',
    'CREATE TABLE sneaked SHALLOW CLONE views',
    'DROP TABLE views',
    'ALTER TABLE views ADD COLUMN x INT',
    "COMMENT ON TABLE views IS 'x'",
    'OPTIMIZE views',
    'REORG TABLE views APPLY (PURGE)',
    'VACUUM views',
    'RESTORE TABLE views TO VERSION AS OF 0',
    'CHECKPOINT views',
    'FSCK REPAIR TABLE views',
    'EXPLAIN ANALYZE INSERT INTO views VALUES (2)',
    'WITH x AS (SELECT 1) INSERT INTO views SELECT * FROM x',
    '/* SELECT */ INSERT INTO views VALUES (2)',
  ])('cannot run %s', async (statement) => {
    for (const query of ['', '?async=true']) {
      const response = await asRead(`/v1/sql${query}`, { method: 'POST', body: statement })
      const last = query === '' ? response : await asRead(`${response.headers.get('location')}/result`)
      expect((await problemOf(last)).code).toMatch(/^(SQL_FORBIDDEN|SQL_INVALID|STATEMENT_UNSUPPORTED)$/)
    }
    expect(await rows()).toEqual([{ id: 1 }])
    expect((await at.lake.tables()).map(({ name }) => name)).toEqual(['views'])
  })

  it('does not see what others run', async () => {
    const owner = { authorization: `Bearer ${TOKEN}` }
    const theirs = (await at.post('/v1/sql?async=true', 'SELECT 1', owner)).headers.get('location') ?? ''
    expect((await asRead(theirs)).status).toBe(404)
    expect((await asRead(`${theirs}/result`)).status).toBe(404)
    expect((await asRead(theirs, { method: 'DELETE' })).status).toBe(404)
    expect(await (await asRead('/v1/queries')).json()).toEqual({
      queries: expect.not.arrayContaining([{ url: theirs }]) as unknown,
    })
    expect((await at.get(theirs, owner)).status).toBe(200)
  })

  it('makes a server that nobody writes to, alone', async () => {
    const server = await startServer(at.lake, { port: 0, readToken: 'may-only-read' })
    expect((await fetch(`${server.url}/v1/tables`)).status).toBe(401)
    const write = await fetch(`${server.url}/v1/sql`, { method: 'POST', headers: read, body: 'DROP TABLE views' })
    expect(write.status).toBe(403)
    await write.text()
    await server.close()
    await expect(startServer(at.lake, { port: 0, token: 'x', readToken: 'x' })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
    })
  })
})

describe('the guard', () => {
  it('knows loopback', () => {
    expect(['127.0.0.1', '127.8.8.8', '::1', 'localhost'].every(isLoopback)).toBe(true)
    expect(['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.evil', 'localhost.evil', ''].some(isLoopback)).toBe(false)
  })

  it('takes a request without a Host header, which no browser sends, for a local one', () => {
    expect(isLocalName(undefined, '127.0.0.1')).toBe(true)
    expect(isLocalName('', '127.0.0.1')).toBe(false)
  })

  it('lets programs in, which say nothing of sites', () => {
    expect(isFromAnotherSite({ host: 'localhost' })).toBe(false)
  })

  it('compares tokens whole', () => {
    expect(bearsToken('Bearer abc', 'abc')).toBe(true)
    expect([undefined, '', 'abc', 'Bearer', 'Bearer ab', 'Bearer abcd'].some((header) => bearsToken(header, 'abc'))).toBe(false)
  })
})
