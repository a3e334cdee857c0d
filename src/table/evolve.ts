import { DeltaError } from '../base/errors.js'
import { checkWritable } from '../protocol/features.js'
import { protocolFor } from '../protocol/protocol-for.js'
import { parseSchema, type StructType } from '../protocol/schema.js'
import { mergeSchemas, overwriteSchema } from '../protocol/schema-merge.js'
import { withSchema } from '../protocol/schema-metadata.js'
import type { DeltaTable } from './delta-table.js'
import type { Snapshot } from './snapshot.js'

/** `merge`: columns that a table lacks are added; `overwrite`: its columns become those of the rows. */
export type SchemaEvolution = 'merge' | 'overwrite'

/**
 * A snapshot of a table as it is once its schema takes rows of another: its files are the same, and what is written for it commits
 * with the schema. The snapshot itself when the schema takes them already.
 *
 * @throws {DeltaError} `SCHEMA_MISMATCH` for a column of two types, or a partition column that would go; `FEATURE_UNSUPPORTED`.
 */
export function evolvedFor({ deps }: DeltaTable, snapshot: Snapshot, incoming: StructType, evolution: SchemaEvolution): Snapshot {
  const { schema, metadata, mapping, properties, partitionColumns } = snapshot
  const wanted =
    evolution === 'merge'
      ? mergeSchemas(schema, incoming, { widen: properties.typeWidening, cast: true })
      : overwriteSchema(schema, incoming)
  const lost = partitionColumns.find((name) => !wanted.fields.some((f) => f.name === name))
  if (lost !== undefined)
    throw new DeltaError(
      'SCHEMA_MISMATCH',
      'the table is partitioned by a column that the rows do not have',
      { column: lost },
      { hint: 'CREATE OR REPLACE TABLE … AS SELECT … gives a table other partitions' },
    )
  if (JSON.stringify(wanted) === JSON.stringify(schema)) return snapshot
  const after = withSchema(metadata, wanted, mapping, () => `col-${deps.random.uuid()}`)
  const protocol = protocolFor(parseSchema(after.schemaString), after.configuration, {}, snapshot.protocol)
  checkWritable(protocol, after)
  return snapshot.evolved(protocol, after)
}
