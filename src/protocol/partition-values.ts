import type { DataType } from './schema.js'

/**
 * Turns a partition value as DuckDB prints it into the text of `add.partitionValues`.
 *
 * Null and the empty string are both null, as the protocol asks.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#partition-value-serialization
 */
export function formatPartitionValue(type: DataType, text: string | null): string | null {
  if (text === null || text === '') return null
  switch (type) {
    case 'timestamp':
      // DuckDB prints an instant in the session's zone, which is UTC: `2024-01-01 10:00:00.5+00`.
      return `${fraction(text.replace(/\+00(:00)?$/, '').replace(' ', 'T'))}Z`
    case 'timestamp_ntz':
      return fraction(text)
    case 'float':
    case 'double':
      return javaFloat(text)
    default:
      return text
  }
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
