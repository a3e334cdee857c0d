import { readdir } from 'node:fs/promises'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { spoolBody } from '../../src/ingest/body.js'
import { openWorld } from '../support/world.js'

const world = await openWorld()

/** 1,000 lines of `{"id":1}`, in a frame without and one with a checksum. */
const ZSTD = Buffer.from('KLUv/QBYhQAASHsiaWQiOjF9CgEArKNfjii1L/0EaI0AAEhkIjoxfQp7ImkBAGTHvhwBAoIQ6g==', 'base64')

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

  it('unpacks Zstandard: several frames, those that are to be skipped, in pieces of any size', async () => {
    const skipped = Buffer.from('502a4d1803000000616263', 'hex')
    for (const packed of [ZSTD, Buffer.concat([skipped, ZSTD]), Buffer.concat([ZSTD, skipped])])
      for (const size of [1, 7, 10_000]) {
        const body = await spoolBody(stream(packed, size), world.spool, { ...options, compression: 'zstd' })
        expect(body.kind === 'bytes' && Buffer.concat(body.chunks).equals(rows)).toBe(true)
      }
  })

  it.each([
    ['that is cut short', ZSTD.subarray(0, ZSTD.length - 3)],
    ['that is none', Buffer.from('plain text, and more of it')],
    ['that is broken', Buffer.concat([ZSTD.subarray(0, 20), Buffer.alloc(20, 0xff)])],
    ['that asks for a window of 128 MiB', Buffer.from('28b52ffd0088030000', 'hex')],
  ])('refuses Zstandard %s', async (_, packed) => {
    await expect(spoolBody(packed, world.spool, { ...options, compression: 'zstd' })).rejects.toMatchObject({
      code: 'ROWS_INVALID',
    })
  })

  it('unpacks no more Zstandard than it may hold', async () => {
    // 100,000 blocks that repeat one byte 131,072 times: 12 GiB in 400 kB.
    const block = Buffer.from([2, 0, 16, 0x0a])
    const bomb = Buffer.concat([Buffer.from('28b52ffd0038', 'hex'), ...Array.from({ length: 100_000 }, () => block)])
    const before = process.memoryUsage().rss
    await expect(spoolBody(bomb, world.spool, { compression: 'zstd', sizeBytesMax: 2 ** 20 })).rejects.toMatchObject({
      code: 'BODY_TOO_LARGE',
    })
    expect(process.memoryUsage().rss - before).toBeLessThan(200 * 2 ** 20)
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
