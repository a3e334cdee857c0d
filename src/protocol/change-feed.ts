import { fileOnlyField } from './column-mapping.js'

/** What happened to a row: `insert`, `update_preimage`, `update_postimage` or `delete`. Change files have it as a column. */
export const CHANGE_TYPE = '_change_type'
export const COMMIT_VERSION = '_commit_version'
export const COMMIT_TIMESTAMP = '_commit_timestamp'

/**
 * The columns that changes have beside the table's own, in this order. No table with a change feed has columns so named.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#change-data-files
 */
export const CHANGE_FIELDS = (
  [
    [CHANGE_TYPE, 'string'],
    [COMMIT_VERSION, 'long'],
    [COMMIT_TIMESTAMP, 'timestamp'],
  ] as const
).map(([name, type]) => ({ ...fileOnlyField(name, type), nullable: false }))
