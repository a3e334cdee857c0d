import {
  type DuckDBDecimalType,
  type DuckDBListType,
  type DuckDBMapType,
  type DuckDBStructType,
  type DuckDBType,
  DuckDBTypeId,
} from '@duckdb/node-api'
import {
  Binary,
  Bool,
  type DataType,
  DateDay,
  Decimal,
  Field,
  Float32,
  Float64,
  Int8,
  Int16,
  Int32,
  Int64,
  IntervalMonthDayNano,
  List,
  Map_,
  Null,
  Schema,
  Struct,
  TimeMicrosecond,
  TimeNanosecond,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  TimestampSecond,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
  Utf8,
} from 'apache-arrow'
import { DeltaError } from '../base/errors.js'

/**
 * The Arrow schema of a result with these columns. Every field is nullable. Names are taken as they are, twins included.
 *
 * HUGEINT becomes Decimal128(38, 0), INTERVAL an interval of months, days and nanoseconds; ENUM, UUID and JSON become Utf8.
 *
 * @throws {DeltaError} `TYPE_UNSUPPORTED`, naming the column and its type, for a type that has no Arrow counterpart here
 */
export function arrowSchema(names: readonly string[], types: readonly DuckDBType[]): Schema {
  return new Schema(types.map((type, index) => nullable(names[index] ?? '', type, names[index] ?? '')))
}

/** The Arrow type of `type`; `column` is what an error calls the place where it stands. */
function arrowType(type: DuckDBType, column: string): DataType {
  switch (type.typeId) {
    case DuckDBTypeId.SQLNULL:
      return new Null()
    case DuckDBTypeId.BOOLEAN:
      return new Bool()
    case DuckDBTypeId.TINYINT:
      return new Int8()
    case DuckDBTypeId.SMALLINT:
      return new Int16()
    case DuckDBTypeId.INTEGER:
      return new Int32()
    case DuckDBTypeId.BIGINT:
      return new Int64()
    case DuckDBTypeId.UTINYINT:
      return new Uint8()
    case DuckDBTypeId.USMALLINT:
      return new Uint16()
    case DuckDBTypeId.UINTEGER:
      return new Uint32()
    case DuckDBTypeId.UBIGINT:
      return new Uint64()
    case DuckDBTypeId.HUGEINT:
      return new Decimal(0, 38, 128)
    case DuckDBTypeId.DECIMAL:
      return new Decimal((type as DuckDBDecimalType).scale, (type as DuckDBDecimalType).width, 128)
    case DuckDBTypeId.FLOAT:
      return new Float32()
    case DuckDBTypeId.DOUBLE:
      return new Float64()
    case DuckDBTypeId.VARCHAR:
    case DuckDBTypeId.ENUM:
    case DuckDBTypeId.UUID:
      return new Utf8()
    case DuckDBTypeId.BLOB:
      return new Binary()
    case DuckDBTypeId.DATE:
      return new DateDay()
    case DuckDBTypeId.TIME:
      return new TimeMicrosecond()
    case DuckDBTypeId.TIME_NS:
      return new TimeNanosecond()
    case DuckDBTypeId.TIMESTAMP:
      return new TimestampMicrosecond()
    case DuckDBTypeId.TIMESTAMP_TZ:
      return new TimestampMicrosecond('UTC')
    case DuckDBTypeId.TIMESTAMP_S:
      return new TimestampSecond()
    case DuckDBTypeId.TIMESTAMP_MS:
      return new TimestampMillisecond()
    case DuckDBTypeId.TIMESTAMP_NS:
      return new TimestampNanosecond()
    case DuckDBTypeId.INTERVAL:
      return new IntervalMonthDayNano()
    case DuckDBTypeId.LIST:
      return new List(nullable('item', (type as DuckDBListType).valueType, `${column}[]`))
    case DuckDBTypeId.STRUCT:
      return structType(type as DuckDBStructType, column)
    case DuckDBTypeId.MAP:
      return mapType(type as DuckDBMapType, column)
    default:
      throw new DeltaError(
        'TYPE_UNSUPPORTED',
        'a column has a type that Arrow output does not carry',
        { column, type: String(type) },
        {
          hint: `CAST the column to VARCHAR`,
        },
      )
  }
}

function nullable(name: string, type: DuckDBType, column: string): Field {
  return new Field(name, arrowType(type, column), true)
}

function structType(type: DuckDBStructType, column: string): Struct {
  return new Struct(
    type.entryTypes.map((entry, index) => nullable(type.entryNames[index] ?? '', entry, `${column}.${type.entryNames[index]}`)),
  )
}

function mapType(type: DuckDBMapType, column: string): Map_ {
  const key = new Field('key', arrowType(type.keyType, `${column}.key`), false)
  const value = nullable('value', type.valueType, `${column}.value`)
  return new Map_(new Field('entries', new Struct<{ key: DataType; value: DataType }>([key, value]), false))
}
