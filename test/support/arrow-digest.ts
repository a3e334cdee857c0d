import { type Data, DataType, type RecordBatch, type Table } from 'apache-arrow'
import { canonical, type DeltaType, type DeltaValue, digestOfRendered } from './digest.js'

/** The digest of what a query gave as Arrow: equals a peer's when both saw the same rows. */
export function digestOfArrow(result: Table | Iterable<RecordBatch>): string {
  const rows: string[] = []
  for (const batch of 'batches' in result ? result.batches : result) {
    const type = deltaTypeOf(batch.data.type)
    for (let row = 0; row < batch.numRows; row++) rows.push(canonical(type, cellOf(batch.data, row)))
  }
  return digestOfRendered(rows)
}

function deltaTypeOf(type: DataType): DeltaType {
  if (DataType.isDictionary(type)) return deltaTypeOf(type.dictionary as DataType)
  if (DataType.isStruct(type)) {
    return { type: 'struct', fields: type.children.map((field) => ({ name: field.name, type: deltaTypeOf(field.type) })) }
  }
  if (DataType.isList(type) || DataType.isFixedSizeList(type))
    return { type: 'array', elementType: deltaTypeOf(childOf(type, 0)) }
  if (DataType.isMap(type)) {
    const entry = childOf(type, 0)
    return { type: 'map', keyType: deltaTypeOf(childOf(entry, 0)), valueType: deltaTypeOf(childOf(entry, 1)) }
  }
  if (DataType.isFloat(type)) return 'double'
  if (DataType.isDecimal(type)) return `decimal(${type.precision},${type.scale})`
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) return 'string'
  if (DataType.isBinary(type) || DataType.isLargeBinary(type) || DataType.isFixedSizeBinary(type)) return 'binary'
  return DataType.isBool(type) ? 'boolean' : 'long'
}

function childOf(type: DataType, index: number): DataType {
  const child = (type.children as readonly { readonly type: DataType }[] | null)?.[index]
  if (!child) throw new TypeError(`Arrow type ${type} has no child ${index}`)
  return child.type
}

/** Arrow's own getters round times to milliseconds, so values are read from the buffers. */
function cellOf(data: Data, index: number): DeltaValue {
  if (!data.getValid(index)) return null
  const { type } = data
  if (DataType.isDictionary(type)) return dictionaryValue(data, Number(data.values[index]))
  if (DataType.isStruct(type)) {
    return Object.fromEntries(type.children.map((field, i) => [field.name, cellOf(child(data, i), index)]))
  }
  if (DataType.isList(type)) return slice(child(data, 0), data.valueOffsets[index], data.valueOffsets[index + 1])
  if (DataType.isFixedSizeList(type)) return slice(child(data, 0), index * type.listSize, (index + 1) * type.listSize)
  if (DataType.isMap(type)) return mapOf(data, index)
  if (DataType.isBool(type))
    return (((data.values as Uint8Array)[(data.offset + index) >> 3] ?? 0) & (1 << ((data.offset + index) & 7))) !== 0
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type)) return Buffer.from(bytesOf(data, index)).toString()
  if (DataType.isBinary(type) || DataType.isLargeBinary(type)) return bytesOf(data, index)
  if (DataType.isFixedSizeBinary(type)) return data.values.subarray(index * type.byteWidth, (index + 1) * type.byteWidth)
  if (DataType.isDecimal(type)) return decimal(data.values as Uint32Array, index, type.bitWidth / 32, type.scale)
  if (DataType.isTimestamp(type)) return micros(data.values[index] as bigint, type.unit)
  if (DataType.isDate(type)) return type.unit === 0 ? (data.values[index] as number) : Number(data.values[index]) / 86_400_000
  if (DataType.isInt(type) || DataType.isFloat(type)) return data.values[index] as number | bigint
  if (DataType.isNull(type)) return null
  throw new TypeError(`no canonical form for Arrow type ${type}`)
}

function child(data: Data, index: number): Data {
  const found = (data.children as readonly Data[])[index]
  if (!found) throw new TypeError(`Arrow data of type ${data.type} has no child ${index}`)
  return found
}

function slice(data: Data, from: number | bigint, toExclusive: number | bigint): DeltaValue[] {
  const start = Number(from)
  return Array.from({ length: Number(toExclusive) - start }, (_, i) => cellOf(data, start + i))
}

function mapOf(data: Data, index: number): Map<DeltaValue, DeltaValue> {
  const entries = child(data, 0)
  const from = Number(data.valueOffsets[index])
  const pairs = Array.from({ length: Number(data.valueOffsets[index + 1]) - from }, (_, i): [DeltaValue, DeltaValue] => {
    return [cellOf(child(entries, 0), from + i), cellOf(child(entries, 1), from + i)]
  })
  return new Map(pairs)
}

function dictionaryValue(data: Data, key: number): DeltaValue {
  let index = key
  for (const chunk of data.dictionary?.data ?? []) {
    if (index < chunk.length) return cellOf(chunk as Data, index)
    index -= chunk.length
  }
  throw new RangeError(`dictionary has no entry ${key}`)
}

function bytesOf(data: Data, index: number): Uint8Array {
  return (data.values as Uint8Array).subarray(Number(data.valueOffsets[index]), Number(data.valueOffsets[index + 1]))
}

function decimal(words: Uint32Array, index: number, width: number, scale: number): string {
  let unscaled = 0n
  for (let word = width - 1; word >= 0; word--) unscaled = (unscaled << 32n) | BigInt(words[index * width + word] ?? 0)
  unscaled = BigInt.asIntN(width * 32, unscaled)
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  const text = scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  return unscaled < 0n ? `-${text}` : text
}

const MICROS_PER = [1_000_000n, 1_000n, 1n]

/** `unit` counts from seconds (0) to nanoseconds (3), which lose what is below a microsecond, towards zero, as Arrow casts. */
function micros(value: bigint, unit: number): bigint {
  const factor = MICROS_PER[unit]
  return factor === undefined ? value / 1000n : value * factor
}
