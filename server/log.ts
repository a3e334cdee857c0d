import type { DeltaicEvent } from '../src/index.js'

/** What happens in a server. Statements, values, tokens and query strings are in none of these. */
export type ServerEvent =
  | { readonly type: 'listening'; readonly url: string }
  | { readonly type: 'draining' | 'closed' }
  /** `route` is the pattern, not the path. `code` is there when the answer is a problem. */
  | {
      readonly type: 'answered'
      readonly method: string
      readonly route: string
      readonly status: number
      readonly code: string | undefined
      readonly elapsedMs: number
    }
  /** A fault of ours, or of the machine: the answer says little, the log says all. */
  | { readonly type: 'failed'; readonly method: string; readonly route: string; readonly error: unknown }
  /** What a stream waits for, or failed with. */
  | { readonly type: 'stream'; readonly error: unknown }

export type LogSink = (event: ServerEvent) => void

/**
 * Writes each event as a line of JSON, with the time. It takes the library's events as well.
 *
 * @param write where the lines go; standard error by default, as standard output is for results.
 */
export function logLines(
  write: (line: string) => void = (line) => process.stderr.write(line),
): (event: ServerEvent | DeltaicEvent) => void {
  return (event) => write(`${JSON.stringify({ time: new Date().toISOString(), ...event }, readable)}\n`)
}

function readable(_key: string, value: unknown): unknown {
  if (value instanceof Error) return { name: value.name, message: value.message, stack: value.stack, cause: value.cause }
  return typeof value === 'bigint' ? String(value) : value
}
