import { DeltaError, type ErrorCode, type ErrorKind } from '../src/index.js'

/** The one place where a kind becomes a status; a new kind does not compile until it is here. */
export const STATUS_OF: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  notFound: 404,
  conflict: 409,
  unsupported: 422,
  corrupt: 500,
  unavailable: 503,
  limit: 507,
  cancelled: 499,
  internal: 500,
}

/** Codes for which HTTP has a better word than for their kind. */
export const STATUS_OF_CODE: Readonly<Partial<Record<ErrorCode, number>>> = {
  SQL_FORBIDDEN: 403,
  BODY_TOO_LARGE: 413,
  INPUT_FORMAT_UNKNOWN: 415,
  ROWS_INVALID: 422,
  SCHEMA_MISMATCH: 422,
  VALUE_NULL: 422,
  TOO_BUSY: 429,
  STORE_UNSAFE: 500,
  QUERY_TIMEOUT: 504,
  VERSION_NOT_REACHED: 412,
}

/** What only a server can refuse. */
export const HTTP_CODES = {
  QUERY_NOT_FOUND: { status: 404, kind: 'notFound' },
  READ_ONLY: { status: 403, kind: 'invalid' },
  UNAUTHORIZED: { status: 401, kind: 'invalid' },
  HOST_FORBIDDEN: { status: 403, kind: 'invalid' },
  ORIGIN_FORBIDDEN: { status: 403, kind: 'invalid' },
  ROUTE_NOT_FOUND: { status: 404, kind: 'notFound' },
  METHOD_NOT_ALLOWED: { status: 405, kind: 'invalid' },
  NOT_ACCEPTABLE: { status: 406, kind: 'invalid' },
  REQUEST_MALFORMED: { status: 400, kind: 'invalid' },
} as const satisfies Record<string, { status: number; kind: ErrorKind }>

export type HttpCode = keyof typeof HTTP_CODES

/** A refusal that the library knows nothing of. */
export class HttpError extends Error {
  override readonly name = 'HttpError'
  readonly code: HttpCode
  readonly details: Readonly<Record<string, unknown>>
  readonly hint: string | undefined
  readonly status: number

  constructor(code: HttpCode, message: string, details: Readonly<Record<string, unknown>> = {}, hint?: string, status?: number) {
    super(message)
    this.code = code
    this.details = details
    this.hint = hint
    this.status = status ?? HTTP_CODES[code].status
  }
}

/** An error as it goes out: RFC 9457 with our words. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: string
  readonly kind: ErrorKind
  readonly message: string
  readonly hint?: string | undefined
  readonly details: Readonly<Record<string, unknown>>
}

/** What went wrong earlier, told again. */
export class KnownProblem extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(problem.message)
    this.problem = problem
  }
}

/** Tells a caller what went wrong and what to do. What is nobody's business stays here: stacks, causes, foreign messages. */
export function toProblem(error: unknown): Problem {
  if (error instanceof KnownProblem) return error.problem
  if (error instanceof DeltaError) return problem(STATUS_OF_CODE[error.code] ?? STATUS_OF[error.kind], error.kind, error)
  if (error instanceof HttpError) return problem(error.status, HTTP_CODES[error.code].kind, error)
  const known = fromFastify(error)
  if (known) return toProblem(known)
  return toProblem(new DeltaError('ENGINE_FAILED', 'the server failed', {}, { hint: 'its log says more (serve --log)' }))
}

/** Seconds for `Retry-After`, where trying again is the remedy. */
export function retryAfterSeconds(problem: Problem): number | undefined {
  if (problem.status !== 429) return undefined
  const waitMs = Number(problem.details['retryAfterMs'] ?? 0)
  return Math.max(1, Math.ceil(waitMs / 1000))
}

/** The text of a problem. Facts that JSON has no word for are told as text. */
export function problemText(problem: Problem): string {
  return JSON.stringify(problem, (_key, value: unknown) => {
    if (typeof value === 'bigint') return String(value)
    return value instanceof Error ? undefined : value
  })
}

type Refusal = Pick<DeltaError | HttpError, 'code' | 'message' | 'hint' | 'details'>

function problem(status: number, kind: ErrorKind, { code, message, hint, details }: Refusal): Problem {
  const words = code.toLowerCase().replaceAll('_', ' ')
  const title = (words.charAt(0).toUpperCase() + words.slice(1)).replace(/^Sql/, 'SQL')
  return { type: `urn:deltaic:error:${code}`, title, status, code, kind, message, hint, details }
}

interface FastifyFault {
  readonly code?: string
  readonly statusCode?: number
  readonly message?: string
  readonly validationContext?: string
  readonly validation?: readonly { readonly params: Readonly<Record<string, unknown>> }[]
}

/** What fastify refused before a route saw the request. */
function fromFastify(error: unknown): DeltaError | HttpError | undefined {
  const {
    code,
    statusCode = 500,
    message = '',
    validation,
    validationContext,
  }: FastifyFault = error instanceof Error ? error : {}
  if (code === 'FST_ERR_VALIDATION') {
    const unknown = validation?.[0]?.params['additionalProperty']
    const details = { in: validationContext ?? 'request', ...(unknown ? { unknown } : {}) }
    return new DeltaError('ARGUMENT_INVALID', message.toLowerCase(), details, { hint: 'see /openapi.json' })
  }
  if (statusCode === 413) return new DeltaError('BODY_TOO_LARGE', 'the body is too large')
  if (statusCode === 415) return new DeltaError('INPUT_FORMAT_UNKNOWN', 'nothing here reads a body of this content type')
  if (statusCode >= 400 && statusCode < 500)
    return new HttpError('REQUEST_MALFORMED', message.toLowerCase(), {}, undefined, statusCode)
  return undefined
}
