import type { Database } from '../engine/database.js'
import { ident, literal } from '../engine/sql-text.js'
import { FilesRelation, hasBounds } from '../log/files-relation.js'
import type { TableLog } from '../log/table-log.js'
import { physicalName } from '../protocol/column-mapping.js'
import { charLength, type StructField } from '../protocol/schema.js'
import { type ScanFile, scanSql } from '../table/scan-sql.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'

/** A promise of the log or of a file that does not hold. */
export interface FsckProblem {
  /** Which promise. */
  readonly check:
    | 'checkpoint'
    | 'checksum'
    | 'deletionVector'
    | 'footer'
    | 'missing'
    | 'notNull'
    | 'partitionValue'
    | 'rows'
    | 'size'
    | 'statistics'
  /** Relative to the table where it lies inside; a problem of the whole table names its log. */
  readonly file: string
  readonly detail: string
}

/**
 * What the rows of a file say against what the log says of them: as many are left as its deletion vector leaves, every
 * value lies within the bounds, NULLs are counted and only where the table takes them. Only top-level columns have their bounds compared.
 */
export async function rowProblems(
  database: Database,
  log: TableLog,
  snapshot: Snapshot,
  file: SnapshotFile,
  local: ScanFile,
  physicalRows: number,
  signal: AbortSignal | undefined,
): Promise<readonly FsckProblem[]> {
  const { mapping, partitionColumns, schema } = snapshot
  const fields = schema.fields.filter((field) => !partitionColumns.includes(field.name))
  const measured = fields.map((field, at) => ({ field, at, stat: ident(physicalName(field, mapping)) }))
  const bounded = measured.filter(({ field }) => hasBounds(field.type) && charLength(field) === undefined)
  const counted = fields.length === 0 ? 'count(*) AS n' : ['count(*) AS n', ...measured.flatMap(measures)].join(', ')
  const isWhole = file.deletionVector === undefined
  const rowsLeft = physicalRows - (file.deletionVector?.cardinality ?? 0)
  const checks = [
    problem('deletionVector', `n <> ${rowsLeft}`, `n || ' rows are left, and ${rowsLeft} by the deletion vector'`),
    ...bounded.flatMap(({ field, at, stat }) => [
      problem('statistics', `stat."minValues".${stat} > low_${at}`, `${literal(field.name)} || ' has a value below its minimum'`),
      problem(
        'statistics',
        `${upper(field, `stat."maxValues".${stat}`)} < high_${at}`,
        `${literal(field.name)} || ' has a value above its maximum'`,
      ),
    ]),
    ...measured
      .filter(({ field }) => isWhole && typeof field.type === 'string')
      .map(({ field, at, stat }) =>
        problem(
          'statistics',
          `coalesce(stat."tightBounds", true) AND stat."nullCount".${stat} <> nulls_${at}`,
          `${literal(field.name)} || ' has ' || nulls_${at} || ' NULLs, and ' || stat."nullCount".${stat} || ' by its statistics'`,
        ),
      ),
    ...measured
      .filter(({ field }) => !field.nullable && typeof field.type === 'string')
      .map(({ field, at }) =>
        problem('notNull', `nulls_${at} > 0`, `${literal(field.name)} || ' takes no NULL, and has ' || nulls_${at}`),
      ),
  ]
  const { name } = await log.files()
  const known = `FROM ${ident(name)} WHERE ${FilesRelation.liveAt(snapshot.version)} AND file = ${literal(file.file)} LIMIT 1`
  const query =
    `WITH found AS (SELECT ${counted} FROM (${scanSql({ fields, partitionColumns, mapping }, [local])})), ` +
    `said AS (SELECT stat ${known}) ` +
    `SELECT p."check", p.detail FROM (SELECT unnest([${checks.join(', ')}]) AS p FROM found, said) WHERE p IS NOT NULL`
  const rows = await database.rows<Pick<FsckProblem, 'check' | 'detail'>>(query, { signal })
  return rows.map(({ check, detail }) => ({ check, file: file.file, detail }))
}

function measures({ field, at }: { readonly field: StructField; readonly at: number }): string[] {
  const column = ident(field.name)
  const nulls = `count(*) - count(${column}) AS nulls_${at}`
  if (!hasBounds(field.type)) return [nulls]
  // Writers disagree on whether bounds cover NaN.
  const of = field.type === 'float' || field.type === 'double' ? ` FILTER (NOT isnan(${column}))` : ''
  return [nulls, `min(${column})${of} AS low_${at}`, `max(${column})${of} AS high_${at}`]
}

/** Statistics cut instants to milliseconds. */
function upper({ type }: StructField, value: string): string {
  return type === 'timestamp' || type === 'timestamp_ntz' ? `${value} + INTERVAL 1 MILLISECOND` : value
}

function problem(check: FsckProblem['check'], condition: string, detail: string): string {
  return `CASE WHEN ${condition} THEN {'check': ${literal(check)}, 'detail': ${detail}} END`
}
