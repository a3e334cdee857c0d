import type { FastifyReply, FastifyRequest } from 'fastify'
import { DeltaError } from '../src/index.js'

/** A query that is interrupted mostly ends in a few milliseconds. */
const PATIENCE_MS = 1000

/**
 * Whoever waits for an answer. `signal` aborts when he leaves before the answer is complete, or when the work for it takes too
 * long.
 */
export class Caller {
  readonly #abort = new AbortController()
  readonly #workMsMax: number
  #workedMs = 0
  #settled: Promise<void> = Promise.resolve()

  constructor(workMsMax = Number.POSITIVE_INFINITY) {
    this.#workMsMax = workMsMax
  }

  /** One who leaves by closing the connection. */
  static behind(reply: FastifyReply, workMsMax?: number): Caller {
    const caller = new Caller(workMsMax)
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) caller.leave('the caller closed the connection')
    })
    return caller
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  leave(why: string): void {
    this.#abort.abort(new DeltaError('CANCELLED', why))
  }

  /** Resolves when no part of the work is under way any more. */
  async settled(): Promise<void> {
    await this.#settled
  }

  /**
   * Does a part of the work; the time between parts is the caller's own. Rejects with the signal's reason once that has aborted:
   * when the work has ended, or at most a little later, for there is work that cannot be interrupted. That goes on by itself.
   */
  async waitsFor<T>(begin: () => Promise<T>): Promise<T> {
    const startedAtMs = performance.now()
    const leftMs = this.#workMsMax - this.#workedMs
    const timer = Number.isFinite(leftMs) ? setTimeout(() => this.#timeOut(), Math.max(0, leftMs)) : undefined
    let giveUp: NodeJS.Timeout | undefined
    let onAbort = () => {}
    try {
      const work = begin()
      // Nothing of what was made is kept: an answer may be far longer than memory.
      this.#settled = Promise.allSettled([this.#settled, work]).then(() => undefined)
      const givenUp = new Promise<never>((_, reject) => {
        onAbort = () => {
          giveUp = setTimeout(() => reject(this.signal.reason as Error), PATIENCE_MS)
        }
        this.signal.addEventListener('abort', onAbort, { once: true })
        if (this.signal.aborted) onAbort()
      })
      return await Promise.race([work, givenUp])
    } catch (error) {
      throw this.signal.aborted ? this.signal.reason : error
    } finally {
      clearTimeout(timer)
      clearTimeout(giveUp)
      this.signal.removeEventListener('abort', onAbort)
      this.#workedMs += performance.now() - startedAtMs
    }
  }

  #timeOut(): void {
    const hint = 'ask for less, or raise the limit'
    this.#abort.abort(new DeltaError('QUERY_TIMEOUT', 'the query took too long', { queryTimeoutMs: this.#workMsMax }, { hint }))
  }
}

/** Requests of one name share a line where queries wait. */
export function callerName(request: FastifyRequest): string {
  return `${request.role} ${request.ip}`
}
