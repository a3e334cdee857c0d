import {
  DataType,
  DateDay,
  DateUnit,
  Dictionary,
  Field,
  FixedSizeList,
  IntervalUnit,
  LargeList,
  List,
  Map_,
  Schema,
  Struct,
  TimeMillisecond,
  Timestamp,
  TimeUnit,
  Type,
} from 'apache-arrow'
import { DeltaError } from '../base/errors.js'
import { type BatchFrame, type SchemaFrame, schemaFrame } from './arrow-frames.js'

/**
 * Parquet has no seconds and no dates in milliseconds: a writer that is given such values stores bare integers, and their meaning
 * is lost to every reader but its own. So they are rewritten on the way: timestamps and times of day in seconds to milliseconds,
 * dates in milliseconds to days.
 */
export interface Units {
  /** The schema to write. */
  readonly schema: SchemaFrame
  /** The batch or dictionary to write; leaves `frame` alone. */
  convert(frame: BatchFrame): BatchFrame
}

/** @throws {DeltaError} `TYPE_UNSUPPORTED` for a column that Parquet, or DuckDB's reading of it, has no type for */
export function parquetUnits(frame: SchemaFrame): Units {
  const { schema } = frame
  for (const field of schema.fields) refuseUnsupported(field, field.name)
  if (!schema.fields.some((field) => holdsOtherUnits(field.type))) return { schema: frame, convert: (batch) => batch }

  const dictionaries = new Map<number, DataType>()
  for (const field of schema.fields) collectDictionaries(field.type, dictionaries)
  const written = new Schema(schema.fields.map(fieldInUnits), schema.metadata)
  return {
    schema: schemaFrame(written),
    convert: (batch) =>
      convertBody(batch, batch.kind === 'batch' ? schema.fields.map(({ type }) => type) : dictionaryTypes(batch, dictionaries)),
  }
}

function refuseUnsupported({ type }: Field, column: string): void {
  const isLost =
    DataType.isUnion(type) ||
    DataType.isDuration(type) ||
    (DataType.isInterval(type) && type.unit === IntervalUnit.MONTH_DAY_NANO) ||
    (DataType.isDecimal(type) && (type.bitWidth > 128 || type.scale < 0 || type.scale > type.precision))
  if (isLost) {
    throw new DeltaError(
      'TYPE_UNSUPPORTED',
      'an Arrow column has a type that Parquet does not carry',
      { column, type: String(type) },
      {
        hint: 'send the column as text, or as a number',
      },
    )
  }
  if (DataType.isDictionary(type)) refuseUnsupported(new Field(column, type.dictionary), column)
  for (const child of type.children ?? []) refuseUnsupported(child, `${column}.${child.name}`)
}

type Step = (buffer: ArrayBuffer, offset: number, length: number) => void

/** How to rewrite the values of a type in place; `undefined` for types that stay as they are. */
function stepOf(type: DataType): Step | undefined {
  if (DataType.isTimestamp(type) && type.unit === TimeUnit.SECOND) return secondsToMillis64
  if (DataType.isTime(type) && type.unit === TimeUnit.SECOND) return secondsToMillis32
  if (DataType.isDate(type) && type.unit === DateUnit.MILLISECOND) return millisToDays
  return undefined
}

function typeInUnits(type: DataType): DataType {
  if (!holdsOtherUnits(type)) return type
  if (DataType.isTimestamp(type)) return new Timestamp(TimeUnit.MILLISECOND, type.timezone)
  if (DataType.isTime(type)) return new TimeMillisecond()
  if (DataType.isDate(type)) return new DateDay()
  if (DataType.isDictionary(type)) return new Dictionary(typeInUnits(type.dictionary), type.indices, type.id, type.isOrdered)
  const children = type.children.map(fieldInUnits)
  const [child] = children as [Field]
  if (DataType.isList(type)) return new List(child)
  if (DataType.isLargeList(type)) return new LargeList(child)
  if (DataType.isFixedSizeList(type)) return new FixedSizeList(type.listSize, child)
  if (DataType.isMap(type)) return new Map_(child as Field<Struct<{ key: DataType; value: DataType }>>, type.keysSorted)
  return new Struct(children)
}

function fieldInUnits(field: Field): Field {
  return new Field(field.name, typeInUnits(field.type), field.nullable, field.metadata)
}

function holdsOtherUnits(type: DataType): boolean {
  if (DataType.isDictionary(type)) return holdsOtherUnits(type.dictionary)
  return stepOf(type) !== undefined || (type.children ?? []).some((child) => holdsOtherUnits(child.type))
}

function collectDictionaries(type: DataType, into: Map<number, DataType>): void {
  if (DataType.isDictionary(type)) {
    into.set(type.id, type.dictionary)
    collectDictionaries(type.dictionary, into)
  } else {
    for (const child of type.children ?? []) collectDictionaries(child.type, into)
  }
}

interface BatchHeader {
  readonly buffers: readonly { readonly offset: number; readonly length: number }[]
  readonly variadicBufferCounts: readonly number[]
}

function dictionaryTypes({ message }: BatchFrame, types: ReadonlyMap<number, DataType>): DataType[] {
  const type = types.get((message.header() as unknown as { id: number }).id)
  return type ? [type] : []
}

function convertBody(frame: BatchFrame, types: readonly DataType[]): BatchFrame {
  if (!types.some(holdsOtherUnits)) return frame
  const header = frame.message.header() as unknown as BatchHeader | { readonly data: BatchHeader }
  const { buffers, variadicBufferCounts } = 'data' in header ? header.data : header
  const [prefix, metadata, source] = frame.pieces
  const body = new Uint8Array(source)
  let next = 0
  let nextView = 0
  // Buffers stand in the order of the columns, parents before children.
  const visit = (type: DataType) => {
    const step = stepOf(type)
    if (step) {
      const { offset, length } = buffers[next + 1] ?? { offset: -1, length: 0 }
      if (offset < 0 || offset % 8 !== 0 || offset + length > body.length)
        throw new DeltaError('ROWS_INVALID', 'a column of an Arrow batch lies outside the batch')
      step(body.buffer, offset, length)
    }
    next += buffersOf(type)
    if (DataType.isBinaryView(type) || DataType.isUtf8View(type)) next += variadicBufferCounts[nextView++] ?? 0
    if (!DataType.isDictionary(type)) for (const child of type.children ?? []) visit(child.type)
  }
  for (const type of types) visit(type)
  return { ...frame, pieces: [prefix, metadata, body] }
}

/** How many buffers a type has in a batch, besides those of its children. */
function buffersOf({ typeId }: DataType): number {
  switch (typeId) {
    case Type.Null:
      return 0
    case Type.Struct:
    case Type.FixedSizeList:
      return 1
    case Type.Utf8:
    case Type.LargeUtf8:
    case Type.Binary:
    case Type.LargeBinary:
      return 3
    default:
      return 2
  }
}

function secondsToMillis64(buffer: ArrayBuffer, offset: number, length: number): void {
  const values = new BigInt64Array(buffer, offset, Math.floor(length / 8))
  for (let index = 0; index < values.length; index++) {
    const millis = (values[index] as bigint) * 1000n
    // Out of range stays out of range, at the end where DuckDB keeps infinity, rather than coming back as another time.
    values[index] = millis > INT64_MAX ? INT64_MAX : millis < -INT64_MAX ? -INT64_MAX : millis
  }
}

function secondsToMillis32(buffer: ArrayBuffer, offset: number, length: number): void {
  const values = new Int32Array(buffer, offset, Math.floor(length / 4))
  for (let index = 0; index < values.length; index++) values[index] = (values[index] as number) * 1000
}

/** Days take half the room, so the second half of the buffer is left unused. */
function millisToDays(buffer: ArrayBuffer, offset: number, length: number): void {
  const millis = new BigInt64Array(buffer, offset, Math.floor(length / 8))
  const days = new Int32Array(buffer, offset, millis.length)
  for (let index = 0; index < millis.length; index++) days[index] = Math.floor(Number(millis[index]) / DAY_MS)
}

const DAY_MS = 86_400_000
const INT64_MAX = 2n ** 63n - 1n
