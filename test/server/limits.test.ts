import { readdir } from 'node:fs/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type LakeServer, lines, NDJSON, problemOf, serveLake, streamed } from './lake-server.js'

/** Longer than any test waits; it stops when it is told to. */
const ENDLESS = 'SELECT sum(a.range * b.range) AS s FROM range(3000000) a, range(3000000) b'

const servers: LakeServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server[Symbol.asyncDispose]()
})

async function serve(...[options]: Parameters<typeof serveLake>): Promise<LakeServer> {
  const server = await serveLake(options)
  servers.push(server)
  return server
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20))
}

/** Answers that wait on disk for their readers. */
async function spooled(at: LakeServer): Promise<string[]> {
  const names = await readdir(at.folder, { recursive: true })
  return names.filter((name) => name.includes('csv'))
}

describe('a query', () => {
  it.each(['json', 'ndjson', 'csv', 'arrow', 'parquet', 'table'])('that takes too long is stopped (%s)', async (format) => {
    const at = await serve({ limits: { queryTimeoutMs: 700 } })
    const startedAtMs = performance.now()
    expect(await problemOf(await at.sql(ENDLESS, format))).toMatchObject({
      status: 504,
      code: 'QUERY_TIMEOUT',
      details: { queryTimeoutMs: 700 },
    })
    expect(performance.now() - startedAtMs).toBeLessThan(5000)
    expect(await at.rows('SELECT 1 AS n')).toEqual([{ n: 1 }])
  })

  it('more than the limit is refused, with a time to come back', async () => {
    const at = await serve({ limits: { queriesMax: 2, queriesWaitingMax: 0, queryTimeoutMs: 20_000 } })
    const abort = new AbortController()
    const running = [1, 2].map(() =>
      fetch(`${at.url}/v1/sql`, { method: 'POST', body: ENDLESS, signal: abort.signal }).catch(() => undefined),
    )
    let refused: Response | undefined
    await until(async () => {
      const response = await at.sql('SELECT 1 AS n')
      if (response.status === 429) refused = response
      else await response.text()
      return refused !== undefined
    })
    expect(refused?.headers.get('retry-after')).toBe('1')
    expect(await problemOf(refused as Response)).toMatchObject({ code: 'TOO_BUSY', kind: 'limit' })
    expect((await at.get('/healthz')).status).toBe(200)
    abort.abort()
    await Promise.all(running)
  })

  it.each(['json', 'arrow', 'table'])('ends when its caller goes (%s)', async (format) => {
    const at = await serve({ limits: { queriesMax: 1, queriesWaitingMax: 0, queryTimeoutMs: 60_000 } })
    const abort = new AbortController()
    const gone = fetch(`${at.url}/v1/sql?format=${format}`, { method: 'POST', body: ENDLESS, signal: abort.signal })
    await until(async () => (await at.sql('SELECT 1 AS n')).status === 429)
    abort.abort()
    await expect(gone).rejects.toThrow()
    await until(async () => (await at.sql('SELECT 1 AS n')).status === 200)
  })

  it('ends when its reader stops reading', async () => {
    const at = await serve({ limits: { queriesMax: 1, queriesWaitingMax: 0 } })
    const response = await at.sql("SELECT range AS n, repeat('x', 1000) AS t FROM range(200000)", 'csv')
    const reader = response.body?.getReader()
    await reader?.read()
    expect((await at.sql('SELECT 1 AS n')).status).toBe(429)
    expect(await spooled(at)).toHaveLength(1)
    await reader?.cancel()
    await until(async () => (await at.sql('SELECT 1 AS n')).status === 200)
    await until(async () => (await spooled(at)).length === 0)
  })
})

describe('an upload', () => {
  it('that breaks off leaves nothing behind', async () => {
    const at = await serve()
    await at.lake.sql('CREATE TABLE views (id BIGINT)')
    for (const headers of [{}, { 'content-length': '1000000' }]) {
      const abort = new AbortController()
      const body = (async function* () {
        yield Buffer.from(lines([{ id: 1 }]))
        await new Promise((resolve) => setTimeout(resolve, 100))
        abort.abort()
        yield Buffer.from(lines([{ id: 2 }]))
      })()
      const sent = { ...streamed(body, headers), signal: abort.signal }
      await expect(fetch(`${at.url}/v1/tables/views/rows`, sent)).rejects.toThrow()
    }
    expect((await at.post('/v1/tables/views/rows', lines([{ id: 3 }]), NDJSON)).status).toBe(200)
    expect(await at.rows('SELECT id FROM views')).toEqual([{ id: 3 }])
  })
})

describe('the limits', () => {
  it.each([
    { queriesMax: 0 },
    { queriesWaitingMax: -1 },
    { queryTimeoutMs: -1 },
    { answerRowsMax: 0 },
    { bodyBytesMax: 1.5 },
    { bodyBytesMax: Number.NaN },
  ])('are whole numbers from 1: %j', async (limits) => {
    await expect(serveLake({ limits })).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      details: { limit: Object.keys(limits)[0] },
    })
  })
})
