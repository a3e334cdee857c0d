import { randomUUID } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { S3Store } from '../../src/storage/s3.js'
import { describeWhen } from '../support/needs.js'
import { S3_REASON, type S3TestServer, s3Servers, TOXIPROXY_REASON, toxiproxyUrl } from '../support/s3-servers.js'
import { storeOn } from './s3-store.js'

const SILENCE_MS = 600
const bytes = Buffer.from('mine')

describe('S3Store on a scripted server', () => {
  const open: { server: Server; store: S3Store }[] = []

  afterEach(async () => {
    for (const { server, store } of open.splice(0)) {
      await store.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  })

  /** Answers the n-th request by the n-th listener, and those after that by the last. */
  async function scripted(...listeners: readonly RequestListener[]): Promise<{ store: S3Store; requests: string[] }> {
    const requests: string[] = []
    const server = createServer((request, response) => {
      requests.push(`${request.method} ${request.headers['if-none-match'] ?? ''}`.trim())
      request.resume().on('end', () => listeners[Math.min(requests.length, listeners.length) - 1]?.(request, response))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const credentials = { accessKeyId: 'a', secretAccessKey: 's' }
    const store = new S3Store({ bucket: 'b', endpoint, credentials, requestTimeoutMs: SILENCE_MS })
    open.push({ server, store })
    return { store, requests }
  }

  const fails =
    (status: number, code: string): RequestListener =>
    (_request, response) => {
      response
        .writeHead(status, { 'content-type': 'application/xml' })
        .end(`<Error><Code>${code}</Code><Message>no</Message></Error>`)
    }
  const succeeds: RequestListener = (_request, response) => response.writeHead(200, { etag: '"e"' }).end()
  const gives =
    (body: string): RequestListener =>
    (_request, response) =>
      response.end(body)
  const breaksOff: RequestListener = (_request, response) => {
    response.writeHead(200, { 'content-length': 10 })
    response.write('12345', () => response.destroy())
  }
  const stalls: RequestListener = (_request, response) => response.writeHead(200, { 'content-length': 10 }).write('12345')
  const hangsUp: RequestListener = (request) => request.socket.destroy()
  const isSilent: RequestListener = () => undefined

  it('sends a conditional put again among busy rivals, and answers what comes then', async () => {
    const busy = fails(409, 'ConditionalRequestConflict')
    const created = await scripted(busy, busy, succeeds)
    expect(await created.store.putIfAbsent('x', bytes)).toBe('created')
    expect(created.requests).toEqual(['PUT *', 'PUT *', 'PUT *'])
    const lost = await scripted(busy, fails(412, 'PreconditionFailed'))
    expect(await lost.store.putIfAbsent('x', bytes)).toBe('exists')
    const endless = await scripted(busy)
    await expect(endless.store.putIfAbsent('x', bytes)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    expect(endless.requests).toHaveLength(3)
  })

  it.each([
    ['an error of the server', fails(500, 'InternalError')],
    ['a request to slow down', fails(503, 'SlowDown')],
    ['a broken connection', hangsUp],
    ['silence', isSilent],
  ])('sends a conditional put once when its answer is %s', async (_what, listener) => {
    const { store, requests } = await scripted(listener)
    await expect(store.putIfAbsent('x', bytes)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', cause: expect.any(Error) })
    expect(requests).toEqual(['PUT *'])
  })

  it('refuses a server that has no conditional puts', async () => {
    const { store } = await scripted(fails(501, 'NotImplemented'))
    await expect(store.putIfAbsent('x', bytes)).rejects.toMatchObject({ code: 'STORE_UNSAFE' })
    await expect(store.ensureSafe()).rejects.toMatchObject({ code: 'STORE_UNSAFE' })
  })

  it('repeats what may be repeated, three times at most', async () => {
    const get = await scripted(fails(503, 'SlowDown'), hangsUp, gives('whole'))
    expect(Buffer.from((await get.store.get('x')) ?? []).toString()).toBe('whole')
    const put = await scripted(hangsUp, succeeds)
    await put.store.put('x', bytes)
    expect(put.requests).toEqual(['PUT', 'PUT'])
    const never = await scripted(fails(500, 'InternalError'))
    await expect(never.store.put('x', bytes)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', details: { status: 500 } })
    expect(never.requests).toHaveLength(3)
  })

  it('sends a file again from its beginning, without a checksum as a trailer, which some servers refuse', async () => {
    const file = join(tmpdir(), `deltaic-${randomUUID()}`)
    await writeFile(file, bytes)
    const received: string[] = []
    const receives: RequestListener = (request, response) => {
      received.push(`${request.headers['content-length']} bytes, trailer ${request.headers['x-amz-trailer'] ?? 'none'}`)
      response.writeHead(200, { etag: '"e"' }).end()
    }
    const { store } = await scripted(fails(503, 'SlowDown'), hangsUp, receives)
    await store.putFile('x', file)
    expect(received).toEqual(['4 bytes, trailer none'])
    const denied = await scripted(fails(403, 'AccessDenied'))
    await expect(denied.store.putFile('x', file)).rejects.toMatchObject({ code: 'STORE_DENIED' })
    expect(denied.requests).toHaveLength(1)
    await rm(file)
  })

  it.each([
    ['breaks off', breaksOff],
    ['stalls', stalls],
  ])('asks again for a body that %s', async (_what, listener) => {
    const { store, requests } = await scripted(listener, gives('0123456789'))
    expect(Buffer.from((await store.get('x')) ?? []).toString()).toBe('0123456789')
    expect(requests).toHaveLength(2)
  })

  it('reads on through a spell of throttling, resets and silence, within a deadline', async () => {
    const slow = fails(503, 'SlowDown')
    const { store, requests } = await scripted(slow, hangsUp, breaksOff, gives('0123456789'))
    expect(Buffer.from((await store.get('x')) ?? []).toString()).toBe('0123456789')
    expect(requests).toHaveLength(4)
    expect(store.meter.use).toMatchObject({ requests: { get: 4 }, bytesRead: 10 })
    const endless = await scripted(slow)
    await expect(endless.store.get('x')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', details: { reason: 'SlowDown' } })
    const denied = await scripted(fails(403, 'AccessDenied'))
    await expect(denied.store.get('x')).rejects.toMatchObject({ code: 'STORE_DENIED' })
    expect(denied.requests).toHaveLength(1)
  })

  it('takes the ranges of one object only', async () => {
    const of = (etag: string) => (_request: unknown, response: ServerResponse) =>
      void response.writeHead(206, { etag, 'content-range': 'bytes 0-1/4', 'content-length': 2 }).end('01')
    const range = { start: 0, endExclusive: 2 }
    const tag = {}
    const { store } = await scripted(of('"a"'), of('"a"'), of('"b"'), fails(412, 'PreconditionFailed'))
    await store.get('x', { range, tag })
    await store.get('x', { range, tag })
    for (const _ of [1, 2]) await expect(store.get('x', { range, tag })).rejects.toMatchObject({ code: 'DATA_FILE_DAMAGED' })
  })

  it('gives up on a body that breaks off every time', async () => {
    const { store, requests } = await scripted(breaksOff)
    await expect(store.get('x')).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      details: { attempts: expect.any(Number) as number },
    })
    expect(requests.length).toBeGreaterThan(2)
  })

  it('cuts the range out of the whole object that a server without ranges sends', async () => {
    const { store } = await scripted(gives('0123456789'))
    expect(Buffer.from((await store.get('x', { range: { start: 2, endExclusive: 5 } })) ?? []).toString()).toBe('234')
    expect(await store.get('x', { range: { start: 20, endExclusive: 25 } })).toHaveLength(0)
  })

  it('trusts no answer for another range than it asked for', async () => {
    const { store } = await scripted((_request, response) => {
      response.writeHead(206, { 'content-range': 'bytes 0-2/10', 'content-length': 3 }).end('012')
    })
    await expect(store.get('x', { range: { start: 7, endExclusive: 10 } })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  it('says which of many deletions was refused', async () => {
    const { store } = await scripted((_request, response) => {
      const error = '<Error><Key>a</Key><Code>AccessDenied</Code><Message>no</Message></Error>'
      response.writeHead(200, { 'content-type': 'application/xml' }).end(`<DeleteResult>${error}</DeleteResult>`)
    })
    await expect(store.delete(['a', 'b'])).rejects.toMatchObject({ code: 'STORE_DENIED', details: { key: 'a' } })
  })

  it.each([
    ['before an answer', isSilent],
    ['in the midst of a body', stalls],
  ])('rejects at once with the own reason of a signal that aborts %s', async (_what, listener) => {
    const { store, requests } = await scripted(listener)
    const abort = new AbortController()
    const reason = new Error('enough')
    const reading = store.get('x', { signal: abort.signal })
    setTimeout(() => abort.abort(reason), 100)
    await expect(reading).rejects.toBe(reason)
    expect(requests).toHaveLength(1)
  })

  it('takes one signal for many requests without a warning', async () => {
    const warnings: Error[] = []
    const warn = (warning: Error) => warnings.push(warning)
    process.on('warning', warn)
    const { store } = await scripted(gives('x'))
    const { signal } = new AbortController()
    await Promise.all(Array.from({ length: 40 }, async () => await store.get('x', { signal })))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('warning', warn)
    expect(warnings.filter(({ name }) => name === 'MaxListenersExceededWarning')).toEqual([])
  })

  it('rejects with the own reason when the signal aborts between two attempts', async () => {
    const { store } = await scripted(fails(503, 'SlowDown'))
    const reason = new Error('enough')
    const abort = new AbortController()
    setTimeout(() => abort.abort(reason), 30)
    await expect(store.put('x', bytes, { signal: abort.signal })).rejects.toBe(reason)
  })

  it('probes one root once, also for many who ask at once, and again when it got no answer', async () => {
    const { store, requests } = await scripted(fails(503, 'SlowDown'), succeeds)
    await expect(store.ensureSafe()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    const conditional = () => requests.filter((request) => request === 'PUT *').length
    expect(conditional()).toBe(1)
    const asked = await Promise.allSettled([store.ensureSafe(), store.child('a').ensureSafe(), store.ensureSafe()])
    expect(asked.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(conditional()).toBe(3)
  })
})

const judges = s3Servers.filter((server) => server.safe)
describeWhen(judges.length > 0, S3_REASON, 'S3Store behind a faulty network', () => {
  describeWhen(toxiproxyUrl !== undefined, TOXIPROXY_REASON, 'through Toxiproxy', () => {
    describe.each(judges)('to $name', (server) => describeLostReplies(server))
  })
})

function describeLostReplies(server: S3TestServer): void {
  const proxy = `deltaic-${server.name}-${randomUUID().slice(0, 8)}`
  let direct: S3Store
  let faulty: S3Store
  let endpoint: string

  const control = async (method: string, path: string, body?: object): Promise<Record<string, unknown>> => {
    const reply = await fetch(`${toxiproxyUrl}${path}`, { method, body: body ? JSON.stringify(body) : null })
    const answer = await reply.text()
    if (!reply.ok) throw new Error(`toxiproxy: ${reply.status} ${answer}`)
    return answer === '' ? {} : (JSON.parse(answer) as Record<string, unknown>)
  }
  const toxic = async (type: string, stream: 'upstream' | 'downstream', attributes: object) =>
    await control('POST', `/proxies/${proxy}/toxics`, { name: 'fault', type, stream, attributes })
  const heal = async () => await control('DELETE', `/proxies/${proxy}/toxics/fault`)

  beforeAll(async () => {
    const made = await control('POST', '/proxies', {
      name: proxy,
      listen: '127.0.0.1:0',
      upstream: new URL(server.endpoint).host,
      enabled: true,
    })
    endpoint = `http://${String(made['listen'])}`
  })
  // Connections that a fault has ended stay in a client's pool, and the next put would meet them; so each test has its own.
  beforeEach(() => {
    direct = storeOn(server)
    const prefix = direct.uri.slice(`s3://${server.bucket}/`.length)
    faulty = storeOn(server, { endpoint, requestTimeoutMs: SILENCE_MS, prefix })
  })
  afterEach(async () => {
    await faulty.close()
    await direct.close()
  })
  afterAll(async () => {
    await control('DELETE', `/proxies/${proxy}`)
  })

  it.each([
    ['is cut', 'limit_data', { bytes: 0 }],
    ['never comes', 'timeout', { timeout: 0 }],
  ])('leaves a created object behind when the reply %s, and says STORE_UNAVAILABLE', async (what, type, attributes) => {
    await toxic(type, 'downstream', attributes)
    await expect(faulty.putIfAbsent(what, bytes)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await heal()
    expect(Buffer.from((await direct.get(what)) ?? []).toString()).toBe('mine')
    expect(await faulty.putIfAbsent(what, bytes)).toBe('exists')
  })

  it('creates nothing when the request is cut, and says STORE_UNAVAILABLE', async () => {
    await toxic('limit_data', 'upstream', { bytes: 100 })
    await expect(faulty.putIfAbsent('request', bytes)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await heal()
    expect(await direct.get('request')).toBeUndefined()
  })

  it('reads a body whole that was cut midway', async () => {
    const body = Buffer.alloc(500_000, 'body')
    await direct.put('body', body)
    await toxic('limit_data', 'downstream', { bytes: 200_000 })
    const reading = faulty.get('body')
    await new Promise((resolve) => setTimeout(resolve, 60))
    await heal()
    expect(Buffer.compare((await reading) ?? Buffer.alloc(0), body)).toBe(0)
  })

  it('says STORE_UNAVAILABLE when the body is cut each time', async () => {
    await direct.put('cut', Buffer.alloc(500_000))
    await toxic('limit_data', 'downstream', { bytes: 200_000 })
    await expect(faulty.get('cut')).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      details: { attempts: expect.any(Number) as number },
    })
    await heal()
  })

  it('does not wait forever for a server that is silent', async () => {
    await toxic('timeout', 'downstream', { timeout: 0 })
    const started = performance.now()
    await expect(faulty.putIfAbsent('silent', bytes)).rejects.toMatchObject({ details: { reason: 'ETIMEDOUT' } })
    expect(performance.now() - started).toBeLessThan(SILENCE_MS + 2_000)
    await expect(faulty.get('silent')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await heal()
  })
}
