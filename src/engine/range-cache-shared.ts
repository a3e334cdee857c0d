import { DeltaError } from '../base/errors.js'
import { orAborted } from '../storage/abort.js'

/**
 * Work that several callers wait for. One caller's abort is that caller's alone: the work goes on as long as anybody
 * waits, and is aborted when the last one has left.
 */
export class SharedWork {
  readonly #abort = new AbortController()
  readonly #result: Promise<void>
  readonly #ended: Promise<void>
  readonly #onFailure: () => void
  #waiters = 0
  #isOver = false

  /**
   * Starts `work`. `onFailure` is called once when the work fails, and at once when it is aborted, so that nobody joins
   * work that has no answer to give.
   */
  constructor(work: (signal: AbortSignal) => Promise<void>, onFailure: () => void) {
    this.#onFailure = onFailure
    const running = work(this.#abort.signal)
    this.#ended = running.then(
      () => {
        this.#isOver = true
      },
      () => this.#fail(),
    )
    this.#result = orAborted(running, this.#abort.signal)
    // Whoever waits has the reason through `joinAll`; there may be nobody left.
    this.#result.catch(() => undefined)
  }

  /**
   * Waits for all of `works`; the first failure rejects, and an abort with the signal's reason. Either leaves the
   * others to those who still wait for them.
   */
  static async joinAll(works: readonly SharedWork[], signal: AbortSignal | undefined): Promise<void> {
    for (const work of works) work.#waiters++
    try {
      await orAborted(Promise.all(works.map((work) => work.#result)), signal)
    } finally {
      for (const work of works) work.#leave()
    }
  }

  /** Rejects all who wait with `reason`. Does nothing once the work has ended. */
  abort(reason: unknown): void {
    if (this.#isOver) return
    this.#fail()
    this.#abort.abort(reason)
  }

  /** Resolves when the work has really ended: after an abort, when it has let go of what it held. */
  async ended(): Promise<void> {
    await this.#ended
  }

  #leave(): void {
    this.#waiters--
    if (this.#waiters === 0) this.abort(new DeltaError('CANCELLED', 'nobody waits for it any more'))
  }

  #fail(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onFailure()
  }
}
