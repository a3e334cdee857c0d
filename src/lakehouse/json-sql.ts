import { ident, literal } from '../engine/sql-text.js'

/** Times as ISO 8601, instants in UTC; infinities stay words. */
export function timeSql(type: string, value: string): string {
  // Whoever asks for a time zone by its name pays for all of them: this is UTC by arithmetic, in a thirtieth of the time.
  if (type === 'TIMESTAMP WITH TIME ZONE')
    return finite(value, `strftime(make_timestamp(epoch_us(${value})), '%Y-%m-%dT%H:%M:%S.%fZ')`)
  if (type === 'TIMESTAMP') return finite(value, `strftime(${value}, '%Y-%m-%dT%H:%M:%S.%f')`)
  return value
}

/**
 * A value as JSON can hold it, at every depth: JSON has no NaN and no infinity, which are null, as `JSON.stringify` has it.
 *
 * @param type as DuckDB prints it.
 */
export function jsonSql(type: string, value: string, depth = 0): string {
  if (!/DOUBLE|FLOAT|TIMESTAMP/.test(type)) return value
  if (type.endsWith(']')) {
    const element = `v${depth}`
    return `list_transform(${value}, lambda ${element}: ${jsonSql(type.slice(0, type.lastIndexOf('[')), element, depth + 1)})`
  }
  if (type.startsWith('STRUCT(')) {
    const fields = partsOf(type).map((part) => {
      const [name, fieldType] = fieldOf(part)
      return `${ident(name)} := ${jsonSql(fieldType, `struct_extract(${value}, ${literal(name)})`, depth)}`
    })
    return `CASE WHEN ${value} IS NOT NULL THEN struct_pack(${fields.join(', ')}) END`
  }
  if (type.startsWith('MAP(')) {
    const entry = `e${depth}`
    const below = jsonSql(partsOf(type)[1] ?? '', `${entry}.value`, depth + 1)
    return `map_from_entries(list_transform(map_entries(${value}), lambda ${entry}: {'key': ${entry}.key, 'value': ${below}}))`
  }
  if (type === 'DOUBLE' || type === 'FLOAT') return `CASE WHEN isfinite(${value}) THEN ${value} END`
  return timeSql(type, value)
}

function finite(value: string, rendered: string): string {
  return `CASE WHEN isfinite(${value}) THEN ${rendered} ELSE ${value}::VARCHAR END`
}

/** What stands between the outer brackets of a type, at each comma that is in no bracket and no quotes. */
function partsOf(type: string): string[] {
  const inner = type.slice(type.indexOf('(') + 1, -1)
  const parts: string[] = ['']
  let depth = 0
  for (const piece of inner.match(/"(?:[^"]|"")*"|'(?:[^']|'')*'|[\s\S]/g) ?? []) {
    if (piece === '(') depth++
    if (piece === ')') depth--
    if (piece === ',' && depth === 0) parts.push('')
    else parts.push(`${parts.pop() ?? ''}${piece}`)
  }
  return parts.map((part) => part.trim())
}

/** `"a name" BIGINT[]` → its name and its type. */
function fieldOf(part: string): readonly [name: string, type: string] {
  const name = /^(?:"(?:[^"]|"")*"|\S+)/.exec(part)?.[0] ?? ''
  const plain = name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
  return [plain, part.slice(name.length).trim()]
}
