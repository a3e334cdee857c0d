import ms, { type StringValue } from 'ms'
import { parseSize } from '../src/index.js'
import { UsageError } from './errors.js'

/** What results look like on stdout. */
export const SHOWN_FORMATS = ['table', 'json', 'ndjson', 'csv', 'markdown'] as const
/** The last two are the answers of queries, into a file or a pipe. */
export const OUTPUT_FORMATS = [...SHOWN_FORMATS, 'arrow', 'parquet'] as const
export type OutputFormat = (typeof OUTPUT_FORMATS)[number]

/** One row of the table: it yields a flag, a variable of the environment, a key of the config file and a line of help. */
export interface Setting<T> {
  /** As commander reads them. */
  readonly flags: string
  readonly env: string
  readonly description: string
  /** As people would write it; absent where there is none. */
  readonly default?: string | undefined
  /** What happens without one, in words. */
  readonly otherwise?: string | undefined
  /** Which commands have it as a flag. The environment and the config file may name it for all. */
  readonly scope: 'global' | 'shell' | 'server'
  /** @throws {UsageError} saying what is expected. */
  readonly parse: (text: string) => T
}

/** Where several places say something, the flag goes before the environment, and that before `deltaic.json`. */
export const SETTINGS = {
  root: {
    flags: '--root <path|uri>',
    env: 'DELTAIC_ROOT',
    default: './lake',
    scope: 'global',
    description: 'the lakehouse: a folder, or s3://bucket/prefix',
    parse: text,
  },
  output: {
    flags: '-o, --output <format>',
    env: 'DELTAIC_OUTPUT',
    default: 'table',
    scope: 'global',
    description: `how results are printed: ${OUTPUT_FORMATS.join(', ')}`,
    parse: oneOf(OUTPUT_FORMATS),
  },
  quiet: {
    flags: '--quiet',
    env: 'DELTAIC_QUIET',
    default: 'false',
    scope: 'global',
    description: 'print results and errors only',
    parse: yesOrNo,
  },
  s3Endpoint: {
    flags: '--s3-endpoint <url>',
    env: 'DELTAIC_S3_ENDPOINT',
    scope: 'global',
    description: 'an S3-compatible server; keys and region come from AWS_… variables and profiles',
    parse: url,
  },
  memoryLimit: {
    flags: '--memory-limit <size>',
    env: 'DELTAIC_MEMORY_LIMIT',
    scope: 'global',
    description: 'what SQL may hold in memory before it spills to disk',
    otherwise: 'half of the machine, at most 8 GB',
    parse: size,
  },
  threads: {
    flags: '--threads <n>',
    env: 'DELTAIC_THREADS',
    scope: 'global',
    description: 'threads of the SQL engine',
    otherwise: 'as many as processors',
    parse: wholeNumber(1, 1024),
  },
  logFilesMax: {
    flags: '--log-files-max <n>',
    env: 'DELTAIC_LOG_FILES_MAX',
    default: '4000000',
    scope: 'global',
    description: 'how many data files the logs in memory may tell of, at about 1 KB each',
    parse: wholeNumber(1, Number.MAX_SAFE_INTEGER),
  },
  historyFile: {
    flags: '--history-file <file>',
    env: 'DELTAIC_HISTORY_FILE',
    default: '~/.deltaic_history',
    scope: 'shell',
    description: 'where the shell keeps what was typed; an empty name keeps nothing',
    parse: (value) => value,
  },
  host: {
    flags: '--host <address>',
    env: 'DELTAIC_HOST',
    default: '127.0.0.1',
    scope: 'server',
    description: 'the address to listen on; one that others can reach needs a token',
    parse: text,
  },
  port: {
    flags: '--port <n>',
    env: 'DELTAIC_PORT',
    default: '8080',
    scope: 'server',
    description: 'the port to listen on; 0 takes a free one',
    parse: wholeNumber(0, 65_535),
  },
  token: {
    flags: '--token <secret>',
    env: 'DELTAIC_TOKEN',
    scope: 'server',
    description: 'what clients must send as "Authorization: Bearer …"; best given by the environment',
    parse: text,
  },
  readToken: {
    flags: '--read-token <secret>',
    env: 'DELTAIC_READ_TOKEN',
    scope: 'server',
    description: 'the same for clients that may only read',
    parse: text,
  },
  lingerMs: {
    flags: '--linger-ms <n>',
    env: 'DELTAIC_LINGER_MS',
    default: '2',
    scope: 'server',
    description: 'how long concurrent writes gather for one commit, in milliseconds',
    parse: wholeNumber(0, 100),
  },
  bodyLimit: {
    flags: '--body-limit <size>',
    env: 'DELTAIC_BODY_LIMIT',
    default: '256MB',
    scope: 'server',
    description: 'how much one request may send, as sent and again when decompressed',
    parse: size,
  },
  queriesMax: {
    flags: '--queries-max <n>',
    env: 'DELTAIC_QUERIES_MAX',
    default: '8',
    scope: 'server',
    description: 'how many queries run at once; one more waits',
    parse: wholeNumber(1, 10_000),
  },
  queriesWaiting: {
    flags: '--queries-waiting <n>',
    env: 'DELTAIC_QUERIES_WAITING',
    default: '32',
    scope: 'server',
    description: 'how many queries wait for their turn; one more is refused with 429',
    parse: wholeNumber(0, 10_000),
  },
  queryTimeout: {
    flags: '--query-timeout <time>',
    env: 'DELTAIC_QUERY_TIMEOUT',
    default: '60s',
    scope: 'server',
    description: 'how long a query may work',
    parse: duration,
  },
  asyncTimeout: {
    flags: '--async-timeout <time>',
    env: 'DELTAIC_ASYNC_TIMEOUT',
    default: '1h',
    scope: 'server',
    description: 'how long a query may work that runs with async=true',
    parse: duration,
  },
  rowsMax: {
    flags: '--rows-max <n>',
    env: 'DELTAIC_ROWS_MAX',
    otherwise: 'no limit',
    scope: 'server',
    description: 'how many rows an answer may have',
    parse: wholeNumber(1, Number.MAX_SAFE_INTEGER - 1),
  },
  answerLimit: {
    flags: '--answer-limit <size>',
    env: 'DELTAIC_ANSWER_LIMIT',
    default: '16GB',
    scope: 'server',
    description: 'what an answer may take on disk while it waits for its reader',
    parse: size,
  },
  resultsLimit: {
    flags: '--results-limit <size>',
    env: 'DELTAIC_RESULTS_LIMIT',
    default: '4GB',
    scope: 'server',
    description: 'what results of async queries may take on disk, all together',
    parse: size,
  },
  resultsKept: {
    flags: '--results-kept <time>',
    env: 'DELTAIC_RESULTS_KEPT',
    default: '10m',
    scope: 'server',
    description: 'how long the results of async queries are kept',
    parse: duration,
  },
  resultCache: {
    flags: '--result-cache <size>',
    env: 'DELTAIC_RESULT_CACHE',
    default: '64MB',
    scope: 'server',
    description: 'memory for answers that are sent again while their versions are the newest; 0 keeps none',
    parse: size,
  },
  watchersMax: {
    flags: '--watchers-max <n>',
    env: 'DELTAIC_WATCHERS_MAX',
    default: '2000',
    scope: 'server',
    description: 'how many watch keys of views at once; one more is refused with 429',
    parse: wholeNumber(1, 100_000),
  },
  watchPollMs: {
    flags: '--watch-poll-ms <n>',
    env: 'DELTAIC_WATCH_POLL_MS',
    default: '50',
    scope: 'server',
    description: 'how often to look for commits of other processes to what is watched, in milliseconds',
    parse: wholeNumber(1, 3_600_000),
  },
  maintenance: {
    flags: '--maintenance <on|off>',
    env: 'DELTAIC_MAINTENANCE',
    default: 'on',
    scope: 'server',
    description: 'look after the tables: rewrite small files, and what their properties ask for',
    parse: yesOrNo,
  },
  log: {
    flags: '--log',
    env: 'DELTAIC_LOG',
    default: 'false',
    scope: 'server',
    description: 'a line of JSON on stderr for each request and event',
    parse: yesOrNo,
  },
} as const satisfies Record<string, Setting<unknown>>

export type SettingName = keyof typeof SETTINGS
type ValueOf<Name extends SettingName> = ReturnType<(typeof SETTINGS)[Name]['parse']>
/** Settings without a default may be absent. */
export type Settings = {
  readonly [Name in SettingName]: (typeof SETTINGS)[Name] extends { default: string } ? ValueOf<Name> : ValueOf<Name> | undefined
}

/** One place that settings may come from, and what it calls them; the words are not parsed yet. */
export interface SettingSource {
  readonly nameOf: (name: SettingName) => string
  readonly textOf: (name: SettingName) => string | undefined
}

/**
 * Takes each setting from the first of `sources` that has it, else its default.
 *
 * @throws {UsageError} naming the source of a word that cannot be read.
 */
export function resolveSettings(sources: readonly SettingSource[]): Settings {
  const resolve = (name: SettingName): unknown => {
    const setting: Setting<unknown> = SETTINGS[name]
    for (const source of sources) {
      const words = source.textOf(name)
      if (words === undefined) continue
      try {
        return setting.parse(words)
      } catch (error) {
        if (error instanceof UsageError) throw new UsageError(`${source.nameOf(name)} ${error.message}`, error.hint)
        throw error
      }
    }
    return setting.default === undefined ? undefined : setting.parse(setting.default)
  }
  return Object.fromEntries(settingNames().map((name) => [name, resolve(name)])) as unknown as Settings
}

export function settingNames(): SettingName[] {
  return Object.keys(SETTINGS) as SettingName[]
}

function text(value: string): string {
  if (value === '') throw new UsageError('is empty')
  return value
}

function oneOf<T extends string>(choices: readonly T[]): (value: string) => T {
  return (value) => {
    const found = choices.find((choice) => choice === value)
    if (found === undefined) throw new UsageError(`is none of ${choices.join(', ')}: ${value}`)
    return found
  }
}

function yesOrNo(value: string): boolean {
  const lower = value.toLowerCase()
  if (['true', '1', 'yes', 'on'].includes(lower)) return true
  if (['false', '0', 'no', 'off', ''].includes(lower)) return false
  throw new UsageError(`is neither true nor false: ${value}`)
}

function url(value: string): string {
  if (!/^https?:\/\//.test(value) || !URL.canParse(value)) throw new UsageError(`is no http or https URL: ${value}`)
  return value
}

function size(value: string): number {
  const bytes = parseSize(value)
  if (bytes === undefined) throw new UsageError(`is no size: ${value}`, 'write 128MB, 2GB, or a number of bytes')
  return bytes
}

/** In milliseconds; at least 1. */
export function duration(value: string): number {
  const parsed = /^[\d.]+ ?[a-z]+$/i.test(value) ? ms(value as StringValue) : undefined
  if (parsed === undefined || !(parsed >= 1)) throw new UsageError(`is no time: ${value}`, 'write 500ms, 60s, 5m or 2h')
  return Math.round(parsed)
}

/** Bounds are inclusive. */
export function wholeNumber(min: number, max: number): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (!/^\d+$/.test(value) || number < min || number > max)
      throw new UsageError(`is no whole number from ${min} to ${max}: ${value}`)
    return number
  }
}
