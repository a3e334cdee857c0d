import type { FastifyReply, FastifyRequest } from 'fastify'
import { DeltaError } from '../src/index.js'

/**
 * Whoever waits for an answer. `signal` aborts when he leaves before the answer is complete, or when the work for it takes too
 * long.
 */
export class Caller {
  readonly #abort = new AbortController()
  readonly #workMsMax: number
  #workedMs = 0

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

  /** Does a part of the work; the time between parts is the caller's own. Rejects with the signal's reason once that has aborted. */
  async waitsFor<T>(work: () => Promise<T>): Promise<T> {
    const startedAtMs = performance.now()
    const leftMs = this.#workMsMax - this.#workedMs
    const timer = Number.isFinite(leftMs) ? setTimeout(() => this.#timeOut(), Math.max(0, leftMs)) : undefined
    try {
      return await work()
    } catch (error) {
      throw this.signal.aborted ? this.signal.reason : error
    } finally {
      clearTimeout(timer)
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
