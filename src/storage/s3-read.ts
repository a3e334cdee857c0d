import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import type { ByteRange } from './store.js'

/** The header that asks for a range; suffix ranges are left alone, for some servers answer them with the first bytes. */
export function rangeHeader(range: ByteRange): string {
  return `bytes=${range.start}-${range.endExclusive - 1}`
}

/**
 * The bytes of an answer, which is as long as its headers say. A server that takes no ranges answers with the whole
 * object, of which the range is cut out.
 *
 * @throws {Error} when the connection ends before the body does, or the answer is for another range than asked
 */
export async function readBody(reply: GetObjectCommandOutput, range: ByteRange | undefined): Promise<Uint8Array> {
  const answered = contentRange(reply.ContentRange)
  const bytes = await collect(reply.Body as AsyncIterable<Uint8Array> | undefined, reply.ContentLength)
  if (!range) return bytes
  if (!answered) return bytes.slice(range.start, range.endExclusive)
  const expected = Math.min(range.endExclusive, answered.total) - range.start
  if (answered.start !== range.start || bytes.length !== expected) {
    throw new Error(
      `the answer is for another range. asked=${rangeHeader(range)} answered=${reply.ContentRange ?? ''} bytes=${bytes.length}`,
    )
  }
  return bytes
}

async function collect(body: AsyncIterable<Uint8Array> | undefined, length: number | undefined): Promise<Uint8Array> {
  if (length === undefined) return await collectAll(body)
  const bytes = new Uint8Array(length)
  let filled = 0
  for await (const chunk of body ?? []) {
    if (filled + chunk.length > length) throw new Error(`the body is longer than announced. announced=${length}`)
    bytes.set(chunk, filled)
    filled += chunk.length
  }
  if (filled !== length) throw new Error(`the body ended early. announced=${length} came=${filled}`)
  return bytes
}

async function collectAll(body: AsyncIterable<Uint8Array> | undefined): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body ?? []) chunks.push(chunk)
  return Uint8Array.from(Buffer.concat(chunks))
}

function contentRange(header: string | undefined): { readonly start: number; readonly total: number } | undefined {
  const match = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(header ?? '')
  if (!match) return undefined
  return { start: Number(match[1]), total: match[2] === '*' ? Number.POSITIVE_INFINITY : Number(match[2]) }
}
