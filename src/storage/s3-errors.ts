import { DeltaError, type ErrorDetails } from '../base/errors.js'

/** Answers of S3 and of servers like it, by what the caller can do about them. Anything else goes by its status. */
const DENIED = new Set([
  'AccessDenied',
  'AccountProblem',
  'AllAccessDisabled',
  'AuthorizationHeaderMalformed',
  'CredentialsProviderError',
  'ExpiredToken',
  'InvalidAccessKeyId',
  'InvalidToken',
  'NoSuchBucket',
  'PermanentRedirect',
  'RequestTimeTooSkewed',
  'SignatureDoesNotMatch',
  'XAdminUserNotFound',
])
const UNAVAILABLE = new Set(['BadDigest', 'IncompleteBody', 'InternalError', 'RequestTimeout', 'ServiceUnavailable', 'SlowDown'])
const INVALID = new Set(['EntityTooLarge', 'ExistingObjectIsDirectory', 'KeyTooLong', 'KeyTooLongError', 'ObjectParentIsFile'])

const HINTS: Readonly<Record<string, string>> = {
  AuthorizationHeaderMalformed: 'set the region of the bucket (AWS_REGION)',
  CredentialsProviderError: 'set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE',
  EntityTooLarge: 'one object takes at most 5 GB',
  ExpiredToken: 'get new temporary credentials',
  NoSuchBucket: 'the bucket does not exist: make it, or mend the name or the endpoint',
  PermanentRedirect: 'the bucket is in another region: set AWS_REGION',
  RequestTimeTooSkewed: "set this machine's clock",
  SignatureDoesNotMatch: 'the secret key is wrong, or a proxy changes requests',
}

/** The name of the store's answer (`NoSuchKey`), or of the connection's end (`ECONNRESET`). */
export function reasonOf(error: unknown): string {
  const { name, code } = fieldsOf(error)
  if (statusOf(error) !== undefined) return name ?? 'unknown'
  // Every broken connection is a `TimeoutError` to the client, and its code the truth; silence on a socket comes without one.
  return code ?? (name === 'TimeoutError' ? 'ETIMEDOUT' : (name ?? 'unknown'))
}

/** The HTTP status; `undefined` when no answer came. */
export function statusOf(error: unknown): number | undefined {
  return fieldsOf(error).$metadata?.httpStatusCode
}

/** Whether the store says that there is no such object. A missing bucket is something else, but a HEAD cannot tell. */
export function isNoSuchKey(error: unknown): boolean {
  return ['NoSuchKey', 'NotFound'].includes(reasonOf(error))
}

/**
 * What an error of the client means to a caller of the store. Refusals are `STORE_DENIED`, keys that the server cannot
 * hold `ARGUMENT_INVALID`; all else, above all the answer that never came, is `STORE_UNAVAILABLE`.
 */
export function s3Error(error: unknown, details: ErrorDetails): DeltaError {
  if (error instanceof DeltaError) return error
  const reason = reasonOf(error)
  const status = statusOf(error)
  const facts = status === undefined ? { ...details, reason } : { ...details, reason, status }
  const options = { hint: HINTS[reason], cause: withoutSecrets(error) }
  if (INVALID.has(reason))
    return new DeltaError('ARGUMENT_INVALID', 'the store cannot hold an object of this path or size', facts, options)
  if (isRefusal(reason, status)) return new DeltaError('STORE_DENIED', 'the store refused the request', facts, options)
  return new DeltaError('STORE_UNAVAILABLE', 'the store did not answer, or could not', facts, options)
}

function isRefusal(reason: string, status: number | undefined): boolean {
  if (DENIED.has(reason)) return true
  if (UNAVAILABLE.has(reason) || status === undefined) return false
  return status < 500 && ![408, 409, 412, 429].includes(status)
}

/**
 * The error's words alone. The client's own error holds the server's whole answer, and that of a refused signature
 * repeats the signed request, session token included.
 */
function withoutSecrets(error: unknown): Error {
  const { name, code, message, stack, $metadata } = fieldsOf(error)
  const safe = new Error(message ?? String(error))
  safe.name = name ?? 'Error'
  if (stack !== undefined) safe.stack = stack
  return Object.assign(
    safe,
    code === undefined ? {} : { code },
    $metadata?.requestId === undefined ? {} : { requestId: $metadata.requestId },
  )
}

interface ClientErrorFields {
  readonly name?: string
  readonly code?: string
  readonly message?: string
  readonly stack?: string
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string }
}

function fieldsOf(error: unknown): ClientErrorFields {
  return typeof error === 'object' && error !== null ? error : {}
}
