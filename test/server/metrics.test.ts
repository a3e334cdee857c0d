import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { jsonOf, lines, NDJSON, problemOf, serveLake } from './lake-server.js'

const valuesOf = (text: string) =>
  new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  )

describe('/metrics', () => {
  it('tells what came in, what was committed and what went wrong', async () => {
    await using at = await serveLake()
    await at.lake.sql('CREATE TABLE views (id BIGINT)')
    const producer = { ...NDJSON, 'producer-id': 'p', 'producer-sequence': '1' }
    for (let time = 0; time < 2; time++)
      await jsonOf(await at.post('/v1/tables/views/rows', lines([{ id: 1 }, { id: 2 }]), producer))
    await jsonOf(await at.post('/v1/tables/views/rows?onError=reject', `${lines([{ id: 3 }])}broken\n`, NDJSON))
    expect((await at.post('/v1/tables/views/rows', 'broken', NDJSON)).status).toBe(422)
    const response = await at.get('/metrics')
    expect(response.headers.get('content-type')).toMatch(/^text\/plain/)
    const values = valuesOf(await response.text())
    const rows = 'method="POST",route="/v1/tables/:table/rows"'
    expect(Object.fromEntries([...values].filter(([name]) => name.startsWith('deltaic_ingest')))).toEqual({
      deltaic_ingest_requests_total: 3,
      deltaic_ingest_replays_total: 1,
      deltaic_ingest_rows_total: 3,
      deltaic_ingest_rejected_rows_total: 1,
      deltaic_ingest_bytes_total: 36 + 16,
      deltaic_ingest_groups_total: expect.any(Number),
    })
    expect(values.get(`deltaic_http_requests_total{${rows},status="200"}`)).toBe(3)
    expect(values.get(`deltaic_http_requests_total{${rows},status="422"}`)).toBe(1)
    expect(values.get(`deltaic_http_request_seconds_count{${rows}}`)).toBe(4)
    expect(values.get('deltaic_errors_total{code="ROWS_INVALID"}')).toBe(1)
    expect(values.get('deltaic_commits_total')).toBeGreaterThanOrEqual(2)
    expect(values.get('deltaic_commit_seconds_count{operation="WRITE"}')).toBeGreaterThanOrEqual(2)
    expect(values.get('deltaic_commit_seconds_sum{operation="WRITE"}')).toBeGreaterThan(0)
    expect(values.get('deltaic_commit_seconds_count{operation="CREATE TABLE"}')).toBeGreaterThanOrEqual(1)
    expect(values.get(`deltaic_http_requests_running{${rows}}`)).toBe(0)
    expect(values.get('deltaic_http_requests_running{method="GET",route="/metrics"}')).toBe(1)
    expect(values.get('deltaic_store_requests_total{kind="put"}')).toBe(0)
    expect(values.get('deltaic_spool_bytes')).toBe(0)
  })

  it('tells of slots, of queries on their own and of the cache', async () => {
    await using at = await serveLake()
    const asked = await at.post('/v1/sql?async=true', 'SELECT 1', { 'content-type': 'text/plain' })
    expect(asked.status).toBe(202)
    const ended = async () => valuesOf(await (await at.get('/metrics')).text())
    await expect.poll(async () => (await ended()).get('deltaic_query_jobs{state="succeeded"}')).toBe(1)
    const values = await ended()
    expect(values.get('deltaic_query_jobs_bytes')).toBeGreaterThan(0)
    expect(values.get('deltaic_cache_bytes_max')).toBeGreaterThan(0)
    for (const name of ['deltaic_queries_running', 'deltaic_queries_waiting', 'deltaic_cache_bytes', 'deltaic_cache_files'])
      expect(values.get(name), name).toBe(0)
  })

  it('tells what upkeep does, and what it is to read a table', async () => {
    await using at = await serveLake()
    await at.lake.sql("CREATE TABLE t (id BIGINT) TBLPROPERTIES ('deltaic.maintenance.minFiles' = '2')")
    for (let id = 0; id < 4; id++) await at.lake.sql(`INSERT INTO t VALUES (${id})`)
    const value = async (name: string) => valuesOf(await (await at.get('/metrics')).text()).get(`${name}{table="t"}`)
    await expect.poll(() => value('deltaic_table_compactions_total'), { timeout: 10_000 }).toBeGreaterThan(0)
    await expect.poll(() => value('deltaic_table_files'), { timeout: 10_000 }).toBe(1)
    expect(await value('deltaic_table_files_at_best')).toBe(1)
    expect(await value('deltaic_table_upkeep_failures_total')).toBe(0)
    expect(await value('deltaic_table_rewritten_bytes_total')).toBeGreaterThan(0)
  })

  it('are all on the page for operators, and no others are', async () => {
    await using at = await serveLake()
    const text = await (await at.get('/metrics')).text()
    const named = [...text.matchAll(/^# TYPE (deltaic_\w+) /gm)].map(([, name]) => name)
    const page = readFileSync(new URL('../../docs/operators.md', import.meta.url), 'utf8')
    expect([...page.matchAll(/^\| `(deltaic_\w+)` \|/gm)].map(([, name]) => name).toSorted()).toEqual(named.toSorted())
  })
})

describe('/readyz', () => {
  it('is yes while the store answers, and no once the lakehouse is closed', async () => {
    await using at = await serveLake({ token: 'secret' })
    expect(await jsonOf(await at.get('/readyz'))).toEqual({ status: 'ok' })
    expect((await at.get('/metrics')).status).toBe(401)
    await at.lake.close()
    expect((await problemOf(await at.get('/readyz'))).status).toBeGreaterThanOrEqual(500)
    expect((await at.get('/healthz')).status).toBe(200)
  })
})
