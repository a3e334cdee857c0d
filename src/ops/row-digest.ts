import { ident } from '../engine/sql-text.js'
import { mentions, type StructField } from '../protocol/schema.js'
import type { SourceFile } from '../table/file-source.js'
import { scanSql } from '../table/scan-sql.js'
import type { BornRowsContext } from './born-rows.js'

/** How many rows, and the sum of their hashes: equal for the same rows in any order, and sums of parts are that of the whole. */
export interface RowDigest {
  readonly rows: number
  readonly sum: bigint
}

export const NO_ROWS: RowDigest = { rows: 0, sum: 0n }

/** A row's hash, of all its columns. Values without an order of their own count as text. */
export function hashSql(fields: readonly StructField[]): string {
  const values = fields.map(({ name, type }) => (mentions(type, 'variant') ? `${ident(name)}::VARCHAR` : ident(name)))
  return `hash(${values.join(', ')})`
}

/** Every row of some files, read under the columns of the context's version. */
export async function digestFiles(context: BornRowsContext, files: readonly SourceFile[]): Promise<RowDigest> {
  const { table, source, snapshot, signal } = context
  if (files.length === 0) return NO_ROWS
  const { schema, partitionColumns, mapping } = snapshot
  const held = await source.open(table.deps.store, files, snapshot, undefined, { signal })
  try {
    const scan = scanSql({ fields: schema.fields, partitionColumns, mapping }, held.files)
    const engine = table.deps.engineFor(files.reduce((sum, file) => sum + file.sizeBytes, 0))
    return toDigest(
      await engine.rows(`SELECT count(*) AS rows, sum(${hashSql(schema.fields)}) AS sum FROM (${scan})`, { signal }),
    )
  } finally {
    held.release()
  }
}

/** Of the one row of an aggregate: `rows`, and `sum`, NULL for no rows. */
export function toDigest([found]: readonly { readonly rows: bigint; readonly sum: bigint | null }[]): RowDigest {
  return { rows: Number(found?.rows ?? 0), sum: found?.sum ?? 0n }
}

export function plus(a: RowDigest, b: RowDigest): RowDigest {
  return { rows: a.rows + b.rows, sum: a.sum + b.sum }
}

export function minus(a: RowDigest, b: RowDigest): RowDigest {
  return { rows: a.rows - b.rows, sum: a.sum - b.sum }
}

export function isSame(a: RowDigest, b: RowDigest): boolean {
  return a.rows === b.rows && a.sum === b.sum
}

/** 16 hexadecimal digits: the sum modulo 2^64. */
export function hashText({ sum }: RowDigest): string {
  return BigInt.asUintN(64, sum).toString(16).padStart(16, '0')
}
