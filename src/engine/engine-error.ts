import { DeltaError, type ErrorCode, type ErrorDetails } from '../base/errors.js'
import { UNREAD_INSTANT } from './julian-calendar.js'

/** DuckDB's error classes, by the word its messages begin with. What is not listed is a fault of ours or of the engine. */
const CODE_OF: Readonly<Record<string, ErrorCode>> = {
  'Parser Error': 'SQL_INVALID',
  'Binder Error': 'SQL_INVALID',
  'Catalog Error': 'SQL_INVALID',
  'Conversion Error': 'SQL_INVALID',
  'Invalid Input Error': 'SQL_INVALID',
  'Out of Range Error': 'SQL_INVALID',
  'Mismatch Type Error': 'SQL_INVALID',
  'Not implemented Error': 'SQL_INVALID',
  'Constraint Error': 'SQL_INVALID',
  'Invalid Error': 'SQL_INVALID',
  'Syntax Error': 'SQL_INVALID',
  'Permission Error': 'SQL_FORBIDDEN',
  'Out of Memory Error': 'MEMORY_LIMIT',
  'IO Error': 'ENGINE_FAILED',
  'INTERRUPT Error': 'CANCELLED',
}

const HINTS: Partial<Record<ErrorCode, string>> = {
  MEMORY_LIMIT: 'ask for less (fewer columns, a filter, a LIMIT), or raise the memory limit',
}

/**
 * Turns what the engine threw into a DeltaError, with the engine's own message.
 *
 * @param quote whether the message may show the statement, with a mark below it.
 */
export function engineError(error: unknown, quote: boolean): unknown {
  if (!(error instanceof Error) || error instanceof DeltaError) return error
  const kind = /^([A-Za-z ]+ Error|INTERRUPT Error)[:!]/.exec(error.message)?.[1] ?? ''
  const whole = kind ? error.message.slice(kind.length + 1).trim() : error.message
  const message = quote ? whole : whole.replace(/\n+LINE \d+: [\s\S]*$/, '')
  if (message.startsWith(UNREAD_PARTITION_VALUE))
    return new DeltaError(
      'PARTITION_VALUE_MALFORMED',
      'a file of the table has a partition value that its column cannot hold',
      JSON.parse(message.slice(UNREAD_PARTITION_VALUE.length)) as ErrorDetails,
      { cause: error, hint: PARTITION_HINT },
    )
  const missing = /No files found that match the pattern|Cannot open file|No such file or directory/.test(message)
  if (missing && kind === 'IO Error') {
    const file = /"([^"]+)"/.exec(message)?.[1] ?? ''
    return new DeltaError('DATA_FILE_MISSING', 'a data file of the table is gone', { file }, { cause: error, hint: MISSING_HINT })
  }
  if (
    /TProtocolException|No magic bytes|too small to be a Parquet|Parquet file|Invalid thrift/i.test(message) &&
    kind !== 'Binder Error'
  ) {
    const file = /['"]([^'"]+\.parquet)['"]/.exec(message)?.[1] ?? ''
    return new DeltaError(
      'DATA_FILE_DAMAGED',
      'a data file of the table is damaged',
      { file, reason: message },
      { cause: error, hint: DAMAGED_HINT },
    )
  }
  if (message.startsWith(UNREAD_INSTANT))
    return new DeltaError('FEATURE_UNSUPPORTED', message, {}, { cause: error, hint: ZONE_HINT })
  if (/File name too long/.test(message))
    return new DeltaError(
      'TYPE_UNSUPPORTED',
      'a partition value is too long to name a folder',
      {},
      { cause: error, hint: LONG_HINT },
    )
  const code = CODE_OF[kind] ?? 'ENGINE_FAILED'
  return new DeltaError(code, message, {}, { cause: error, hint: HINTS[code] })
}

/** How a failed read of a partition value begins; its facts follow as JSON. */
export const UNREAD_PARTITION_VALUE = 'partition value: '

const PARTITION_HINT = 'mend the value in the log entry that adds the file, or read columns without this one'
const MISSING_HINT =
  'it may have been vacuumed from under an old version: ask for a newer version, or restore the file; nothing else of the table is affected'
const ZONE_HINT = 'read these rows with Spark, and write them again in its default calendar'
const LONG_HINT = 'a partition value may take about 240 bytes; partition by a shorter column'
const DAMAGED_HINT = 'restore the file from a copy; versions of the table without this file are not affected'
