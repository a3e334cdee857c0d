import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jsonOf, type LakeServer, problemOf, serveLake } from './lake-server.js'

let at: LakeServer

beforeAll(async () => {
  at = await serveLake()
})
afterAll(() => at[Symbol.asyncDispose]())

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
  readonly requestBody?: { readonly content: Record<string, unknown> }
  readonly responses: Record<string, { readonly content: Record<string, unknown> }>
}

describe('/openapi.json', () => {
  const routes = {
    '/healthz': ['get'],
    '/metrics': ['get'],
    '/openapi.json': ['get'],
    '/readyz': ['get'],
    '/v1/maintenance': ['get'],
    '/v1/queries': ['get'],
    '/v1/queries/{id}': ['delete', 'get'],
    '/v1/queries/{id}/result': ['get'],
    '/v1/sql': ['get', 'post'],
    '/v1/streams': ['get', 'post'],
    '/v1/streams/{id}': ['delete'],
    '/v1/tables': ['get'],
    '/v1/tables/{table}': ['get'],
    '/v1/tables/{table}/changes': ['get'],
    '/v1/tables/{table}/checkpoint': ['post'],
    '/v1/tables/{table}/files': ['get'],
    '/v1/tables/{table}/history': ['get'],
    '/v1/tables/{table}/optimize': ['post'],
    '/v1/tables/{table}/restore': ['post'],
    '/v1/tables/{table}/rows': ['post'],
    '/v1/tables/{table}/undo': ['post'],
    '/v1/tables/{table}/vacuum': ['post'],
    '/v1/views': ['get'],
    '/v1/views/refresh': ['post'],
    '/v1/views/{view}': ['get'],
    '/v1/views/{view}/lookup': ['get', 'post'],
    '/v1/views/{view}/rebuild': ['post'],
    '/v1/views/{view}/refresh': ['post'],
    '/v1/views/{view}/watch': ['get'],
  }

  it('describes every route, with its answers', async () => {
    const { openapi, paths } = await jsonOf<{ openapi: string; paths: Record<string, Record<string, Operation>> }>(
      await at.get('/openapi.json'),
    )
    expect(openapi).toBe('3.1.0')
    expect(Object.fromEntries(Object.entries(paths).map(([path, methods]) => [path, Object.keys(methods).toSorted()]))).toEqual(
      routes,
    )
    for (const operation of Object.values(paths).flatMap((methods) => Object.values(methods))) {
      expect(operation.summary).toBeTruthy()
      expect(Object.keys(operation.responses).some((status) => status.startsWith('20'))).toBe(true)
    }
  })

  it('names media types, headers and parameters', async () => {
    const { paths } = await jsonOf<{ paths: Record<string, Record<string, Operation>> }>(await at.get('/openapi.json'))
    const query = paths['/v1/sql']?.['post']
    expect(Object.keys(query?.requestBody?.content ?? {})).toEqual(['application/json', 'text/plain'])
    expect(Object.keys(query?.responses['200']?.content ?? {})).toContain('application/vnd.apache.arrow.stream')
    expect(Object.keys(query?.responses['4XX']?.content ?? {})).toEqual(['application/problem+json'])
    const append = paths['/v1/tables/{table}/rows']?.['post']
    expect(Object.keys(append?.requestBody?.content ?? {})).toContain('application/vnd.apache.parquet')
    expect(append?.parameters?.map(({ in: place, name }) => `${place} ${name}`).toSorted()).toEqual([
      'header content-encoding',
      'header idempotency-key',
      'header producer-id',
      'header producer-sequence',
      'path table',
      'query create',
      'query gaps',
      'query onError',
      'query schema',
    ])
  })

  it('gives each operation a name of its own', async () => {
    const { paths } = await jsonOf<{ paths: Record<string, Record<string, Operation>> }>(await at.get('/openapi.json'))
    const names = Object.values(paths).flatMap((methods) =>
      Object.entries(methods)
        .filter(([method]) => method !== 'head')
        .map(([, { operationId }]) => operationId),
    )
    expect(new Set(names).size).toBe(names.length)
  })
})

describe('/healthz', () => {
  it('answers, to GET and to HEAD', async () => {
    expect(await jsonOf(await at.get('/healthz'))).toEqual({ status: 'ok' })
    expect((await fetch(`${at.url}/healthz`, { method: 'HEAD' })).status).toBe(200)
  })
})

describe('what is not there', () => {
  it.each(['/', '/nope', '/v1', '/v2/sql', '/v1/tables/a/b', '/healthz/', '/..%2f..%2fetc/passwd', '/__proto__'])(
    'is a problem: GET %s',
    async (path) => {
      expect(await problemOf(await at.get(path))).toMatchObject({ status: 404, code: 'ROUTE_NOT_FOUND', kind: 'notFound' })
    },
  )

  it.each([
    ['DELETE', '/v1/tables/views', 'GET'],
    ['GET', '/v1/tables/views/rows', 'POST'],
    ['PUT', '/v1/sql?q=x', 'GET, POST'],
    ['OPTIONS', '/v1/sql', 'GET, POST'],
    ['HEAD', '/v1/sql', 'GET, POST'],
  ])('is told from what is there for others: %s %s', async (method, path, allow) => {
    const response = await fetch(at.url + path, { method })
    expect([response.status, response.headers.get('allow'), response.headers.get('content-type')]).toEqual([
      405,
      allow,
      'application/problem+json',
    ])
    if (method !== 'HEAD') expect(await problemOf(response)).toMatchObject({ code: 'METHOD_NOT_ALLOWED' })
  })

  it('is a problem when its name cannot be read', async () => {
    expect(await problemOf(await at.get('/v1/tables/%ff'))).toMatchObject({ status: 400, code: 'REQUEST_MALFORMED' })
  })

  it.each([
    ['is no HTTP', 'HELLO\r\n\r\n', 400],
    ['has headers without end', `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
  ])('is a problem when it %s', async (_what, text, status) => {
    const answer = await new Promise<string>((resolve) => {
      let received = ''
      const socket = connect(at.port, '127.0.0.1')
      socket.on('data', (chunk) => (received += String(chunk)))
      socket.on('error', () => {})
      socket.on('close', () => resolve(received))
      socket.write(text)
    })
    expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} .*application/problem\\+json`, 's'))
    expect((await at.get('/healthz')).status).toBe(200)
  })
})
