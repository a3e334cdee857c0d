import type { StructField, StructType } from './schema.js'

/** How a column numbers rows: `start + k * step`, each number once. @see PROTOCOL.md#identity-columns */
export interface IdentityColumn {
  readonly name: string
  readonly start: bigint
  readonly step: bigint
  /** Numbers up to here, in the direction of `step`, may have been given out; none were without it. */
  readonly highWaterMark: bigint | undefined
  /** Whether rows may bring numbers of their own. */
  readonly allowExplicitInsert: boolean
}

/** New high-water marks, by column. */
export type IdentityMarks = ReadonlyMap<string, bigint>

const KEY = 'delta.identity.'
const MARK = `${KEY}highWaterMark`
const LONG_MAX = 2n ** 63n - 1n

/** The metadata of a new column that numbers rows. */
export function identityMetadata({
  start,
  step,
  allowExplicitInsert,
}: Pick<IdentityColumn, 'start' | 'step' | 'allowExplicitInsert'>): StructField['metadata'] {
  return {
    [`${KEY}start`]: plain(start),
    [`${KEY}step`]: plain(step),
    [`${KEY}allowExplicitInsert`]: allowExplicitInsert,
  }
}

export function identityOf({ name, metadata = {} }: StructField): IdentityColumn | undefined {
  const of = (key: string) => {
    const value = metadata[key]
    return typeof value === 'bigint' || Number.isSafeInteger(value) ? BigInt(value as bigint | number) : undefined
  }
  const [start, step] = [of(`${KEY}start`), of(`${KEY}step`)]
  if (start === undefined || step === undefined) return undefined
  return { name, start, step, highWaterMark: of(MARK), allowExplicitInsert: metadata[`${KEY}allowExplicitInsert`] === true }
}

export function identityColumns({ fields }: StructType): readonly IdentityColumn[] {
  return fields.flatMap((f) => identityOf(f) ?? [])
}

/** The first number beyond a mark, on the column's own grid. It may lie beyond what a `long` holds. */
export function nextNumber({ start, step, highWaterMark }: IdentityColumn): bigint {
  if (highWaterMark === undefined) return start
  const distance = highWaterMark - start
  return distance * step < 0n ? start : start + (distance / step + 1n) * step
}

/**
 * The mark after SYNC IDENTITY: so far that the numbers which rows have already do not come again.
 *
 * @param farthest the largest value of the column, or the smallest where it counts down; `undefined` for no rows.
 * @returns `undefined` where none is needed yet.
 */
export function syncedMark(column: IdentityColumn, farthest: bigint | undefined): bigint | undefined {
  const { start, step, highWaterMark } = column
  if (farthest === undefined || (farthest - start) * step < 0n) return highWaterMark
  const distance = farthest - start
  const onGrid = start + ((distance + step - (step > 0n ? 1n : -1n)) / step) * step
  return highWaterMark !== undefined && (highWaterMark - onGrid) * step > 0n ? highWaterMark : onGrid
}

export function isLong(value: bigint): boolean {
  return value <= LONG_MAX && value >= -LONG_MAX - 1n
}

export function withIdentityMarks(schema: StructType, marks: IdentityMarks): StructType {
  const fields = schema.fields.map((f) => {
    const mark = marks.get(f.name)
    return mark === undefined ? f : { ...f, metadata: { ...f.metadata, [MARK]: plain(mark) } }
  })
  return { ...schema, fields }
}

/** A schema as the log writes it, without its marks: what is left changes only when somebody changes the table. */
export function withoutIdentityMarks(schemaString: string): string {
  return schemaString.replace(/,"delta\.identity\.highWaterMark":-?\d+|(?<!\\)"delta\.identity\.highWaterMark":-?\d+,?/g, '')
}

/** As JSON's numbers are read, where that loses nothing. */
function plain(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
