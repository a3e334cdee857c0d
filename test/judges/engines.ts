// The engines that judge tables, behind one face.
import type { PeerAnswer, PeerClient, PeerReader, ReadAnswer } from '../support/peers.js'
import { readWithSpark } from '../support/peers.js'

/** An engine that reads and writes Delta tables. */
export interface Judge {
  read(uri: string, version?: number): Promise<ReadAnswer>
  /** How many rows satisfy each condition. */
  counts(uri: string, conditions: readonly string[]): Promise<number[]>
  /** Appends the rows of the table to the table. */
  double(uri: string): Promise<void>
  /** Operation names, newest first. */
  operations(uri: string): Promise<string[]>
}

/** The answer to a command that has to work. */
export function done(answer: PeerAnswer): Record<string, unknown> {
  if (!answer.ok) throw new Error(`${answer.error.condition ?? answer.error.class}: ${answer.error.message}`)
  return answer
}

/** One query for all conditions; each of its parts is planned, and skips files, by itself. */
export function countsQuery(table: string, conditions: readonly string[]): string {
  const parts = conditions.map((condition, i) => `SELECT ${i} AS i, count(*) AS n FROM ${table} WHERE ${condition}`)
  return parts.join(' UNION ALL ')
}

export function countsIn(rows: readonly Record<string, unknown>[]): number[] {
  return rows.toSorted((a, b) => Number(a['i']) - Number(b['i'])).map((row) => Number(row['n']))
}

/** The request for `counts`, to whatever reads a table as `t`. */
async function countsFrom(
  read: (sql: string, show: number) => Promise<ReadAnswer>,
  conditions: readonly string[],
): Promise<number[]> {
  const answer = await read(countsQuery('t', conditions), conditions.length)
  if (answer.error) throw new Error(answer.error.message)
  return countsIn(answer.show ?? [])
}

/** A table of this machine by its path, one in a bucket by its URI. */
export const located = (uri: string) => uri.replace(/^file:\/\//, '')

/** delta-rs, and a reader of it. What it appends comes to it through DuckDB. */
export function deltalakeJudge(reader: PeerReader, writer: PeerClient): Judge {
  return {
    read: (uri, version) => reader.read({ uri, version }),
    counts: (uri, conditions) => countsFrom((sql, show) => reader.read({ uri, sql, show }), conditions),
    double: async (uri) =>
      void done(await writer.run({ op: 'append', table: located(uri), sql: `FROM delta_scan('${located(uri)}')` })),
    operations: async (uri) => {
      const { result } = done(await writer.run({ op: 'history', table: located(uri) }))
      return (result as { operation: string }[]).map((entry) => entry.operation)
    },
  }
}

export const hadoop = (uri: string) => located(uri).replace(/^s3:/, 's3a:')
const named = (uri: string) => `delta.\`${hadoop(uri)}\``

export function sparkJudge(spark: PeerClient): Judge {
  return {
    read: (uri, version) => readWithSpark(spark, { uri: hadoop(uri), version }),
    counts: (uri, conditions) => countsFrom((sql, show) => readWithSpark(spark, { uri: hadoop(uri), sql, show }), conditions),
    double: async (uri) => void done(await spark.run({ sql: `INSERT INTO ${named(uri)} SELECT * FROM ${named(uri)}` })),
    operations: async (uri) => {
      const { rows } = done(await spark.run({ sql: `DESCRIBE HISTORY ${named(uri)}` }))
      return (rows as { operation: string }[]).map((entry) => entry.operation)
    },
  }
}
