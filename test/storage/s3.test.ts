import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { compareBytes } from '../../src/storage/path.js'
import { S3Store } from '../../src/storage/s3.js'
import { endpointOf } from '../../src/storage/s3-client.js'
import { s3Error } from '../../src/storage/s3-errors.js'
import { wellBefore } from '../../src/storage/s3-list.js'
import { describeObjectStore } from '../conformance/object-store.js'
import { describeWhen } from '../support/needs.js'
import { S3_REASON, type S3TestServer, s3Servers } from '../support/s3-servers.js'
import { storeOn } from './s3-store.js'

const safe = s3Servers.filter((server) => server.safe)
const unsafe = s3Servers.filter((server) => !server.safe)

describeWhen(safe.length > 0, S3_REASON, 'S3Store on safe servers', () => {
  describe.each(safe)('$name', (server) => {
    // SeaweedFS polls a lock under contention: always right, now and then slow.
    const isSlow = server.name.startsWith('seaweedfs')
    describeObjectStore(
      `S3Store on ${server.name}`,
      () => storeOn(server),
      isSlow ? { putters: 4, races: 2 } : { putters: 32, races: 10 },
    )
    describeAccess(server)
  })
})

describeWhen(unsafe.length > 0, S3_REASON, 'S3Store on unsafe servers', () => {
  it.each(unsafe.filter(({ name }) => name === 's3rver'))(
    'is refused on $name, as are its children, again and again',
    async (server) => {
      const store = storeOn(server)
      const refused = { code: 'STORE_UNSAFE', hint: expect.stringContaining('deltaic check-store') }
      await expect(store.child('table').ensureSafe()).rejects.toMatchObject(refused)
      await expect(store.ensureSafe()).rejects.toMatchObject(refused)
      await store.close()
    },
  )
})

function describeAccess(server: S3TestServer): void {
  const failure = async (store: S3Store, call: (store: S3Store) => Promise<unknown>) => {
    const error: unknown = await call(store).then(
      () => undefined,
      (error: unknown) => error,
    )
    await store.close()
    return error
  }
  const put = async (store: S3Store) => await store.put('x', Buffer.from('x'))

  it('says STORE_DENIED for a bucket that is not there', async () => {
    const error = () => storeOn({ ...server, bucket: 'deltaic-no-such-bucket' })
    const denied = { code: 'STORE_DENIED', hint: expect.stringContaining('bucket'), details: { reason: 'NoSuchBucket' } }
    expect(await failure(error(), put)).toMatchObject(denied)
    expect(await failure(error(), async (store) => await store.get('x'))).toMatchObject(denied)
    expect(await failure(error(), async (store) => await store.listFolders(''))).toMatchObject(denied)
    expect(await failure(error(), async (store) => await store.putIfAbsent('x', Buffer.from('x')))).toMatchObject(denied)
  })

  it.each([
    ['a wrong secret', { accessKeyId: server.accessKeyId, secretAccessKey: 'not-the-secret' }],
    ['an unknown key', { accessKeyId: 'nobody', secretAccessKey: 'not-the-secret', sessionToken: 'not-a-token' }],
  ])('says STORE_DENIED for %s, and repeats no secret', async (_what, credentials) => {
    const error = await failure(storeOn(server, { credentials }), put)
    expect(error).toMatchObject({ code: 'STORE_DENIED' })
    const { message, details, cause } = error as Error & { details: object }
    expect(JSON.stringify([message, details, cause, Object.values(cause as object)])).not.toMatch(/not-the-secret|not-a-token/)
  })

  it('says STORE_UNAVAILABLE when nobody listens', async () => {
    const store = () => storeOn(server, { endpoint: 'http://127.0.0.1:9', retryForMs: 1_000 })
    expect(await failure(store(), put)).toMatchObject({ code: 'STORE_UNAVAILABLE', details: { reason: 'ECONNREFUSED' } })
    expect(await failure(store(), async (s) => await s.get('x'))).toMatchObject({ code: 'STORE_UNAVAILABLE' })
  })

  it('reads objects that other tools have stored, and passes over folder markers', async () => {
    const store = storeOn(server)
    const { S3 } = await import('@aws-sdk/client-s3')
    const { endpoint, region, accessKeyId, secretAccessKey } = server
    const tool = new S3({ endpoint, region, forcePathStyle: true, credentials: { accessKeyId, secretAccessKey } })
    const prefix = store.uri.slice(`s3://${server.bucket}/`.length)
    await tool.putObject({ Bucket: server.bucket, Key: `${prefix}/marked/`, Body: Buffer.alloc(0) })
    await tool.putObject({ Bucket: server.bucket, Key: `${prefix}/marked/x`, Body: 'x' })
    const found: string[] = []
    for await (const { path } of store.list('')) found.push(path)
    expect(found).toEqual(['marked/x'])
    expect(await store.listFolders('')).toEqual(['marked'])
    tool.destroy()
    await store.close()
  })
}

describe('S3Store', () => {
  afterEach(() => vi.unstubAllEnvs())

  it('takes the endpoint from its settings, then from the environment', () => {
    vi.stubEnv('AWS_ENDPOINT_URL_S3', '')
    vi.stubEnv('AWS_ENDPOINT_URL', '')
    expect(endpointOf({})).toBeUndefined()
    vi.stubEnv('AWS_ENDPOINT_URL', 'http://general:1')
    expect(endpointOf({})).toBe('http://general:1')
    vi.stubEnv('AWS_ENDPOINT_URL_S3', 'http://special:2')
    expect(endpointOf({})).toBe('http://special:2')
    expect(endpointOf({ endpoint: 'http://own:3' })).toBe('http://own:3')
  })

  it('is no disk', () => {
    expect(new S3Store({ bucket: 'b' }).localPath('a')).toBeUndefined()
  })
})

describe('wellBefore', () => {
  /** As servers order that keep real folders: segment by segment. */
  const compareByFolder = (a: string, b: string): number => {
    const [left, right] = [a.split('/'), b.split('/')]
    const at = left.findIndex((segment, index) => segment !== right[index])
    return at === -1 ? left.length - right.length : compareBytes(left[at] ?? '', right[at] ?? '')
  }
  const name = fc.string({ unit: fc.constantFrom('a', 'b', ' ', '-', '.', '/', '0', '~', 'é', '\u{fffd}', '😀'), maxLength: 6 })

  it('comes before every name greater than startAfter, in the order of bytes and in that of folders', () => {
    fc.assert(
      fc.property(name, name, (startAfter, candidate) => {
        fc.pre(compareBytes(candidate, startAfter) > 0)
        const before = wellBefore(startAfter)
        expect(before === '' || compareBytes(candidate, before) > 0).toBe(true)
        expect(before === '' || compareByFolder(candidate, before) > 0).toBe(true)
      }),
      { numRuns: 5_000 },
    )
  })

  it('gives few commits too many', () => {
    expect(wellBefore('00000000000000000123.json')).toBe('0000000000000000012')
    expect([wellBefore(''), wellBefore('a'), wellBefore('a b'), wellBefore('ab/c')]).toEqual(['', '', '', 'a'])
  })
})

describe('s3Error', () => {
  const answer = (name: string, httpStatusCode?: number) =>
    Object.assign(new Error('said the server'), { name, $metadata: { httpStatusCode } })
  const transport = (code: string) => Object.assign(new Error('broken'), { name: 'TimeoutError', code, $metadata: {} })

  it.each([
    [answer('AccessDenied', 403), 'STORE_DENIED'],
    [answer('Unknown', 403), 'STORE_DENIED'],
    [answer('XAdminUserNotFound', 404), 'STORE_DENIED'],
    [answer('NoSuchBucket', 404), 'STORE_DENIED'],
    [answer('AuthorizationHeaderMalformed', 400), 'STORE_DENIED'],
    [answer('CredentialsProviderError'), 'STORE_DENIED'],
    [answer('SlowDown', 503), 'STORE_UNAVAILABLE'],
    [answer('TooManyRequests', 429), 'STORE_UNAVAILABLE'],
    [answer('RequestTimeout', 400), 'STORE_UNAVAILABLE'],
    [answer('InternalError', 500), 'STORE_UNAVAILABLE'],
    [answer('ConditionalRequestConflict', 409), 'STORE_UNAVAILABLE'],
    [transport('ECONNRESET'), 'STORE_UNAVAILABLE'],
    [transport('ETIMEDOUT'), 'STORE_UNAVAILABLE'],
    [answer('ObjectParentIsFile', 409), 'ARGUMENT_INVALID'],
    [answer('KeyTooLongError', 400), 'ARGUMENT_INVALID'],
    ['thrown', 'STORE_UNAVAILABLE'],
  ])('takes %s for %s', (error, code) => {
    expect(s3Error(error, { path: 'a' })).toMatchObject({ code, details: { path: 'a' } })
  })

  it('keeps the words of its cause and leaves out the request that it repeats', () => {
    const error = Object.assign(answer('SignatureDoesNotMatch', 403), { CanonicalRequest: 'x-amz-security-token:secret' })
    const { cause } = s3Error(error, {})
    expect(cause).toMatchObject({ name: 'SignatureDoesNotMatch', message: 'said the server' })
    expect(Object.keys(cause as object)).not.toContain('CanonicalRequest')
  })

  it('names a broken connection by its kind', () => {
    expect(s3Error(transport('ECONNRESET'), {}).details).toEqual({ reason: 'ECONNRESET' })
    expect(s3Error(Object.assign(new Error('idle'), { name: 'TimeoutError' }), {}).details).toEqual({ reason: 'ETIMEDOUT' })
  })
})
