import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { DeltaError, isDeltaError } from '../base/errors.js'
import type { Spool } from '../engine/spool.js'
import type { Compression } from './formats.js'
import { isPackingError, unpacker } from './unpack.js'

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
 * A body that is whole already, not packed and small: there is nothing to wait for.
 *
 * @throws {DeltaError} `BODY_TOO_LARGE`.
 */
export function smallBody(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  { compression, sizeBytesMax }: Pick<SpoolOptions, 'compression' | 'sizeBytesMax'>,
): SpooledBody | undefined {
  if (!(body instanceof Uint8Array) || compression !== 'none' || body.byteLength > IN_MEMORY_BYTES_MAX) return undefined
  if (body.byteLength > sizeBytesMax) throw tooLarge(sizeBytesMax)
  return { kind: 'bytes', chunks: [alone(body)], sizeBytes: body.byteLength }
}

/**
 * Takes in a body of any length in bounded memory, unpacked. A stream that is refused is left as it is, paused.
 *
 * @throws {DeltaError} `BODY_TOO_LARGE`; `ROWS_INVALID` for a body that does not unpack; `CANCELLED` for a stream that closes
 * before its end. A body that breaks off otherwise rejects with its own error; nothing stays behind.
 */
export async function spoolBody(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  spool: Spool,
  options: SpoolOptions,
): Promise<SpooledBody> {
  const sink = new BodySink(spool, options)
  const { compression, signal } = options
  try {
    if (body instanceof Uint8Array && compression === 'none') await sink.take(body)
    else await readWhole(body, compression, (chunk) => sink.take(chunk), signal)
    return await sink.end()
  } catch (error) {
    await sink.discard()
    signal?.throwIfAborted()
    if (!isDeltaError(error) && compression !== 'none' && isPackingError(error))
      throw new DeltaError('ROWS_INVALID', `the body is not ${compression}`, {}, { cause: error })
    throw error
  }
}

/** Where a body goes: memory at first, then a file. */
class BodySink {
  private readonly spool: Spool
  private readonly options: SpoolOptions
  private readonly chunks: Uint8Array[] = []
  private sizeBytes = 0
  private file: { readonly path: string; readonly stream: WriteStream } | undefined

  constructor(spool: Spool, options: SpoolOptions) {
    this.spool = spool
    this.options = options
  }

  /** @returns what to wait for before more is given, if anything. */
  take(chunk: Uint8Array): Promise<unknown> | undefined {
    const { sizeBytesMax, onBytes } = this.options
    this.sizeBytes += chunk.byteLength
    if (this.sizeBytes > sizeBytesMax) throw tooLarge(sizeBytesMax)
    onBytes?.(chunk.byteLength)
    if (!this.file && this.sizeBytes <= IN_MEMORY_BYTES_MAX) {
      this.chunks.push(alone(chunk))
      return undefined
    }
    this.file ??= this.toFile()
    const { stream } = this.file
    return stream.write(chunk) ? undefined : once(stream, 'drain')
  }

  async end(): Promise<SpooledBody> {
    const { chunks, sizeBytes, file } = this
    if (!file) return { kind: 'bytes', chunks, sizeBytes }
    file.stream.end()
    await once(file.stream, 'finish')
    return { kind: 'file', path: file.path, sizeBytes }
  }

  async discard(): Promise<void> {
    this.file?.stream.destroy()
    if (this.file) await this.spool.remove(this.file.path)
  }

  private toFile() {
    const path = this.spool.file('body')
    const stream = createWriteStream(path)
    for (const kept of this.chunks.splice(0)) stream.write(kept)
    return { path, stream }
  }
}

function tooLarge(bytesMax: number): DeltaError {
  return new DeltaError('BODY_TOO_LARGE', 'the body is too large', { bytesMax }, { hint: 'send the rows in several requests' })
}

/** A few bytes of a socket's buffer would keep all of it. */
function alone(chunk: Uint8Array): Uint8Array {
  return chunk.byteLength * 4 < chunk.buffer.byteLength ? Buffer.from(chunk) : chunk
}

/** Gives what a body holds to `take`, one chunk after the other. An abort ends the wait for the next one. */
function readWhole(
  body: AsyncIterable<Uint8Array> | Uint8Array,
  compression: Compression,
  take: (chunk: Uint8Array) => Promise<unknown> | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const source = body instanceof Readable ? body : Readable.from(body instanceof Uint8Array ? [body] : body)
  const unpack = unpacker(compression)
  const stream = unpack ? source.pipe(unpack) : source
  return new Promise((resolve, reject) => {
    const ended = () => settle(resolve)
    const failed = (error: unknown) => settle(() => reject(error as Error))
    const aborted = () => failed(signal?.reason)
    // A source that breaks off must not look like the end of the body.
    const closed = () => {
      if (!source.readableEnded) failed(new DeltaError('CANCELLED', 'the body broke off'))
    }
    const taken = (chunk: Uint8Array) => {
      try {
        const full = take(chunk)
        if (full === undefined) return
        stream.pause()
        full.then(() => stream.resume(), failed)
      } catch (error) {
        failed(error)
      }
    }
    const settle = (outcome: () => void) => {
      stream.off('data', taken).off('end', ended).pause()
      source.off('close', closed)
      for (const each of [stream, source]) each.off('error', failed).on('error', () => {})
      signal?.removeEventListener('abort', aborted)
      if (unpack) source.unpipe(unpack)
      unpack?.destroy()
      // Not waited for: a body that does not go on does not end either.
      if (source !== body) source.destroy()
      outcome()
    }
    if (signal?.aborted) return aborted()
    signal?.addEventListener('abort', aborted, { once: true })
    for (const each of [stream, source]) each.on('error', failed)
    source.on('close', closed)
    stream.on('end', ended).on('data', taken)
  })
}
