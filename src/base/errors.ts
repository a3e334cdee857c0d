/** What the caller can do about an error: one kind for each remedy. */
export type ErrorKind =
  /** Mend the input. */
  | 'invalid'
  /** Name something that exists. */
  | 'notFound'
  /** Somebody else was faster: run it again. */
  | 'conflict'
  /** The table needs a feature that this library lacks: use another engine, or upgrade. */
  | 'unsupported'
  /** The table is damaged: repair it, do not retry. */
  | 'corrupt'
  /** Storage did not answer: try later. The work may have happened. */
  | 'unavailable'
  /** A limit was reached: ask for less, or raise the limit. */
  | 'limit'
  /** The caller gave up. */
  | 'cancelled'
  /** A fault of this library: report it. */
  | 'internal'

/** Every error code, and its kind. `docs/errors.md` explains each; a test compares the two. */
export const KIND_OF = {
  ARGUMENT_INVALID: 'invalid',
  CONSTRAINT_VIOLATED: 'invalid',
  INPUT_FORMAT_UNKNOWN: 'invalid',
  NAME_INVALID: 'invalid',
  PARAMETER_MISSING: 'invalid',
  ROWS_INVALID: 'invalid',
  SCHEMA_CHANGE_REFUSED: 'invalid',
  SCHEMA_MISMATCH: 'invalid',
  SQL_FORBIDDEN: 'invalid',
  SQL_INVALID: 'invalid',
  TABLE_EXISTS: 'invalid',
  TABLE_APPEND_ONLY: 'invalid',
  VALUE_NULL: 'invalid',
  VIEW_INVALID: 'invalid',
  VIEW_READ_ONLY: 'invalid',
  MERGE_AMBIGUOUS: 'invalid',
  STORE_UNSAFE: 'invalid',
  FILE_NOT_FOUND: 'notFound',
  OFFSET_OUT_OF_RANGE: 'notFound',
  SOURCE_NOT_FOUND: 'notFound',
  STREAM_NOT_FOUND: 'notFound',
  TABLE_NOT_FOUND: 'notFound',
  VERSION_NOT_FOUND: 'notFound',
  VERSION_NOT_REACHED: 'notFound',
  VIEW_NOT_FOUND: 'notFound',
  CHANGES_NOT_RECORDED: 'notFound',
  ROWS_NOT_TRACKED: 'notFound',
  COMMIT_CONFLICT: 'conflict',
  SEQUENCE_OUT_OF_ORDER: 'conflict',
  FEATURE_UNSUPPORTED: 'unsupported',
  STATEMENT_UNSUPPORTED: 'unsupported',
  TYPE_UNSUPPORTED: 'unsupported',
  CHECKPOINT_DAMAGED: 'corrupt',
  CHECKSUM_MISMATCH: 'corrupt',
  DATA_FILE_DAMAGED: 'corrupt',
  DATA_FILE_MISSING: 'corrupt',
  DELETION_VECTOR_DAMAGED: 'corrupt',
  LOG_GAP: 'corrupt',
  LOG_INCOMPLETE: 'corrupt',
  LOG_LINE_MALFORMED: 'corrupt',
  PARTITION_VALUE_MALFORMED: 'corrupt',
  PROOF_FAILED: 'corrupt',
  RECORDS_DAMAGED: 'corrupt',
  SCHEMA_MALFORMED: 'corrupt',
  COMMIT_OUTCOME_UNKNOWN: 'unavailable',
  STORE_UNAVAILABLE: 'unavailable',
  STORE_DENIED: 'unavailable',
  SOURCE_UNAVAILABLE: 'unavailable',
  CLOSED: 'unavailable',
  ANSWER_TOO_LARGE: 'limit',
  BODY_TOO_LARGE: 'limit',
  MEMORY_LIMIT: 'limit',
  QUERY_TIMEOUT: 'limit',
  TOO_BUSY: 'limit',
  CANCELLED: 'cancelled',
  INVARIANT_BROKEN: 'internal',
  ENGINE_FAILED: 'internal',
} as const satisfies Record<string, ErrorKind>

export type ErrorCode = keyof typeof KIND_OF

export type ErrorDetails = Readonly<Record<string, unknown>>

export interface ErrorOptions {
  /** What to do about it, in a sentence. */
  readonly hint?: string | undefined
  readonly cause?: unknown
}

/**
 * The one error class of this library.
 *
 * `kind` says what the caller can do, `code` what happened; both are stable. `message` is for people: lower case, facts
 * at the end as `key=value`, never compared. `details` holds the same facts for programs.
 */
export class DeltaError extends Error {
  override readonly name = 'DeltaError'
  readonly code: ErrorCode
  readonly kind: ErrorKind
  readonly details: ErrorDetails
  readonly hint: string | undefined

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}, options: ErrorOptions = {}) {
    super([message, facts(details)].filter(Boolean).join('. '), 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.kind = KIND_OF[code]
    this.details = details
    this.hint = options.hint
  }
}

/** Whether `error` is a DeltaError, of one of `kinds` where any are given. */
export function isDeltaError(error: unknown, ...kinds: readonly ErrorKind[]): error is DeltaError {
  return error instanceof DeltaError && (kinds.length === 0 || kinds.includes(error.kind))
}

/** Asserts what our own logic promises; input and stored bytes are validated with their own codes instead. */
export function assert(condition: unknown, promise: string): asserts condition {
  if (!condition) throw new DeltaError('INVARIANT_BROKEN', promise, {}, { hint: 'this is a bug in deltaic; please report it' })
}

function facts(details: ErrorDetails): string {
  return Object.entries(details)
    .filter(([, value]) => ['string', 'number', 'bigint', 'boolean'].includes(typeof value))
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ')
}
