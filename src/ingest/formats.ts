import { DeltaError } from '../base/errors.js'

/** @see docs/formats.md */
export const INPUT_FORMATS = ['ndjson', 'json', 'csv', 'parquet', 'arrow', 'clf', 'combined', 'nginx'] as const
export type InputFormat = (typeof INPUT_FORMATS)[number]

export const COMPRESSIONS = ['none', 'gzip', 'br', 'zstd'] as const
export type Compression = (typeof COMPRESSIONS)[number]

const BY_EXTENSION: Readonly<Record<string, InputFormat>> = {
  ndjson: 'ndjson',
  jsonl: 'ndjson',
  json: 'json',
  csv: 'csv',
  tsv: 'csv',
  parquet: 'parquet',
  arrow: 'arrow',
  arrows: 'arrow',
  feather: 'arrow',
  log: 'combined',
}

const BY_SUFFIX: Readonly<Record<string, Compression>> = { gz: 'gzip', gzip: 'gzip', br: 'br', zst: 'zstd', zstd: 'zstd' }

export interface InputKind {
  readonly format: InputFormat
  readonly compression: Compression
}

/**
 * What a file holds, by its name (`views.ndjson.gz`) where the caller does not say.
 *
 * @throws {DeltaError} `INPUT_FORMAT_UNKNOWN` when neither tells.
 */
export function inputKind(fileName: string, said: Partial<InputKind>): InputKind {
  const match = /^(.*?)(?:\.(gz|gzip|br|zst|zstd))?$/i.exec(fileName)
  const suffix = match?.[2]?.toLowerCase()
  const compression = said.compression ?? BY_SUFFIX[suffix ?? ''] ?? 'none'
  const extension = /\.([a-z0-9]+)$/i.exec(match?.[1] ?? '')?.[1]?.toLowerCase() ?? ''
  const format = said.format ?? BY_EXTENSION[extension]
  if (!format)
    throw new DeltaError(
      'INPUT_FORMAT_UNKNOWN',
      'the name of the file does not tell its format',
      { file: fileName },
      {
        hint: `say the format: ${[...new Set(Object.values(BY_EXTENSION)), 'clf', 'nginx'].join(', ')}`,
      },
    )
  return { format, compression }
}
