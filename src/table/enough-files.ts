import { ident } from '../engine/sql-text.js'
import { FilesRelation, LIVE_ROWS } from '../log/files-relation.js'

/** The first rows of a table, or any. Conditions and expressions are over the files relation. */
export interface RowsWanted {
  readonly count: number
  /** True only for files each row of which counts. */
  readonly always: string
  /** Without it, rows come in the order of their files. */
  readonly order: WantedOrder | undefined
}

export interface WantedOrder {
  /** What every value of the file lies between that is not NULL, both included. */
  readonly low: string
  readonly high: string
  /** How many values are NULL; NULL where that is not known. */
  readonly nulls: string
  readonly isDescending: boolean
  readonly nullsFirst: boolean
}

/**
 * A condition over the files relation that is false only for files which hold none of the wanted rows, as others hold enough: rows
 * that tie with the last of them are wanted too.
 *
 * @param kept the condition of the files that there are to choose from.
 */
export function enoughFiles(relation: string, version: number, kept: string, { count, always, order }: RowsWanted): string {
  const files = `FROM ${ident(relation)} WHERE ${FilesRelation.liveAt(version)} AND (${kept})`
  if (!order) {
    const before =
      `SELECT rowid AS id, sum(CASE WHEN ${always} THEN coalesce(${LIVE_ROWS}, 0) ELSE 0 END) ` +
      `OVER (ORDER BY added_at, rowid ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS "rows" ${files}`
    return `rowid IN (SELECT id FROM (${before}) WHERE coalesce("rows", 0) < ${count})`
  }
  const { low, high, nulls, isDescending, nullsFirst } = order
  // The end of a file behind which none of its values lies, and the end before which none does.
  const [last, first] = isDescending ? [low, high] : [high, low]
  const certain = `CASE WHEN ${last} IS NOT NULL AND ${always} THEN coalesce(${notNull(nulls)}, 0) ELSE 0 END`
  const within = `SELECT ${last} AS bound, sum(${certain}) OVER (ORDER BY ${last} ${isDescending ? 'DESC' : 'ASC'} NULLS LAST) AS "rows" ${files}`
  // So many rows come no later than this value.
  const bound = `(SELECT ${isDescending ? 'max' : 'min'}(bound) FROM (${within}) WHERE "rows" >= ${count})`
  const isBehind = `${first} ${isDescending ? '<' : '>'} ${bound}`
  return nullsFirst
    ? `NOT coalesce(${isBehind} AND ${nulls} = 0, FALSE)`
    : `NOT coalesce(${isBehind}, ${nulls} = stat."numRecords" AND ${bound} IS NOT NULL, FALSE)`
}

/** A count of NULLs between none and all need not hold for a file that lost rows. */
export function notNull(nulls: string): string {
  return (
    `CASE WHEN ${nulls} = 0 THEN ${LIVE_ROWS} WHEN ${nulls} = stat."numRecords" THEN 0 ` +
    `WHEN dv_id IS NULL THEN stat."numRecords" - ${nulls} END`
  )
}
