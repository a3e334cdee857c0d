import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jsonOf, type LakeServer, problemOf, serveLake } from './lake-server.js'

const JSON_TYPE = { 'content-type': 'application/json' }
let at: LakeServer

beforeAll(async () => {
  at = await serveLake()
  await at.rows('CREATE TABLE hits (url STRING, day DATE, bytes INT)')
  await at.rows(
    "INSERT INTO hits VALUES ('/a', DATE '2026-11-01', 1), ('/a', DATE '2026-11-02', 2), ('/b', DATE '2026-11-01', 3), (NULL, NULL, 4)",
  )
  await at.rows('CREATE MATERIALIZED VIEW per_url AS SELECT url, count(*) AS hits FROM hits GROUP BY url')
  await at.rows('CREATE MATERIALIZED VIEW per_day AS SELECT url, day, sum(bytes) AS bytes FROM hits GROUP BY url, day')
  await at.rows("INSERT INTO hits VALUES ('/a', DATE '2026-11-02', 5)")
})
afterAll(() => at[Symbol.asyncDispose]())

const rowsOf = async (response: Response) => (await jsonOf<{ rows: readonly unknown[] }>(response)).rows
const many = (view: string, keys: unknown) => at.post(`/v1/views/${view}/lookup`, JSON.stringify({ keys }), JSON_TYPE)

describe('/v1/views/:view/lookup', () => {
  it('gives the row of a key, exact as of now, or as it is stored', async () => {
    expect(await rowsOf(await at.get('/v1/views/per_url/lookup?url=%2Fa'))).toEqual([{ url: '/a', hits: 3 }])
    expect(await rowsOf(await at.get('/v1/views/per_url/lookup?url=%2Fa&stale=ok'))).toEqual([{ url: '/a', hits: 2 }])
    expect(await rowsOf(await at.get('/v1/views/per_url/lookup?url=nowhere'))).toEqual([])
    expect(await rowsOf(await at.get('/v1/views/per_day/lookup?url=/a&day=2026-11-02'))).toEqual([
      { url: '/a', day: '2026-11-02', bytes: 7 },
    ])
    // The view comes into memory meanwhile, which has a tag of its own.
    const again = async (tag: string | null) =>
      await fetch(`${at.url}/v1/views/per_url/lookup?url=/b`, { headers: tag === null ? {} : { 'if-none-match': tag } })
    let response = await again(null)
    for (let tries = 0; tries < 100 && response.status !== 304; tries++) response = await again(response.headers.get('etag'))
    expect(response.status).toBe(304)
    expect(await rowsOf(await again(null))).toEqual([{ url: '/b', hits: 1 }])
  })

  it('gives the rows of many keys', async () => {
    const found = await rowsOf(await many('per_url', [{ url: '/a' }, { url: '/b' }, { url: null }, { url: '/none' }]))
    expect(found).toHaveLength(3)
    expect(found).toEqual(
      expect.arrayContaining([
        { url: '/a', hits: 3 },
        { url: '/b', hits: 1 },
        { url: null, hits: 1 },
      ]),
    )
  })

  it('refuses what is no view, no key, and no value of it', async () => {
    expect(await problemOf(await at.get('/v1/views/nope/lookup?url=1'))).toMatchObject({ status: 404, code: 'VIEW_NOT_FOUND' })
    expect(await problemOf(await at.get('/v1/views/hits/lookup?url=1'))).toMatchObject({ status: 404, code: 'VIEW_NOT_FOUND' })
    for (const query of ['', '?hits=1', '?url=/a&hits=1'])
      expect(await problemOf(await at.get(`/v1/views/per_url/lookup${query}`))).toMatchObject({
        status: 400,
        code: 'ARGUMENT_INVALID',
      })
    expect((await at.get('/v1/views/per_day/lookup?url=/a&day=soon')).status).toBe(400)
    expect((await many('per_url', [])).status).toBe(400)
  })
})
