import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { logLines, type ServerEvent } from '../../server/log.js'
import { startServer } from '../../server/server.js'
import { DeltaError, type QueryResult } from '../../src/index.js'
import { jsonOf, lakeThatAnswers, lines, problemOf, serveLake, streamed } from './lake-server.js'

/** A result whose bytes a test makes itself. */
function resultOf(bytes: () => AsyncGenerator<Uint8Array, void, undefined>): QueryResult {
  const skippedBy = { partition: 0, generated: 0, statistics: 0, join: 0, answered: 0, limit: 0 }
  const stats = { filesRead: 0, filesSkipped: 0, bytesRead: 0, bytesSkipped: 0, filesFromCache: 0, skippedBy }
  return {
    columns: [],
    versions: {},
    views: [],
    stats,
    rowCount: 1,
    elapsedMs: 1,
    bytes,
    close: async () => {},
  } as Partial<QueryResult> as QueryResult
}

describe('startServer', () => {
  it('takes any free port for 0, and says what is in force', async () => {
    await using at = await serveLake()
    const server = await startServer(at.lake, { port: 0, limits: { queriesMax: 3 } })
    expect(server).toMatchObject({
      url: `http://127.0.0.1:${server.port}`,
      limits: { queriesMax: 3, bodyBytesMax: 268_435_456, queryTimeoutMs: 60_000 },
    })
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    await server.close()
  })

  it('names a port that is taken, and the way out', async () => {
    const holder = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => holder.once('listening', resolve))
    const { port } = holder.address() as AddressInfo
    const start = startServer(
      lakeThatAnswers(async () => resultOf(async function* () {})),
      { port },
    )
    await expect(start).rejects.toMatchObject({
      code: 'ARGUMENT_INVALID',
      details: { port },
      hint: expect.stringContaining('--port'),
    })
    await expect(start).rejects.toThrow(String(port))
    holder.close()
  })

  it.each([-1, 65_536, 1.5, Number.NaN])('refuses the port %d', async (port) => {
    await expect(
      startServer(
        lakeThatAnswers(async () => resultOf(async function* () {})),
        { port },
      ),
    ).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('refuses an empty token', async () => {
    await using at = await serveLake()
    await expect(startServer(at.lake, { port: 0, token: ' ' })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
})

describe('close', () => {
  it('finishes the upload that is under way', async () => {
    await using at = await serveLake()
    await at.lake.sql('CREATE TABLE views (id BIGINT)')
    const server = await startServer(at.lake, { port: 0 })
    let goOn = () => {}
    const body = (async function* () {
      yield Buffer.from(lines([{ id: 1 }]))
      await new Promise<void>((resolve) => (goOn = resolve))
      yield Buffer.from(lines([{ id: 2 }]))
    })()
    const answer = fetch(`${server.url}/v1/tables/views/rows`, streamed(body))
    await new Promise((resolve) => setTimeout(resolve, 200))
    const closed = server.close()
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow()
    goOn()
    expect(await jsonOf(await answer)).toMatchObject({ rows: 2 })
    await closed
    expect(await at.rows('SELECT id FROM views ORDER BY id')).toEqual([{ id: 1 }, { id: 2 }])
  })

  it('finishes the answer that is under way', async () => {
    let goOn = () => {}
    const lake = lakeThatAnswers(async () =>
      resultOf(async function* () {
        yield Buffer.from('{"n":1}\n')
        await new Promise<void>((resolve) => (goOn = resolve))
        yield Buffer.from('{"n":2}\n')
      }),
    )
    const server = await startServer(lake, { port: 0 })
    const response = await fetch(`${server.url}/v1/sql?q=SELECT&format=ndjson`)
    const closed = server.close()
    goOn()
    expect(await response.text()).toBe('{"n":1}\n{"n":2}\n')
    await closed
  })

  it('does not wait for connections that ask for nothing', async () => {
    const server = await startServer(
      lakeThatAnswers(async () => resultOf(async function* () {})),
      { port: 0 },
    )
    const idle = connect(server.port, '127.0.0.1')
    idle.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await new Promise((resolve) => idle.once('data', resolve))
    const ended = new Promise((resolve) => idle.once('close', resolve))
    await server.close()
    await ended
  })

  it('is done once, however often it is called', async () => {
    const server = await startServer(
      lakeThatAnswers(async () => resultOf(async function* () {})),
      { port: 0 },
    )
    expect(server.close()).toBe(server.close())
    await server.close()
  })
})

describe('an answer that fails half way', () => {
  const failing = lakeThatAnswers(async () =>
    resultOf(async function* () {
      yield Buffer.from('{"n"')
      yield Buffer.from(':1}\n')
      await new Promise((resolve) => setTimeout(resolve, 50))
      throw new DeltaError('DATA_FILE_MISSING', 'a data file is gone', { file: 'part-1.parquet' })
    }),
  )

  it('says so in the last line of NDJSON', async () => {
    const server = await startServer(failing, { port: 0 })
    const response = await fetch(`${server.url}/v1/sql?q=SELECT&format=ndjson`)
    const [row, last, end] = (await response.text()).split('\n')
    expect([response.status, row, end]).toEqual([200, '{"n":1}', ''])
    expect(JSON.parse(last ?? '')).toMatchObject({
      error: { status: 500, code: 'DATA_FILE_MISSING', details: { file: 'part-1.parquet' } },
    })
    await server.close()
  })

  it.each(['json', 'csv', 'arrow', 'parquet'])('is cut without its end in %s', async (format) => {
    const server = await startServer(failing, { port: 0 })
    const response = await fetch(`${server.url}/v1/sql?q=SELECT&format=${format}`)
    expect(response.status).toBe(200)
    await expect(response.arrayBuffer()).rejects.toThrow()
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200)
    await server.close()
  })

  it('is a problem when it fails before the first byte', async () => {
    const lake = lakeThatAnswers(async () =>
      // biome-ignore lint/correctness/useYield: it fails before it has anything to give
      resultOf(async function* () {
        throw new DeltaError('DATA_FILE_MISSING', 'a data file is gone')
      }),
    )
    const server = await startServer(lake, { port: 0 })
    for (const format of ['json', 'ndjson', 'csv', 'arrow'])
      expect(await problemOf(await fetch(`${server.url}/v1/sql?q=SELECT&format=${format}`))).toMatchObject({
        status: 500,
        code: 'DATA_FILE_MISSING',
      })
    await server.close()
  })
})

describe('the log', () => {
  it('tells what was answered, and nothing of what was asked', async () => {
    const events: ServerEvent[] = []
    await using at = await serveLake({ log: (event) => events.push(event), token: 'hush-hush' })
    const headers = { authorization: 'Bearer hush-hush' }
    const secret = `/v1/sql?q=${encodeURIComponent("SELECT 'hunter2' AS password")}`
    for (const [path, shown] of [
      [secret, headers],
      ['/v1/tables/hunter2', headers],
      ['/v1/tables', {}],
    ] as const) {
      const before = events.length
      await (await at.get(path, shown)).text()
      await expect.poll(() => events.length).toBe(before + 1)
    }
    expect(events).toEqual([
      { type: 'listening', url: at.url },
      { type: 'answered', method: 'GET', route: '/v1/sql', status: 200, code: undefined, elapsedMs: expect.any(Number) },
      {
        type: 'answered',
        method: 'GET',
        route: '/v1/tables/:table',
        status: 404,
        code: 'TABLE_NOT_FOUND',
        elapsedMs: expect.any(Number),
      },
      { type: 'answered', method: 'GET', route: '/v1/tables', status: 401, code: 'UNAUTHORIZED', elapsedMs: expect.any(Number) },
    ])
    expect(JSON.stringify(events)).not.toMatch(/hunter2|hush/)
  })

  it('tells all about a fault that the answer keeps back', async () => {
    const events: ServerEvent[] = []
    const lake = lakeThatAnswers(async () => {
      throw new TypeError('secret-path is undefined')
    })
    const server = await startServer(lake, { port: 0, log: (event) => events.push(event) })
    const problem = await problemOf(await fetch(`${server.url}/v1/sql?q=SELECT`))
    expect(JSON.stringify(problem)).not.toContain('secret-path')
    expect(events).toContainEqual({
      type: 'failed',
      method: 'GET',
      route: '/v1/sql',
      error: expect.objectContaining({ message: 'secret-path is undefined' }),
    })
    await server.close()
    expect(events.slice(-2)).toEqual([{ type: 'draining' }, { type: 'closed' }])
  })

  it('is one line of JSON for each event', () => {
    const written: string[] = []
    logLines((line) => written.push(line))({ type: 'failed', method: 'GET', route: '/v1/sql', error: new Error('two\nlines') })
    expect(written).toHaveLength(1)
    expect(written[0]?.indexOf('\n')).toBe((written[0]?.length ?? 0) - 1)
    expect(JSON.parse(written[0] ?? '')).toMatchObject({
      time: expect.any(String),
      type: 'failed',
      error: { message: 'two\nlines', stack: expect.any(String) },
    })
  })
})
