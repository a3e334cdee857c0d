import type { Lakehouse } from '../../src/index.js'
import { quoteName } from '../arguments.js'
import { OUTPUT_FORMATS, type OutputFormat } from '../settings.js'

/** What a line that is not SQL asks for. */
export type ShellRequest =
  | { readonly kind: 'quit' }
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'run'; readonly statement: string }
  | { readonly kind: 'format'; readonly format: OutputFormat }

export const DOT_COMMANDS = ['.tables', '.describe', '.history', '.mode', '.help', '.quit'] as const

const HELP = `Statements end with ";" and may take several lines. The dialect is DuckDB's, with Delta's own statements.
  .tables  \\d            the tables
  .describe T  \\d T      columns of a table
  .history T             versions of a table
  .mode FORMAT           ${OUTPUT_FORMATS.join(', ')}
  .help  \\?              this
  .quit  \\q  Ctrl-D      leave
Ctrl-C stops a running statement, or clears what is typed.
`

/** Reads a line that begins with `.` or `\`; `undefined` for any other. */
export function readDotCommand(line: string): ShellRequest | undefined {
  const words = line.trim().replace(/;$/, '').split(/\s+/)
  const [command = '', argument] = words
  if (!/^[.\\]/.test(command)) return undefined
  const onTable = (statement: string): ShellRequest =>
    argument === undefined
      ? { kind: 'say', text: `${command} needs the name of a table\n` }
      : { kind: 'run', statement: `${statement} ${quoteName(argument)}` }
  switch (command) {
    case '.quit':
    case '.exit':
    case '\\q':
      return { kind: 'quit' }
    case '.help':
    case '\\?':
    case '\\h':
      return { kind: 'say', text: HELP }
    case '.tables':
    case '\\dt':
      return { kind: 'run', statement: 'SHOW TABLES' }
    case '\\d':
      return argument === undefined ? { kind: 'run', statement: 'SHOW TABLES' } : onTable('DESCRIBE')
    case '.describe':
    case '.schema':
      return onTable('DESCRIBE')
    case '.history':
      return onTable('DESCRIBE HISTORY')
    case '.mode':
      return readFormat(argument)
    default:
      return { kind: 'say', text: `unknown command: ${command} (.help lists them)\n` }
  }
}

function readFormat(word: string | undefined): ShellRequest {
  const format = OUTPUT_FORMATS.find((name) => name === word)
  return format === undefined ? { kind: 'say', text: `.mode takes ${OUTPUT_FORMATS.join(', ')}\n` } : { kind: 'format', format }
}

/** Completes names of commands and tables. */
export async function complete(lake: Lakehouse, line: string): Promise<[string[], string]> {
  const word = /[\w.\\]*$/.exec(line)?.[0] ?? ''
  if (word === '') return [[], word]
  const tables = (await lake.tables()).map(({ name }) => name)
  return [[...(line.startsWith('.') ? DOT_COMMANDS : []), ...tables].filter((name) => name.startsWith(word)), word]
}
