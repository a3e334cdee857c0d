import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { identityOf, syncedMark } from '../protocol/identity.js'
import { findField } from '../protocol/schema.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { withMarks } from '../table/row-numbers.js'
import { scanSql } from '../table/scan-sql.js'

/**
 * ALTER TABLE … ALTER COLUMN … SYNC IDENTITY: numbers go on beyond those that rows brought themselves.
 *
 * @returns the version that holds the outcome: the newest one when there was nothing to do.
 * @throws {DeltaError} `SCHEMA_MISMATCH` for a column that is not there or numbers no rows, `COMMIT_CONFLICT` when rows came
 * in meanwhile.
 */
export async function syncIdentity(
  table: DeltaTable,
  source: FileSource,
  column: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<{ readonly version: number }> {
  const transaction = await table.transaction(undefined, options)
  const { snapshot } = transaction
  const field = findField(snapshot.schema, column)
  const identity = field && identityOf(field)
  if (!identity) throw new DeltaError('SCHEMA_MISMATCH', 'the table numbers no rows in such a column', { column })
  const { files } = await snapshot.files('TRUE', options)
  const { name, step, highWaterMark } = identity
  const held = await source.open(table.deps.store, files, snapshot, new Set([name.toLowerCase()]), options)
  try {
    const shape = { fields: [field], partitionColumns: [], mapping: snapshot.mapping }
    const [found] = await table.deps.database.rows<{ farthest: bigint | null }>(
      `SELECT ${step > 0n ? 'max' : 'min'}(${ident(name)}) AS farthest FROM (${scanSql(shape, held.files)})`,
      options,
    )
    const mark = syncedMark(identity, found?.farthest ?? undefined)
    if (mark === undefined || mark === highWaterMark) return { version: snapshot.version }
    const outcome = await transaction
      .readWhole()
      .setMetadata(withMarks(snapshot.metadata, new Map([[name, mark]])))
      .describe({ name: 'CHANGE COLUMN', parameters: { column: JSON.stringify({ name, type: 'long' }) } })
      .commit(options)
    if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
    return { version: outcome.version }
  } finally {
    held.release()
  }
}
