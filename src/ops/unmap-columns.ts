import { assert } from '../base/errors.js'
import type { AddFile } from '../protocol/actions.js'
import { clusteredBy, clusteringDomain } from '../protocol/clustering.js'
import { MAPPING_MODE, MAX_COLUMN_ID } from '../protocol/column-mapping.js'
import { parseSchema } from '../protocol/schema.js'
import { checkColumnNames } from '../protocol/schema-change.js'
import { withoutFieldKeys } from '../protocol/schema-metadata.js'
import type { StoreOptions } from '../storage/store.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import { scanSql } from '../table/scan-sql.js'
import { stageFiles } from '../table/stage.js'
import { tombstoneOf } from '../table/tombstone.js'
import { planRewrite } from './compaction-plan.js'
import { keptRowIds } from './kept-row-ids.js'

const KEYS = ['delta.columnMapping.id', 'delta.columnMapping.physicalName', 'delta.columnMapping.nested.ids']

/**
 * Writes a table's files anew under the names that its columns have, so that it needs no column mapping, in one commit that
 * changes no row.
 *
 * @returns false when it has none.
 * @throws {DeltaError} `ARGUMENT_INVALID` for a name that files cannot have; `COMMIT_CONFLICT` when others changed the table.
 */
export async function unmapColumns(table: DeltaTable, source: FileSource, options: StoreOptions = {}): Promise<boolean> {
  const transaction = await table.transaction(undefined, options)
  const { snapshot } = transaction
  if (snapshot.mapping === 'none') return false
  checkColumnNames(snapshot.schema, 'none')
  const { [MAPPING_MODE]: _mode, [MAX_COLUMN_ID]: _max, ...configuration } = snapshot.metadata.configuration
  const metadata = { ...withoutFieldKeys(snapshot.metadata, KEYS), configuration }
  const { files } = await snapshot.files('TRUE', options)
  const { shape, columns } = keptRowIds(snapshot)
  const { target } = keptRowIds(snapshot.evolved(snapshot.protocol, metadata))
  const adds: AddFile[] = []
  for (const inputs of planRewrite(
    files.map((file) => ({ ...file, deletedShare: 0 })),
    snapshot.properties.targetFileSizeBytes,
  )) {
    const held = await source.open(table.deps.store, inputs, snapshot, undefined, options)
    try {
      const query = `SELECT ${['*', ...columns(true)].join(', ')} FROM (${scanSql(shape, held.files)})`
      const staged = await table.deps.database.use((connection) =>
        stageFiles(table.deps, connection, query, target, { ...options, dataChange: false }),
      )
      const known = inputs.every(({ rows }) => rows !== undefined)
      const rows = inputs.reduce((sum, file) => sum + (file.rows ?? 0), 0)
      assert(!known || rows === staged.rows, `column mapping goes without a row: ${rows} before, ${staged.rows} after`)
      adds.push(...staged.adds)
    } finally {
      held.release()
    }
  }
  const clustered = clusteredBy((await table.known()).domainMetadata(), snapshot.schema, snapshot.mapping)
  if (clustered.length > 0) transaction.setDomain(clusteringDomain(parseSchema(metadata.schemaString), clustered, 'none'))
  const outcome = await transaction
    .readWhole()
    .remove(files.map((file) => tombstoneOf(file, table.deps.clock.now(), false)))
    .add(adds)
    .setMetadata(metadata)
    .describe({
      name: 'REMOVE COLUMN MAPPING',
      metrics: { numOutputBytes: adds.reduce((sum, { size }) => sum + size, 0) },
      keepsRowIds: snapshot.properties.rowTracking ? true : undefined,
    })
    .commit(options)
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
  return true
}
