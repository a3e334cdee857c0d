import { connect, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startServer } from '../../server/server.js'
import { openLakehouse } from '../../src/index.js'
import { type LakeServer, problemOf, serveLake } from './lake-server.js'

interface Event {
  readonly id: string
  readonly type: string
  readonly data: { readonly versions: Record<string, number>; readonly row: Record<string, unknown> | null }
}

/** The events of a response, as they come; comments are left out. */
class Events {
  readonly comments: string[] = []
  private text = ''
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>

  constructor(response: Response) {
    this.reader = (response.body as ReadableStream<Uint8Array>).getReader()
  }

  async next(): Promise<Event | undefined> {
    for (;;) {
      const end = this.text.indexOf('\n\n')
      if (end < 0) {
        const { done, value } = await this.reader.read()
        if (done) return undefined
        this.text += Buffer.from(value).toString()
        continue
      }
      const block = this.text.slice(0, end)
      this.text = this.text.slice(end + 2)
      const fields = new Map(block.split('\n').map((line) => [line.split(': ')[0], line.slice(line.indexOf(': ') + 2)]))
      const data = fields.get('data')
      if (data === undefined) this.comments.push(block)
      else return { id: fields.get('id') ?? '', type: fields.get('event') ?? 'message', data: JSON.parse(data) as Event['data'] }
    }
  }

  /** Reads on until a value holds. */
  async until(holds: (event: Event) => boolean): Promise<Event> {
    for (let event = await this.next(); event; event = await this.next()) if (holds(event)) return event
    throw new Error('the stream ended')
  }

  async cancel(): Promise<void> {
    await this.reader.cancel()
  }
}

let at: LakeServer
beforeEach(async () => {
  at = await serveLake({ limits: { watchersMax: 1000 } })
  await at.lake.sql(`CREATE TABLE hits (url STRING, n INT); INSERT INTO hits VALUES ('/a', 1), ('/b', 1);
    CREATE MATERIALIZED VIEW per_url AS SELECT url, count(*) AS hits, sum(n) AS n FROM hits GROUP BY url`)
})
afterEach(() => at[Symbol.asyncDispose]())

async function watch(key: string, headers: Record<string, string> = {}, view = 'per_url'): Promise<Events> {
  const response = await at.get(`/v1/views/${view}/watch?${key}`, headers)
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'text/event-stream'])
  return new Events(response)
}

describe('/v1/views/:view/watch', () => {
  it('gives the row as it is, and each row that it becomes, of the versions that were acknowledged', async () => {
    const events = await watch('url=/a')
    expect((await events.next())?.data).toEqual({ versions: { hits: 1 }, row: { url: '/a', hits: 1, n: 1 } })
    for (const [statement, row] of [
      ["INSERT INTO hits VALUES ('/a', 5)", { url: '/a', hits: 2, n: 6 }],
      ["DELETE FROM hits WHERE url = '/a'", null],
      ['RESTORE TABLE hits TO VERSION AS OF 1', { url: '/a', hits: 1, n: 1 }],
    ] as const) {
      await at.lake.sql(statement)
      const version = (await at.lake.table('hits').snapshot()).version
      expect((await events.next())?.data).toEqual({ versions: { hits: version }, row })
    }
    // Neither another key's rows nor a version without rows are news.
    await at.lake.sql(
      "INSERT INTO hits VALUES ('/b', 1); OPTIMIZE hits; REFRESH MATERIALIZED VIEW per_url; INSERT INTO hits VALUES ('/a', 7)",
    )
    expect((await events.next())?.data.row).toEqual({ url: '/a', hits: 2, n: 8 })
    await events.cancel()
  })

  it('goes on after the last event that came: a value that is known is not sent again', async () => {
    const first = await watch('url=/a')
    const { id = '' } = (await first.next()) ?? {}
    await first.cancel()
    const same = await watch('url=/a', { 'last-event-id': id })
    await at.lake.sql("INSERT INTO hits VALUES ('/a', 2)")
    const second = await same.next()
    expect(second?.data.row).toMatchObject({ hits: 2 })
    await same.cancel()
    await at.lake.sql("INSERT INTO hits VALUES ('/a', 3); INSERT INTO hits VALUES ('/a', 4)")
    const later = await watch('url=/a', { 'last-event-id': second?.id ?? '' })
    expect((await later.next())?.data.row).toMatchObject({ hits: 4 })
    await later.cancel()
    const odd = await watch('url=/a', { 'last-event-id': 'what?' })
    expect((await odd.next())?.data.row).toMatchObject({ hits: 4 })
    await odd.cancel()
  })

  it('notices what another process commits', async () => {
    const events = await watch('url=/new')
    expect((await events.next())?.data.row).toBeNull()
    await using other = await openLakehouse(`${at.folder}/lake`)
    await other.sql("INSERT INTO hits VALUES ('/new', 3)")
    expect((await events.next())?.data.row).toEqual({ url: '/new', hits: 1, n: 3 })
    await events.cancel()
  })

  it('sends comments, so that nobody takes the connection for dead', async () => {
    const server = await startServer(at.lake, { port: 0, limits: { heartbeatMs: 5 } })
    const events = new Events(await fetch(`${server.url}/v1/views/per_url/watch?url=/a`))
    await events.next()
    const read = events.next()
    await expect.poll(() => events.comments.filter((comment) => comment.startsWith(':')).length).toBeGreaterThan(2)
    await server.close()
    expect(await read).toBeUndefined()
  })

  it('serves views over views, several key columns, and keys of any type', async () => {
    await at.lake.sql(`CREATE TABLE seen (url STRING, day TIMESTAMP, x DECIMAL(9,2));
      CREATE MATERIALIZED VIEW per_day AS SELECT url, day, x, count(*) AS hits FROM seen GROUP BY url, day, x;
      CREATE MATERIALIZED VIEW per_x AS SELECT x, sum(hits) AS hits FROM per_day GROUP BY x`)
    const days = await watch('url=/a&day=2026-11-01T10:00:00Z&x=1.5', {}, 'per_day')
    const above = await watch('x=1.50', {}, 'PER_X')
    expect([(await days.next())?.data.row, (await above.next())?.data.row]).toEqual([null, null])
    await at.lake.sql("INSERT INTO seen VALUES ('/a', TIMESTAMPTZ '2026-11-01T10:00:00Z', 1.5), ('/b', NULL, 1.5)")
    expect((await days.next())?.data.row).toMatchObject({ url: '/a', x: 1.5, hits: 1 })
    expect((await above.next())?.data).toEqual({ versions: { seen: 1 }, row: { x: 1.5, hits: 2 } })
    await days.cancel()
    await above.cancel()
  })

  it('refuses what is no view, no key, no value of it, and another type', async () => {
    const refused = async (path: string, headers: Record<string, string> = {}) => {
      const { status, code } = await problemOf(await at.get(`/v1/views/${path}`, headers))
      return [status, code]
    }
    expect(await refused('nope/watch?url=1')).toEqual([404, 'VIEW_NOT_FOUND'])
    expect(await refused('hits/watch?url=1')).toEqual([404, 'VIEW_NOT_FOUND'])
    expect(await refused('per_url/watch')).toEqual([400, 'ARGUMENT_INVALID'])
    expect(await refused('per_url/watch?url=1&n=2')).toEqual([400, 'ARGUMENT_INVALID'])
    await at.lake.sql('CREATE MATERIALIZED VIEW per_n AS SELECT n, count(*) AS hits FROM hits GROUP BY n')
    await at.lake.sql('CREATE MATERIALIZED VIEW plain AS SELECT url, n FROM hits WHERE n > 1')
    expect(await refused('per_n/watch?n=many')).toEqual([400, 'SQL_INVALID'])
    expect(await refused('plain/watch?url=1')).toEqual([400, 'ARGUMENT_INVALID'])
    expect(await refused('per_url/watch?url=/a', { accept: 'application/json' })).toEqual([406, 'NOT_ACCEPTABLE'])
  })

  it('ends with a problem when the view is dropped, or gets another key', async () => {
    const [a, n] = [await watch('url=/a'), await watch('url=/b')]
    await a.next()
    await n.next()
    await at.lake.sql('REBUILD MATERIALIZED VIEW per_url AS SELECT n, count(*) AS hits FROM hits GROUP BY n')
    expect(await a.next()).toMatchObject({ type: 'problem', data: { code: 'ARGUMENT_INVALID', status: 400 } })
    expect([(await n.next())?.type, await a.next(), await n.next()]).toEqual(['problem', undefined, undefined])
    const again = await watch('n=1')
    await again.next()
    await at.lake.sql('DROP MATERIALIZED VIEW per_url')
    expect(await again.next()).toMatchObject({ type: 'problem', data: { code: 'VIEW_NOT_FOUND' } })
    expect(await again.next()).toBeUndefined()
  })

  it('gives a slow client the newest value, and keeps no others for it', async () => {
    // Of a megabyte each, a connection holds only a few.
    await at.lake.sql(`CREATE TABLE steps (k INT, n INT); INSERT INTO steps VALUES (1, 0);
      CREATE MATERIALIZED VIEW newest AS SELECT k, max(n) AS n, repeat('x', 1000000) || max(n) AS body FROM steps GROUP BY k`)
    const socket = await asks(at.port, '/v1/views/newest/watch?k=1')
    socket.pause()
    const steps = 40
    const rows = await at.lake.watchJson('newest', { k: 1 })
    for (let n = 1; n <= steps; n++) {
      await at.lake.sql(`INSERT INTO steps VALUES (1, ${n})`)
      // Another one who watches has seen it, so the view was looked at.
      for await (const { json } of { [Symbol.asyncIterator]: () => ({ next: () => rows.next() }) })
        if (Buffer.from(json ?? []).includes(`"n":${n},`)) break
    }
    await rows.return()
    let received = ''
    const seen = new Promise<void>((resolve) => {
      socket.on('data', (chunk) => {
        received += String(chunk)
        if (received.includes(`"n":${steps},`)) resolve()
      })
    })
    socket.resume()
    await seen
    const came = [...received.matchAll(/"n":(\d+),/g)].map(([, n]) => Number(n))
    expect(came).toEqual(came.toSorted((a, b) => a - b))
    expect(came.length).toBeLessThan(steps)
    socket.destroy()
  })

  it('serves a thousand at once, refuses one more, and takes another when one has gone', { timeout: 60_000 }, async () => {
    const all = await Promise.all(Array.from({ length: 1000 }, async (_, n) => await watch(`url=/${n % 250}`)))
    expect(await problemOf(await at.get('/v1/views/per_url/watch?url=/a'))).toMatchObject({ status: 429, code: 'TOO_BUSY' })
    expect((await at.get('/v1/views/per_url/lookup?url=/a')).status).toBe(200)
    await Promise.all(all.map((events) => events.next()))
    await at.lake.sql("INSERT INTO hits SELECT '/' || r, r FROM range(250) t(r)")
    const rows = await Promise.all(all.map((events) => events.next()))
    expect(rows.map((event) => event?.data.row)).toEqual(
      Array.from({ length: 1000 }, (_, n) => ({ url: `/${n % 250}`, hits: 1, n: n % 250 })),
    )
    await all[0]?.cancel()
    await expect.poll(async () => (await at.get('/v1/views/per_url/watch?url=/a')).status).toBe(200)
  })

  it('ends when the server closes, whether its client reads or not', async () => {
    const server = await startServer(at.lake, { port: 0 })
    const events = new Events(await fetch(`${server.url}/v1/views/per_url/watch?url=/a`))
    await events.next()
    await at.lake.sql("INSERT INTO hits VALUES ('/deaf', 1)")
    const deaf = await asks(server.port, '/v1/views/per_url/watch?url=/deaf')
    deaf.pause()
    await server.close()
    expect(await events.next()).toBeUndefined()
    deaf.destroy()
  })

  it('ends when the lakehouse closes', async () => {
    await using lake = await openLakehouse(`${at.folder}/lake`)
    const rows = await lake.watchJson('per_url', { url: '/a' })
    const first = await rows.next()
    expect(first.value?.versions).toEqual({ hits: 1 })
    const waiting = rows.next()
    await lake.close()
    expect(await waiting).toEqual({ done: true, value: undefined })
  })
})

/** A client that one can stop from reading. */
async function asks(port: number, path: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
  await new Promise((resolve) => socket.once('data', resolve))
  return socket
}
