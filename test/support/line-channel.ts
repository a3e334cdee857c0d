import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'

/** Requests and answers over two streams, one line of JSON each, in order. */
export class LineChannel {
  private readonly output: Writable
  private readonly answerMsMax: number
  private readonly onFailure: () => void
  private readonly waiting: { resolve(answer: unknown): void; reject(error: Error): void }[] = []
  private readonly unclaimed: unknown[] = []
  private failure: Error | undefined

  /**
   * @param answerMsMax how long one answer may take before the other side counts as hung.
   * @param onFailure is called when the other side hangs, or says what is no JSON.
   */
  constructor(input: Readable, output: Writable, answerMsMax: number, onFailure: () => void) {
    this.output = output
    this.answerMsMax = answerMsMax
    this.onFailure = onFailure
    output.on('error', () => undefined) // A closed pipe shows as the end of the other side.
    const lines = createInterface({ input })
    lines.on('line', (line) => this.take(line))
  }

  /** Sends one request and resolves with its answer. Calls may overlap; they are answered in order. */
  async ask(request: object): Promise<unknown> {
    if (this.failure) throw this.failure
    this.output.write(`${JSON.stringify(request)}\n`)
    return await this.next()
  }

  /** The next line that answers no request, such as a greeting. */
  async next(): Promise<unknown> {
    if (this.unclaimed.length > 0) return this.unclaimed.shift()
    if (this.failure) throw this.failure
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise((resolve, reject) => {
        this.waiting.push({ resolve, reject })
        timer = setTimeout(() => {
          this.fail(new Error(`no answer within ${this.answerMsMax} ms`))
          this.onFailure()
        }, this.answerMsMax)
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /** Says that no more answers come, and why: the first reason stands. */
  fail(error: Error): void {
    this.failure ??= error
    for (const waiting of this.waiting.splice(0)) waiting.reject(this.failure)
  }

  private take(line: string): void {
    let answer: unknown
    try {
      answer = JSON.parse(line)
    } catch {
      this.fail(new Error(`not a line of JSON: ${line.slice(0, 500)}`))
      this.onFailure()
      return
    }
    const first = this.waiting.shift()
    if (first) first.resolve(answer)
    else this.unclaimed.push(answer)
  }
}
