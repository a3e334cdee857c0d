import type { RejectedLine } from '../ingest/staging.js'
import { field } from '../protocol/schema.js'

export type RejectsSource = readonly RejectedLine[]

/** The columns of a table of lines that were not taken. */
export const REJECTS_FIELDS = [
  field('received_at', 'timestamp'),
  field('source', 'string'),
  field('line', 'long'),
  field('reason', 'string'),
  field('raw', 'string'),
]

export function rejectsTableName(table: string): string {
  return `${table}__rejects`
}

/** Rejected lines as rows of that table. They are few: at most the bound on broken lines of one load. */
export function rejectsNdjson(rejects: RejectsSource, source: string, receivedAtMs: number): Uint8Array {
  const received_at = new Date(receivedAtMs).toISOString()
  return Buffer.from(
    rejects.map(({ line, reason, raw }) => `${JSON.stringify({ received_at, source, line, reason, raw })}\n`).join(''),
  )
}
