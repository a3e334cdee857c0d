// The digest by which engines agree on the rows of a table, whatever their order. The peers compute the same in Python.
import { createHash } from 'node:crypto'

/** A type as Delta's schema JSON spells it. */
export type DeltaType =
  | string
  | { readonly type: 'struct'; readonly fields: readonly { readonly name: string; readonly type: DeltaType }[] }
  | { readonly type: 'array'; readonly elementType: DeltaType }
  | { readonly type: 'map'; readonly keyType: DeltaType; readonly valueType: DeltaType }

/** What `canonical` takes: integers, dates (days) and timestamps (microseconds) as number or bigint, decimals as text. */
export type DeltaValue =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly DeltaValue[]
  | ReadonlyMap<DeltaValue, DeltaValue>
  | { readonly [field: string]: DeltaValue }

/**
 * The digest of rows that `schema` describes: a struct, as in a table's `schemaString`.
 *
 * A JavaScript number may be a whole number or a double, and only the schema tells which.
 */
export function digestOfRows(schema: DeltaType, rows: Iterable<DeltaValue>): string {
  return digestOfRendered(Array.from(rows, (row) => canonical(schema, row)))
}

/** The digest of rows that are rendered already. */
export function digestOfRendered(rows: Iterable<string>): string {
  return sha256(Array.from(rows, sha256).sort().join('\n'))
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** One value as canonical JSON. */
export function canonical(type: DeltaType, value: DeltaValue): string {
  if (value === null || value === undefined) return 'null'
  if (typeof type === 'string') return primitive(type, value)
  if (type.type === 'array') return `[${(value as DeltaValue[]).map((item) => canonical(type.elementType, item)).join(',')}]`
  if (type.type === 'map') {
    const pairs = Array.from(value as ReadonlyMap<DeltaValue, DeltaValue>, ([key, item]) => {
      return `[${canonical(type.keyType, key)},${canonical(type.valueType, item)}]`
    })
    return `[${pairs.sort(byCodePoint).join(',')}]`
  }
  const fields = value as { readonly [field: string]: DeltaValue }
  const sorted = type.fields.toSorted((a, b) => byCodePoint(a.name, b.name))
  return `{${sorted.map(({ name, type }) => `${JSON.stringify(name)}:${canonical(type, fields[name])}`).join(',')}}`
}

function primitive(type: string, value: DeltaValue): string {
  if (type === 'float' || type === 'double') return `"${repr(Number(value))}"`
  if (type === 'binary') return `"${Buffer.from(value as Uint8Array).toString('hex')}"`
  if (type === 'string' || type.startsWith('decimal')) return JSON.stringify(String(value))
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new TypeError(`${value} is no exact ${type}`)
  return String(value as number | bigint | boolean)
}

/** A double as Python's `repr` has it. */
export function repr(x: number): string {
  if (Number.isNaN(x)) return 'NaN'
  if (!Number.isFinite(x)) return x > 0 ? 'Infinity' : '-Infinity'
  if (Object.is(x, -0)) return '-0.0'
  const [digits, e] = x.toExponential().split('e')
  const exponent = Number(e)
  if (exponent < -4 || exponent >= 16) {
    return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`
  }
  // Fixed notation starts at 1e-6 in JavaScript and at 1e-4 in Python, ends at 1e21 and at 1e16: inside both, they agree.
  const text = String(x)
  return text.includes('.') ? text : `${text}.0`
}

/** As Python sorts text. JavaScript's own order is by UTF-16 unit, which differs past U+FFFF. */
function byCodePoint(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
