import { tableFromIPC } from 'apache-arrow'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JSON_TYPE, jsonOf, type LakeServer, problemOf, serveLake } from './lake-server.js'

let at: LakeServer

beforeAll(async () => {
  at = await serveLake()
  await at.lake.sql("CREATE TABLE views (id BIGINT, url STRING, at TIMESTAMP, price DECIMAL(10,2)) COMMENT 'page views'")
  await at.lake.sql(
    "INSERT INTO views VALUES (1, '/a', TIMESTAMP '2026-11-01 10:00:00', 1.50), (9007199254740993, 'say \"é😀\"', NULL, NULL), (3, NULL, NULL, 3)",
  )
  await at.lake.sql("INSERT INTO views VALUES (4, '/b', NULL, NULL)")
})
afterAll(() => at[Symbol.asyncDispose]())

const QUERY = 'SELECT id, url FROM views VERSION AS OF 1 ORDER BY id'
const asUrl = (query: string) => `/v1/sql?q=${encodeURIComponent(query)}`

describe('POST /v1/sql', () => {
  it('answers with columns, rows, count, versions and statistics', async () => {
    const response = await at.sql(QUERY)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
    expect(response.headers.get('deltaic-versions')).toBe('views:1')
    const text = await response.text()
    expect(text).toContain('9007199254740993')
    expect(JSON.parse(text)).toMatchObject({
      columns: [
        { name: 'id', type: 'BIGINT' },
        { name: 'url', type: 'VARCHAR' },
      ],
      rows: [{ id: 1, url: '/a' }, { id: 3, url: null }, { url: 'say "é😀"' }],
      rowCount: 3,
      versions: { views: 1 },
      stats: {
        filesRead: 1,
        filesSkipped: 0,
        bytesRead: expect.any(Number),
        bytesSkipped: 0,
        filesFromCache: 0,
        skippedBy: { partition: 0, generated: 0, statistics: 0, join: 0, answered: 0, limit: 0 },
      },
      elapsedMs: expect.any(Number),
    })
  })

  it('answers an empty result with no rows', async () => {
    expect(await jsonOf(await at.sql('SELECT id FROM views WHERE id < 0'))).toMatchObject({ rows: [], rowCount: 0 })
  })

  it('takes parameters by position and by name', async () => {
    const positional = { statement: 'SELECT id FROM views WHERE id = $1 AND url = $2', params: [1, '/a'] }
    expect(await jsonOf(await at.post('/v1/sql', JSON.stringify(positional), JSON_TYPE))).toMatchObject({ rows: [{ id: 1 }] })
    const named = { statement: 'SELECT id FROM views WHERE id = $id', params: { id: 4 } }
    expect(await jsonOf(await at.post('/v1/sql', JSON.stringify(named), JSON_TYPE))).toMatchObject({ rows: [{ id: 4 }] })
  })

  it('keeps a parameter a value, whatever is in it', async () => {
    const params = ["'; DROP TABLE views; --"]
    const answer = await jsonOf(await at.post('/v1/sql', JSON.stringify({ statement: 'SELECT $1 AS v', params }), JSON_TYPE))
    expect(answer).toMatchObject({ rows: [{ v: params[0] }] })
  })

  it('refuses a number that JSON cannot carry exactly', async () => {
    const body = '{"statement": "SELECT count(*) FROM views WHERE id = $1", "params": [9007199254740993]}'
    expect(await problemOf(await at.post('/v1/sql', body, JSON_TYPE))).toMatchObject({ status: 400, code: 'ARGUMENT_INVALID' })
  })

  it('runs several statements in order, and answers with the last', async () => {
    const answer = await jsonOf(
      await at.sql('CREATE TABLE several (a INT); INSERT INTO several VALUES (1), (2); SELECT sum(a) AS s FROM several'),
    )
    expect(answer).toMatchObject({ rows: [{ s: 3 }], versions: { several: 1 } })
  })

  it('answers a command with what it did', async () => {
    const answer = await jsonOf<{ rows: unknown[] }>(await at.sql('SHOW TABLES'))
    expect(answer.rows).toEqual(expect.arrayContaining([expect.objectContaining({ name: 'views' })]))
  })

  it('points at the place of a mistake', async () => {
    const problem = await problemOf(await at.sql('SELECT id FRM views'))
    expect(problem).toMatchObject({ status: 400, code: 'SQL_INVALID', kind: 'invalid' })
  })

  it.each([
    ['a column that is not there', 'SELECT nope FROM views', 400, 'SQL_INVALID'],
    ['a table that is not there', 'SELECT * FROM nope', 404, 'TABLE_NOT_FOUND'],
    ['a version that is not there', 'SELECT * FROM views VERSION AS OF 99', 404, 'VERSION_NOT_FOUND'],
    ['a row that cannot be computed', 'SELECT CAST(url AS INT) FROM views', 400, 'SQL_INVALID'],
    ['nothing', '', 400, 'SQL_INVALID'],
  ])('answers %s with a problem', async (_what, statement, status, code) => {
    const response = await at.sql(statement || ' ')
    expect(response.status).toBe(status)
    expect(await problemOf(response)).toMatchObject({ status, code, type: `urn:deltaic:error:${code}` })
  })

  it.each([
    ['broken JSON', '{"statement": ', JSON_TYPE, 400],
    ['JSON without a statement', '{"sql": "SELECT 1"}', JSON_TYPE, 400],
    ['an unknown property', '{"statement": "SELECT 1", "limit": 3}', JSON_TYPE, 400],
    ['a parameter that is no value', '{"statement": "SELECT $1", "params": [[1]]}', JSON_TYPE, 400],
    ['a prototype', '{"statement": "SELECT 1", "__proto__": {}}', JSON_TYPE, 400],
    ['another content type', '<sql/>', { 'content-type': 'application/xml' }, 415],
  ])('refuses %s', async (_what, body, headers, status) => {
    const response = await at.post('/v1/sql', body, headers)
    expect(response.status).toBe(status)
    await problemOf(response)
  })

  it('refuses a request without a body', async () => {
    expect(await problemOf(await fetch(`${at.url}/v1/sql`, { method: 'POST' }))).toMatchObject({ status: 400 })
  })
})

describe('GET /v1/sql', () => {
  it('reads', async () => {
    expect(await jsonOf(await at.get(asUrl('SELECT count(*) AS n FROM views')))).toMatchObject({ rows: [{ n: 4 }] })
  })

  it.each([
    'CREATE TABLE sneaked (a INT)',
    'INSERT INTO views VALUES (9, NULL, NULL, NULL)',
    'DROP TABLE views',
    'OPTIMIZE views',
    'SELECT 1; DROP TABLE views',
  ])('refuses %s', async (statement) => {
    const problem = await problemOf(await at.get(asUrl(statement)))
    expect(problem.status).toBeGreaterThanOrEqual(400)
    expect(await at.rows('SELECT count(*) AS n FROM views')).toEqual([{ n: 4 }])
  })

  it('refuses a parameter that it does not know, rather than to pass over it', async () => {
    const problem = await problemOf(await at.get(`${asUrl('SELECT 1')}&limit=9`))
    expect(problem).toMatchObject({ status: 400, code: 'ARGUMENT_INVALID', details: { unknown: 'limit' } })
  })
})

describe('an answer', () => {
  it('is NDJSON: a line for each row', async () => {
    const response = await at.get(asUrl(QUERY), { accept: 'application/x-ndjson' })
    expect(response.headers.get('content-type')).toBe('application/x-ndjson')
    const text = await response.text()
    expect(text.split('\n')).toEqual([
      '{"id":1,"url":"/a"}',
      '{"id":3,"url":null}',
      String.raw`{"id":9007199254740993,"url":"say \"é😀\""}`,
      '',
    ])
  })

  it('is CSV with a header', async () => {
    const response = await at.get(asUrl(QUERY), { accept: 'text/csv' })
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect((await response.text()).split(/\r?\n/)).toEqual(['id,url', '1,/a', '3,', '9007199254740993,"say ""é😀"""', ''])
  })

  it('is an Arrow stream', async () => {
    const response = await at.get(asUrl(QUERY), { accept: 'application/vnd.apache.arrow.stream' })
    expect(response.headers.get('content-type')).toBe('application/vnd.apache.arrow.stream')
    const table = tableFromIPC(new Uint8Array(await response.arrayBuffer()))
    expect(table.toArray().map((row) => row?.toJSON())).toEqual([
      { id: 1n, url: '/a' },
      { id: 3n, url: null },
      { id: 9007199254740993n, url: 'say "é😀"' },
    ])
  })

  it('is Parquet, which goes back in as rows', async () => {
    const response = await at.get(asUrl(QUERY), { accept: 'application/vnd.apache.parquet' })
    expect(response.headers.get('content-type')).toBe('application/vnd.apache.parquet')
    const bytes = Buffer.from(await response.arrayBuffer())
    expect(bytes.subarray(-4).toString()).toBe('PAR1')
    await jsonOf(await at.post('/v1/tables/again/rows?create=true', bytes, { 'content-type': 'application/vnd.apache.parquet' }))
    expect(await at.rows('SELECT count(*) AS n, max(id)::VARCHAR AS id FROM again')).toEqual([{ n: 3, id: '9007199254740993' }])
  })

  it('is a table for people', async () => {
    const response = await at.get(asUrl(QUERY), { accept: 'text/plain' })
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    const text = await response.text()
    expect(text).toContain('url')
    expect(text).toContain('say "é😀"')
  })

  it.each([
    ['ndjson', 'application/x-ndjson'],
    ['csv', 'text/csv; charset=utf-8'],
    ['arrow', 'application/vnd.apache.arrow.stream'],
    ['parquet', 'application/vnd.apache.parquet'],
    ['table', 'text/plain; charset=utf-8'],
    ['json', 'application/json'],
  ])('follows ?format=%s before Accept', async (format, type) => {
    const response = await at.get(`${asUrl(QUERY)}&format=${format}`, { accept: 'text/html' })
    expect([response.status, response.headers.get('content-type')]).toEqual([200, type])
    await response.arrayBuffer()
  })

  it('is refused in a format that there is not', async () => {
    expect(await problemOf(await at.get(`${asUrl(QUERY)}&format=xlsx`))).toMatchObject({ status: 400, code: 'ARGUMENT_INVALID' })
    expect(await problemOf(await at.get(asUrl(QUERY), { accept: 'image/png' }))).toMatchObject({
      status: 406,
      code: 'NOT_ACCEPTABLE',
    })
  })

  it.each(['json', 'ndjson', 'csv', 'arrow', 'parquet'])('in %s of many rows comes whole', async (format) => {
    const response = await at.sql("SELECT range AS n, 'row ' || range AS t FROM range(200000)", format)
    const bytes = Buffer.from(await response.arrayBuffer())
    expect(response.status).toBe(200)
    if (format === 'json') expect(JSON.parse(bytes.toString())).toMatchObject({ rowCount: 200_000, rows: { length: 200_000 } })
    if (format === 'ndjson') expect(bytes.toString().split('\n')).toHaveLength(200_001)
    if (format === 'csv') expect(bytes.toString().trimEnd().split('\n')).toHaveLength(200_001)
    if (format === 'arrow') expect(tableFromIPC(bytes).numRows).toBe(200_000)
    if (format === 'parquet') expect(bytes.subarray(-4).toString()).toBe('PAR1')
  })
})
