import { DeltaError } from '../base/errors.js'
import type { DomainMetadata } from './actions.js'
import { type MappingMode, physicalPath } from './column-mapping.js'
import { type DataType, findField, isStruct, isVoid, type StructField, type StructType } from './schema.js'
import type { FieldPath } from './schema-path.js'

const CLUSTERING_COLUMNS_MAX = 4
const DOMAIN = 'delta.clustering'

/**
 * Columns to cluster a table by, in its own letter case.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for a column that is not there or cannot be clustered by, one that is named twice, too
 * many, and any in a table that is partitioned.
 */
export function clusteringColumns(
  schema: StructType,
  paths: readonly FieldPath[],
  partitionColumns: readonly string[],
): readonly FieldPath[] {
  const found = paths.map((path) => clusteringColumn(schema, path))
  if (found.length === 0) return found
  if (partitionColumns.length > 0) throw new DeltaError('ARGUMENT_INVALID', 'a table is partitioned or clustered, not both')
  if (found.length > CLUSTERING_COLUMNS_MAX)
    throw new DeltaError('ARGUMENT_INVALID', 'a table has too many columns to be clustered by', { max: CLUSTERING_COLUMNS_MAX })
  if (new Set(found.map((path) => JSON.stringify(path))).size !== found.length)
    throw new DeltaError('ARGUMENT_INVALID', 'a column to be clustered by is named twice')
  return found
}

/**
 * The domain that says what a table is clustered by.
 *
 * @param columns logical paths; none for a table that is clustered no longer.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#clustered-table
 */
export function clusteringDomain(schema: StructType, columns: readonly FieldPath[], mapping: MappingMode): DomainMetadata {
  const physical = columns.map((path) => physicalPath(schema, path, mapping))
  return { domain: DOMAIN, configuration: JSON.stringify({ clusteringColumns: physical, domainName: DOMAIN }), removed: false }
}

/** Whether a domain says what a table is clustered by. */
export function isClustering(domain: string): boolean {
  return domain === DOMAIN
}

/** What a table is clustered by, as logical paths; a column that the schema no longer has is left out. */
export function clusteredBy(domains: Iterable<DomainMetadata>, schema: StructType, mapping: MappingMode): readonly FieldPath[] {
  const domain = [...domains].find((one) => one.domain === DOMAIN)
  if (!domain) return []
  const { clusteringColumns: paths = [] } = JSON.parse(domain.configuration) as {
    clusteringColumns?: readonly (string | readonly string[])[]
  }
  return paths.flatMap((path) => {
    const found = logicalPath(schema, typeof path === 'string' ? [path] : path, mapping)
    return found ? [found] : []
  })
}

function logicalPath(schema: StructType, physical: readonly string[], mapping: MappingMode): FieldPath | undefined {
  const [head, ...rest] = physical
  if (head === undefined) return []
  const field = schema.fields.find((one) => physicalPath({ ...schema, fields: [one] }, [one.name], mapping)[0] === head)
  if (!field) return undefined
  if (rest.length === 0) return [field.name]
  const inner = isStruct(field.type) ? logicalPath(field.type, rest, mapping) : undefined
  return inner && [field.name, ...inner]
}

function clusteringColumn(schema: StructType, path: FieldPath): FieldPath {
  let above: DataType = schema
  const found: string[] = []
  for (const name of path) {
    const inner: StructField | undefined = isStruct(above) ? findField(above, name) : undefined
    if (!inner)
      throw new DeltaError('ARGUMENT_INVALID', 'the table has no such column to be clustered by', { column: path.join('.') })
    found.push(inner.name)
    above = inner.type
  }
  if (typeof above !== 'string' || above === 'variant' || isVoid(above))
    throw new DeltaError('ARGUMENT_INVALID', 'a table cannot be clustered by arrays, maps or structs', { column: path.join('.') })
  return found
}
