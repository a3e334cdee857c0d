import { DeltaError } from '../base/errors.js'
import type { DataType, StructField } from '../protocol/schema.js'
import { ident } from './sql-text.js'

const DUCKDB: Readonly<Record<string, string>> = {
  string: 'VARCHAR',
  long: 'BIGINT',
  integer: 'INTEGER',
  short: 'SMALLINT',
  byte: 'TINYINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  boolean: 'BOOLEAN',
  binary: 'BLOB',
  date: 'DATE',
  timestamp: 'TIMESTAMP WITH TIME ZONE',
  timestamp_ntz: 'TIMESTAMP',
  variant: 'VARIANT',
  // Never in a file: any type would do.
  void: 'INTEGER',
  null: 'INTEGER',
}

/**
 * The DuckDB type that holds values of a Delta type.
 *
 * @throws {DeltaError} `TYPE_UNSUPPORTED` for a type that this library does not read.
 */
export function duckdbType(type: DataType): string {
  if (typeof type === 'string') {
    if (type.startsWith('decimal')) return type.replace('decimal', 'DECIMAL').replaceAll(' ', '')
    const name = DUCKDB[type]
    if (!name) throw new DeltaError('TYPE_UNSUPPORTED', 'deltaic cannot read columns of this type', { type })
    return name
  }
  switch (type.type) {
    case 'struct':
      return `STRUCT(${type.fields.map((f) => `${ident(f.name)} ${duckdbType(f.type)}`).join(', ')})`
    case 'array':
      return `${duckdbType(type.elementType)}[]`
    case 'map':
      return `MAP(${duckdbType(type.keyType)}, ${duckdbType(type.valueType)})`
  }
}

/** The structure that `json_transform` takes: the same types, as JSON. */
export function jsonStructure(fields: readonly StructField[]): string {
  return JSON.stringify(Object.fromEntries(fields.map((f) => [f.name, duckdbType(f.type)])))
}

/** The column list of a CREATE TABLE. */
export function columnDefinitions(fields: readonly StructField[]): string {
  return fields.map((f) => `${ident(f.name)} ${duckdbType(f.type)}`).join(', ')
}
