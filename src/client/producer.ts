import { type Clock, systemClock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import { type Random, systemRandom } from '../base/random.js'
import { answerError, mayRetry, retryAfterMs } from './answer.js'

export interface ProducerOptions {
  /** Where the server is: `http://127.0.0.1:8080`. */
  readonly url: string | URL
  readonly table: string
  readonly token?: string | undefined
  /** Names the producer in the table. The same name after a restart goes on where it was; one process at a time has it. @defaultValue a fresh one */
  readonly producerId?: string | undefined
  /** What fields that the table lacks do: fail their rows, or become columns of it. @defaultValue 'strict' */
  readonly schema?: 'strict' | 'evolve' | undefined
  /** What a row that the table does not take does: fail what was sent with it, or go to the table `<name>__rejects`. @defaultValue 'fail' */
  readonly onError?: 'fail' | 'reject' | undefined
  /** Create the table from the first rows where there is none. @defaultValue false */
  readonly create?: boolean | undefined
  /** A post has about this many bytes at most. @defaultValue 1 MiB */
  readonly batchBytes?: number | undefined
  /** How long the first rows wait for others, in milliseconds; later ones wait for the post before theirs. @defaultValue 5 */
  readonly lingerMs?: number | undefined
  /** What may be unacknowledged before `ready` waits, in bytes. @defaultValue 16 MiB */
  readonly bufferBytes?: number | undefined
  /** How long one try may take, in milliseconds. @defaultValue 60,000 */
  readonly requestMs?: number | undefined
  /** How long a post is repeated before its rows are given up, in milliseconds. @defaultValue 300,000 */
  readonly deliveryMs?: number | undefined
  readonly fetch?: typeof fetch | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
}

/** Rows are durable, and visible from this version on. */
export interface Ack {
  readonly version: number
  /** Rows of the post that went to the rejects, whoever sent them. */
  readonly rejected: number
  /** Whether the rows had come in before, and only their answer was lost. */
  readonly replayed: boolean
}

interface Sent {
  readonly lines: string
  readonly bytes: number
  resolve(ack: Ack): void
  reject(error: unknown): void
}

const [BACKOFF_MS, BACKOFF_MS_MAX] = [50, 5000]

/**
 * Sends rows to a table of a deltaic server, each exactly once: posts are numbered, and repeated under their number until they are
 * answered. While one is on its way, rows gather for the next.
 */
export class Producer {
  readonly producerId: string
  private readonly url: URL
  private readonly headers: Readonly<Record<string, string>>
  private readonly fetch: typeof fetch
  private readonly clock: Clock
  private readonly random: Random
  private readonly batchBytes: number
  private readonly bufferBytes: number
  private readonly lingerMs: number
  private readonly requestMs: number
  private readonly deliveryMs: number
  private readonly queue: Sent[] = []
  private readonly waiting: (() => void)[] = []
  private unacknowledged = 0
  private sequence = 0
  private running: Promise<void> | undefined
  private closed = false

  /** @internal */
  constructor(options: ProducerOptions) {
    const { table, token, schema, onError, create } = options
    this.clock = options.clock ?? systemClock
    this.random = options.random ?? systemRandom
    this.fetch = options.fetch ?? globalThis.fetch
    this.producerId = options.producerId ?? this.random.uuid()
    this.url = new URL(`/v1/tables/${encodeURIComponent(table)}/rows`, options.url)
    for (const [name, value] of Object.entries({ schema, onError, create }))
      if (value !== undefined) this.url.searchParams.set(name, String(value))
    this.headers = {
      'content-type': 'application/x-ndjson',
      'producer-id': this.producerId,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    }
    this.batchBytes = options.batchBytes ?? 2 ** 20
    this.bufferBytes = options.bufferBytes ?? 16 * 2 ** 20
    this.lingerMs = options.lingerMs ?? 5
    this.requestMs = options.requestMs ?? 60_000
    this.deliveryMs = options.deliveryMs ?? 300_000
  }

  /**
   * Sends rows, which fail or succeed together. Resolves when they are durable and visible.
   *
   * @throws {DeltaError} as the server refuses them; `STORE_UNAVAILABLE` when no answer came for `deliveryMs`: the rows may
   * have been taken. `CLOSED`.
   */
  send(rows: object | readonly object[]): Promise<Ack> {
    if (this.closed) return Promise.reject(new DeltaError('CLOSED', 'the producer is closed'))
    const lines = (Array.isArray(rows) ? rows : [rows]).map((row) => `${JSON.stringify(row)}\n`).join('')
    const bytes = Buffer.byteLength(lines)
    this.unacknowledged += bytes
    return new Promise<Ack>((resolve, reject) => {
      this.queue.push({ lines, bytes, resolve, reject })
      this.running ??= this.run().finally(() => {
        this.running = undefined
      })
    }).finally(() => {
      this.unacknowledged -= bytes
      if (this.unacknowledged < this.bufferBytes) for (const go of this.waiting.splice(0)) go()
    })
  }

  /** Resolves when there is room for more: wait for it before each `send` to hold no more than `bufferBytes`. */
  async ready(): Promise<void> {
    while (this.unacknowledged >= this.bufferBytes) await new Promise<void>((resolve) => this.waiting.push(resolve))
  }

  /** Resolves when all that was sent is acknowledged or has failed, which each `send` tells. */
  async flush(): Promise<void> {
    while (this.running) await this.running
  }

  /** Takes nothing more, and flushes. */
  async close(): Promise<void> {
    this.closed = true
    await this.flush()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private async run(): Promise<void> {
    await this.clock.sleep(this.lingerMs)
    while (this.queue.length > 0) await this.deliver(this.take())
  }

  private take(): readonly Sent[] {
    let bytes = 0
    let count = 0
    for (const sent of this.queue) {
      bytes += sent.bytes
      if (count > 0 && bytes > this.batchBytes) break
      count++
    }
    return this.queue.splice(0, count)
  }

  /** Rows that are refused fail those that they were sent with, and no others. */
  private async deliver(batch: readonly Sent[]): Promise<void> {
    try {
      const ack = await this.post(Buffer.from(batch.map(({ lines }) => lines).join('')))
      for (const sent of batch) sent.resolve(ack)
    } catch (error) {
      const mayBeOthers = batch.length > 1 && error instanceof DeltaError && error.kind === 'invalid'
      if (mayBeOthers) for (const sent of batch) await this.deliver([sent])
      else for (const sent of batch) sent.reject(error)
    }
  }

  private async post(body: Buffer): Promise<Ack> {
    // By the clock, so that it goes on after a restart; gaps mean nothing.
    this.sequence = Math.max(this.sequence + 1, this.clock.now())
    const headers = { ...this.headers, 'producer-sequence': String(this.sequence) }
    const giveUpAtMs = this.clock.now() + this.deliveryMs
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.attempt(body, headers)
      if (outcome.ack) return outcome.ack
      const { error, waitMs } = outcome
      if (waitMs === undefined) throw error
      const backoffMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS * 2 ** attempt) * this.random.next()
      const pauseMs = waitMs * (1 + this.random.next() / 4) + backoffMs
      if (this.clock.now() + pauseMs > giveUpAtMs) throw error
      await this.clock.sleep(pauseMs)
    }
  }

  /** @returns an answer, or an error; with `waitMs` where trying again may help, after that time. */
  private async attempt(body: Buffer, headers: Record<string, string>): Promise<Attempt> {
    try {
      const signal = AbortSignal.timeout(this.requestMs)
      const response = await this.fetch(this.url, { method: 'POST', headers, body, signal })
      const text = await response.text()
      if (response.ok) return { ack: JSON.parse(text) as Ack }
      const error = answerError(response.status, text)
      return { error, waitMs: mayRetry(response.status, error) ? retryAfterMs(response.headers) : undefined }
    } catch (cause) {
      const error = new DeltaError('STORE_UNAVAILABLE', 'the server gave no answer', { url: this.url.origin }, { cause })
      return { error, waitMs: 0 }
    }
  }
}

type Attempt =
  | { readonly ack: Ack }
  | { readonly ack?: undefined; readonly error: DeltaError; readonly waitMs: number | undefined }

/**
 * A producer of rows for a table of a deltaic server.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for a URL that is none.
 */
export function createProducer(options: ProducerOptions): Producer {
  if (!URL.canParse(String(options.url)))
    throw new DeltaError('ARGUMENT_INVALID', 'not a URL', { url: String(options.url) }, { hint: 'such as http://127.0.0.1:8080' })
  return new Producer(options)
}
