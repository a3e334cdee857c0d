import { createInterface, type Interface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { DELTAIC_VERSION, type Lakehouse, type QueryResult } from '../../src/index.js'
import { failureOf, formatFailure } from '../exit.js'
import { Interrupted } from '../interrupt.js'
import { PipeClosed } from '../output/pipe.js'
import type { ProgressBar } from '../output/progress-bar.js'
import type { OutputFormat } from '../settings.js'
import { saysSomething, splitStatements } from '../statements.js'
import { complete } from './completion.js'
import { readDotCommand } from './dot-commands.js'
import { HISTORY_LINES_MAX, type HistoryFile } from './history-file.js'

export interface ShellOptions {
  readonly input: Readable
  readonly output: Writable
  readonly lake: Lakehouse
  readonly root: string
  readonly format: OutputFormat
  readonly history: HistoryFile
  /** Ends the session. */
  readonly signal: AbortSignal
  /** For a statement that takes long. */
  readonly progress: () => ProgressBar
  /** Prints a result and closes it; the bar goes before it. */
  readonly print: (result: QueryResult, format: OutputFormat, bar: ProgressBar) => Promise<void>
}

const PROMPT = 'deltaic> '
const PROMPT_MORE = '     ...> '

/** Reads and runs statements until the user leaves. Statements run one after another; Ctrl-C stops the one that runs. */
export async function runShell(options: ShellOptions): Promise<void> {
  await new Shell(options).run()
}

class Shell {
  private readonly options: ShellOptions
  private readonly lines: Interface
  private format: OutputFormat
  /** Newest first; readline adds to it. */
  private history: string[]
  /** What is typed of a statement that has not ended yet. */
  private typed = ''
  private running: AbortController | undefined

  constructor(options: ShellOptions) {
    const { input, output, lake } = options
    this.options = options
    this.format = options.format
    this.history = options.history.load()
    this.lines = createInterface({
      input,
      output,
      terminal: true,
      prompt: PROMPT,
      history: this.history,
      historySize: HISTORY_LINES_MAX,
      removeHistoryDuplicates: true,
      completer: (line: string, answer: (error: null, found: [string[], string]) => void) => {
        complete(lake, this.typed, line).then(
          (found) => answer(null, found),
          () => answer(null, [[], line]),
        )
      },
    })
    this.lines.on('history', (history) => {
      this.history = history
    })
    this.lines.on('SIGINT', () => this.interrupt())
  }

  async run(): Promise<void> {
    const { signal } = this.options
    const leave = () => {
      this.running?.abort(signal.reason)
      this.lines.close()
    }
    signal.addEventListener('abort', leave, { once: true })
    try {
      this.say(`deltaic ${DELTAIC_VERSION} on ${this.options.root}; .help says what there is\n`)
      this.lines.prompt()
      for await (const line of this.lines) {
        if ((await this.take(line)) === 'quit') return
        this.lines.setPrompt(this.typed === '' ? PROMPT : PROMPT_MORE)
        this.lines.prompt()
      }
      this.say('\n')
    } finally {
      signal.removeEventListener('abort', leave)
      this.lines.close()
    }
    signal.throwIfAborted()
  }

  private async take(line: string): Promise<'quit' | 'go on'> {
    const request = this.typed === '' ? readDotCommand(line) : undefined
    switch (request?.kind) {
      case 'quit':
        return 'quit'
      case 'say':
        this.say(request.text)
        return 'go on'
      case 'format':
        this.format = request.format
        return 'go on'
      case 'run':
        await this.execute(request.statement)
        return 'go on'
      case undefined:
        await this.takeSql(line)
        return 'go on'
    }
  }

  private async takeSql(line: string): Promise<void> {
    const { statements, rest } = splitStatements(`${this.typed}${line}\n`)
    const whole = this.typed
    this.typed = saysSomething(rest) ? rest : ''
    if (statements.length === 0) return
    this.remember(`${whole}${line}`)
    for (const statement of statements) {
      if ((await this.execute(statement)) === 'failed') return
    }
  }

  private async execute(statement: string): Promise<'done' | 'failed'> {
    const { lake, print, progress } = this.options
    const running = new AbortController()
    this.running = running
    const bar = progress()
    try {
      await print(await lake.sql(statement, { signal: running.signal, onProgress: bar.show }), this.format, bar)
      return 'done'
    } catch (error) {
      bar.end()
      if (error instanceof PipeClosed) throw error
      this.say(running.signal.aborted ? 'interrupted\n' : formatFailure(failureOf(error), false))
      return 'failed'
    } finally {
      bar.end()
      this.running = undefined
    }
  }

  /** A statement typed on several lines is recalled as one, unless a comment would swallow what follows it. */
  private remember(text: string): void {
    const lines = text.split('\n').filter((line) => line.trim() !== '')
    if (lines.length > 1 && !text.includes('--')) {
      while (lines.includes(this.history[0] ?? '')) this.history.shift()
      this.history.unshift(lines.join(' '))
    }
    this.options.history.save(this.history)
  }

  private interrupt(): void {
    if (this.running) {
      this.running.abort(new Interrupted('interrupted'))
      return
    }
    this.typed = ''
    this.say('^C\n')
    this.lines.write(null, { ctrl: true, name: 'e' })
    this.lines.write(null, { ctrl: true, name: 'u' })
    this.lines.setPrompt(PROMPT)
    this.lines.prompt()
  }

  private say(text: string): void {
    this.options.output.write(text)
  }
}
