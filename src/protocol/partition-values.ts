import { DeltaError } from '../base/errors.js'
import type { DataType } from './schema.js'

/**
 * Turns a partition value as DuckDB prints it into the text of `add.partitionValues`.
 *
 * Null and the empty string are both null, as the protocol asks.
 *
 * @throws {DeltaError} `TYPE_UNSUPPORTED` for bytes that are no text, which other engines would read as other bytes, and for times
 * that the protocol has no text for: infinite ones, and those before the year 1.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#partition-value-serialization
 */
export function formatPartitionValue(type: DataType, text: string | null): string | null {
  if (text === null || text === '') return null
  if (isTime(type) && !/^\d/.test(text.replace(/.*\(BC\)$/, '')))
    throw new DeltaError('TYPE_UNSUPPORTED', 'a table cannot be partitioned by this time', { value: text })
  switch (type) {
    case 'timestamp':
      // DuckDB prints an instant in the session's zone, which is UTC: `2024-01-01 10:00:00.5+00`.
      return `${fraction(text.replace(/\+00(:00)?$/, '').replace(' ', 'T'))}Z`
    case 'timestamp_ntz':
      return fraction(text)
    case 'float':
    case 'double':
      return javaFloat(text)
    case 'binary':
      return utf8(text)
    default:
      return text
  }
}

function isTime(type: DataType): boolean {
  return type === 'date' || type === 'timestamp' || type === 'timestamp_ntz'
}

/** Six digits after the second, as the reference writers do. */
function fraction(text: string): string {
  const [whole = '', digits = ''] = text.split('.')
  return `${whole}.${digits.padEnd(6, '0')}`
}

function javaFloat(text: string): string {
  if (text === 'nan') return 'NaN'
  if (text === 'inf') return 'Infinity'
  return text === '-inf' ? '-Infinity' : text
}

/** DuckDB prints bytes as ASCII, with `\xC3` for a byte outside its printable part, backslash and quotes included. */
function utf8(text: string): string {
  const bytes = text.replace(/\\x([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'))
  } catch (cause) {
    throw new DeltaError(
      'TYPE_UNSUPPORTED',
      'a table cannot be partitioned by bytes that are not UTF-8',
      { value: text },
      { cause },
    )
  }
}
