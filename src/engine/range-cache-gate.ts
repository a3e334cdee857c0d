/** Lets at most `width` pieces of work run at once; the others wait in the order they came. */
export class Gate {
  readonly #width: number
  readonly #queue = new Set<() => void>()
  #running = 0

  constructor(width: number) {
    this.#width = width
  }

  /** Runs `work` when its turn comes. An abort before that rejects with the signal's reason, and nothing runs. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted()
    if (this.#running < this.#width) this.#running++
    else await this.#turn(signal)
    try {
      return await work()
    } finally {
      this.#pass()
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        this.#queue.delete(enter)
        reject(signal.reason as Error)
      }
      this.#queue.add(enter)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  /** Hands the place on, so that nobody who comes later can take it first. */
  #pass(): void {
    const [next] = this.#queue
    if (!next) this.#running--
    else {
      this.#queue.delete(next)
      next()
    }
  }
}
