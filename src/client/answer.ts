import { DeltaError, type ErrorCode, KIND_OF } from '../base/errors.js'

const RETRIED: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504])
const RETRY_MS_MAX = 60_000

/** A server's refusal as the library's own error; what only HTTP refuses is an invalid argument, or a server that does not answer. */
export function answerError(status: number, text: string): DeltaError {
  const { code = '', message = text.slice(0, 200), hint, details = {} } = problemOf(text)
  const known = code in KIND_OF ? (code as ErrorCode) : undefined
  return new DeltaError(
    known ?? (status >= 500 ? 'STORE_UNAVAILABLE' : 'ARGUMENT_INVALID'),
    message,
    { ...details, status, ...(known === undefined ? { code } : {}) },
    { hint },
  )
}

/** Whether the same request may come out otherwise. */
export function mayRetry(status: number, { code }: DeltaError): boolean {
  return RETRIED.has(status) || code === 'COMMIT_CONFLICT'
}

/** How long the server asks to be left alone, in milliseconds. */
export function retryAfterMs(headers: Headers): number {
  const seconds = Number(headers.get('retry-after') ?? 0)
  return Number.isFinite(seconds) ? Math.min(RETRY_MS_MAX, Math.max(0, seconds * 1000)) : 0
}

interface ProblemText {
  readonly code?: string
  readonly message?: string
  readonly hint?: string
  readonly details?: Readonly<Record<string, unknown>>
}

function problemOf(text: string): ProblemText {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
