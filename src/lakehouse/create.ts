import { DeltaError } from '../base/errors.js'
import type { Action, Metadata, Protocol } from '../protocol/actions.js'
import { checkWritable } from '../protocol/features.js'
import { canonicalProperties, checkNewProperties, tableProperties } from '../protocol/properties.js'
import { protocolFor, splitRequest } from '../protocol/protocol-for.js'
import { checkNames, field, findField, type StructField, type StructType } from '../protocol/schema.js'
import { parseType } from '../protocol/type-text.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { StageTarget } from '../table/stage.js'
import { commitInfoOf, type Operation } from '../table/transaction.js'
import type { ColumnDefinition } from './options.js'

export interface TableDesign {
  readonly fields: readonly StructField[]
  readonly partitionBy?: readonly string[] | undefined
  readonly properties?: Readonly<Record<string, string>> | undefined
  readonly comment?: string | undefined
}

/** A design that has been checked. */
export interface CheckedDesign extends StageTarget {
  readonly comment: string | undefined
  readonly configuration: Readonly<Record<string, string>>
  readonly protocol: Protocol
}

const FORBIDDEN_IN_NAMES = /[ ,;{}()\n\t=]/

/**
 * Checks what a new table is to be.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`, `TYPE_UNSUPPORTED`, `FEATURE_UNSUPPORTED`.
 */
export function checkDesign(design: TableDesign): CheckedDesign {
  const { fields } = design
  const { configuration, request } = splitRequest(canonicalProperties(design.properties ?? {}))
  if (fields.length === 0) throw new DeltaError('ARGUMENT_INVALID', 'a table has at least one column')
  checkNames(fields, 'ARGUMENT_INVALID')
  for (const { name } of fields)
    if (name === '' || FORBIDDEN_IN_NAMES.test(name))
      throw new DeltaError(
        'ARGUMENT_INVALID',
        'a column name is empty or holds one of space , ; { } ( ) = or a line break',
        { column: name },
        {
          hint: 'such names need column mapping, which this table does not have: choose another name',
        },
      )
  for (const { name, nullable, type } of fields)
    if (!nullable && typeof type !== 'string')
      throw new DeltaError('FEATURE_UNSUPPORTED', 'deltaic does not keep NOT NULL on arrays, maps and structs', { column: name })
  checkNewProperties(configuration)
  const schema: StructType = { type: 'struct', fields }
  const partitionColumns = (design.partitionBy ?? []).map((name) => partitionColumn(schema, name))
  if (new Set(partitionColumns).size !== partitionColumns.length)
    throw new DeltaError('ARGUMENT_INVALID', 'a partition column is named twice')
  if (partitionColumns.length === fields.length)
    throw new DeltaError('ARGUMENT_INVALID', 'a table has at least one column that it is not partitioned by')
  return {
    schema,
    partitionColumns,
    properties: tableProperties(configuration),
    comment: design.comment,
    configuration,
    protocol: protocolFor(schema, configuration, request),
  }
}

/**
 * Writes version 0 of a table, with rows that are durable already where there are any.
 *
 * @returns false when there is a table already.
 */
export async function createDeltaTable(
  table: DeltaTable,
  design: CheckedDesign,
  operation: Operation,
  files: readonly Action[] = [],
  signal?: AbortSignal,
): Promise<boolean> {
  const { clock, random } = table.deps
  const metadata: Metadata = {
    id: random.uuid(),
    ...(design.comment === undefined ? {} : { description: design.comment }),
    format: { provider: 'parquet', options: {} },
    schemaString: JSON.stringify(design.schema),
    partitionColumns: design.partitionColumns,
    createdTime: clock.now(),
    configuration: design.configuration,
  }
  const described = {
    ...operation,
    parameters: {
      isManaged: 'false',
      description: design.comment ?? '',
      partitionBy: JSON.stringify(design.partitionColumns),
      properties: JSON.stringify(design.configuration),
    },
  }
  checkWritable(design.protocol, metadata)
  const commitInfo = commitInfoOf(table, described, { isBlindAppend: true })
  return table.create(design.protocol, metadata, [{ commitInfo }, ...files], { signal })
}

export function fieldOf(column: ColumnDefinition): StructField {
  return field(
    column.name,
    parseType(column.type),
    column.nullable ?? true,
    column.comment === undefined ? {} : { comment: column.comment },
  )
}

function partitionColumn(schema: StructType, name: string): string {
  const found = findField(schema, name)
  if (!found) throw new DeltaError('ARGUMENT_INVALID', 'the table has no such column to be partitioned by', { column: name })
  if (typeof found.type !== 'string')
    throw new DeltaError('ARGUMENT_INVALID', 'a table cannot be partitioned by arrays, maps or structs', { column: name })
  return found.name
}
