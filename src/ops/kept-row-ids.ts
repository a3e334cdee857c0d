import { DeltaError } from '../base/errors.js'
import { ident } from '../engine/sql-text.js'
import { fileOnlyField } from '../protocol/column-mapping.js'
import type { ScanShape } from '../table/scan-sql.js'
import type { Snapshot } from '../table/snapshot.js'
import type { StageTarget } from '../table/stage.js'

/** How the rows of a table are read and written anew so that each keeps its id. */
export interface KeptRowIds {
  /** Reads whole rows, with their ids where the table tracks them. */
  readonly shape: ScanShape
  readonly target: StageTarget
  /** Further columns of `target`: where a row was last changed is told for rows that only move. */
  columns(onlyMove: boolean): readonly string[]
}

/**
 * Rows that move to another file take their ids along in columns that only the files have.
 *
 * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a table that tracks rows and does not name these columns.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#row-tracking
 */
export function keptRowIds(snapshot: Snapshot): KeptRowIds {
  const { schema, partitionColumns, mapping, properties } = snapshot
  const shape = { fields: schema.fields, partitionColumns, mapping }
  if (!properties.rowTracking) return { shape, target: snapshot, columns: () => [] }
  const { materializedRowIdColumn: id, materializedRowCommitVersionColumn: version } = properties
  if (id === undefined || version === undefined)
    throw new DeltaError('FEATURE_UNSUPPORTED', 'the table tracks its rows and does not say where moved rows keep their ids', {
      version: snapshot.version,
    })
  return {
    shape: { ...shape, rowIds: { materializedId: id, materializedVersion: version } },
    target: {
      schema: { type: 'struct', fields: [...schema.fields, fileOnlyField(id, 'long'), fileOnlyField(version, 'long')] },
      partitionColumns,
      properties,
      mapping,
      protocol: snapshot.protocol,
    },
    columns: (onlyMove) => [
      `"__row_id" AS ${ident(id)}`,
      `${onlyMove ? '"__row_commit_version"' : 'NULL::BIGINT'} AS ${ident(version)}`,
    ],
  }
}
