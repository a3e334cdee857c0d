import { DeltaError } from '../src/index.js'

const RETRY_AFTER_MS = 1000

/** How many queries run at once. Nobody queues here: a caller that waits holds a connection, one that is refused can choose. */
export class QuerySlots {
  readonly #max: number
  #taken = 0

  constructor(max: number) {
    this.#max = max
  }

  /**
   * Takes a slot.
   *
   * @returns how to give it back; once is enough, twice does no harm.
   * @throws {DeltaError} `TOO_BUSY` when all are taken.
   */
  take(): () => void {
    if (this.#taken >= this.#max) {
      const hint = 'try again when one has ended, or raise the limit'
      throw new DeltaError('TOO_BUSY', 'too many queries run', { queriesMax: this.#max, retryAfterMs: RETRY_AFTER_MS }, { hint })
    }
    this.#taken += 1
    let held = true
    return () => {
      if (held) this.#taken -= 1
      held = false
    }
  }
}
