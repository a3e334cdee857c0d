import { addAbortSignal, type Readable } from 'node:stream'
import { type Lakehouse, openLakehouse } from '../src/index.js'
import type { ExitCode } from './exit.js'
import { openPipe, type Pipe } from './output/pipe.js'
import { noProgress, type ProgressBar, progressBar } from './output/progress-bar.js'
import { type Column, formatRelation } from './output/relation.js'
import type { Settings } from './settings.js'

/** What a command works with: settings to read, a place for results, another for messages, and the wish to stop. */
export interface Context {
  readonly settings: Settings
  readonly stdin: {
    /** Whether a person would have to type what is read. */
    readonly isTerminal: boolean
    /** To be read once; it breaks off when the user wants to stop, whether or not more ever comes. */
    readonly open: () => Readable
  }
  /** For results. */
  readonly out: Pipe
  /** Aborts when the user wants to stop. */
  readonly signal: AbortSignal
  /** Says something on stderr, unless it is to be quiet. */
  readonly note: (text: string) => void
  /** A bar on stderr where that is a terminal. */
  readonly progress: () => ProgressBar
  readonly print: <Row>(columns: readonly Column<Row>[], rows: readonly Row[]) => Promise<void>
  /** Opens the lakehouse for the time of `body`. */
  readonly withLake: <T>(body: (lake: Lakehouse) => Promise<T>) => Promise<T>
}

/** Makes a commander action of a command's body; the body's value is the exit code, 0 where it has none. */
export type Run = <Args extends unknown[]>(
  body: (context: Context, ...args: Args) => Promise<ExitCode | undefined>,
) => (...args: Args) => Promise<void>

export function createContext(settings: Settings, signal: AbortSignal): Context {
  const out = openPipe(process.stdout)
  const isSilent = settings.quiet || process.stderr.isTTY !== true
  return {
    settings,
    stdin: { isTerminal: process.stdin.isTTY === true, open: () => addAbortSignal(signal, process.stdin) },
    out,
    signal,
    note: (text) => {
      if (!settings.quiet) process.stderr.write(`${text}\n`)
    },
    progress: () => (isSilent ? noProgress : progressBar(process.stderr)),
    print: async (columns, rows) => await out.write(formatRelation(columns, rows, settings.output)),
    withLake: async (body) => {
      const lake = await openLakehouse(settings.root, {
        ...(settings.s3Endpoint === undefined ? {} : { s3: { endpoint: settings.s3Endpoint } }),
        memoryLimitBytes: settings.memoryLimit,
        threads: settings.threads,
        logFilesMax: settings.logFilesMax,
        lingerMs: settings.lingerMs,
      })
      try {
        return await body(lake)
      } finally {
        await lake.close()
      }
    },
  }
}
