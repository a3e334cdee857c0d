import { DeltaError } from '../../base/errors.js'

/** What is no statement, or a part of one, here. */
export function unsupported(what: string, hint?: string): DeltaError {
  return new DeltaError('STATEMENT_UNSUPPORTED', `deltaic does not have ${what}`, {}, { hint: hint ?? STATEMENTS })
}

export const STATEMENTS =
  'statements are SELECT, EXPLAIN, CREATE, REPLACE and DROP TABLE, CREATE, REFRESH, REBUILD and DROP MATERIALIZED VIEW, CONVERT TO DELTA, INSERT, COPY … FROM, DELETE, UPDATE, TRUNCATE, MERGE, ' +
  'ALTER TABLE, COMMENT ON TABLE, DESCRIBE, SHOW, OPTIMIZE, REORG, VACUUM, RESTORE, FSCK, CHECKPOINT and GENERATE'
