import type { DataType, StructField } from '../protocol/schema.js'
import { typeText } from '../protocol/schema.js'
import type { InputFormat } from './formats.js'

/** Why a line is no row of the table, in words for whoever sent it. Only ever called for the few lines that are shown. */
export function lineReason(format: InputFormat, raw: string, fields: readonly StructField[]): string {
  switch (format) {
    case 'ndjson':
    case 'json':
      return jsonReason(raw, fields)
    case 'clf':
    case 'combined':
      return accessLogReason(raw, format)
    default:
      return 'a value does not fit its column'
  }
}

function jsonReason(raw: string, fields: readonly StructField[]): string {
  let value: unknown
  try {
    value = JSON.parse(raw)
  } catch (error) {
    return `not JSON: ${(error as Error).message}`
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not a JSON object'
  for (const [name, member] of Object.entries(value)) {
    const known = fields.find((f) => f.name === name)
    if (!known) return `unknown field ${JSON.stringify(name)}`
    if (member !== null && !plausible(known.type, member))
      return `field ${JSON.stringify(name)}: expected ${typeText(known.type)}, got ${shown(member)}`
  }
  const doubtful = Object.entries(value).find(
    ([name, member]) => member !== null && fields.find((f) => f.name === name)?.type !== 'string',
  )
  return doubtful
    ? `a value does not fit its column, such as field ${JSON.stringify(doubtful[0])}: ${shown(doubtful[1])}`
    : 'not a row of this table'
}

const INTEGER_RANGE: Readonly<Record<string, readonly [bigint, bigint]>> = {
  byte: [-(2n ** 7n), 2n ** 7n - 1n],
  short: [-(2n ** 15n), 2n ** 15n - 1n],
  integer: [-(2n ** 31n), 2n ** 31n - 1n],
  long: [-(2n ** 63n), 2n ** 63n - 1n],
}

/** A rough check, to point at the right field; the engine has the last word. */
function plausible(type: DataType, value: unknown): boolean {
  if (typeof type !== 'string')
    return type.type === 'array' ? Array.isArray(value) : typeof value === 'object' && !Array.isArray(value)
  const range = INTEGER_RANGE[type]
  if (range) {
    if (!/^-?\d+$/.test(String(value))) return false
    const whole = BigInt(String(value))
    return whole >= range[0] && whole <= range[1]
  }
  if (type === 'string' || type === 'binary') return typeof value !== 'object'
  if (type === 'boolean') return typeof value === 'boolean' || /^(true|false)$/i.test(String(value))
  if (type === 'date' || type.startsWith('timestamp'))
    return typeof value === 'string' && /^\d{4}-\d{2}-\d{2}/.test(value) && !Number.isNaN(Date.parse(value))
  return typeof value !== 'object' && String(value).trim() !== '' && !Number.isNaN(Number(value))
}

function accessLogReason(raw: string, format: 'clf' | 'combined'): string {
  if (!/^\S+ \S+ .+? \[[^\]]+\]/.test(raw)) return 'no address and [time] at its beginning'
  if (!/^\S+ \S+ .+? \[\d{2}\/[A-Z][a-z]{2}\/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4}\]/.test(raw))
    return 'its time is not like [17/May/2015:10:05:03 +0000]'
  if (!/\] "(?:[^"\\]|\\.)*" \d{3} (?:\d+|-)/.test(raw)) return 'no "request", status and bytes after its time'
  return format === 'combined' ? 'no "referrer" and "user agent" at its end' : 'more text after its bytes'
}

function shown(value: unknown): string {
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
