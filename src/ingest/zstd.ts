import { Duplex } from 'node:stream'
import { Decompress } from 'fzstd'
import { DeltaError } from '../base/errors.js'

/** What a decoder has to take, and all that it needs to: more would be memory for no more than a header. RFC 8878, 3.1.1.1.2. */
const WINDOW_BYTES_MAX = 8 * 1024 * 1024
/** So few bytes unpack to 8 MiB at most: four of them may stand for a block of 128 KiB. */
const STEP_BYTES = 256

/** Unpacks Zstandard, frame after frame, as fast as it is read: a few bytes may stand for very many. */
export function createUnzstd(): Duplex {
  return Duplex.from(async function* (packed: AsyncIterable<Uint8Array>) {
    const out: Uint8Array[] = []
    const frames = new ZstdFrames()
    // The decoder goes on with the memory that it hands out.
    const decoder = new Decompress((chunk) => void (chunk.length > 0 && out.push(Buffer.from(chunk))))
    for await (const chunk of packed)
      for (let at = 0; at < chunk.length; at += STEP_BYTES) {
        const step = chunk.subarray(at, at + STEP_BYTES)
        frames.follow(step)
        // It keeps what it is given until a block is whole.
        decoder.push(Uint8Array.from(step))
        yield* out.splice(0)
      }
    if (!frames.isAtEnd) throw new Error('zstd: the data ends within a frame')
  })
}

const MAGIC = 0xfd2fb528
const [DICTIONARY_ID_BYTES, CONTENT_SIZE_BYTES] = [
  [0, 1, 2, 4],
  [0, 2, 4, 8],
] as const
const [BLOCK_HEADER_BYTES, CHECKSUM_BYTES, SKIPPABLE_BYTES] = [3, 4, 8]
const RUN = 1

/** Follows the frames of Zstandard data from header to header, without unpacking them. */
class ZstdFrames {
  private readonly head: number[] = []
  private inFrame = false
  private skip = 0
  private checksumBytes = 0

  get isAtEnd(): boolean {
    return !this.inFrame && this.skip === 0 && this.head.length === 0
  }

  /** @throws {DeltaError} `ROWS_INVALID` for a frame that asks for much memory. */
  follow(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      if (this.skip > 0) {
        const skipped = Math.min(this.skip, bytes.length - at)
        this.skip -= skipped
        at += skipped
      } else {
        this.head.push(bytes[at++] as number)
        if (this.inFrame ? this.readBlockHeader() : this.readFrameHeader()) this.head.length = 0
      }
    }
  }

  private readBlockHeader(): boolean {
    if (this.head.length < BLOCK_HEADER_BYTES) return false
    const header = Buffer.from(this.head).readUIntLE(0, BLOCK_HEADER_BYTES)
    this.skip = ((header >> 1) & 3) === RUN ? 1 : header >> 3
    if (header & 1) {
      this.skip += this.checksumBytes
      this.inFrame = false
    }
    return true
  }

  private readFrameHeader(): boolean {
    if (this.head.length < 5) return false
    const header = Buffer.from(this.head)
    if (header.readUInt32LE(0) !== MAGIC) {
      if (this.head.length < SKIPPABLE_BYTES) return false
      this.skip = header.readUInt32LE(4)
      return true
    }
    const flags = this.head[4] as number
    const isSingle = (flags & 0x20) !== 0
    const contentBytes = CONTENT_SIZE_BYTES[(flags >> 6) as 0 | 1 | 2 | 3] || (isSingle ? 1 : 0)
    const contentAt = (isSingle ? 5 : 6) + DICTIONARY_ID_BYTES[(flags & 3) as 0 | 1 | 2 | 3]
    if (this.head.length < contentAt + contentBytes) return false
    const exponent = (this.head[5] as number) >> 3
    const windowBytes = isSingle
      ? contentSize(header, contentAt, contentBytes)
      : 2 ** (10 + exponent) * (1 + ((this.head[5] as number) & 7) / 8)
    if (windowBytes > WINDOW_BYTES_MAX)
      throw new DeltaError(
        'ROWS_INVALID',
        'the body asks for too much memory to be unpacked',
        { windowBytes, windowBytesMax: WINDOW_BYTES_MAX },
        { hint: 'pack it with a window of 8 MiB at most, as zstd does up to level 19' },
      )
    this.checksumBytes = flags & 4 ? CHECKSUM_BYTES : 0
    this.inFrame = true
    return true
  }
}

function contentSize(header: Buffer, at: number, bytes: number): number {
  if (bytes === 8) return Number(header.readBigUInt64LE(at))
  return header.readUIntLE(at, bytes) + (bytes === 2 ? 256 : 0)
}
