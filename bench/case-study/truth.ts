import type { CaseStream, ViewPost } from '../../data/case-stream.js'
import { type Dice, zipf } from '../../data/dice.js'

/** A question about an instant of event time, and what is true of it once everything has arrived. */
export interface AsOfQuestion {
  readonly rank: number
  readonly atMs: number
  views: number
}

/** How far counts of all URLs are from what they should be. */
export interface Deviation {
  /** URLs whose count is wrong. */
  readonly urls: number
  /** Views that are not in the counts. */
  readonly missing: number
  /** Views that the counts have beyond what happened. */
  readonly extra: number
}

/** What was sent, what of it was acknowledged, and what happened in fact. By rank of the URL. */
export class Truth {
  readonly paths: readonly string[]
  readonly sent: Int32Array
  readonly acknowledged: Int32Array
  /** Without what the bug made. */
  readonly real: Int32Array
  readonly questions: readonly AsOfQuestion[]
  rowsSent = 0
  rowsAcknowledged = 0
  private readonly asked = new Map<number, AsOfQuestion[]>()

  constructor(stream: CaseStream, paths: readonly string[], questions: number, roll: Dice) {
    this.paths = paths
    this.sent = new Int32Array(paths.length)
    this.acknowledged = new Int32Array(paths.length)
    this.real = new Int32Array(paths.length)
    const rankOf = zipf(stream.paths.length, 0.8)
    this.questions = Array.from({ length: questions }, () => {
      const atMs = Math.floor(stream.fromMs + roll.next() * (stream.toMs - stream.fromMs))
      return { rank: rankOf(roll.next()), atMs, views: 0 }
    })
    for (const question of this.questions) this.asked.set(question.rank, [...(this.asked.get(question.rank) ?? []), question])
  }

  /** Before it is sent for the first time. */
  send({ ranks, atMs, isCopy }: ViewPost): void {
    this.rowsSent += ranks.length
    for (const [n, rank] of ranks.entries()) {
      this.sent[rank] = (this.sent[rank] as number) + 1
      if (!isCopy) this.real[rank] = (this.real[rank] as number) + 1
      for (const question of this.asked.get(rank) ?? []) if ((atMs[n] as number) <= question.atMs) question.views++
    }
  }

  acknowledge({ ranks }: ViewPost): void {
    this.rowsAcknowledged += ranks.length
    for (const rank of ranks) this.acknowledged[rank] = (this.acknowledged[rank] as number) + 1
  }

  deviation(counts: ReadonlyMap<string, number>, expected: Int32Array): Deviation {
    let [urls, missing, extra] = [0, 0, 0]
    for (const [rank, path] of this.paths.entries()) {
      const off = (counts.get(path) ?? 0) - (expected[rank] as number)
      if (off !== 0) urls++
      if (off < 0) missing -= off
      else extra += off
    }
    return { urls, missing, extra }
  }
}
