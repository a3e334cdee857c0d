/**
 * Z85, the text form of bytes in deletion vector descriptors: four bytes, most significant first, are five digits.
 *
 * @see https://rfc.zeromq.org/spec/32/
 */

const DIGITS = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'
const VALUES: ReadonlyMap<string, number> = new Map([...DIGITS].map((digit, value) => [digit, value]))

/** Encodes bytes, padded with zeros to a multiple of four. */
export function encodeZ85(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += 4) {
    let word = 0
    for (let i = 0; i < 4; i++) word = word * 256 + (bytes[at + i] ?? 0)
    let group = ''
    for (let i = 0; i < 5; i++) {
      group = `${DIGITS[word % 85]}${group}`
      word = Math.floor(word / 85)
    }
    text += group
  }
  return text
}

/** @returns `undefined` for text that is not Z85. */
export function decodeZ85(text: string): Uint8Array | undefined {
  if (text.length % 5 !== 0) return undefined
  const bytes = new Uint8Array((text.length / 5) * 4)
  const view = new DataView(bytes.buffer)
  for (let group = 0; group * 5 < text.length; group++) {
    let word = 0
    for (let i = 0; i < 5; i++) {
      const value = VALUES.get(text.charAt(group * 5 + i))
      if (value === undefined) return undefined
      word = word * 85 + value
    }
    if (word > 0xffff_ffff) return undefined
    view.setUint32(group * 4, word)
  }
  return bytes
}
