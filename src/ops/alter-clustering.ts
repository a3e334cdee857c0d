import type { DomainMetadata } from '../protocol/actions.js'
import { clusteredBy, clusteringColumns, clusteringDomain } from '../protocol/clustering.js'
import { type FieldPath, pathText } from '../protocol/schema-path.js'
import type { Snapshot } from '../table/snapshot.js'
import type { Alteration } from './alter.js'

/**
 * CLUSTER BY: files from now on are to be clustered by these columns; none for NONE.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`, as `clusteringColumns`.
 */
export function clusteringBy(snapshot: Snapshot, domains: readonly DomainMetadata[], paths: readonly FieldPath[]): Alteration {
  const { schema, mapping, partitionColumns, metadata } = snapshot
  const columns = clusteringColumns(schema, paths, partitionColumns)
  const before = clusteredBy(domains, schema, mapping)
  return {
    metadata,
    request: columns.length > 0 ? { features: ['clustering'] } : {},
    domains: columns.length + before.length > 0 ? [clusteringDomain(schema, columns, mapping)] : [],
    operation: {
      name: 'CLUSTER BY',
      parameters: {
        oldClusteringColumns: before.map(pathText).join(','),
        newClusteringColumns: columns.map(pathText).join(','),
      },
    },
  }
}
