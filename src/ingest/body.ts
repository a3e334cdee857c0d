import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { createBrotliDecompress, createGunzip } from 'node:zlib'
import { DeltaError, isDeltaError } from '../base/errors.js'
import type { Spool } from '../engine/spool.js'
import type { Compression } from './formats.js'

/** A body that has come in whole: in memory when it is small, else in a file of the spool. */
export type SpooledBody =
  | { readonly kind: 'bytes'; readonly chunks: readonly Uint8Array[]; readonly sizeBytes: number }
  | { readonly kind: 'file'; readonly path: string; readonly sizeBytes: number }

export interface SpoolOptions {
  readonly compression: Compression
  /** Refuse a body that unpacks to more. */
  readonly sizeBytesMax: number
  /** Called for what came, before it is kept; it may throw to refuse more. */
  readonly onBytes?: ((count: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

const IN_MEMORY_BYTES_MAX = 1024 * 1024

/**
 * Takes in a body of any length in bounded memory, unpacked.
 *
 * @throws {DeltaError} `BODY_TOO_LARGE`; `ROWS_INVALID` for a body that does not unpack. A body that breaks off rejects with
 * its own error; nothing stays behind.
 */
export async function spoolBody(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  spool: Spool,
  options: SpoolOptions,
): Promise<SpooledBody> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  let file: { readonly path: string; readonly stream: WriteStream } | undefined
  try {
    for await (const chunk of unpacked(untilAborted(body, options.signal), options.compression)) {
      options.signal?.throwIfAborted()
      sizeBytes += chunk.byteLength
      if (sizeBytes > options.sizeBytesMax)
        throw new DeltaError(
          'BODY_TOO_LARGE',
          'the body is too large',
          { bytesMax: options.sizeBytesMax },
          { hint: 'send the rows in several requests' },
        )
      options.onBytes?.(chunk.byteLength)
      if (!file && sizeBytes > IN_MEMORY_BYTES_MAX) {
        const path = spool.file('body')
        file = { path, stream: createWriteStream(path) }
        for (const kept of chunks.splice(0)) await write(file.stream, kept)
      }
      if (file) await write(file.stream, chunk)
      else chunks.push(chunk)
    }
    if (!file) return { kind: 'bytes', chunks, sizeBytes }
    file.stream.end()
    await once(file.stream, 'finish')
    return { kind: 'file', path: file.path, sizeBytes }
  } catch (error) {
    file?.stream.destroy()
    if (file) await spool.remove(file.path)
    options.signal?.throwIfAborted()
    const code = (error as { readonly code?: string }).code ?? ''
    if (
      !isDeltaError(error) &&
      (/^(Z_|ERR_|BR_)/.test(code) || /brotli|Decompression/i.test(code)) &&
      options.compression !== 'none'
    )
      throw new DeltaError('ROWS_INVALID', `the body is not ${options.compression}`, {}, { cause: error })
    throw error
  }
}

/** A body whose next bytes do not come must not outlive the caller's patience. */
async function* untilAborted(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) {
    yield body
    return
  }
  const chunks = body[Symbol.asyncIterator]()
  let giveUp = (_reason: unknown) => {}
  const aborted = new Promise<never>((_, reject) => {
    giveUp = reject
  })
  const onAbort = () => giveUp(signal?.reason)
  aborted.catch(() => undefined)
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    for (;;) {
      signal?.throwIfAborted()
      const next = await Promise.race([chunks.next(), aborted])
      if (next.done) return
      yield next.value
    }
  } finally {
    signal?.removeEventListener('abort', onAbort)
    // Not waited for: a body that does not go on does not end either.
    chunks.return?.().catch(() => undefined)
  }
}

async function* unpacked(body: AsyncIterable<Uint8Array>, compression: Compression): AsyncGenerator<Uint8Array> {
  if (compression === 'none') {
    yield* body
    return
  }
  const source = Readable.from(body)
  const unpack = compression === 'gzip' ? createGunzip() : createBrotliDecompress()
  // A source that breaks off must not look like the end of the body.
  source.once('error', (error) => unpack.destroy(error))
  try {
    yield* source.pipe(unpack) as AsyncIterable<Uint8Array>
  } finally {
    source.destroy()
    unpack.destroy()
  }
}

async function write(stream: WriteStream, chunk: Uint8Array): Promise<void> {
  if (!stream.write(chunk)) await once(stream, 'drain')
}
