import { createRequire } from 'node:module'
import { decompress as unpackZstd } from 'fzstd'
import kafkajs from 'kafkajs'

const require = createRequire(import.meta.url)
const { uncompress: unpackSnappy } = require('snappyjs') as typeof import('snappyjs')
const { decompress: unpackLz4 } = require('lz4js') as typeof import('lz4js')

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER_BYTES = 16

/** Java's clients cut what they pack by Snappy into blocks of their own; others do not. */
function snappy(packed: Buffer): Buffer {
  if (!packed.subarray(0, XERIAL.length).equals(XERIAL)) return Buffer.from(unpackSnappy(packed))
  const blocks: Uint8Array[] = []
  for (let at = XERIAL_HEADER_BYTES; at < packed.length; ) {
    const end = at + 4 + packed.readUInt32BE(at)
    blocks.push(unpackSnappy(packed.subarray(at + 4, end)))
    at = end
  }
  return Buffer.concat(blocks)
}

let areThere = false

/** Teaches the client to unpack what it does not by itself. */
export function addCodecs(): void {
  if (areThere) return
  areThere = true
  const { CompressionCodecs, CompressionTypes } = kafkajs
  const reading = (unpack: (packed: Buffer) => Uint8Array) => () => ({
    compress: async () => Promise.reject(new Error('nothing is produced here')),
    decompress: async (packed: Buffer) => Buffer.from(unpack(packed)),
  })
  CompressionCodecs[CompressionTypes.Snappy] = reading(snappy)
  CompressionCodecs[CompressionTypes.LZ4] = reading((packed) => unpackLz4(packed))
  CompressionCodecs[CompressionTypes.ZSTD] = reading((packed) => unpackZstd(packed))
}
