const POLYNOMIAL = 0x82f63b78
const LANES = 4

/** For each of the next bytes of a word, what it adds to the sum. */
const TABLES: readonly Uint32Array[] = Array.from({ length: LANES }, () => new Uint32Array(256))
for (let byte = 0; byte < 256; byte++) {
  let sum = byte
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ POLYNOMIAL : sum >>> 1
  at(0)[byte] = sum
}
for (let lane = 1; lane < LANES; lane++)
  for (let byte = 0; byte < 256; byte++) {
    const before = at(lane - 1)[byte] as number
    at(lane)[byte] = (before >>> 8) ^ (at(0)[before & 0xff] as number)
  }

function at(lane: number): Uint32Array {
  return TABLES[lane] as Uint32Array
}

/** CRC-32C (Castagnoli) of bytes from `start` up to `end`, which Kafka keeps of every record batch; four bytes at a step. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  const [t0, t1, t2, t3] = [at(0), at(1), at(2), at(3)]
  let sum = -1
  let place = start
  for (const whole = end - ((end - start) % LANES); place < whole; place += LANES) {
    sum ^=
      (bytes[place] as number) |
      ((bytes[place + 1] as number) << 8) |
      ((bytes[place + 2] as number) << 16) |
      ((bytes[place + 3] as number) << 24)
    sum =
      (t3[sum & 0xff] as number) ^
      (t2[(sum >>> 8) & 0xff] as number) ^
      (t1[(sum >>> 16) & 0xff] as number) ^
      (t0[sum >>> 24] as number)
  }
  for (; place < end; place++) sum = (sum >>> 8) ^ (t0[(sum ^ (bytes[place] as number)) & 0xff] as number)
  return ~sum >>> 0
}
