import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { type DataType, findField, isStruct, type StructField } from '../protocol/schema.js'
import type { TableDependencies } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'
import { type StagedFiles, type StageOptions, type StageTarget, stageFiles } from '../table/stage.js'

/** A key has 63 bits for all columns together; more than 16 tell nothing that rows of one file do not share. */
const KEY_BITS = 63
const COLUMN_BITS_MAX = 16

/** How rows are ordered: the rank of each row in each column, and a key over these. */
export interface ZOrder {
  /** Expressions over all rows that are ordered together. */
  readonly ranks: readonly string[]
  /** An expression over the columns `"__rank_0"`, `"__rank_1"` and so on. */
  readonly key: string
}

/**
 * The place of a row on the Z curve through the ranks of its values: bits of the rank in each column, interleaved, the
 * highest first. Ranks make it independent of how values are spread; NULLs go first.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for a column that is not there, has no order, or is the same in every row of a partition.
 */
export function zorder(snapshot: Snapshot, columns: readonly (readonly string[])[]): ZOrder {
  const bits = Math.min(COLUMN_BITS_MAX, Math.floor(KEY_BITS / columns.length))
  if (bits < 1) throw new DeltaError('ARGUMENT_INVALID', 'too many columns to be ordered by', { max: KEY_BITS })
  const ranks = columns.map((path) => {
    const value = orderedColumn(snapshot, path)
    return `(percent_rank() OVER (ORDER BY ${value} NULLS FIRST) * ${2 ** bits - 1})::BIGINT`
  })
  const terms = Array.from({ length: bits }, (_, bit) =>
    ranks.map((_, nth) => `((("__rank_${nth}" >> ${bit}) & 1) << ${bit * columns.length + (columns.length - 1 - nth)})`),
  )
  return { ranks, key: terms.flat().join(' | ') }
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
  if (typeof above !== 'string' || above === 'variant' || above === 'void')
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
  { ranks, key }: ZOrder,
  files: number,
  target: StageTarget,
  options: StageOptions,
): Promise<StagedFiles> {
  const session = await deps.database.session()
  try {
    const { signal } = options
    const named = ranks.map((_, nth) => `"__rank_${nth}"`)
    const ranked = `SELECT *, ${ranks.map((rank, nth) => `${rank} AS ${named[nth]}`).join(', ')} FROM (${query})`
    await session.run(
      `CREATE TEMP TABLE "__ordered" AS SELECT * EXCLUDE (${named.join(', ')}) FROM (${ranked}) ORDER BY ${key}`,
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
