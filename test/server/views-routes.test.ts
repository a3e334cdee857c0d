import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JSON_TYPE, jsonOf, type LakeServer, problemOf, serveLake } from './lake-server.js'

let at: LakeServer
beforeAll(async () => {
  at = await serveLake()
  await at.lake.sql(`CREATE TABLE hits (url STRING, n INT); INSERT INTO hits VALUES ('/a', 1);
    CREATE MATERIALIZED VIEW per_url TBLPROPERTIES ('deltaic.view.refresh' = 'manual') AS SELECT url, sum(n) AS n FROM hits GROUP BY url;
    INSERT INTO hits VALUES ('/a', 2)`)
})
afterAll(() => at[Symbol.asyncDispose]())

const post = (path: string, body: unknown) => at.post(path, JSON.stringify(body), JSON_TYPE)

describe('the routes of views', () => {
  it('list views, and tell of one what the library tells', async () => {
    const detail = JSON.parse(JSON.stringify(await at.lake.view('per_url').detail())) as { lagMs: number }
    expect(await jsonOf(await at.get('/v1/views/per_url'))).toMatchObject({ ...detail, lagMs: expect.any(Number), behind: true })
    expect(await jsonOf(await at.get('/v1/views'))).toMatchObject({ views: [{ name: 'per_url', key: ['url'] }] })
    expect(await problemOf(await at.get('/v1/views/hits'))).toMatchObject({ status: 404, code: 'VIEW_NOT_FOUND' })
  })

  it('answer stale where that is asked for, with the age beside it', async () => {
    const stale = await at.get(`/v1/sql?stale=ok&q=${encodeURIComponent('SELECT n FROM per_url')}`)
    expect(stale.headers.get('deltaic-view-age')).toMatch(/^per_url:\d+$/)
    expect(await jsonOf(stale)).toMatchObject({ versions: { per_url: 0 }, rowCount: 1 })
    const exact = await at.get(`/v1/sql?q=${encodeURIComponent('SELECT n::INT AS n FROM per_url')}`)
    expect(exact.headers.get('deltaic-view-age')).toBeNull()
    expect(await jsonOf(exact)).toMatchObject({ rows: [{ n: 3 }], versions: { per_url: 0, hits: 2 } })
  })

  it('refresh and rebuild', async () => {
    expect(await jsonOf(await post('/v1/views/per_url/refresh', {}))).toMatchObject({
      outcome: 'refreshed',
      sources: { hits: 2 },
    })
    expect(await jsonOf(await post('/v1/views/per_url/refresh', { full: true }))).toMatchObject({ how: 'full' })
    expect(await jsonOf(await post('/v1/views/refresh', { views: ['per_url', 'nope'] }))).toMatchObject({
      refreshed: [{ view: 'per_url', outcome: 'current' }],
      failed: [{ view: 'nope', problem: { status: 404, code: 'VIEW_NOT_FOUND' } }],
    })
    const as = 'SELECT url, max(n) AS n FROM hits GROUP BY url'
    expect(await jsonOf(await post('/v1/views/per_url/rebuild', { as }))).toMatchObject({ rowsAdded: 1 })
    expect(await problemOf(await post('/v1/views/nope/refresh', {}))).toMatchObject({ status: 404 })
  })
})
