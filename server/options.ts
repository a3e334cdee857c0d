import { DeltaError } from '../src/index.js'
import { isLoopback } from './guard.js'
import type { LogSink } from './log.js'

/** What one caller may ask of the server. */
export interface ServerLimits {
  /** How much a request body may hold, in bytes as sent and again when decompressed. @defaultValue 256 MiB */
  readonly bodyBytesMax: number
  /** How many queries run at once; one more waits. @defaultValue 8 */
  readonly queriesMax: number
  /** How many queries wait for one to end; one more is refused with 429. 0 lets none wait. @defaultValue 32 */
  readonly queriesWaitingMax: number
  /** How long a query may work, in milliseconds; waiting for its turn or for a slow reader does not count. @defaultValue 60,000 */
  readonly queryTimeoutMs: number
  /** The same for a query that runs on its own (`async=true`). @defaultValue 3,600,000 */
  readonly asyncTimeoutMs: number
  /** Rows that an answer may have. @defaultValue no limit */
  readonly answerRowsMax?: number | undefined
  /** What an answer may take on disk while it waits for its reader, in bytes. @defaultValue 16 GiB */
  readonly answerBytesMax: number
  /** What the results of queries that ran on their own may take on disk, all together, in bytes. @defaultValue 4 GiB */
  readonly resultsBytesMax: number
  /** How long they are kept, in milliseconds. @defaultValue 600,000 */
  readonly resultsKeptMs: number
  /** Memory for answers that are sent again while the versions they were made of are the newest, in bytes; 0 keeps none. @defaultValue 64 MiB */
  readonly cacheBytesMax: number
  /** How many watch keys of views at once; one more is refused with 429. @defaultValue 2,000 */
  readonly watchersMax: number
  /** How often storage is asked for commits of other processes to what is watched, in milliseconds. @defaultValue 50 */
  readonly watchPollMs: number
  /** How often those who watch are sent a comment, in milliseconds, so that nobody takes the connection for dead. @defaultValue 15,000 */
  readonly heartbeatMs: number
}

export interface ServerOptions {
  /** An address other than loopback needs a `token`. @defaultValue '127.0.0.1' */
  readonly host?: string | undefined
  /** 0 takes any free one. @defaultValue 8080 */
  readonly port?: number | undefined
  /** When it is there, every request but `/healthz` must carry it: `Authorization: Bearer …`. */
  readonly token?: string | undefined
  /** Serves as `token` does, for whoever may only read. Alone, it makes a server that nobody writes to. */
  readonly readToken?: string | undefined
  readonly limits?: { readonly [name in keyof ServerLimits]?: ServerLimits[name] | undefined } | undefined
  /** Whether the server looks after the tables that it serves. @defaultValue true */
  readonly maintenance?: boolean | undefined
  /** Gets what happens; see `logLines`. @defaultValue nobody */
  readonly log?: LogSink | undefined
}

/** Options with every default filled in. */
export interface ServerSettings {
  readonly host: string
  readonly port: number
  readonly token: string | undefined
  readonly readToken: string | undefined
  readonly limits: ServerLimits
  readonly log: LogSink
}

const LIMITS: ServerLimits = {
  bodyBytesMax: 256 * 2 ** 20,
  queriesMax: 8,
  queriesWaitingMax: 32,
  queryTimeoutMs: 60_000,
  asyncTimeoutMs: 3_600_000,
  answerBytesMax: 16 * 2 ** 30,
  resultsBytesMax: 4 * 2 ** 30,
  resultsKeptMs: 600_000,
  cacheBytesMax: 64 * 2 ** 20,
  watchersMax: 2000,
  watchPollMs: 50,
  heartbeatMs: 15_000,
}
/** Those that may be 0. */
const SWITCHES: ReadonlySet<string> = new Set(['queriesWaitingMax', 'cacheBytesMax'])

/**
 * Fills in the defaults.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for a limit or port out of range, and for an address that others can reach
 * without a token.
 */
export function serverSettings(options: ServerOptions): ServerSettings {
  const host = options.host ?? '127.0.0.1'
  const port = options.port ?? 8080
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new DeltaError('ARGUMENT_INVALID', 'not a port', { port }, { hint: 'a whole number from 0 (any free one) to 65535' })
  const { token, readToken } = options
  if (token?.trim() === '' || readToken?.trim() === '') throw new DeltaError('ARGUMENT_INVALID', 'the token is empty')
  if (token !== undefined && token === readToken)
    throw new DeltaError('ARGUMENT_INVALID', 'the token that may only read is the one that may write')
  if (token === undefined && readToken === undefined && !isLoopback(host)) {
    const hint = 'set a token (--token) that callers must show, or serve on 127.0.0.1'
    throw new DeltaError('ARGUMENT_INVALID', 'an address that others can reach needs a token', { host }, { hint })
  }
  return { host, port, token, readToken, limits: serverLimits(options.limits ?? {}), log: options.log ?? (() => {}) }
}

function serverLimits(given: NonNullable<ServerOptions['limits']>): ServerLimits {
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const limits: ServerLimits = { ...LIMITS, ...set }
  for (const [limit, value] of Object.entries(limits)) {
    const min = SWITCHES.has(limit) ? 0 : 1
    if (!Number.isSafeInteger(value) || value < min)
      throw new DeltaError('ARGUMENT_INVALID', `a limit is a whole number from ${min}`, { limit, value })
  }
  return limits
}
