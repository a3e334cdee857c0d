import { DeltaError } from '../base/errors.js'
import { type DataType, field, type StructField } from './schema.js'

/**
 * Type names as people write them, Spark's and DuckDB's alike. `TIMESTAMP` is an instant, as in Spark; a wall-clock time
 * is `TIMESTAMP_NTZ`.
 */
const PRIMITIVES: Readonly<Record<string, string>> = {
  string: 'string',
  varchar: 'string',
  text: 'string',
  char: 'string',
  bpchar: 'string',
  uuid: 'string',
  json: 'string',
  long: 'long',
  bigint: 'long',
  int8: 'long',
  int64: 'long',
  uinteger: 'long',
  integer: 'integer',
  int: 'integer',
  int4: 'integer',
  int32: 'integer',
  signed: 'integer',
  usmallint: 'integer',
  short: 'short',
  smallint: 'short',
  int2: 'short',
  int16: 'short',
  utinyint: 'short',
  byte: 'byte',
  tinyint: 'byte',
  int1: 'byte',
  float: 'float',
  float4: 'float',
  real: 'float',
  double: 'double',
  float8: 'double',
  boolean: 'boolean',
  bool: 'boolean',
  variant: 'variant',
  binary: 'binary',
  blob: 'binary',
  bytea: 'binary',
  varbinary: 'binary',
  void: 'void',
  date: 'date',
  timestamp: 'timestamp',
  timestamptz: 'timestamp',
  timestamp_ltz: 'timestamp',
  timestamp_ntz: 'timestamp_ntz',
  datetime: 'timestamp_ntz',
  ubigint: 'decimal(20,0)',
  hugeint: 'decimal(38,0)',
}

/** What DuckDB means by names that people use otherwise: its plain TIMESTAMP has no zone. */
const DUCKDB_NAMES: Readonly<Record<string, string>> = {
  timestamp: 'timestamp_ntz',
  timestamp_s: 'timestamp_ntz',
  timestamp_ms: 'timestamp_ntz',
  timestamp_ns: 'timestamp_ntz',
}

/**
 * Reads a type as people write it (`decimal(10,2)`, `ARRAY<STRUCT<a: INT NOT NULL>>`, `STRUCT(a INT)[]`, `MAP(VARCHAR, INT)`).
 *
 * @param dialect `duckdb` reads names as DuckDB prints them.
 * @throws {DeltaError} `TYPE_UNSUPPORTED` for a type that no Delta table has.
 */
export function parseType(text: string, dialect: 'people' | 'duckdb' = 'people'): DataType {
  const parser = new TypeParser(text, dialect)
  const type = parser.type()
  parser.end()
  return type
}

class TypeParser {
  private readonly tokens: readonly string[]
  private at = 0
  private readonly text: string
  private readonly dialect: 'people' | 'duckdb'

  constructor(text: string, dialect: 'people' | 'duckdb') {
    this.text = text
    this.dialect = dialect
    this.tokens = text.match(/'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|[\p{L}\p{N}_$]+|[^\s]/gu) ?? []
  }

  type(): DataType {
    let type = this.base()
    while (this.accept('[')) {
      if (!this.accept(']')) throw this.unsupported()
      type = { type: 'array', elementType: type, containsNull: true }
    }
    return type
  }

  end(): void {
    if (this.at < this.tokens.length) throw this.unsupported()
  }

  private base(): DataType {
    const name = this.next().toLowerCase()
    switch (name) {
      case 'array':
      case 'list':
        return { type: 'array', elementType: this.inBrackets(() => this.type()), containsNull: true }
      case 'map':
        return this.inBrackets(() => {
          const keyType = this.type()
          this.expect(',')
          return { type: 'map', keyType, valueType: this.type(), valueContainsNull: true }
        })
      case 'struct':
      case 'row':
        return { type: 'struct', fields: this.inBrackets(() => this.fields()) }
      case 'decimal':
      case 'numeric':
      case 'dec':
        return this.decimal()
      default:
        return this.primitive(name)
    }
  }

  private primitive(name: string): DataType {
    if (name === 'double' && this.peek()?.toLowerCase() === 'precision') this.at++
    if ((name === 'varchar' || name === 'char') && this.accept('(')) {
      this.next()
      this.expect(')')
    }
    if (name === 'timestamp' && ['with', 'without'].includes(this.peek()?.toLowerCase() ?? '')) {
      const withZone = this.next().toLowerCase() === 'with'
      for (const word of ['time', 'zone']) if (this.next().toLowerCase() !== word) throw this.unsupported()
      return withZone ? 'timestamp' : 'timestamp_ntz'
    }
    const type = (this.dialect === 'duckdb' ? DUCKDB_NAMES[name] : undefined) ?? PRIMITIVES[name]
    if (!type) throw this.unsupported()
    return type
  }

  private decimal(): DataType {
    if (!this.accept('(')) return this.dialect === 'duckdb' ? 'decimal(18,3)' : 'decimal(10,0)'
    const precision = Number(this.next())
    const scale = this.accept(',') ? Number(this.next()) : 0
    this.expect(')')
    if (!(precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision)) throw this.unsupported()
    return `decimal(${precision},${scale})`
  }

  private fields(): StructField[] {
    const fields: StructField[] = []
    do {
      const name = unquote(this.next())
      this.accept(':')
      const type = this.type()
      const nullable = !this.acceptWords('not', 'null')
      const comment = this.acceptWords('comment') ? { comment: textOf(this.next()) } : {}
      fields.push(field(name, type, nullable, comment))
    } while (this.accept(','))
    if (new Set(fields.map((f) => f.name.toLowerCase())).size < fields.length) throw this.unsupported()
    return fields
  }

  private inBrackets<T>(read: () => T): T {
    const close = this.accept('<') ? '>' : ')'
    if (close === ')') this.expect('(')
    const value = read()
    this.expect(close)
    return value
  }

  private peek(): string | undefined {
    return this.tokens[this.at]
  }

  private next(): string {
    const token = this.tokens[this.at++]
    if (token === undefined) throw this.unsupported()
    return token
  }

  private accept(token: string): boolean {
    if (this.peek() !== token) return false
    this.at++
    return true
  }

  private acceptWords(...words: readonly string[]): boolean {
    if (!words.every((word, index) => this.tokens[this.at + index]?.toLowerCase() === word)) return false
    this.at += words.length
    return true
  }

  private expect(token: string): void {
    if (!this.accept(token)) throw this.unsupported()
  }

  private unsupported(): DeltaError {
    return new DeltaError(
      'TYPE_UNSUPPORTED',
      'not a type that a table can have',
      { type: this.text },
      {
        hint: 'use STRING, BOOLEAN, BYTE, SHORT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL(p,s), BINARY, DATE, TIMESTAMP, TIMESTAMP_NTZ, ARRAY<…>, MAP<…,…> or STRUCT<…>',
      },
    )
  }
}

function textOf(token: string): string {
  return token.startsWith("'") ? token.slice(1, -1).replaceAll("''", "'") : token
}

function unquote(token: string): string {
  if (token.startsWith('"')) return token.slice(1, -1).replaceAll('""', '"')
  if (token.startsWith('`')) return token.slice(1, -1).replaceAll('``', '`')
  return token
}
