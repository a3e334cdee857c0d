import { DeltaError } from '../base/errors.js'
import { type DataType, mentions, type StructField } from '../protocol/schema.js'
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
  // Of no table: how input gives the values of a variant.
  json: 'JSON',
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
    const [decimal, precision = '10', scale = '0'] = /^decimal(?:\(\s*(\d+)\s*,\s*(\d+)\s*\))?$/.exec(type) ?? []
    // Without digits it is what Spark takes it for.
    if (decimal !== undefined && Number(precision) <= 38) return `DECIMAL(${precision},${scale})`
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

/** Far from where the engine's stack ends. */
const VARIANT_DEPTH_MAX = 200

/**
 * A value cast to a column's type. JSON becomes a variant by what it says, a text stays a text.
 */
export function castSql(value: string, type: DataType): string {
  const cast = `${value}::${duckdbType(type)}`
  if (!mentions(type, 'variant')) return cast
  const text = `to_json(${value})::VARCHAR`
  // Most values have fewer brackets than may be nested, which is cheap to see.
  const mayBeDeep = `length(regexp_replace(${text}, '[^{\\[]+', '', 'g')) > ${VARIANT_DEPTH_MAX}`
  const brackets = `regexp_extract_all(${text}, '"(?:[^"\\\\]|\\\\.)*"|[][{}]')`
  const steps = `list_transform(${brackets}, lambda __b: {'d': CASE WHEN __b IN ('[', '{') THEN 1 WHEN __b IN (']', '}') THEN -1 ELSE 0 END, 'm': 1})`
  const depth = `list_reduce(${steps}, lambda __a, __b: {'d': __a.d + __b.d, 'm': greatest(__a.m, __a.d + __b.d)}).m`
  return (
    `CASE WHEN contains(typeof(${value}), 'JSON') AND ${mayBeDeep} AND ${depth} > ${VARIANT_DEPTH_MAX} ` +
    `THEN error('a variant is nested too deeply')::${duckdbType(type)} ELSE ${cast} END`
  )
}

/** The structure that `json_transform` takes: the same types, as JSON. */
export function jsonStructure(fields: readonly StructField[]): string {
  return JSON.stringify(Object.fromEntries(fields.map((f) => [f.name, duckdbType(f.type)])))
}

/** The column list of a CREATE TABLE. */
export function columnDefinitions(fields: readonly StructField[]): string {
  return fields.map((f) => `${ident(f.name)} ${duckdbType(f.type)}`).join(', ')
}
