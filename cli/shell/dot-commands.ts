import { quoteName } from '../arguments.js'
import { type OutputFormat, SHOWN_FORMATS } from '../settings.js'

/** What a line that is not SQL asks for. */
export type ShellRequest =
  | { readonly kind: 'quit' }
  | { readonly kind: 'say'; readonly text: string }
  | { readonly kind: 'run'; readonly statement: string }
  | { readonly kind: 'format'; readonly format: OutputFormat }

export const DOT_COMMANDS = ['.tables', '.describe', '.detail', '.history', '.views', '.mode', '.help', '.quit'] as const

const HELP = `Statements end with ";" and may take several lines. The dialect is DuckDB's, with Delta's own statements.
  .tables  \\d            the tables
  .describe T  \\d T      columns of a table
  .detail T  \\d+ T        its version, files, bytes and properties
  .history T             versions of a table
  .views  \\dv            the materialized views
  .mode FORMAT           ${SHOWN_FORMATS.join(', ')}
  .help  \\?              this
  .quit  \\q  Ctrl-D      leave
Tab completes tables and columns. Ctrl-C stops a running statement, or clears what is typed.
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
    case '.detail':
    case '\\d+':
      return onTable('DESCRIBE DETAIL')
    case '.views':
    case '\\dv':
      return { kind: 'run', statement: 'SHOW VIEWS' }
    case '.history':
      return onTable('DESCRIBE HISTORY')
    case '.mode':
      return readFormat(argument)
    default:
      return { kind: 'say', text: `unknown command: ${command} (.help lists them)\n` }
  }
}

function readFormat(word: string | undefined): ShellRequest {
  const format = SHOWN_FORMATS.find((name) => name === word)
  return format === undefined ? { kind: 'say', text: `.mode takes ${SHOWN_FORMATS.join(', ')}\n` } : { kind: 'format', format }
}
