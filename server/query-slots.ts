import { DeltaError } from '../src/index.js'
import type { ServerLimits } from './options.js'

const RETRY_AFTER_MS = 1000
/** Beside those that may run for long; see `QuerySlots.takeQuick`. */
const QUICK_MAX = 2

/** Gives a slot back; once is enough, twice does no harm. */
export type Release = () => void

/**
 * How many queries run at once. One more waits in the line of its caller, and the lines take turns: who asks for much waits
 * behind his own, not before others.
 */
export class QuerySlots {
  readonly #max: number
  readonly #waitingMax: number
  /** The next one to be served first. */
  readonly #lines = new Map<string, Set<(slot: Release) => void>>()
  #running = 0
  #quick = 0
  #waiting = 0

  constructor({ queriesMax, queriesWaitingMax }: Pick<ServerLimits, 'queriesMax' | 'queriesWaitingMax'>) {
    this.#max = queriesMax
    this.#waitingMax = queriesWaitingMax
  }

  get running(): number {
    return this.#running + this.#quick
  }

  get waiting(): number {
    return this.#waiting
  }

  /** A slot, if one is free. */
  takeFree(): Release | undefined {
    if (this.#running >= this.#max) return undefined
    this.#running += 1
    return once(() => this.#pass())
  }

  /**
   * One of a few further slots, for a query that is over in no time. Without them it would wait behind long ones. There are none
   * where nobody may wait.
   */
  takeQuick(): Release | undefined {
    if (this.#quick >= Math.min(QUICK_MAX, this.#waitingMax)) return undefined
    this.#quick += 1
    return once(() => {
      this.#quick -= 1
    })
  }

  /** @throws {DeltaError} `TOO_BUSY` where nobody else may wait. */
  checkRoom(): void {
    if (this.#running >= this.#max && this.#waiting >= this.#waitingMax) throw this.#tooBusy()
  }

  /**
   * A slot, as soon as it is this caller's turn; an abort before that rejects with the signal's reason.
   *
   * @throws {DeltaError} `TOO_BUSY` when too many wait already.
   */
  async take(who: string, signal: AbortSignal): Promise<Release> {
    signal.throwIfAborted()
    const free = this.takeFree()
    if (free) return free
    this.checkRoom()
    return await new Promise<Release>((resolve, reject) => {
      const leave = () => {
        this.#leave(who, enter)
        reject(signal.reason as Error)
      }
      const enter = (slot: Release) => {
        signal.removeEventListener('abort', leave)
        resolve(slot)
      }
      signal.addEventListener('abort', leave, { once: true })
      const line = this.#lines.get(who) ?? new Set()
      this.#lines.set(who, line.add(enter))
      this.#waiting += 1
    })
  }

  /** Hands a slot on to the first of the next line, whose other callers then wait for all the other lines. */
  #pass(): void {
    const [next] = this.#lines
    const [enter] = next?.[1] ?? []
    if (!next || !enter) {
      this.#running -= 1
      return
    }
    const [who, line] = next
    this.#leave(who, enter)
    if (this.#lines.delete(who)) this.#lines.set(who, line)
    enter(once(() => this.#pass()))
  }

  #leave(who: string, enter: (slot: Release) => void): void {
    const line = this.#lines.get(who)
    line?.delete(enter)
    if (line?.size === 0) this.#lines.delete(who)
    this.#waiting -= 1
  }

  #tooBusy(): DeltaError {
    const details = { queriesMax: this.#max, queriesWaitingMax: this.#waitingMax, retryAfterMs: RETRY_AFTER_MS }
    return new DeltaError('TOO_BUSY', 'too many queries run and wait', details, {
      hint: 'try again when one has ended, or raise the limit',
    })
  }
}

function once(release: Release): Release {
  let held = true
  return () => {
    if (held) release()
    held = false
  }
}
