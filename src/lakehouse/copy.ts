import { DeltaError } from '../base/errors.js'
import { COMPRESSIONS, type Compression, INPUT_FORMATS, type InputFormat } from '../ingest/formats.js'
import type { Copy } from '../sql/statements/insert.js'
import type { AppendInput, AppendOptions, AppendResult, SqlOptions } from './options.js'
import type { TableHost } from './table-host.js'

const ON_ERROR: readonly string[] = ['fail', 'reject']

/**
 * COPY t FROM 'file': the rows of a file on this machine, in one commit.
 *
 * @throws {DeltaError} `SQL_FORBIDDEN` where statements may not name files; `SQL_INVALID` for an option that there is not.
 */
export async function copyInto(
  host: TableHost,
  table: { append(input: AppendInput, options: AppendOptions): Promise<AppendResult> },
  { file, options }: Copy,
  { signal, onProgress }: Pick<SqlOptions, 'signal' | 'onProgress'>,
): Promise<AppendResult> {
  if (!host.locations)
    throw new DeltaError(
      'SQL_FORBIDDEN',
      'SQL here reads tables of the lakehouse, not files',
      {},
      { hint: 'files come in with ingest' },
    )
  const { format, compression, on_error: onError, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined)
    throw new DeltaError(
      'SQL_INVALID',
      'COPY has no such option',
      { option: unknown },
      { hint: 'options are FORMAT, COMPRESSION and ON_ERROR' },
    )
  return table.append(file, {
    format: oneOf<InputFormat>('FORMAT', INPUT_FORMATS, format),
    compression: oneOf<Compression>('COMPRESSION', COMPRESSIONS, compression),
    onError: oneOf<'fail' | 'reject'>('ON_ERROR', ON_ERROR, onError),
    signal,
    onProgress,
  })
}

function oneOf<T extends string>(option: string, values: readonly string[], given: string | undefined): T | undefined {
  const value = given?.toLowerCase()
  if (value === undefined || values.includes(value)) return value as T | undefined
  throw new DeltaError('SQL_INVALID', `${option} is one of ${values.join(', ')}`, { given })
}
