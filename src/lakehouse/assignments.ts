import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { duckdbType } from '../engine/types.js'
import { findField, isStruct, mentions, type StructField, type StructType } from '../protocol/schema.js'
import { oneCondition } from './table-snapshot.js'

/** What a statement sets: a column, or a field inside of one, and an expression. */
export interface SetClause {
  /** The first part may be the name that the statement gives the table. */
  readonly column: readonly string[]
  /** `undefined` for the column's default. */
  readonly value: string | undefined
}

/** A column that is set, and its new value as an expression of the column's type. */
export interface Assignment {
  readonly column: StructField
  /** `undefined` for the column's default. */
  readonly expression: string | undefined
}

/** Fields that are set, by name: to an expression, to their default, or fields of theirs. */
type Changes = Map<string, string | typeof DEFAULT | Changes>

const DEFAULT = Symbol('default')

/**
 * The new value of each column that is set. A field of a struct is set by building the struct anew around it.
 *
 * @param name what the statement calls the table.
 * @throws {DeltaError} `SCHEMA_MISMATCH` for a column that is not there, or set twice; `FEATURE_UNSUPPORTED` for one that
 * numbers rows.
 */
export function assignmentsOf(schema: StructType, name: string, set: readonly SetClause[]): readonly Assignment[] {
  const changes: Changes = new Map()
  for (const clause of set) {
    const isQualified = clause.column.length > 1 && clause.column[0]?.toLowerCase() === name.toLowerCase()
    const whole = findField(schema, clause.column.join('.'))
    const path = whole ? [whole.name] : isQualified ? clause.column.slice(1) : clause.column
    put(changes, schema, path, clause)
  }
  return [...changes].map(([column, change]) => {
    const found = findField(schema, column) as StructField
    if (Object.keys(found.metadata).some((key) => key.startsWith('delta.identity.')))
      throw new DeltaError('FEATURE_UNSUPPORTED', 'a column that numbers the rows cannot be set', { column: found.name })
    return {
      column: found,
      expression: change === DEFAULT ? undefined : newValue(found, `${ident(name)}.${ident(found.name)}`, change),
    }
  })
}

function put(changes: Changes, within: StructType, path: readonly string[], clause: SetClause): void {
  const [first = '', ...rest] = path
  const found = findField(within, first)
  const column = clause.column.join('.')
  if (!found) throw new DeltaError('SCHEMA_MISMATCH', 'the table has no such column', { column })
  const before = changes.get(found.name)
  if (before !== undefined && (rest.length === 0 || !(before instanceof Map)))
    throw new DeltaError('SCHEMA_MISMATCH', 'a column is set twice', { column })
  if (rest.length === 0)
    return void changes.set(found.name, clause.value === undefined ? DEFAULT : `(${oneCondition(clause.value)}\n)`)
  if (!isStruct(found.type)) throw new DeltaError('SCHEMA_MISMATCH', 'only a struct has fields to set', { column })
  const inner = before instanceof Map ? before : new Map()
  changes.set(found.name, inner)
  put(inner, found.type, rest, clause)
}

function newValue({ type }: StructField, old: string, change: string | typeof DEFAULT | Changes): string {
  // Queries may not make variants: what a value of one is made of becomes one where it is stored.
  const typed = (value: string) => (mentions(type, 'variant') ? `(${value})` : `${value}::${duckdbType(type)}`)
  if (typeof change === 'string') return typed(change)
  // Only columns have defaults.
  if (change === DEFAULT) return typed('NULL')
  const fields = isStruct(type) ? type.fields : []
  const members = fields.map((f) => {
    const inside = `${old}.${ident(f.name)}`
    const changed = change.get(f.name)
    return `${ident(f.name)} := ${changed === undefined ? inside : newValue(f, inside, changed)}`
  })
  return `struct_pack(${members.join(', ')})`
}
