import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { Spool } from '../../src/engine/spool.js'

const base = await mkdtemp(join(tmpdir(), 'deltaic-spool-'))
const spool = await Spool.create(base)

afterAll(async () => {
  await spool.close()
  await rm(base, { recursive: true, force: true })
})

const text = (...lines: readonly string[]) => lines.map((line) => Buffer.from(line))

describe('a file that is lent', () => {
  it('holds what it was lent for and nothing of what it held before', async () => {
    const first = await spool.lend(text('a long line\n', 'another\n'))
    expect(await readFile(first, 'utf8')).toBe('a long line\nanother\n')
    await spool.remove(first)
    const again = await spool.lend(text('b\n'))
    expect(again).toBe(first)
    expect(await readFile(again, 'utf8')).toBe('b\n')
    await spool.remove(again)
  })

  it('is nobody else’s until it is removed', async () => {
    const paths = await Promise.all(['a', 'b', 'c'].map((line) => spool.lend(text(line))))
    expect(new Set(paths).size).toBe(3)
    expect(await Promise.all(paths.map((path) => readFile(path, 'utf8')))).toEqual(['a', 'b', 'c'])
    for (const path of paths) await spool.remove(path)
    // Removed twice, it is still lent to one at a time.
    for (const path of paths) await spool.remove(path)
    const later = await Promise.all(['d', 'e', 'f', 'g'].map((line) => spool.lend(text(line))))
    expect(new Set(later).size).toBe(4)
    for (const path of later) await spool.remove(path)
  })

  it('is another one when somebody swept it away', async () => {
    const swept = await spool.lend(text('a\n'))
    await spool.remove(swept)
    await rm(swept)
    const path = await spool.lend(text('b\n'))
    expect(await readFile(path, 'utf8')).toBe('b\n')
    await spool.remove(path)
  })

  it('is not kept when it is large, nor are many', async () => {
    const large = await spool.lend([new Uint8Array(5 * 1024 * 1024)])
    await spool.remove(large)
    expect(existsSync(large)).toBe(false)
    const many = await Promise.all(Array.from({ length: 20 }, (_, at) => spool.lend(text(String(at)))))
    for (const path of many) await spool.remove(path)
    expect((await readdir(spool.folder)).length).toBeLessThanOrEqual(4)
  })
})
