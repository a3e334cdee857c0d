import { createReadStream } from 'node:fs'
import { crc32 } from 'node:zlib'

/** CRC-32 of a file of this machine, in hexadecimal. */
export async function sumOfFile(file: string): Promise<string> {
  let sum = 0
  for await (const chunk of createReadStream(file, { highWaterMark: 2 ** 20 })) sum = crc32(chunk as Buffer, sum)
  return sum.toString(16).padStart(8, '0')
}
