import {
  type DuckDBDecimalType,
  type DuckDBEnumType,
  type DuckDBListType,
  type DuckDBMapType,
  type DuckDBStructType,
  type DuckDBType,
  DuckDBTypeId,
} from '@duckdb/node-api'
import type { DataType } from 'apache-arrow'
import type { Column } from './arrow-column.js'
import { BoolColumn, FixedColumn, IntervalColumn, NarrowDecimalColumn, NullColumn } from './arrow-fixed.js'
import { ListColumn, StructColumn } from './arrow-nested.js'
import { EnumColumn, StringColumn, UuidColumn } from './arrow-text.js'

/** A column that gathers vectors of `type` as the Arrow type that `arrowSchema` gives it. */
export function columnOf(type: DuckDBType, arrow: DataType): Column {
  switch (type.typeId) {
    case DuckDBTypeId.SQLNULL:
      return new NullColumn()
    case DuckDBTypeId.BOOLEAN:
      return new BoolColumn(arrow)
    case DuckDBTypeId.TINYINT:
    case DuckDBTypeId.UTINYINT:
      return new FixedColumn(arrow, 1)
    case DuckDBTypeId.SMALLINT:
    case DuckDBTypeId.USMALLINT:
      return new FixedColumn(arrow, 2)
    case DuckDBTypeId.INTEGER:
    case DuckDBTypeId.UINTEGER:
    case DuckDBTypeId.FLOAT:
    case DuckDBTypeId.DATE:
      return new FixedColumn(arrow, 4)
    case DuckDBTypeId.HUGEINT:
      return new FixedColumn(arrow, 16)
    case DuckDBTypeId.DECIMAL:
      return decimalColumn(type as DuckDBDecimalType, arrow)
    case DuckDBTypeId.INTERVAL:
      return new IntervalColumn(arrow)
    case DuckDBTypeId.VARCHAR:
    case DuckDBTypeId.BLOB:
      return new StringColumn(arrow)
    case DuckDBTypeId.ENUM:
      return enumColumn(type as DuckDBEnumType, arrow)
    case DuckDBTypeId.UUID:
      return new UuidColumn(arrow)
    case DuckDBTypeId.LIST:
      return new ListColumn(arrow, columnOf((type as DuckDBListType).valueType, child(arrow, 0)))
    case DuckDBTypeId.STRUCT:
      return structColumn((type as DuckDBStructType).entryTypes, arrow)
    case DuckDBTypeId.MAP: {
      const { keyType, valueType } = type as DuckDBMapType
      return new ListColumn(arrow, structColumn([keyType, valueType], child(arrow, 0)))
    }
    default:
      return new FixedColumn(arrow, 8) // 64-bit integers, DOUBLE, times and timestamps
  }
}

function structColumn(entryTypes: readonly DuckDBType[], arrow: DataType): Column {
  return new StructColumn(
    arrow,
    entryTypes.map((type, index) => columnOf(type, child(arrow, index))),
  )
}

function decimalColumn(type: DuckDBDecimalType, arrow: DataType): Column {
  if (type.width > 18) return new FixedColumn(arrow, 16)
  return new NarrowDecimalColumn(arrow, type.width <= 4 ? 2 : type.width <= 9 ? 4 : 8)
}

function enumColumn(type: DuckDBEnumType, arrow: DataType): Column {
  const storedWidth = type.internalTypeId === DuckDBTypeId.UTINYINT ? 1 : type.internalTypeId === DuckDBTypeId.USMALLINT ? 2 : 4
  return new EnumColumn(arrow, type.values, storedWidth)
}

function child(type: DataType, index: number): DataType {
  return (type.children[index] as { type: DataType }).type
}
