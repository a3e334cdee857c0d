import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { JSON_TYPE, jsonOf, type LakeServer, lines, NDJSON, problemOf, serveLake } from './lake-server.js'

let at: LakeServer

beforeAll(async () => {
  at = await serveLake()
  await at.lake.sql(
    "CREATE TABLE views (id BIGINT NOT NULL COMMENT 'the number', url STRING, day DATE) PARTITIONED BY (day) COMMENT 'page views' TBLPROPERTIES ('delta.checkpointInterval' = '5')",
  )
  for (let id = 1; id <= 6; id++)
    await jsonOf(
      await at.post('/v1/tables/views/rows', lines([{ id, url: '/a', day: id % 2 ? '2026-11-01' : '2026-11-02' }]), NDJSON),
    )
})
afterAll(() => at[Symbol.asyncDispose]())

describe('GET /v1/tables', () => {
  it('lists what there is', async () => {
    expect(await jsonOf(await at.get('/v1/tables'))).toEqual({ tables: await at.lake.tables() })
    expect(await at.lake.tables()).toMatchObject([{ name: 'views' }])
  })
})

describe('GET /v1/tables/:table', () => {
  it('tells what the library tells', async () => {
    const detail = await at.lake.table('views').detail()
    expect(await jsonOf(await at.get('/v1/tables/views'))).toEqual(JSON.parse(JSON.stringify(detail)))
    expect(detail).toMatchObject({
      name: 'views',
      version: 6,
      description: 'page views',
      partitionColumns: ['day'],
      files: 6,
      rows: 6,
      columns: [
        { name: 'id', nullable: false, comment: 'the number' },
        { name: 'url' },
        { name: 'day', type: 'date', partition: true },
      ],
    })
  })

  it('answers 404 for a table that is not there', async () => {
    for (const path of ['', '/history', '/files'])
      expect(await problemOf(await at.get(`/v1/tables/nope${path}`))).toMatchObject({ status: 404, code: 'TABLE_NOT_FOUND' })
  })

  it.each(['..%2fviews', '%2e%2e%2f%2e%2e%2fetc', 'views%2f_delta_log', 'a%00b', 'C:%5c', '%20', `${'x'.repeat(900)}`])(
    'takes %s for no path',
    async (name) => {
      const response = await at.get(`/v1/tables/${name}`)
      expect([400, 404]).toContain(response.status)
      expect((await problemOf(response)).code).toMatch(/^(NAME_INVALID|TABLE_NOT_FOUND|ROUTE_NOT_FOUND)$/)
      const made = await at.post(`/v1/tables/${name}/rows?create=true`, lines([{ id: 1 }]), NDJSON)
      expect(await problemOf(made)).toMatchObject({ kind: expect.stringMatching(/^(invalid|notFound)$/) })
    },
  )
})

describe('GET /v1/tables/:table/history', () => {
  it('tells what the library tells, newest first', async () => {
    const { commits } = await jsonOf<{ commits: { version: number; operation: string }[] }>(
      await at.get('/v1/tables/views/history'),
    )
    expect(commits).toEqual(JSON.parse(JSON.stringify(await at.lake.table('views').history())))
    expect(commits.map(({ version }) => version)).toEqual([6, 5, 4, 3, 2, 1, 0])
    expect(commits[0]).toMatchObject({ operation: 'WRITE' })
  })

  it('stops at the limit', async () => {
    const { commits } = await jsonOf<{ commits: { version: number }[] }>(await at.get('/v1/tables/views/history?limit=2'))
    expect(commits.map(({ version }) => version)).toEqual([6, 5])
  })

  it.each(['0', '-1', '1001', 'all', '1.5'])('refuses the limit %s', async (limit) => {
    expect(await problemOf(await at.get(`/v1/tables/views/history?limit=${limit}`))).toMatchObject({
      status: 400,
      code: 'ARGUMENT_INVALID',
    })
  })
})

describe('GET /v1/tables/:table/files', () => {
  it('lists the data files of a version', async () => {
    const { version, files } = await jsonOf<{ version: number; files: { path: string }[] }>(
      await at.get('/v1/tables/views/files?version=2'),
    )
    expect(version).toBe(2)
    expect(files).toHaveLength(2)
    expect(files[0]).toEqual({
      path: expect.stringMatching(/^day=2026-11-01\/.*\.parquet$/),
      sizeBytes: expect.any(Number),
      rows: 1,
      partitionValues: { day: '2026-11-01' },
      modifiedAtMs: expect.any(Number),
    })
  })

  it('lists those of the newest version by default', async () => {
    expect(await jsonOf(await at.get('/v1/tables/views/files'))).toMatchObject({ version: 6, files: { length: 6 } })
  })

  it('refuses a version that is none, or not there', async () => {
    expect(await problemOf(await at.get('/v1/tables/views/files?version=first'))).toMatchObject({ status: 400 })
    expect(await problemOf(await at.get('/v1/tables/views/files?version=99'))).toMatchObject({
      status: 404,
      code: 'VERSION_NOT_FOUND',
    })
  })
})

describe('POST /v1/tables/:table/optimize', () => {
  const optimize = (body: unknown) => at.post('/v1/tables/views/optimize', JSON.stringify(body), JSON_TYPE)

  it('merges the files of the partitions it is told, then all', async () => {
    expect(await jsonOf(await optimize({ where: "day = DATE '2026-11-01'", targetFileSize: '128MB' }))).toMatchObject({
      filesRemoved: 3,
      filesAdded: 1,
      version: 7,
    })
    expect(await jsonOf(await fetch(`${at.url}/v1/tables/views/optimize`, { method: 'POST' }))).toMatchObject({
      filesRemoved: 3,
      filesAdded: 1,
      version: 8,
    })
    expect(await at.rows('SELECT count(*) AS n, sum(id)::INT AS s FROM views')).toEqual([{ n: 6, s: 21 }])
  })

  it.each([
    { targetFileSize: 'big' },
    { targetFileSize: 0 },
    { targetFileSize: -1 },
    { target: 1 },
    { where: [] },
    [],
    { where: 'nope = 1' },
    { where: 'id = 1' },
  ])('refuses %j', async (body) => {
    const response = await optimize(body)
    expect(response.status).toBe(400)
    await problemOf(response)
  })

  it('answers 404 for a table that is not there', async () => {
    expect(await problemOf(await at.post('/v1/tables/nope/optimize', '{}', JSON_TYPE))).toMatchObject({
      status: 404,
      code: 'TABLE_NOT_FOUND',
    })
  })
})

describe('POST /v1/tables/:table/restore and checkpoint', () => {
  const restore = (body: unknown) => at.post('/v1/tables/views/restore', JSON.stringify(body), JSON_TYPE)

  it('make a table what it was, and write its state', async () => {
    expect(await jsonOf(await restore({ version: 2 }))).toMatchObject({
      version: 9,
      restoredVersion: 2,
      filesAdded: 2,
      filesRemoved: 2,
    })
    expect(await at.rows('SELECT count(*) AS n FROM views')).toEqual([{ n: 2 }])
    expect(await jsonOf(await restore({ version: 8 }))).toMatchObject({ version: 10, restoredVersion: 8 })
    expect(await jsonOf(await fetch(`${at.url}/v1/tables/views/checkpoint`, { method: 'POST' }))).toMatchObject({ version: 10 })
  })

  it.each([{}, { version: -1 }, { version: 1, timestamp: '2026-01-01' }, { timestamp: 'soon' }, { to: 1 }])(
    'refuse %j',
    async (body) => {
      const response = await restore(body)
      expect(response.status).toBe(400)
      await problemOf(response)
    },
  )

  it('answer 404 for what is not there', async () => {
    expect(await problemOf(await restore({ version: 99 }))).toMatchObject({ status: 404, code: 'VERSION_NOT_FOUND' })
    for (const path of ['restore', 'checkpoint'])
      expect(await problemOf(await at.post(`/v1/tables/nope/${path}`, '{"version":0}', JSON_TYPE))).toMatchObject({
        status: 404,
        code: 'TABLE_NOT_FOUND',
      })
  })
})

describe('POST /v1/tables/:table/vacuum', () => {
  const vacuum = (body: unknown) => at.post('/v1/tables/views/vacuum', JSON.stringify(body), JSON_TYPE)

  it('tells what would go, and deletes nothing that may be needed', async () => {
    expect(await jsonOf(await vacuum({ dryRun: true }))).toMatchObject({ filesDeleted: 0, files: [] })
    expect(await jsonOf(await fetch(`${at.url}/v1/tables/views/vacuum`, { method: 'POST' }))).toMatchObject({ filesDeleted: 0 })
    expect(await at.rows('SELECT count(*) AS n FROM views')).toEqual([{ n: 6 }])
  })

  it.each([{ retentionHours: 1 }, { retentionHours: -1 }, { mode: 'half' }, { force: true }, []])('refuses %j', async (body) => {
    const response = await vacuum(body)
    expect(response.status).toBe(400)
    await problemOf(response)
  })
})

describe('GET /v1/tables/:table/changes', () => {
  it('gives the rows of a range, and says where nothing was kept', async () => {
    await at.lake.sql("CREATE TABLE fed (id BIGINT) TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    await at.lake.sql('INSERT INTO fed VALUES (1), (2)')
    await at.lake.sql('DELETE FROM fed WHERE id = 1')
    const changes = await (await at.get('/v1/tables/fed/changes?from=1&to=2&format=csv')).text()
    const rows = changes
      .trimEnd()
      .split('\n')
      .map((line) => line.split(',').slice(0, 3).join(','))
    expect(rows.sort()).toEqual(['1,delete,2', '1,insert,1', '2,insert,1', 'id,_change_type,_commit_version'])
    expect(await problemOf(await at.get('/v1/tables/views/changes?from=0'))).toMatchObject({ code: 'CHANGES_NOT_RECORDED' })
  })
})
