import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { LocalStore } from '../../src/storage/local.js'
import { MemoryStore } from '../../src/storage/memory.js'
import { openStore } from '../../src/storage/open.js'
import { S3Store } from '../../src/storage/s3.js'

describe('openStore', () => {
  it.each([
    ['s3://bucket', 's3://bucket', S3Store],
    ['s3://bucket/', 's3://bucket', S3Store],
    ['s3://bucket/a b/c%20d/', 's3://bucket/a b/c%20d', S3Store],
    ['s3a://bucket/lake', 's3://bucket/lake', S3Store],
    ['file:///tmp/lake', 'file:///tmp/lake', LocalStore],
    ['file:///tmp/lake/', 'file:///tmp/lake', LocalStore],
    ['file:///tmp/a%20b', 'file:///tmp/a%20b', LocalStore],
    ['/tmp/a b', 'file:///tmp/a%20b', LocalStore],
    ['lake', `file://${resolve('lake')}`, LocalStore],
    ['./~', pathToFileURL(resolve('~')).href, LocalStore],
    ['memory:open-test', 'memory:open-test', MemoryStore],
    ['memory:open-test/a/b', 'memory:open-test/a/b', MemoryStore],
  ] as const)('opens %s as %s, whose uri opens it again', (given, uri, kind) => {
    const store = openStore(given)
    expect(store).toBeInstanceOf(kind)
    expect(store.uri).toBe(uri)
    expect(openStore(store.uri).uri).toBe(uri)
  })

  it('gives one store in memory for one name', async () => {
    await openStore('memory:shared').put('folder/x', Buffer.from('here'))
    expect(await openStore('memory:shared/folder').get('x')).toHaveLength(4)
    expect(await openStore('memory:another').get('folder/x')).toBeUndefined()
  })

  it.each(['gs://bucket/x', 'abfss://c@a/x', 'http://host/x', 'memory:', 's3://', 's3:bucket', 'file://host/x', ''])(
    'refuses %j and says what works',
    (uri) => {
      expect(() => openStore(uri)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID', hint: expect.any(String) }))
    },
  )

  it('names the schemes that work', () => {
    expect(() => openStore('gs://bucket')).toThrow(
      expect.objectContaining({ hint: expect.stringMatching(/s3:.*file:.*memory:/) }),
    )
  })

  it('refuses a prefix that leaves the bucket', () => {
    expect(() => openStore('s3://bucket/a/../..')).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }))
  })

  it('refuses an endpoint that is no URL, without repeating it', () => {
    const open = () => openStore('s3://bucket', { s3: { endpoint: 'user:secret@host:9000' } })
    expect(open).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID', message: expect.not.stringContaining('secret') }))
  })
})
