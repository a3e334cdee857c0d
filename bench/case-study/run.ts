import { setTimeout as sleep } from 'node:timers/promises'
import type { CaseStream, ViewPost } from '../../data/case-stream.js'
import type { Contestant, Pollution } from './contestant.js'
import { round } from './result.js'
import type { Truth } from './truth.js'

const UPKEEP_EVERY = 1 / 8
const CRASH_AT = 0.55
/** Posts that wait for their collector while another one sends. */
const AHEAD_MAX = 2
/** How long a post or a question is repeated. */
export const GIVE_UP_MS = 120_000

/** The stream on its way into a contestant, and what befalls it meanwhile. */
export class Run {
  readonly ackMs: number[] = []
  readonly upkeepMs: number[] = []
  readonly pollution: Pollution & { sequences: number[]; rows: number }
  isOver = false
  isInUpkeep = false
  crashedAt: number | undefined
  downMs = 0
  /** When the last post was acknowledged, and when it could be seen. */
  streamedAt = 0
  settledAt = 0
  upkeepDone: Promise<void> = Promise.resolve()
  private readonly contestant: Contestant
  private readonly source: CaseStream
  private readonly truth: Truth
  private readonly rows: number
  private readonly posts: Generator<ViewPost, void, undefined>
  private readonly queues = new Map<string, ViewPost[]>()
  private upkeeps = 0
  private hasRestarted = false
  private failed: Error | undefined

  constructor(contestant: Contestant, source: CaseStream, truth: Truth, rows: number) {
    this.contestant = contestant
    this.source = source
    this.truth = truth
    this.rows = rows
    this.posts = source.posts()
    this.pollution = { ...source.bug, sequences: [], rows: 0 }
  }

  /** From 0 to 1. */
  get position(): number {
    return Math.min(1, this.truth.rowsSent / this.rows)
  }

  /** When it is in the stream, by its own clock. */
  get nowMs(): number {
    return this.source.fromMs + this.position * (this.source.toMs - this.source.fromMs)
  }

  /** Every collector sends its next post when the last one is acknowledged. */
  async stream(): Promise<void> {
    try {
      await Promise.all(this.source.producers.map((producer) => this.produce(producer)))
      this.streamedAt = performance.now()
      await this.contestant.settle?.()
    } finally {
      this.settledAt = performance.now()
      this.isOver = true
    }
  }

  /** Sends it until it is acknowledged. */
  async deliver(post: ViewPost): Promise<void> {
    this.truth.send(post)
    const started = performance.now()
    for (;;) {
      try {
        await this.contestant.post(post)
        break
      } catch (error) {
        if (performance.now() - started > GIVE_UP_MS) throw error
        await sleep(20)
      }
    }
    this.truth.acknowledge(post)
    if (this.hasRestarted && this.crashedAt !== undefined && this.downMs === 0) this.downMs = performance.now() - this.crashedAt
    this.ackMs.push(performance.now() - started)
  }

  private async produce(producer: string): Promise<void> {
    for (let post = await this.next(producer); post && this.failed === undefined; post = await this.next(producer)) {
      if (post.isCopy) {
        this.pollution.sequences.push(post.sequence)
        this.pollution.rows += post.ranks.length
      }
      await this.deliver(post)
      this.befall()
    }
    if (this.failed !== undefined) throw this.failed
  }

  /** Collectors do not run ahead of one another: nobody's views are later than the stream says. */
  private async next(producer: string): Promise<ViewPost | undefined> {
    for (;;) {
      const waiting = this.queues.get(producer)?.shift()
      if (waiting) return waiting
      if (this.failed === undefined && [...this.queues.values()].some(({ length }) => length >= AHEAD_MAX)) {
        await sleep(1)
        continue
      }
      const { value, done } = this.posts.next()
      if (done) return undefined
      const queue = this.queues.get(value.producer) ?? []
      queue.push(value)
      this.queues.set(value.producer, queue)
    }
  }

  /** What the clock brings: upkeep, and once a crash. */
  private befall(): void {
    if (this.crashedAt === undefined && this.position >= CRASH_AT) {
      this.crashedAt = performance.now()
      this.contestant.crash().then(
        () => {
          this.hasRestarted = true
        },
        (error: unknown) => {
          this.failed = asError(error)
        },
      )
    }
    const { contestant, position } = this
    if (this.isInUpkeep || !contestant.upkeep || position >= 1 || position < (this.upkeeps + 1) * UPKEEP_EVERY) return
    this.upkeeps = Math.floor(position / UPKEEP_EVERY)
    this.isInUpkeep = true
    const started = performance.now()
    const { crashedAt, hasRestarted } = this
    this.upkeepDone = contestant
      .upkeep()
      .then(() => void this.upkeepMs.push(round(performance.now() - started)))
      .catch((error: unknown) => {
        // One that the crash ends is made up for by the next.
        const wasHit =
          this.crashedAt !== crashedAt || this.hasRestarted !== hasRestarted || (crashedAt !== undefined && !hasRestarted)
        if (!wasHit) this.failed = asError(error)
      })
      .finally(() => {
        this.isInUpkeep = false
      })
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
