import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { duckdbType } from '../../src/engine/types.js'
import { type DataType, field, typeText } from '../../src/protocol/schema.js'
import { parseType } from '../../src/protocol/type-text.js'

const primitive = fc.oneof(
  fc.constantFrom(
    'string',
    'long',
    'integer',
    'short',
    'byte',
    'float',
    'double',
    'boolean',
    'binary',
    'date',
    'timestamp',
    'timestamp_ntz',
  ),
  fc.tuple(fc.integer({ min: 1, max: 38 }), fc.nat(38)).map(([p, s]) => `decimal(${p},${Math.min(p, s)})`),
)
const { type } = fc.letrec<{ type: DataType }>((tie) => ({
  type: fc.oneof(
    { depthSize: 'small', maxDepth: 3 },
    primitive,
    tie('type').map((elementType) => ({ type: 'array' as const, elementType, containsNull: true })),
    fc
      .tuple(primitive, tie('type'))
      .map(([keyType, valueType]) => ({ type: 'map' as const, keyType, valueType, valueContainsNull: true })),
    fc
      .uniqueArray(fc.tuple(fc.stringMatching(/^[a-z][a-z0-9_]{0,5}$/), tie('type')), {
        minLength: 1,
        maxLength: 3,
        selector: ([name]) => name,
      })
      .map((fields) => ({ type: 'struct' as const, fields: fields.map(([name, inner]) => field(name, inner)) })),
  ),
}))

describe('type texts', () => {
  it('parse(typeText(type)) is type', () => {
    fc.assert(
      fc.property(type, (t) => {
        expect(parseType(typeText(t))).toEqual(t)
      }),
    )
  })

  it('parse(duckdbType(type)) is type, read as DuckDB prints it', () => {
    fc.assert(
      fc.property(type, (t) => {
        expect(parseType(duckdbType(t), 'duckdb')).toEqual(t)
      }),
    )
  })

  it.each([
    ['STRING', 'string'],
    ['varchar(10)', 'string'],
    ['CHAR(3)', 'string'],
    ['Text', 'string'],
    ['bigint', 'long'],
    ['LONG', 'long'],
    ['INT', 'integer'],
    ['tinyint', 'byte'],
    ['BYTE', 'byte'],
    ['double precision', 'double'],
    ['REAL', 'float'],
    ['NUMERIC(5)', 'decimal(5,0)'],
    ['decimal', 'decimal(10,0)'],
    ['decimal( 12 , 3 )', 'decimal(12,3)'],
    ['TIMESTAMP', 'timestamp'],
    ['TIMESTAMP WITH TIME ZONE', 'timestamp'],
    ['TIMESTAMP WITHOUT TIME ZONE', 'timestamp_ntz'],
    ['TIMESTAMP_NTZ', 'timestamp_ntz'],
    ['UBIGINT', 'decimal(20,0)'],
    ['blob', 'binary'],
  ])('reads %s as %s', (text, expected) => {
    expect(parseType(text)).toBe(expected)
  })

  it('reads a plain TIMESTAMP of DuckDB as a time without zone', () => {
    expect(parseType('TIMESTAMP', 'duckdb')).toBe('timestamp_ntz')
    expect(parseType('TIMESTAMP WITH TIME ZONE', 'duckdb')).toBe('timestamp')
    expect(parseType('DECIMAL', 'duckdb')).toBe('decimal(18,3)')
  })

  it.each([
    ['ARRAY<STRUCT<a: INT, `b c`: MAP<STRING, DOUBLE>>>', 'array<struct<a:integer,b c:map<string,double>>>'],
    ['STRUCT(a INT, "b""q" VARCHAR[])[]', 'array<struct<a:integer,b"q:array<string>>>'],
    ['MAP(VARCHAR, INT)', 'map<string,integer>'],
    ['int[][]', 'array<array<integer>>'],
    ['ROW(x INT)', 'struct<x:integer>'],
  ])('reads nested %s', (text, expected) => {
    expect(typeText(parseType(text))).toBe(expected)
  })

  it.each([
    '',
    'nonsense',
    'INT INT',
    'DECIMAL(0,0)',
    'DECIMAL(39,1)',
    'DECIMAL(5,6)',
    'DECIMAL(a,b)',
    'DECIMAL(5',
    'ARRAY<INT',
    'ARRAY INT',
    'MAP<INT>',
    'STRUCT<>',
    'STRUCT<a>',
    'STRUCT<a INT, A INT>',
    'INT[',
    'INT[3]',
    'TIME',
    'INTERVAL',
    "ENUM('a')",
    'TIMESTAMP WITH ZONE',
    'INT; DROP TABLE t',
  ])('refuses %j, naming it', (text) => {
    expect(() => parseType(text)).toThrow(expect.objectContaining({ code: 'TYPE_UNSUPPORTED', details: { type: text } }) as Error)
  })
})
