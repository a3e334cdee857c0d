import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { type DataType, findField, isStruct, isVoid, type StructField } from '../protocol/schema.js'
import type { TableDependencies } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { type StagedFiles, type StageOptions, type StageTarget, stageFiles } from '../table/stage.js'
import { hilbertAxes, interleaved } from './curves.js'

/** A key has 63 bits for all columns together; more than 16 tell nothing that rows of one file do not share. */
const KEY_BITS = 63
const COLUMN_BITS_MAX = 16
/** Each bit of each column is a step of the engine. */
const HILBERT_BITS_MAX = 10

/** How rows are ordered: by the place of their ranks in each column on a curve through all of them. */
export interface RowOrder {
  /** Expressions over all rows that are ordered together: whole numbers of so many bits. */
  readonly ranks: readonly string[]
  readonly bits: number
  readonly curve: 'z' | 'hilbert'
}

/**
 * Bits of the rank in each column are interleaved, the highest first; on a Hilbert curve, places that follow each other are also
 * neighbours. Ranks make it independent of how values are spread; NULLs go first.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for a column that is not there, has no order, or is the same in every row of a partition.
 */
export function rowOrder(snapshot: Snapshot, columns: readonly (readonly string[])[], curve: RowOrder['curve']): RowOrder {
  const bits = Math.min(curve === 'z' ? COLUMN_BITS_MAX : HILBERT_BITS_MAX, Math.floor(KEY_BITS / columns.length))
  if (bits < 1) throw new DeltaError('ARGUMENT_INVALID', 'too many columns to be ordered by', { max: KEY_BITS })
  const ranks = columns.map(
    (path) => `(percent_rank() OVER (ORDER BY ${orderedColumn(snapshot, path)} NULLS FIRST) * ${2 ** bits - 1})::BIGINT`,
  )
  return { ranks, bits, curve }
}

function orderedColumn({ schema, partitionColumns }: Snapshot, path: readonly string[]): string {
  const column = path.join('.')
  let above: DataType = schema
  const names: string[] = []
  for (const name of path) {
    const field: StructField | undefined = isStruct(above) ? findField(above, name) : undefined
    if (!field) throw new DeltaError('ARGUMENT_INVALID', 'the table has no such column to be ordered by', { column })
    names.push(field.name)
    above = field.type
  }
  if (typeof above !== 'string' || above === 'variant' || isVoid(above))
    throw new DeltaError('ARGUMENT_INVALID', 'rows have no order by a column of this type', { column })
  if (partitionColumns.includes(names[0] ?? ''))
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'rows are ordered inside of partitions',
      { column },
      { hint: 'a partition column is the same in all of them: leave it out' },
    )
  return names.map(ident).join('.')
}

/** Writes the rows of a query in an order, into so many files of like size. */
export async function stageOrdered(
  deps: TableDependencies,
  query: string,
  { ranks, bits, curve }: RowOrder,
  files: number,
  target: StageTarget,
  options: StageOptions,
): Promise<StagedFiles> {
  const session = await deps.database.session()
  try {
    const { signal } = options
    const named = ranks.map((_, nth) => `"__rank_${nth}"`)
    const ranked = `SELECT *, ${ranks.map((rank, nth) => `${rank} AS ${named[nth]}`).join(', ')} FROM (${query})`
    const placed = curve === 'hilbert' ? hilbertAxes(ranked, named, bits) : ranked
    await session.run(
      `CREATE TEMP TABLE "__ordered" AS SELECT * EXCLUDE (${named.join(', ')}) FROM (${placed}) ORDER BY ${interleaved(named, bits)}`,
      { signal },
    )
    const [counted] = await session.rows<{ rows: bigint }>('SELECT count(*) AS rows FROM "__ordered"', { signal })
    const rows = Number(counted?.rows ?? 0)
    const each = Math.max(1, Math.ceil(rows / Math.max(1, files)))
    const staged: StagedFiles[] = []
    for (let start = 0; start < rows; start += each) {
      const part = `SELECT * FROM "__ordered" WHERE rowid >= ${start} AND rowid < ${start + each}`
      staged.push(await stageFiles(deps, session, part, target, options))
    }
    const total = (of: (one: StagedFiles) => number) => staged.reduce((sum, one) => sum + of(one), 0)
    return { adds: staged.flatMap(({ adds }) => adds), rows: total((one) => one.rows), bytes: total((one) => one.bytes) }
  } finally {
    session.close()
  }
}
