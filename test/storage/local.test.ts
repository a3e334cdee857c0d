import fs, { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { diskError } from '../../src/storage/disk-errors.js'
import { LocalStore } from '../../src/storage/local.js'
import { describeObjectStore } from '../conformance/object-store.js'
import { describeWhen } from '../support/needs.js'

let base: string
let root: string
let store: LocalStore

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'deltaic local é '))
})
afterAll(async () => {
  await rm(base, { recursive: true, force: true })
})
beforeEach(async () => {
  root = await mkdtemp(join(base, 'root-'))
  store = new LocalStore(root)
})

const text = (value: string): Uint8Array => Buffer.from(value)

async function listed(from: LocalStore, prefix = ''): Promise<string[]> {
  const paths: string[] = []
  for await (const { path } of from.list(prefix)) paths.push(path)
  return paths
}

/** How often `work` waits for the disk. */
async function syncsOf(work: () => Promise<unknown>): Promise<number> {
  const spy = vi.spyOn(fs, 'fsync')
  await work()
  const count = spy.mock.calls.length
  spy.mockRestore()
  return count
}

describeObjectStore('LocalStore', async () => new LocalStore(join(await mkdtemp(join(base, 'conformance-')), 'not/yet/there')), {
  putters: 32,
  races: 20,
})

describe('LocalStore', () => {
  it('tells where an object is as a file', async () => {
    await store.child('a b').put('c#d', text('here'))
    expect(store.localPath('a b/c#d')).toBe(join(root, 'a b', 'c#d'))
    expect(await readFile(store.localPath('a b/c#d'), 'utf8')).toBe('here')
    expect(fileURLToPath(store.child('a b').uri)).toBe(join(root, 'a b'))
  })

  it('lets one of the creators of several openers win, in a folder that none of them finds', async () => {
    for (let round = 0; round < 20; round++) {
      const path = `new-${round}/deep/er/0.json`
      const openers = Array.from({ length: 16 }, () => new LocalStore(root))
      const outcomes = await Promise.all(openers.map(async (opener, at) => await opener.putIfAbsent(path, text(`${at}`))))
      expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1)
      expect(await readFile(join(root, path), 'utf8')).toBe(`${outcomes.indexOf('created')}`)
    }
  })

  it('leaves no file of its own behind', async () => {
    await store.put('a/put', text('1'))
    await store.putIfAbsent('a/created', text('1'))
    await store.putIfAbsent('a/created', text('2'))
    await writeFile(join(base, 'upload'), '3')
    await store.putFile('a/file', join(base, 'upload'))
    await mkdir(join(root, 'a/folder'))
    await expect(store.put('a/folder', text('4'))).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    expect((await readdir(join(root, 'a'))).toSorted()).toEqual(['created', 'file', 'folder', 'put'])
  })

  it('shows nothing of a writer that died, and lends nobody its names', async () => {
    await store.put('a/x', text('1'))
    await writeFile(join(root, 'a', '.tmp-left-behind'), 'half')
    await mkdir(join(root, '.tmp-folder'))
    await writeFile(join(root, '.tmp-folder', 'x'), 'half')
    expect(await listed(store)).toEqual(['a/x'])
    expect(await store.listFolders('')).toEqual(['a'])
    await expect(store.put('a/.tmp-mine', text('1'))).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
    await expect(store.get('.tmp-folder/x')).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })

  it('shows an object that need not outlive a power cut whole or not at all, too', async () => {
    const bytes = new Uint8Array(64 << 20)
    const sizes = new Set<number | undefined>()
    let done = false
    const watching = (async () => {
      while (!done) sizes.add((await store.head('a/x'))?.sizeBytes)
    })()
    expect(await store.putIfAbsent('a/x', bytes, { durable: false })).toBe('created')
    expect(await store.putIfAbsent('a/x', text('1'), { durable: false })).toBe('exists')
    done = true
    await watching
    expect([...sizes].filter((size) => size !== undefined && size !== bytes.length)).toEqual([])
    expect(await readdir(join(root, 'a'))).toEqual(['x'])
  })

  it('makes a folder again that somebody has removed', async () => {
    await store.put('a/b/x', text('1'))
    await rm(join(root, 'a'), { recursive: true })
    expect(await store.putIfAbsent('a/b/x', text('2'))).toBe('created')
    await rm(root, { recursive: true })
    await store.put('a/b/y', text('3'))
    await rm(join(root, 'a'), { recursive: true })
    await writeFile(join(base, 'upload'), '4')
    await store.putFile('a/b/z', join(base, 'upload'))
    expect(await listed(store)).toEqual(['a/b/z'])
  })

  it('syncs a put and its folder once, and each folder above that got a new one', async () => {
    await store.put('folder/first', text('1'))
    expect(await syncsOf(async () => await store.put('folder/put', text('1')))).toBe(2)
    expect(await syncsOf(async () => await store.putIfAbsent('folder/created', text('1')))).toBe(2)
    expect(await syncsOf(async () => await store.putIfAbsent('folder/created', text('2')))).toBe(1)
    await writeFile(join(base, 'upload'), '3')
    expect(await syncsOf(async () => await store.putFile('folder/file', join(base, 'upload')))).toBe(2)
    expect(await syncsOf(async () => await store.put('folder/new/deep/put', text('1')))).toBe(4)
  })

  it('does not count an empty folder as one', async () => {
    await mkdir(join(root, 'empty/deep'), { recursive: true })
    await store.put('full/deep/x', text('1'))
    expect(await store.listFolders('')).toEqual(['full'])
  })

  it('follows links to files and to folders', async () => {
    await store.put('real/x', text('1'))
    await symlink(join(root, 'real'), join(root, 'linked'))
    await symlink(join(root, 'nowhere'), join(root, 'broken'))
    expect(await listed(store)).toEqual(['linked/x', 'real/x'])
    expect(await store.listFolders('')).toEqual(['linked', 'real'])
    expect(await store.get('linked/x')).toEqual(new Uint8Array(text('1')))
  })

  it('refuses a path that a folder or a file stands in the way of', async () => {
    await store.put('file', text('1'))
    await store.put('folder/x', text('1'))
    const refused = { code: 'ARGUMENT_INVALID' }
    await expect(store.put('file/below', text('2'))).rejects.toMatchObject(refused)
    await expect(store.putIfAbsent('file/below', text('2'))).rejects.toMatchObject(refused)
    await expect(store.putIfAbsent('folder', text('2'))).rejects.toMatchObject(refused)
    await expect(store.put('n'.repeat(256), text('2'))).rejects.toMatchObject(refused)
    expect(await listed(store)).toEqual(['file', 'folder/x'])
  })

  it('takes a stored file away from where it was', async () => {
    await writeFile(join(base, 'moved'), 'bytes')
    const { ino } = await stat(join(base, 'moved'))
    await store.putFile('moved', join(base, 'moved'))
    expect((await stat(store.localPath('moved'))).ino).toBe(ino)
  })

  it.each([
    ['ENOSPC', 'STORE_UNAVAILABLE'],
    ['EIO', 'STORE_UNAVAILABLE'],
    ['EMFILE', 'STORE_UNAVAILABLE'],
    ['ESTALE', 'STORE_UNAVAILABLE'],
    ['EACCES', 'STORE_DENIED'],
    ['EPERM', 'STORE_DENIED'],
    ['EROFS', 'STORE_DENIED'],
    ['ENAMETOOLONG', 'ARGUMENT_INVALID'],
  ])('takes %s for %s', (reason, code) => {
    const error = Object.assign(new Error('from the system'), { code: reason, syscall: 'open' })
    expect(diskError(error, 'a/b')).toMatchObject({ code, details: { path: 'a/b', reason }, cause: error })
  })

  it('leaves errors alone that are not the disk’s', () => {
    const reason = new Error('enough')
    expect(diskError(reason, 'a')).toBe(reason)
    expect(diskError(undefined, 'a')).toBe(undefined)
  })
})

const OTHER_DISK = '/dev/shm'
describeWhen(existsSync(OTHER_DISK), 'there is no second file system at /dev/shm', 'LocalStore across file systems', () => {
  it('copies a file that cannot be moved', async () => {
    const elsewhere = await mkdtemp(join(OTHER_DISK, 'deltaic-'))
    try {
      await writeFile(join(elsewhere, 'upload'), 'bytes')
      await store.putFile('copied', join(elsewhere, 'upload'))
      expect(await readFile(store.localPath('copied'), 'utf8')).toBe('bytes')
      expect(await readdir(root)).toEqual(['copied'])
    } finally {
      await rm(elsewhere, { recursive: true })
    }
  })
})

describeWhen(existsSync('/dev/full'), 'there is no /dev/full', 'LocalStore on a full disk', () => {
  it('says STORE_UNAVAILABLE', async () => {
    await expect(
      writeFile('/dev/full', 'x').catch((error: unknown) => Promise.reject(diskError(error, 'x'))),
    ).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      details: { reason: 'ENOSPC' },
    })
  })
})
