import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ObjectInfo, ObjectStore } from '../../src/storage/store.js'

export interface ConformanceOptions {
  /** How many creators race for one name. @defaultValue 8 */
  readonly putters?: number | undefined
  /** How many races are run. @defaultValue 5 */
  readonly races?: number | undefined
}

/** The contract of the port as tests. `open` gives an empty store of its own to each of them. */
export function describeObjectStore(
  name: string,
  open: () => ObjectStore | Promise<ObjectStore>,
  options: ConformanceOptions = {},
): void {
  describe(`${name} keeps the ObjectStore contract`, () => {
    let store: ObjectStore
    let scratch: string

    beforeAll(async () => {
      scratch = await mkdtemp(join(tmpdir(), 'deltaic-conformance-'))
    })
    afterAll(async () => {
      await rm(scratch, { recursive: true, force: true })
    })
    beforeEach(async () => {
      store = await open()
      return async () => await store.close()
    })

    describeReading(() => store)
    describeWriting(
      () => store,
      () => scratch,
      options,
    )
    describeListing(() => store)
    describeNames(() => store)
    describeChildren(() => store)
    describeAborting(
      () => store,
      () => scratch,
    )
  })
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && new TextDecoder().decode(bytes)
const read = async (store: ObjectStore, path: string) => textOf(await store.get(path))

async function fill(store: ObjectStore, ...paths: readonly string[]): Promise<void> {
  for (const path of paths) await store.put(path, bytesOf(path))
}

async function all(objects: AsyncIterable<ObjectInfo>): Promise<ObjectInfo[]> {
  const found: ObjectInfo[] = []
  for await (const info of objects) found.push(info)
  return found
}

async function paths(objects: AsyncIterable<ObjectInfo>): Promise<string[]> {
  return (await all(objects)).map(({ path }) => path)
}

function describeReading(store: () => ObjectStore): void {
  it('answers undefined for an object that is not there', async () => {
    expect(await store().get('absent')).toBeUndefined()
    expect(await store().get('no/such/folder')).toBeUndefined()
    expect(await store().get('absent', { range: { start: 0, endExclusive: 4 } })).toBeUndefined()
    expect(await store().get('absent', { range: { start: 4, endExclusive: 4 } })).toBeUndefined()
    expect(await store().head('absent')).toBeUndefined()
  })

  it('sees no object in a folder, and none below an object', async () => {
    await fill(store(), 'folder/file')
    expect(await store().get('folder')).toBeUndefined()
    expect(await store().head('folder')).toBeUndefined()
    expect(await store().get('folder/file/below')).toBeUndefined()
    expect(await store().head('folder/file/below')).toBeUndefined()
  })

  it('tells size and time of an object', async () => {
    await store().put('sized', new Uint8Array(1234))
    const info = await store().head('sized')
    expect(info).toMatchObject({ path: 'sized', sizeBytes: 1234 })
    expect(Math.abs((info?.modifiedAtMs ?? 0) - Date.now())).toBeLessThan(60_000)
  })

  it('keeps an empty object', async () => {
    await store().put('empty', new Uint8Array(0))
    expect(await store().get('empty')).toHaveLength(0)
    expect(await store().get('empty', { range: { start: 0, endExclusive: 10 } })).toHaveLength(0)
    expect(await store().head('empty')).toMatchObject({ sizeBytes: 0 })
  })

  it.each([
    [0, 4, '0123'],
    [3, 4, '3'],
    [6, 10, '6789'],
    [0, 10, '0123456789'],
    [8, 99, '89'],
    [0, 99, '0123456789'],
    [9, 10, '9'],
    [10, 12, ''],
    [99, 120, ''],
    [4, 4, ''],
    [0, 0, ''],
    [7, 3, ''],
  ])('gives of the range from %i to %i what exists', async (start, endExclusive, expected) => {
    await store().put('digits', bytesOf('0123456789'))
    expect(textOf(await store().get('digits', { range: { start, endExclusive } }))).toBe(expected)
  })

  it.each([
    [-1, 4],
    [0, -1],
    [0.5, 4],
    [0, Number.NaN],
    [0, Number.POSITIVE_INFINITY],
  ])('refuses the range from %d to %d', async (start, endExclusive) => {
    await store().put('digits', bytesOf('0123456789'))
    await expect(store().get('digits', { range: { start, endExclusive } })).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' })
  })
}

function describeWriting(store: () => ObjectStore, scratch: () => string, { putters = 8, races = 5 }: ConformanceOptions): void {
  it('creates an object once and leaves it alone after that', async () => {
    expect(await store().putIfAbsent('log/0.json', bytesOf('first'))).toBe('created')
    expect(await store().putIfAbsent('log/0.json', bytesOf('second'))).toBe('exists')
    expect(await store().putIfAbsent('log/0.json', bytesOf('first'))).toBe('exists')
    expect(await read(store(), 'log/0.json')).toBe('first')
  })

  it('lets exactly one of many racing creators win, and keeps its bytes', async () => {
    for (let round = 0; round < races; round++) {
      const path = `race/${round}`
      const outcomes = await Promise.all(
        Array.from({ length: putters }, async (_, putter) => await store().putIfAbsent(path, bytesOf(`${putter}`))),
      )
      expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1)
      expect(await read(store(), path)).toBe(`${outcomes.indexOf('created')}`)
    }
  }, 120_000)

  it('creates again what was deleted', async () => {
    await store().putIfAbsent('again', bytesOf('first'))
    await store().delete(['again'])
    expect(await store().putIfAbsent('again', bytesOf('second'))).toBe('created')
    expect(await read(store(), 'again')).toBe('second')
  })

  it('shows an object that is created after something only then, and never when that fails', async () => {
    let happen: () => void = () => undefined
    const after = new Promise<void>((resolve) => {
      happen = resolve
    })
    const created = store().putIfAbsent('waits/7.json', bytesOf('entry'), { after })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(await store().get('waits/7.json')).toBeUndefined()
    happen()
    expect(await created).toBe('created')
    const failed = new Error('the file did not get there')
    const never = store().putIfAbsent('waits/8.json', bytesOf('entry'), { after: Promise.reject(failed) })
    await expect(never).rejects.toThrow(failed.message)
    expect(await store().get('waits/8.json')).toBeUndefined()
    expect(await paths(store().list('waits'))).toEqual(['waits/7.json'])
  })

  it('creates once what need not outlive a crash, too', async () => {
    const create = async (text: string) => await store().putIfAbsent('new/folder/hint', bytesOf(text), { durable: false })
    expect(await create('first')).toBe('created')
    expect(await create('second, and longer')).toBe('exists')
    expect(await read(store(), 'new/folder/hint')).toBe('first')
    await store().delete(['new/folder/hint'])
    const outcomes = await Promise.all(Array.from({ length: putters }, async (_, putter) => await create(`${putter}`)))
    expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(1)
    expect(await read(store(), 'new/folder/hint')).toBe(`${outcomes.indexOf('created')}`)
  })

  it('replaces on put, with shorter bytes too', async () => {
    await store().put('value', bytesOf('a longer first value'))
    await store().put('value', bytesOf('short'))
    expect(await read(store(), 'value')).toBe('short')
    expect(await store().head('value')).toMatchObject({ sizeBytes: 5 })
  })

  it('keeps its own copy of the bytes', async () => {
    const bytes = bytesOf('mine')
    await store().put('copy', bytes)
    bytes.fill(0)
    const got = await store().get('copy')
    got?.fill(0)
    expect(await read(store(), 'copy')).toBe('mine')
  })

  it('stores the part of a larger buffer that it is given', async () => {
    await store().put('part', bytesOf('0123456789').subarray(2, 5))
    expect(await store().putIfAbsent('other', Buffer.from('0123456789').subarray(7, 9))).toBe('created')
    expect([await read(store(), 'part'), await read(store(), 'other')]).toEqual(['234', '78'])
  })

  it('keeps 5 MB byte for byte', async () => {
    const bytes = Uint8Array.from({ length: 5_000_000 }, (_, at) => (at * 31 + (at >> 8)) & 255)
    expect(await store().putIfAbsent('large', bytes)).toBe('created')
    expect(Buffer.compare((await store().get('large')) ?? new Uint8Array(0), bytes)).toBe(0)
    const middle = await store().get('large', { range: { start: 1_000_000, endExclusive: 4_000_001 } })
    expect(Buffer.compare(middle ?? new Uint8Array(0), bytes.subarray(1_000_000, 4_000_001))).toBe(0)
  })

  it('stores a file, and replaces with it', async () => {
    await store().put('from/file', bytesOf('earlier'))
    for (const size of [0, 100, 3_000_000]) {
      const bytes = Uint8Array.from({ length: size }, (_, at) => (at * 7) & 255)
      const file = join(scratch(), `upload-${size}`)
      await writeFile(file, bytes)
      await store().putFile('from/file', file)
      expect(Buffer.compare((await store().get('from/file')) ?? Buffer.from('none'), bytes)).toBe(0)
    }
  })

  it('says which local file is not there', async () => {
    await expect(store().putFile('from/nothing', join(scratch(), 'absent'))).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    expect(await store().get('from/nothing')).toBeUndefined()
  })

  it('deletes objects, and passes over those that are not there', async () => {
    await fill(store(), 'a/1', 'a/2', 'b')
    await store().delete(['a/1', 'absent', 'no/such/folder', 'b'])
    expect(await paths(store().list(''))).toEqual(['a/2'])
    await store().delete([])
    await store().delete(['a/2', 'a/2'])
    await store().delete(['a/2'])
    expect(await paths(store().list(''))).toEqual([])
  })

  it('deletes an object, never a folder', async () => {
    await fill(store(), 'folder/file')
    await store().delete(['folder'])
    expect(await read(store(), 'folder/file')).toBe('folder/file')
  })
}

function describeListing(store: () => ObjectStore): void {
  it('lists nothing in a folder that is not there', async () => {
    expect(await paths(store().list('absent'))).toEqual([])
    expect(await store().listFolders('absent')).toEqual([])
    expect(await paths(store().list(''))).toEqual([])
  })

  it('lists objects at every depth with their sizes, of this folder alone', async () => {
    await fill(store(), 'a/x', 'a/b/c/y', 'ab/z', 'top')
    expect((await paths(store().list('a'))).toSorted()).toEqual(['a/b/c/y', 'a/x'])
    expect((await paths(store().list(''))).toSorted()).toEqual(['a/b/c/y', 'a/x', 'ab/z', 'top'])
    expect(await paths(store().list('a/x'))).toEqual([])
    const [info] = await all(store().list('a/b'))
    expect(info).toMatchObject({ path: 'a/b/c/y', sizeBytes: 7 })
    expect(Math.abs((info?.modifiedAtMs ?? 0) - Date.now())).toBeLessThan(60_000)
  })

  it('orders the names of a folder by their UTF-8 bytes', async () => {
    const names = ['b', 'B', 'a', 'a b', 'a-b', 'a.b', 'a_b', '10', '2', 'é', '\u{fffd}', '😀', '~']
    await fill(store(), ...names.map((name) => `folder/${name}`))
    const expected = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))).map((name) => `folder/${name}`)
    expect(await paths(store().list('folder'))).toEqual(expected)
  })

  it('starts after a name, exclusive, whether or not it is there', async () => {
    const names = ['00.json', '01.json', '02.json', '03.checkpoint.parquet', '03.json', '_last']
    await fill(store(), ...names.map((name) => `log/${name}`))
    const after = async (startAfter: string) => (await paths(store().list('log', { startAfter }))).map((path) => path.slice(4))
    expect(await after('01.json')).toEqual(names.slice(2))
    expect(await after('01.j')).toEqual(names.slice(1))
    expect(await after('02.json.x')).toEqual(names.slice(3))
    expect(await after('03')).toEqual(names.slice(3))
    expect(await after('')).toEqual(names)
    expect(await after('_last')).toEqual([])
    expect(await after('~')).toEqual([])
  })

  it('starts after a name in the root too, and leaves out folders before it', async () => {
    await fill(store(), 'a/1', 'b/1', 'c')
    expect((await paths(store().list('', { startAfter: 'b' }))).toSorted()).toEqual(['b/1', 'c'])
    expect((await paths(store().list('', { startAfter: 'b/1' }))).toSorted()).toEqual(['c'])
  })

  it('lists more objects than one answer holds', async () => {
    const names = Array.from({ length: 1_050 }, (_, at) => `many/${String(at).padStart(6, '0')}${at % 5 === 0 ? ' x/y' : ''}`)
    for (let at = 0; at < names.length; at += 50) {
      await Promise.all(names.slice(at, at + 50).map(async (name) => await store().put(name, bytesOf('x'))))
    }
    expect(await paths(store().list('many'))).toEqual(names)
    await store().delete(names)
    expect(await paths(store().list('many'))).toEqual([])
  }, 120_000)

  it('can be left before the end of a listing', async () => {
    await fill(store(), 'a', 'b', 'c')
    for await (const { path } of store().list('')) {
      expect(path).toBe('a')
      break
    }
  })

  it('names the folders that hold an object, sorted', async () => {
    await fill(store(), 'file', 'b/deep/er/x', 'a/x', 'a b/x', 'é/x', 'a/c/y')
    expect(await store().listFolders('')).toEqual(['a', 'a b', 'b', 'é'])
    expect(await store().listFolders('a')).toEqual(['c'])
    expect(await store().listFolders('b')).toEqual(['deep'])
    expect(await store().listFolders('b/deep/er')).toEqual([])
    expect(await store().listFolders('file')).toEqual([])
  })

  it('forgets a folder with its last object', async () => {
    await fill(store(), 'gone/deep/x', 'kept/x')
    await store().delete(['gone/deep/x'])
    expect(await store().listFolders('')).toEqual(['kept'])
  })
}

const STRANGE = [
  'with space', 'per%cent', 'per%20cent', 'plus+', 'date=2024-01-01', 'é', 'e\u0301', '日本', '😀', 'hash#', 'what?', 'a&b', "it's", 'semi;colon',
  'at@', '$dollar', 'com,ma', 'co:lon', 'tilde~', 'paren(s)', '[brackets]', 'star*', '!', '0123', '1e3', 'true', '.hidden', '..dots', 'a..b',
] // biome-ignore format: a list

function describeNames(store: () => ObjectStore): void {
  it.each(STRANGE)('stores, lists, reads and deletes the name %s', async (name) => {
    const path = `names/${name}/${name}`
    expect(await store().putIfAbsent(path, bytesOf(name))).toBe('created')
    expect(await store().putIfAbsent(path, bytesOf('other'))).toBe('exists')
    expect(await read(store(), path)).toBe(name)
    expect(await store().head(path)).toMatchObject({ path })
    expect(await paths(store().list(''))).toEqual([path])
    expect(await paths(store().list(`names/${name}`))).toEqual([path])
    expect(await store().listFolders('names')).toEqual([name])
    expect(await read(store().child(`names/${name}`), name)).toBe(name)
    await store().delete([path])
    expect(await store().get(path)).toBeUndefined()
  })

  it.each(['', '/', '/etc/passwd', '..', '../up', 'a/../b', 'a/..', '.', './a', 'a/./b', 'a//b', 'a/', 'nul\0', 'back\\slash'])(
    'refuses the path %j',
    async (path) => {
      const refused = { code: 'ARGUMENT_INVALID' }
      const bytes = bytesOf('never')
      await expect(store().get(path)).rejects.toMatchObject(refused)
      await expect(store().head(path)).rejects.toMatchObject(refused)
      await expect(store().put(path, bytes)).rejects.toMatchObject(refused)
      await expect(store().putIfAbsent(path, bytes)).rejects.toMatchObject(refused)
      await expect(store().putFile(path, '/dev/null')).rejects.toMatchObject(refused)
      await expect(store().delete(['fine', path])).rejects.toMatchObject(refused)
      expect(() => store().localPath(path)).toThrow(expect.objectContaining(refused))
      if (path === '') return
      await expect(paths(store().list(path))).rejects.toMatchObject(refused)
      await expect(store().listFolders(path)).rejects.toMatchObject(refused)
      expect(() => store().child(path)).toThrow(expect.objectContaining(refused))
    },
  )
}

function describeChildren(store: () => ObjectStore): void {
  it('has children that are the same store with another root', async () => {
    const child = store().child('tables').child('events')
    await child.put('log/0', bytesOf('zero'))
    await store().put('tables/events/log/1', bytesOf('one'))
    expect(child.uri).toBe(`${store().uri}/tables/events`)
    expect(await read(store(), 'tables/events/log/0')).toBe('zero')
    expect(await paths(child.list(''))).toEqual(['log/0', 'log/1'])
    expect(await paths(child.list('log', { startAfter: '0' }))).toEqual(['log/1'])
    expect(await child.head('log/1')).toMatchObject({ path: 'log/1' })
    expect(await child.listFolders('')).toEqual(['log'])
    await child.delete(['log/0'])
    expect(await store().get('tables/events/log/0')).toBeUndefined()
  })

  it('lives on after a child is closed', async () => {
    await store().child('a').close()
    await fill(store(), 'x')
    await fill(store().child('a'), 'y')
    expect((await paths(store().list(''))).toSorted()).toEqual(['a/y', 'x'])
  })

  it('is its own child at the root', async () => {
    await fill(store().child(''), 'x')
    expect(store().child('').uri).toBe(store().uri)
    expect(await read(store(), 'x')).toBe('x')
  })

  it('vouches for its conditional puts and leaves nothing behind', async () => {
    await store().ensureSafe()
    await store().child('a').ensureSafe()
    expect(await paths(store().list(''))).toEqual([])
  }, 60_000)
}

function describeAborting(store: () => ObjectStore, scratch: () => string): void {
  it('rejects with the own reason of a signal that has aborted, and does nothing', async () => {
    await fill(store(), 'kept')
    const reason = new Error('enough')
    const signal = AbortSignal.abort(reason)
    const bytes = bytesOf('never')
    const file = join(scratch(), 'aborted')
    await writeFile(file, bytes)
    await expect(store().get('kept', { signal })).rejects.toBe(reason)
    await expect(store().head('kept', { signal })).rejects.toBe(reason)
    await expect(store().put('kept', bytes, { signal })).rejects.toBe(reason)
    await expect(store().putIfAbsent('new', bytes, { signal })).rejects.toBe(reason)
    await expect(store().putFile('new', file, { signal })).rejects.toBe(reason)
    await expect(paths(store().list('', { signal }))).rejects.toBe(reason)
    await expect(store().listFolders('', { signal })).rejects.toBe(reason)
    await expect(store().delete(['kept'], { signal })).rejects.toBe(reason)
    await expect(store().ensureSafe({ signal })).rejects.toBe(reason)
    expect(await paths(store().list(''))).toEqual(['kept'])
    expect(await read(store(), 'kept')).toBe('kept')
  })

  it('ends a listing with the reason, never quietly, when the signal aborts in its midst', async () => {
    await fill(store(), 'a', 'b', 'c')
    const abort = new AbortController()
    const reason = new Error('enough')
    const seen: string[] = []
    const listing = async () => {
      for await (const { path } of store().list('', { signal: abort.signal })) {
        seen.push(path)
        abort.abort(reason)
      }
    }
    await expect(listing()).rejects.toBe(reason)
    expect(seen).toEqual(['a'])
  })
}
