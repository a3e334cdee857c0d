/** CRC-32 with zlib's polynomial, as `node:zlib` has it. */
export type Crc32 = (bytes: Uint8Array) => number

/** What the field `checksum` of a log file of ours is before it is known: the sum is made over the file with this in its place. */
export const SEAL_BLANK = 'crc32:00000000'
const SEAL = /^crc32:[0-9a-f]{8}$/
const LINE_END = 0x0a

/** Fills in what the bytes of a log file add up to, where its first line has the blank for it. */
export function sealed(entry: Uint8Array, crc32: Crc32): Uint8Array {
  const at = placeOf(entry, SEAL_BLANK)
  return at < 0 ? entry : withSeal(entry, at, sealOf(crc32(entry)))
}

/** Whether a field `checksum` tells what the bytes of its file add up to. */
export function isSeal(checksum: unknown): checksum is string {
  return typeof checksum === 'string' && SEAL.test(checksum)
}

/** Whether a file is as it was written, so far as it says what its bytes add up to. */
export function isAsSealed(entry: Uint8Array, checksum: unknown, crc32: Crc32): boolean {
  if (!isSeal(checksum)) return true
  const at = placeOf(entry, checksum)
  return at >= 0 && sealOf(crc32(withSeal(entry, at, SEAL_BLANK))) === checksum
}

/** The last place of the first line: `checksum` is the last field of it, and other fields may hold any text. */
function placeOf(entry: Uint8Array, seal: string): number {
  const end = entry.indexOf(LINE_END)
  return Buffer.from(entry.buffer, entry.byteOffset, end < 0 ? entry.length : end).lastIndexOf(seal)
}

function withSeal(entry: Uint8Array, at: number, seal: string): Uint8Array {
  const copy = new Uint8Array(entry)
  copy.set(Buffer.from(seal), at)
  return copy
}

function sealOf(crc: number): string {
  return `crc32:${crc.toString(16).padStart(8, '0')}`
}
