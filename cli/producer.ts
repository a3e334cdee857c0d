import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { DeltaError } from '../src/index.js'

/**
 * What makes a file load once: its content, under the producer's name. Where it lies, what it is called and what was loaded between
 * make no difference. A load that broke off goes on where it stopped, so the size of its batches is part of it.
 */
export async function contentBatch(
  producer: string,
  file: string,
  batchRows: number | undefined,
): Promise<{ readonly appId: string; readonly version: number }> {
  const digest = createHash('sha256')
  try {
    await pipeline(createReadStream(file, { highWaterMark: 1024 * 1024 }), digest)
  } catch (cause) {
    throw new DeltaError('FILE_NOT_FOUND', 'the file cannot be read', { path: file }, { cause })
  }
  const batches = batchRows === undefined ? '' : `/${batchRows}`
  return { appId: `${producer}/${digest.digest('hex').slice(0, 32)}${batches}`, version: 1 }
}
