import { type ChildProcess, spawn } from 'node:child_process'
import { LineChannel } from './line-channel.js'

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
  private readonly channel: LineChannel
  private readonly ended: Promise<void>
  private lastWords = ''

  constructor(options: LineProcessOptions) {
    const env = { ...process.env, ...options.env }
    this.child = spawn(options.command, options.args, { detached: true, env, stdio: ['pipe', 'pipe', 'pipe'] })
    const { stdin, stdout, stderr } = this.child
    if (!stdin || !stdout || !stderr) throw new Error('a piped child has no streams')
    stderr.setEncoding('utf8').on('data', (text: string) => {
      this.lastWords = (this.lastWords + text).slice(-4_000)
    })
    this.channel = new LineChannel(stdout, stdin, options.answerMsMax ?? 300_000, () => this.killGroup())
    process.once('exit', this.killGroup)
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => this.channel.fail(error))
      this.child.once('close', (code, signal) => {
        process.removeListener('exit', this.killGroup)
        this.channel.fail(new Error(`${options.command} ended (${signal ?? code}):\n${this.lastWords}`))
        resolve()
      })
    })
  }

  /** As `LineChannel.ask`; rejects with what the process last said on its standard error when it ends. */
  async ask(request: object): Promise<unknown> {
    return await this.channel.ask(request)
  }

  /** As `LineChannel.next`. */
  async next(): Promise<unknown> {
    return await this.channel.next()
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

  private readonly killGroup = (): void => {
    if (this.child.pid === undefined) return
    try {
      process.kill(-this.child.pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}
