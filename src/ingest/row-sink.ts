import { isDeltaError } from '../base/errors.js'
import type { StructField } from '../protocol/schema.js'
import type { SpooledBody } from './body.js'
import type { InputFormat } from './formats.js'
import type { IngestResult } from './group-read.js'

/** Rows between two places of a source, which a table takes together with the place where they end. */
export interface SourceBatch {
  /** The source's name in the table's log, under which its place stands there. */
  readonly appId: string
  /** The source's place in the table before these rows; -1 for none. */
  readonly after: number
  /** The place after them: greater. */
  readonly version: number
  readonly format: InputFormat
  readonly body: SpooledBody
  /** What people call the source where lines of it are rejected. */
  readonly name: string
  /** Columns whose types a new table does not get from the rows. */
  readonly fields?: readonly StructField[] | undefined
}

/** How far a source is in a table. */
export interface SourcePlace {
  /** The place after its last rows in the table; -1 for none. */
  readonly version: number
  /**
   * The place up to which its rejected lines are kept, where that is further: a batch was broken off between its rejects and
   * its rows. The next one ends here too, so that no rejected line is kept twice.
   */
  readonly rejectsVersion?: number | undefined
}

/** A table as sources see it. Rows and place are one commit, so whatever is broken off is neither lost nor doubled. */
export interface RowSink {
  /** The places of all sources whose names begin in one of these ways, at the newest version of the table. */
  places(...prefixes: readonly string[]): Promise<Map<string, SourcePlace>>
  /**
   * Batches that are given at one time share a commit.
   *
   * @throws {DeltaError} `SEQUENCE_OUT_OF_ORDER` when the source's place in the table is not `after`, and what
   * `GroupCommit.ingest` throws.
   */
  take(batch: SourceBatch): Promise<IngestResult>
}

/** Whether a source had better try again, from the place that the table tells: a lost race, or storage that does not answer. */
export function isPassing(error: unknown): boolean {
  if (!isDeltaError(error)) return false
  return error.kind === 'conflict' || error.code === 'TOO_BUSY' || (error.kind === 'unavailable' && error.code !== 'CLOSED')
}
