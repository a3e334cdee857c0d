import { literal } from '../engine/sql-text.js'
import { type ProvenanceColumn, provenanceColumns } from '../protocol/provenance.js'
import { findField } from '../protocol/schema.js'
import type { InputField } from '../table/row-columns.js'
import type { Snapshot } from '../table/snapshot.js'
import type { BatchId } from './batches.js'

/** What ingest says of rows beside what their lines say. */
export interface Provenance {
  /** Columns of the table; none where it asks for none. */
  readonly columns: readonly ProvenanceColumn[]
  /** Values for them, in the engine's SQL, of rows that came in a batch, or in none. */
  valuesOf(batch: BatchId | undefined): readonly string[]
}

/** What a table asks to be kept of rows that come in now. Columns that it has no more are left out. */
export function provenanceOf({ schema, metadata }: Snapshot, nowMs: number): Provenance {
  const columns = provenanceColumns(metadata.configuration).filter((name) => findField(schema, name))
  const values = (batch: BatchId | undefined): Readonly<Record<ProvenanceColumn, string>> => ({
    producer: batch ? literal(batch.appId) : 'NULL::VARCHAR',
    sequence: `${batch ? batch.version : 'NULL'}::BIGINT`,
    received_at: `${literal(new Date(nowMs).toISOString())}::TIMESTAMPTZ`,
  })
  return {
    columns,
    valuesOf: (batch) => {
      const all = values(batch)
      return columns.map((name) => all[name])
    },
  }
}

/** Columns that lines may give: not those that ingest fills. */
export function givenFields(fields: readonly InputField[], { columns }: Provenance): readonly InputField[] {
  return columns.length === 0 ? fields : fields.filter(({ name }) => !columns.some((column) => column === name.toLowerCase()))
}
