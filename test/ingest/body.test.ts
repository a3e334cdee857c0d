import { readdir } from 'node:fs/promises'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { spoolBody } from '../../src/ingest/body.js'
import { openWorld } from '../support/world.js'

const world = await openWorld()

describe('spoolBody', () => {
  const rows = Buffer.from('{"id":1}\n'.repeat(1000))
  const options = { sizeBytesMax: 1e9 }
  const stream = async function* (bytes: Buffer, size: number) {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
  }

  it.each([
    ['gzip', gzipSync(rows)],
    ['br', brotliCompressSync(rows)],
  ] as const)('refuses %s that is cut short or is none', async (compression, packed) => {
    expect((await spoolBody(stream(packed, 7), world.spool, { ...options, compression })).sizeBytes).toBe(rows.length)
    for (const bytes of [
      packed.subarray(0, packed.length - 9),
      Buffer.from('plain text'),
      Buffer.concat([packed.subarray(0, 12), Buffer.alloc(20, 0xff)]),
    ])
      await expect(spoolBody(bytes, world.spool, { ...options, compression })).rejects.toMatchObject({ code: 'ROWS_INVALID' })
  })

  it('stops unpacking at the limit', async () => {
    const bomb = gzipSync(Buffer.alloc(50 * 2 ** 20))
    await expect(spoolBody(bomb, world.spool, { compression: 'gzip', sizeBytesMax: 2 ** 20 })).rejects.toMatchObject({
      code: 'BODY_TOO_LARGE',
    })
  })

  it('fails with the body, and leaves no file behind', async () => {
    const before = await readdir(world.spool.folder)
    const breaking = async function* () {
      yield Buffer.alloc(3 * 2 ** 20)
      throw new Error('gone')
    }
    await expect(spoolBody(breaking(), world.spool, { ...options, compression: 'none' })).rejects.toThrow('gone')
    expect(await readdir(world.spool.folder)).toEqual(before)
  })

  it.each(['none', 'gzip'] as const)(
    'does not wait for a body that stalls once the caller has given up (%s)',
    async (compression) => {
      const giveUp = new AbortController()
      const reason = new Error('enough')
      const stalling = async function* () {
        yield gzipSync(rows)
        giveUp.abort(reason)
        await new Promise(() => {})
        yield rows
      }
      await expect(spoolBody(stalling(), world.spool, { ...options, compression, signal: giveUp.signal })).rejects.toBe(reason)
    },
  )

  it.each(['none', 'gzip'] as const)('does not wait for the rest of a body that it refuses (%s)', async (compression) => {
    const endless = async function* () {
      yield compression === 'gzip' ? gzipSync(rows) : rows
      await new Promise(() => {})
    }
    const { signal } = new AbortController()
    const limited = { compression, sizeBytesMax: 100, signal }
    await expect(spoolBody(endless(), world.spool, limited)).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' })
  })
})
