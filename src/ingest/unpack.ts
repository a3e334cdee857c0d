import type { Duplex } from 'node:stream'
import { createBrotliDecompress, createGunzip } from 'node:zlib'
import type { Compression } from './formats.js'
import { createUnzstd } from './zstd.js'

/** How a compressed body becomes what it holds; `undefined` for one that is not. */
export function unpacker(compression: Compression): Duplex | undefined {
  switch (compression) {
    case 'none':
      return undefined
    case 'gzip':
      return createGunzip()
    case 'br':
      return createBrotliDecompress()
    case 'zstd':
      return createUnzstd()
  }
}

/** Whether an error says that bytes are not what they were said to be. */
export function isPackingError(error: unknown): boolean {
  const { code, message = '' } = error as { readonly code?: unknown; readonly message?: string }
  // The decoder of Zstandard numbers its errors.
  return typeof code === 'number' || /^(Z_|ERR_|BR_)/.test(String(code)) || /brotli|Decompression|^zstd/i.test(message)
}
