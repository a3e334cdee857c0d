import { setMaxListeners } from 'node:events'
import type { Clock } from '../base/clock.js'
import { DeltaError, type ErrorDetails, isDeltaError } from '../base/errors.js'
import type { Random } from '../base/random.js'
import { orAborted } from './abort.js'
import { connectS3, endpointOf, retryForMs, type S3Clients, type S3Settings } from './s3-client.js'
import { s3Error } from './s3-errors.js'

const PAUSE_MS = 100
const PAUSE_MS_MAX = 5_000

/** What every answer of the client carries. */
interface MetadataBearer {
  readonly $metadata: { readonly attempts?: number | undefined }
}

/** The roots whose conditional puts this process has judged or is judging. */
const verdicts = new Map<string, Promise<boolean>>()

/** What a store and its children have in common: the bucket, the clients, and the verdict on conditional puts. */
export class S3Session {
  readonly bucket: string
  readonly clock: Clock
  readonly random: Random
  readonly settings: S3Settings
  readonly #rootUri: string
  readonly #root: string
  #clients: Promise<S3Clients> | undefined

  constructor(bucket: string, rootUri: string, settings: S3Settings, clock: Clock, random: Random) {
    this.bucket = bucket
    this.clock = clock
    this.random = random
    this.settings = settings
    this.#rootUri = rootUri
    this.#root = `${endpointOf(settings) ?? 'aws'} ${rootUri}`
  }

  /**
   * Sends a request; after an abort it rejects with the signal's reason, whatever the client makes of it.
   *
   * @param count learns how often it was sent.
   */
  async ask<T extends MetadataBearer>(
    count: (times: number) => void,
    signal: AbortSignal | undefined,
    request: (clients: S3Clients, options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    // One signal for very many requests at a time is no leak: each takes its listener away when it ends.
    if (signal) setMaxListeners(0, signal)
    this.#clients ??= connectS3(this.settings)
    const clients = await this.#clients
    const counted = async () => {
      try {
        const reply = await request(clients, signal ? { abortSignal: signal } : {})
        count(reply.$metadata.attempts ?? 1)
        return reply
      } catch (error) {
        count((error as Partial<MetadataBearer>).$metadata?.attempts ?? 1)
        throw error
      }
    }
    return await orAborted(counted(), signal)
  }

  /** As `ask`, with errors as the port has them. */
  async send<T extends MetadataBearer>(
    count: (times: number) => void,
    details: ErrorDetails,
    signal: AbortSignal | undefined,
    request: (clients: S3Clients, options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.ask(count, signal, request)
    } catch (error) {
      throw this.translate(error, details, signal)
    }
  }

  /**
   * Does again what may be repeated, while it fails for want of an answer, with pauses that grow.
   *
   * @param attempt gets its number, from 1.
   */
  async repeat<T>(signal: AbortSignal | undefined, attempt: (nth: number) => Promise<T>): Promise<T> {
    const endsAtMs = this.clock.now() + retryForMs(this.settings)
    for (let nth = 1; ; nth++) {
      try {
        return await attempt(nth)
      } catch (error) {
        const pauseMs = Math.min(PAUSE_MS_MAX, PAUSE_MS * 2 ** (nth - 1)) * (0.5 + this.random.next())
        const isWorthAnother = isDeltaError(error) && error.code === 'STORE_UNAVAILABLE'
        if (signal?.aborted || !isWorthAnother || this.clock.now() + pauseMs > endsAtMs) throw error
        await this.clock.sleep(pauseMs, signal)
      }
    }
  }

  /** The signal's reason after an abort, otherwise what the error means to a caller of the store. */
  translate(error: unknown, details: ErrorDetails, signal: AbortSignal | undefined): unknown {
    return signal?.aborted ? signal.reason : s3Error(error, { bucket: this.bucket, ...details })
  }

  /**
   * Whether `judge` found the root safe; asked once for each root in this process. A judge that could not tell is asked
   * again. The judging goes on when one of those who wait for it gives up.
   *
   * @throws {DeltaError} `STORE_UNSAFE`
   */
  async ensureSafe(signal: AbortSignal | undefined, judge: () => Promise<boolean>): Promise<void> {
    signal?.throwIfAborted()
    let verdict = verdicts.get(this.#root)
    if (!verdict) {
      verdict = judge()
      verdicts.set(this.#root, verdict)
      verdict.catch(() => verdicts.delete(this.#root))
    }
    if (await orAborted(verdict, signal)) return
    const hint =
      'this server lets several writers create one object, so commits get lost: use another; `deltaic check-store` shows the probe'
    throw new DeltaError('STORE_UNSAFE', 'the store does not keep conditional puts', { uri: this.#rootUri }, { hint })
  }

  async close(): Promise<void> {
    const clients = await this.#clients
    clients?.once.destroy()
    clients?.repeating.destroy()
  }
}
