import { setTimeout as sleep } from 'node:timers/promises'
import type { CaseStream } from '../../data/case-stream.js'
import { dice, zipf } from '../../data/dice.js'
import type { Contestant } from './contestant.js'
import { type Instant, type Phase, round } from './result.js'
import { GIVE_UP_MS, type Run } from './run.js'
import type { Truth } from './truth.js'

const ASKERS = 4
/** The share of the stream that counts as after the crash. */
const CRASH_SHARE = 0.1
/** After which a row that was acknowledged counts as not seen. */
const NEVER_MS = 5000

/** Asks while the stream runs. */
export class Questions {
  readonly answers: Instant[] = []
  readonly freshMs: number[] = []
  never = 0
  private readonly contestant: Contestant
  private readonly truth: Truth
  private readonly run: Run
  private readonly moments: readonly { readonly position: number; readonly rank: number }[]
  private crashPosition = Number.POSITIVE_INFINITY

  constructor(
    contestant: Contestant,
    truth: Truth,
    run: Run,
    stream: CaseStream,
    { instants, seed }: { readonly instants: number; readonly seed: number },
  ) {
    this.contestant = contestant
    this.truth = truth
    this.run = run
    const roll = dice(seed)
    const rankOf = zipf(stream.paths.length, 1)
    const moments = Array.from({ length: instants }, () => ({ position: roll.next(), rank: rankOf(roll.next()) }))
    this.moments = moments.toSorted((a, b) => a.position - b.position)
  }

  /** How many views a URL has, at each of the random instants; popular ones more often. */
  async ask(): Promise<void> {
    let next = 0
    const asker = async () => {
      for (let moment = this.moments[next++]; moment; moment = this.moments[next++]) {
        while (this.run.position < moment.position && !this.run.isOver) await sleep(1)
        this.answers.push(await this.answer(moment.rank))
      }
    }
    await Promise.all(Array.from({ length: ASKERS }, asker))
  }

  /** Sends rows of URLs of their own, and asks for each until it is there. */
  async probe(urls: readonly string[]): Promise<void> {
    for (const [n, url] of urls.entries()) {
      while (this.run.position < (n + 0.5) / urls.length && !this.run.isOver) await sleep(1)
      if (this.run.isOver) return
      const at = Math.floor(this.run.nowMs)
      const ndjson = Buffer.from(`{"viewed_at":"${new Date(at).toISOString()}","url":"${url}"}\n`, 'latin1')
      const ranks = Uint16Array.of(this.truth.paths.indexOf(url))
      await this.run.deliver({ producer: 'prober', sequence: n, isCopy: false, ranks, atMs: Float64Array.of(at), ndjson })
      const acknowledged = performance.now()
      const isSeen = await this.isSeen(url, acknowledged + NEVER_MS)
      if (isSeen) this.freshMs.push(performance.now() - acknowledged)
      else if (isSeen === false) this.never++
    }
  }

  /** `undefined` when a question had no answer: that says how long the crash took, and nothing of freshness. */
  private async isSeen(url: string, untilMs: number): Promise<boolean | undefined> {
    while (performance.now() < untilMs) {
      const views = await this.contestant.ask(url).catch(() => undefined)
      if (views === undefined) return undefined
      if (views > 0) return true
      await sleep(1)
    }
    return false
  }

  private async answer(rank: number): Promise<Instant> {
    const giveUpAtMs = performance.now() + GIVE_UP_MS
    for (;;) {
      const { position, isInUpkeep } = this.run
      const least = this.truth.acknowledged[rank] as number
      const phase = this.phase(position)
      const started = performance.now()
      try {
        const views = await this.contestant.ask(this.truth.paths[rank] as string)
        const ms = round(performance.now() - started)
        const most = this.truth.sent[rank] as number
        const off = views < least ? views - least : Math.max(0, views - most)
        const inUpkeep = phase === 'under load' && (isInUpkeep || this.run.isInUpkeep)
        const share = round(off / Math.max(1, least))
        return { phase: inUpkeep ? 'during upkeep' : phase, position: round(position), ms, off, share }
      } catch (error) {
        if (this.run.crashedAt === undefined || performance.now() > giveUpAtMs) throw error
        await sleep(10)
      }
    }
  }

  private phase(position: number): Phase {
    if (this.run.crashedAt !== undefined) this.crashPosition = Math.min(this.crashPosition, position)
    if (this.run.isOver) return 'after the stream'
    const sinceCrash = position - this.crashPosition
    return sinceCrash >= 0 && sinceCrash < CRASH_SHARE ? 'after a crash' : 'under load'
  }
}
