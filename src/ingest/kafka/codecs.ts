import { createRequire } from 'node:module'
import { gunzipSync } from 'node:zlib'
import { decompress as unpackZstd } from 'fzstd'

const require = createRequire(import.meta.url)
const { uncompress: unpackSnappy } = require('snappyjs') as typeof import('snappyjs')
const { decompress: unpackLz4 } = require('lz4js') as typeof import('lz4js')

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER_BYTES = 16

/** Java's clients cut what they pack by Snappy into blocks of their own; others do not. */
function snappy(packed: Buffer): Uint8Array {
  if (!packed.subarray(0, XERIAL.length).equals(XERIAL)) return unpackSnappy(packed)
  const blocks: Uint8Array[] = []
  for (let at = XERIAL_HEADER_BYTES; at < packed.length; ) {
    const end = at + 4 + packed.readUInt32BE(at)
    blocks.push(unpackSnappy(packed.subarray(at + 4, end)))
    at = end
  }
  return Buffer.concat(blocks)
}

/** By the number that a batch's attributes name. */
const UNPACK: readonly ((packed: Buffer) => Uint8Array)[] = [
  (packed) => packed,
  (packed) => gunzipSync(packed),
  snappy,
  (packed) => unpackLz4(packed),
  (packed) => unpackZstd(packed),
]

/** Unpacks the records of a batch. `undefined` for a codec that is none of Kafka's. */
export function unpackRecords(codec: number, packed: Buffer): Buffer | undefined {
  const bytes = UNPACK[codec]?.(packed)
  return bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
