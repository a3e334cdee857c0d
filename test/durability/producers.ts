// Clients that send rows over HTTP until they are answered, and remember what they were told.
import { setTimeout as sleep } from 'node:timers/promises'

export interface SentBatch {
  readonly producer: string
  readonly sequence: number
  readonly ids: readonly number[]
  /** The version of the answer. */
  acked: number | undefined
}

const ROWS = 5
const ANSWER_MS_MAX = 20_000

/** Producers of one table, each with a sequence of its own; they go on through whatever happens to the server. */
export class Producers {
  readonly batches: SentBatch[] = []
  /** Answers that no producer should ever get. */
  readonly refusals: string[] = []
  private readonly url: () => string
  private readonly table: string
  private readonly running: Promise<void>[]
  private ending = false
  private ids = 0

  constructor(count: number, url: () => string, table = 't') {
    this.url = url
    this.table = table
    this.running = Array.from({ length: count }, (_, at) => this.produce(`p${at}`))
  }

  get acked(): readonly SentBatch[] {
    return this.batches.filter((batch) => batch.acked !== undefined)
  }

  /** Ids below this are acknowledged, all of them that were sent. */
  get ackedBelow(): number {
    return Math.min(this.ids + 1, ...this.batches.filter(({ acked }) => acked === undefined).flatMap(({ ids }) => ids))
  }

  /** Sends nothing new, and waits for the answers to what was sent. */
  async finish(): Promise<void> {
    this.ending = true
    await Promise.all(this.running)
  }

  private async produce(producer: string): Promise<void> {
    for (let sequence = 1; !this.ending; sequence++) {
      const ids = Array.from({ length: ROWS }, () => ++this.ids)
      const batch: SentBatch = { producer, sequence, ids, acked: undefined }
      this.batches.push(batch)
      const body = ids.map((id) => `${JSON.stringify({ id, v: producer })}\n`).join('')
      while (batch.acked === undefined) batch.acked = await this.send(batch, body)
    }
  }

  private async send({ producer, sequence }: SentBatch, body: string): Promise<number | undefined> {
    const headers = { 'content-type': 'application/x-ndjson', 'producer-id': producer, 'producer-sequence': String(sequence) }
    const signal = AbortSignal.timeout(ANSWER_MS_MAX)
    try {
      const answer = await fetch(`${this.url()}/v1/tables/${this.table}/rows`, { method: 'POST', headers, body, signal })
      const { version, rows, replayed, code } = (await answer.json()) as Readonly<Record<string, unknown>>
      if (answer.ok && (rows === ROWS || replayed === true)) return Number(version)
      if (![409, 429, 500, 503, 504].includes(answer.status)) this.refusals.push(`${answer.status} ${String(code)}`)
    } catch {
      // The server is gone, or its answer.
    }
    await sleep(50)
    return undefined
  }
}
