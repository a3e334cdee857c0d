import type { DataType, StructField } from '../protocol/schema.js'
import { isStruct, typeText } from '../protocol/schema.js'
import { accessLogReason } from './access-log.js'
import type { InputFormat } from './formats.js'

/**
 * Why a line is no row of the table, in words for whoever sent it. Only ever called for the few lines that are shown.
 *
 * @param repeated whether a JSON object names a field twice.
 */
export function lineReason(format: InputFormat, raw: string, fields: readonly StructField[], repeated = false): string {
  switch (format) {
    case 'ndjson':
    case 'json':
      return jsonReason(raw, fields, repeated)
    case 'clf':
    case 'combined':
    case 'nginx':
      return accessLogReason(raw, format)
    default: {
      const required = fields.filter((f) => !f.nullable).map((f) => JSON.stringify(f.name))
      return `a value does not fit its column${required.length > 0 ? `, or one is missing that must be there (${required.join(', ')})` : ''}`
    }
  }
}

function jsonReason(raw: string, fields: readonly StructField[], repeated: boolean): string {
  let value: unknown
  try {
    value = JSON.parse(raw)
  } catch (error) {
    return `not JSON: ${(error as Error).message}`
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'not a JSON object'
  if (repeated) return 'a field is named twice'
  const members = value as Readonly<Record<string, unknown>>
  const found = misfitOf(members, fields, '')
  if (found) return found
  const missing = fields.find((f) => !f.nullable && (members[f.name] ?? null) === null)
  if (missing)
    return `field ${JSON.stringify(missing.name)} takes no NULL, and is ${missing.name in members ? 'null' : 'missing'}`
  const doubtful = Object.entries(members).find(
    ([name, member]) => member !== null && fields.find((f) => f.name === name)?.type !== 'string',
  )
  return doubtful
    ? `a value does not fit its column, such as field ${JSON.stringify(doubtful[0])}: ${shown(doubtful[1])}`
    : 'not a row of this table'
}

/** The first member that is unknown or does not fit. */
function misfitOf(members: Readonly<Record<string, unknown>>, fields: readonly StructField[], above: string): string | undefined {
  for (const [name, member] of Object.entries(members)) {
    const path = JSON.stringify(`${above}${name}`)
    const known = fields.find((f) => f.name === name)
    if (!known) return `unknown field ${path}`
    if (member === null) continue
    if (!plausible(known.type, member)) return `field ${path}: expected ${typeText(known.type)}, got ${shown(member)}`
    if (isStruct(known.type)) {
      const inner = member as Readonly<Record<string, unknown>>
      const lacking = known.type.fields.find((f) => !(f.name in inner))
      const found = misfitOf(inner, known.type.fields, `${above}${name}.`)
      if (found) return found
      if (lacking)
        return `field ${JSON.stringify(`${above}${name}.${lacking.name}`)} is missing: a struct is given whole, with null for what it lacks`
    }
  }
  return undefined
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
    if ((typeof value !== 'number' && typeof value !== 'string') || !/^\s*-?\d+\s*$/.test(String(value))) return false
    const whole = BigInt(String(value))
    return whole >= range[0] && whole <= range[1]
  }
  if (type === 'string' || type === 'binary') return typeof value !== 'object'
  if (type === 'boolean') return typeof value === 'boolean' || /^(true|false)$/i.test(String(value))
  if (type === 'date' || type.startsWith('timestamp'))
    return typeof value === 'string' && /^\d{4}-\d{2}-\d{2}/.test(value) && !Number.isNaN(Date.parse(value))
  return typeof value !== 'object' && String(value).trim() !== '' && !Number.isNaN(Number(value))
}

function shown(value: unknown): string {
  const text = textOf(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

function textOf(value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch {
    return 'a value nested too deeply to show' // What parses in a loop is written by recursion.
  }
}
