import { CommanderError } from 'commander'
import { type DeltaError, type ErrorCode, type ErrorKind, isDeltaError, type RejectedLine } from '../src/index.js'
import { CommandError, UsageError } from './errors.js'
import { toJson } from './output/relation.js'

/** What the process tells its caller. */
export const EXIT = { done: 0, failed: 1, usage: 2, notFound: 3, conflict: 4, corrupt: 5, interrupted: 130 } as const
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

const EXIT_OF: Readonly<Record<ErrorKind, ExitCode>> = {
  invalid: EXIT.failed,
  notFound: EXIT.notFound,
  conflict: EXIT.conflict,
  unsupported: EXIT.failed,
  corrupt: EXIT.corrupt,
  unavailable: EXIT.failed,
  limit: EXIT.failed,
  cancelled: EXIT.interrupted,
  internal: EXIT.failed,
}

/** Input that was wrong as a command is, not as data or SQL are. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  'ARGUMENT_INVALID',
  'INPUT_FORMAT_UNKNOWN',
  'NAME_INVALID',
  'PARAMETER_MISSING',
])

/** An error as it is told: `message` and `hint` to people, all of it with `--output json`. */
export interface Failure {
  readonly exitCode: ExitCode
  readonly code: string
  readonly kind: ErrorKind
  readonly message: string
  readonly hint: string | undefined
  readonly details: Readonly<Record<string, unknown>>
}

export function failureOf(error: unknown): Failure {
  if (isDeltaError(error)) return deltaFailure(error)
  if (error instanceof UsageError) return usageFailure(error.message, error.hint)
  if (error instanceof CommanderError) {
    const [message = '', hint] = error.message.replace(/^error: /, '').split('\n')
    return usageFailure(message, hint?.replace(/^\((.*)\)$/, '$1') ?? 'deltaic --help lists the commands and what they take')
  }
  if (error instanceof CommandError) {
    return { exitCode: EXIT.failed, code: error.code, kind: 'unavailable', message: error.message, hint: error.hint, details: {} }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { exitCode: EXIT.failed, code: 'INTERNAL', kind: 'internal', message, hint: undefined, details: {} }
}

/** The lines that go to stderr. */
export function formatFailure(failure: Failure, asJson: boolean): string {
  const { code, kind, message, hint, details } = failure
  if (asJson) return `${toJson({ error: { code, kind, message, hint, details } })}\n`
  return `error: ${message}\n${rejectedLines(details)}${hint === undefined ? '' : `hint: ${hint}\n`}`
}

const LINES_SHOWN = 20

/** The lines that made an ingest fail, each with its reason. */
function rejectedLines(details: Failure['details']): string {
  const { lines, rejected } = details as { readonly lines?: unknown; readonly rejected?: number }
  // The message tells the first one.
  if (!Array.isArray(lines) || lines.length < 2) return ''
  const shown = (lines as readonly RejectedLine[]).slice(0, LINES_SHOWN)
  const more = (rejected ?? lines.length) - shown.length
  return `${shown.map(({ line, reason }) => `  line ${line}: ${reason}\n`).join('')}${more > 0 ? `  and ${more} more\n` : ''}`
}

/** Where the command line has words of its own for what to do. */
const HINTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  ROWS_INVALID: 'nothing was taken: mend the lines and load again, or set them aside with --on-error reject',
}

function deltaFailure(error: DeltaError): Failure {
  const { code, kind, message, details } = error
  const hint = HINTS[code] ?? error.hint
  return { exitCode: USAGE_CODES.has(code) ? EXIT.usage : EXIT_OF[kind], code, kind, message, hint, details }
}

function usageFailure(message: string, hint: string | undefined): Failure {
  return { exitCode: EXIT.usage, code: 'USAGE', kind: 'invalid', message, hint, details: {} }
}
