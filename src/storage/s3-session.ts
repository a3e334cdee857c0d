import { setMaxListeners } from 'node:events'
import type { Clock } from '../base/clock.js'
import { DeltaError, type ErrorDetails } from '../base/errors.js'
import type { Random } from '../base/random.js'
import { orAborted } from './abort.js'
import { connectS3, endpointOf, type S3Clients, type S3Settings } from './s3-client.js'
import { s3Error } from './s3-errors.js'

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

  /** Sends a request; after an abort it rejects with the signal's reason, whatever the client makes of it. */
  async ask<T>(
    signal: AbortSignal | undefined,
    request: (clients: S3Clients, options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    // One signal for very many requests at a time is no leak: each takes its listener away when it ends.
    if (signal) setMaxListeners(0, signal)
    this.#clients ??= connectS3(this.settings)
    const clients = await this.#clients
    return await orAborted(request(clients, signal ? { abortSignal: signal } : {}), signal)
  }

  /** As `ask`, with errors as the port has them. */
  async send<T>(
    details: ErrorDetails,
    signal: AbortSignal | undefined,
    request: (clients: S3Clients, options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    try {
      return await this.ask(signal, request)
    } catch (error) {
      throw this.translate(error, details, signal)
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
