import type { Deviation } from './truth.js'

/** Milliseconds, of `count` times. */
export interface Times {
  readonly count: number
  readonly p50: number
  readonly p99: number
}

export const PHASES = ['under load', 'during upkeep', 'after a crash', 'after the stream'] as const
export type Phase = (typeof PHASES)[number]

/** One answer, beside what it may be: no less than what was acknowledged before the question, no more than what was sent until then. */
export interface Instant {
  readonly phase: Phase
  /** How far the stream was, from 0 to 1. */
  readonly position: number
  readonly ms: number
  /** Views beyond what it may be; negative when some are missing. */
  readonly off: number
  /** `off` as a share of what was acknowledged. */
  readonly share: number
}

/** The answers of a phase. */
export interface PhaseErrors {
  readonly phase: Phase
  readonly instants: number
  readonly wrong: number
  /** Of all its answers, without their sign. */
  readonly meanShare: number
  readonly worstShare: number
}

export interface ContestantResult {
  readonly name: string
  readonly title: string
  readonly version: string
  readonly processes: readonly string[]
  readonly lines: number
  /** Rows in a second, from the first post until the last row could be seen, without the time that the crash took. */
  readonly rowsPerSecond: number
  /** From the last ack until everything could be seen. */
  readonly settleMs: number
  /** From the crash until a post was acknowledged again. */
  readonly downMs: number
  readonly ackMs: Times
  /** From the ack of a row to an answer that has it; `never` counts those that had it not in time. */
  readonly freshMs: Times & { readonly never: number }
  readonly askMs: Times
  readonly upkeep: { readonly what: string; readonly ms: readonly number[] } | undefined
  readonly errors: readonly PhaseErrors[]
  /** The answers that were wrong. */
  readonly wrong: readonly Instant[]
  /** Of all counts once the stream was over, from what was sent. */
  readonly drained: Deviation
  /** Questions about event time, once the stream was over. */
  readonly asOf: { readonly questions: number; readonly exact: number; readonly meanShare: number; readonly ms: Times }
  /** `after`: of all counts, from what happened in fact. */
  readonly repair: {
    readonly ms: number
    /** Read and written by system calls. */
    readonly bytes: number | undefined
    readonly before: Deviation
    readonly after: Deviation
  }
  /** Views that the bug sent twice. */
  readonly copies: number
  readonly storageBytes: number | undefined
}

export interface StudyResult {
  readonly command: string
  readonly machine: string
  readonly node: string
  readonly rows: number
  readonly urls: number
  readonly postRows: number
  /** Views that the bug sent beyond those. */
  readonly copies: number
  readonly seed: number
  readonly contestants: readonly (
    | ContestantResult
    | { readonly name: string; readonly title: string; readonly skipped: string }
  )[]
}

export function errorsOf(answers: readonly Instant[]): PhaseErrors[] {
  return PHASES.map((phase) => {
    const shares = answers.filter((answer) => answer.phase === phase).map(({ share }) => Math.abs(share))
    const sum = shares.reduce((total, share) => total + share, 0)
    const wrong = shares.filter((share) => share > 0).length
    return {
      phase,
      instants: shares.length,
      wrong,
      meanShare: round(sum / Math.max(1, shares.length)),
      worstShare: Math.max(0, ...shares),
    }
  })
}

export function timesOf(ms: readonly number[]): Times {
  const sorted = ms.toSorted((a, b) => a - b)
  const at = (share: number) => round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
  return { count: ms.length, p50: at(0.5), p99: at(0.99) }
}

/** To what is worth keeping of a measured time or share. */
export function round(value: number): number {
  return Number(value.toPrecision(4))
}
