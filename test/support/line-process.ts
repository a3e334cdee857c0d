import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface LineProcessOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Record<string, string> | undefined
  /** How long one answer may take before the process counts as hung. @defaultValue 5 minutes */
  readonly answerMsMax?: number | undefined
}

/**
 * A program that answers each line of its input with one line of JSON, in order.
 *
 * It leads a process group of its own, which ends with `close()` or with this process, so no grandchild outlives a test.
 */
export class LineProcess implements AsyncDisposable {
  private readonly child: ChildProcess
  private readonly waiting: { resolve(answer: unknown): void; reject(error: Error): void }[] = []
  private readonly unclaimed: unknown[] = []
  private readonly ended: Promise<void>
  private readonly answerMsMax: number
  private failure: Error | undefined
  private lastWords = ''

  constructor(options: LineProcessOptions) {
    this.answerMsMax = options.answerMsMax ?? 300_000
    const env = { ...process.env, ...options.env }
    this.child = spawn(options.command, options.args, { detached: true, env, stdio: ['pipe', 'pipe', 'pipe'] })
    const { stdin, stdout, stderr } = this.child
    if (!stdin || !stdout || !stderr) throw new Error('a piped child has no streams')
    stdin.on('error', () => undefined) // A closed pipe shows as the end of the process, below.
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.lastWords = (this.lastWords + text).slice(-4_000)
    })
    const lines = createInterface({ input: stdout })
    lines.on('line', (line) => this.take(line))
    process.once('exit', this.killGroup)
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => this.fail(error))
      this.child.once('close', (code, signal) => {
        process.removeListener('exit', this.killGroup)
        this.fail(new Error(`${options.command} ended (${signal ?? code}):\n${this.lastWords}`))
        resolve()
      })
    })
  }

  /** Sends one request and resolves with its answer. Calls may overlap; they are answered in order. */
  async ask(request: object): Promise<unknown> {
    if (this.failure) throw this.failure
    this.child.stdin?.write(`${JSON.stringify(request)}\n`)
    return await this.next()
  }

  /**
   * The next line that answers no request, such as a greeting.
   *
   * Rejects with what the process last said on its standard error when it ends or hangs.
   */
  async next(): Promise<unknown> {
    if (this.unclaimed.length > 0) return this.unclaimed.shift()
    if (this.failure) throw this.failure
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise((resolve, reject) => {
        this.waiting.push({ resolve, reject })
        timer = setTimeout(() => {
          this.fail(new Error(`no answer within ${this.answerMsMax} ms:\n${this.lastWords}`))
          this.killGroup()
        }, this.answerMsMax)
      })
    } finally {
      clearTimeout(timer)
    }
  }

  /** Ends the input, gives the process two seconds to leave, and kills what is left of its group. */
  async close(): Promise<void> {
    this.child.stdin?.end()
    const timer = setTimeout(this.killGroup, 2_000)
    await this.ended
    clearTimeout(timer)
    this.killGroup()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  private take(line: string): void {
    let answer: unknown
    try {
      answer = JSON.parse(line)
    } catch {
      this.fail(new Error(`not a line of JSON: ${line.slice(0, 500)}`))
      this.killGroup()
      return
    }
    const first = this.waiting.shift()
    if (first) first.resolve(answer)
    else this.unclaimed.push(answer)
  }

  private fail(error: Error): void {
    this.failure ??= error
    for (const waiting of this.waiting.splice(0)) waiting.reject(this.failure)
  }

  private readonly killGroup = (): void => {
    if (this.child.pid === undefined) return
    try {
      process.kill(-this.child.pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
