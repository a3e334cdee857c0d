import { open } from 'node:fs/promises'
import { isDeltaError } from '../../base/errors.js'
import type { Spool } from '../../engine/spool.js'
import { type SpooledBody, spoolBody } from '../body.js'
import type { Compression } from '../formats.js'
import type { FollowedFiles, FoundFile } from './found-file.js'

/** The text of a file, as far as it is there. */
export interface Text {
  readonly sizeBytes: number
  /** Whether more may follow. */
  readonly mayGrow: boolean
  /** Bytes of it, fewer where it ends; `undefined` when the file is gone. */
  read(start: number, endExclusive: number): Promise<Uint8Array | undefined>
  release(): Promise<void>
}

const PIECE_BYTES = 8 * 1024 * 1024

/**
 * Opens a file as text. What is compressed is unpacked into the spool, and is whole.
 *
 * @returns `undefined` for a compressed file that does not unpack: it is still being written, or gone.
 */
export async function openText(
  files: FollowedFiles,
  file: FoundFile,
  compression: Compression,
  spool: Spool,
): Promise<Text | undefined> {
  if (compression === 'none')
    return {
      sizeBytes: file.sizeBytes,
      mayGrow: file.mayGrow,
      read: (start, endExclusive) => files.read(file, start, endExclusive),
      release: async () => undefined,
    }
  try {
    const body = await spoolBody(pieces(files, file), spool, { compression, sizeBytesMax: Number.POSITIVE_INFINITY })
    return {
      sizeBytes: body.sizeBytes,
      mayGrow: false,
      read: (start, endExclusive) => readBody(body, start, endExclusive),
      release: async () => (body.kind === 'file' ? spool.remove(body.path) : undefined),
    }
  } catch (error) {
    if (file.mayGrow && isDeltaError(error, 'invalid')) return undefined
    throw error
  }
}

/** A whole file, in the spool. */
export async function spoolFile(files: FollowedFiles, file: FoundFile, spool: Spool): Promise<SpooledBody> {
  return spoolBody(pieces(files, file), spool, { compression: 'none', sizeBytesMax: Number.POSITIVE_INFINITY })
}

async function* pieces(files: FollowedFiles, file: FoundFile): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < file.sizeBytes; start += PIECE_BYTES) {
    const piece = await files.read(file, start, start + PIECE_BYTES)
    if (!piece) return
    yield piece
  }
}

async function readBody(body: SpooledBody, start: number, endExclusive: number): Promise<Uint8Array> {
  if (body.kind === 'bytes') return Buffer.concat(body.chunks).subarray(start, endExclusive)
  await using file = await open(body.path)
  const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(endExclusive, body.sizeBytes) - start))
  const { bytesRead } = await file.read(bytes, 0, bytes.length, start)
  return bytes.subarray(0, bytesRead)
}
