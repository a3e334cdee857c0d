import { DeltaError } from '../src/index.js'
import { isLoopback } from './guard.js'
import type { LogSink } from './log.js'

/** What one caller may ask of the server. */
export interface ServerLimits {
  /** How much a request body may hold, in bytes as sent and again when decompressed. @defaultValue 256 MiB */
  readonly bodyBytesMax: number
  /** How many queries run at once; one more is refused with 429. @defaultValue 8 */
  readonly queriesMax: number
  /** How long a query may work, in milliseconds; waiting for a slow reader does not count. @defaultValue 60,000 */
  readonly queryTimeoutMs: number
}

export interface ServerOptions {
  /** An address other than loopback needs a `token`. @defaultValue '127.0.0.1' */
  readonly host?: string | undefined
  /** 0 takes any free one. @defaultValue 8080 */
  readonly port?: number | undefined
  /** When it is there, every request but `/healthz` must carry it: `Authorization: Bearer …`. */
  readonly token?: string | undefined
  readonly limits?: { readonly [name in keyof ServerLimits]?: ServerLimits[name] | undefined } | undefined
  /** Gets what happens; see `logLines`. @defaultValue nobody */
  readonly log?: LogSink | undefined
}

/** Options with every default filled in. */
export interface ServerSettings {
  readonly host: string
  readonly port: number
  readonly token: string | undefined
  readonly limits: ServerLimits
  readonly log: LogSink
}

const LIMITS: ServerLimits = { bodyBytesMax: 256 * 2 ** 20, queriesMax: 8, queryTimeoutMs: 60_000 }

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
  if (options.token?.trim() === '') throw new DeltaError('ARGUMENT_INVALID', 'the token is empty')
  if (options.token === undefined && !isLoopback(host)) {
    const hint = 'set a token (--token) that callers must show, or serve on 127.0.0.1'
    throw new DeltaError('ARGUMENT_INVALID', 'an address that others can reach needs a token', { host }, { hint })
  }
  return { host, port, token: options.token, limits: serverLimits(options.limits ?? {}), log: options.log ?? (() => {}) }
}

function serverLimits(given: NonNullable<ServerOptions['limits']>): ServerLimits {
  const limits = {
    bodyBytesMax: given.bodyBytesMax ?? LIMITS.bodyBytesMax,
    queriesMax: given.queriesMax ?? LIMITS.queriesMax,
    queryTimeoutMs: given.queryTimeoutMs ?? LIMITS.queryTimeoutMs,
  }
  for (const [limit, value] of Object.entries(limits))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new DeltaError('ARGUMENT_INVALID', 'a limit is a whole number from 1', { limit, value })
  return limits
}
