import { Command, CommanderError, Option } from 'commander'
import { DELTAIC_VERSION } from '../src/index.js'
import { atCommand } from './commands/at.js'
import { checkStoreCommand } from './commands/check-store.js'
import { checkpointCommand } from './commands/checkpoint.js'
import { cloneCommand } from './commands/clone.js'
import { convertCommand } from './commands/convert.js'
import { createCommand } from './commands/create.js'
import { demoCommand } from './commands/demo.js'
import { describeCommand } from './commands/describe.js'
import { diffCommand } from './commands/diff.js'
import { exportCommand } from './commands/export.js'
import { fsckCommand } from './commands/fsck.js'
import { historyCommand } from './commands/history.js'
import { ingestCommand } from './commands/ingest.js'
import { lookupCommand } from './commands/lookup.js'
import { optimizeCommand } from './commands/optimize.js'
import { restoreCommand } from './commands/restore.js'
import { serveCommand } from './commands/serve.js'
import { sqlCommand } from './commands/sql.js'
import { streamCommand } from './commands/stream.js'
import { streamsCommand } from './commands/streams.js'
import { tablesCommand } from './commands/tables.js'
import { undoCommand } from './commands/undo.js'
import { vacuumCommand } from './commands/vacuum.js'
import { rebuildCommand, refreshCommand, viewsCommand } from './commands/views.js'
import { createContext, type Run } from './context.js'
import { EXIT, type ExitCode, failureOf, formatFailure } from './exit.js'
import { interruptSignal } from './interrupt.js'
import { PipeClosed } from './output/pipe.js'
import { resolveSettings, SETTINGS, type Setting, type Settings, settingNames } from './settings.js'
import { configFileSource, environmentSource, flagSource } from './sources.js'

/** In the order of the help. */
const COMMANDS: readonly ((run: Run) => Command)[] = [
  sqlCommand,
  ingestCommand,
  streamCommand,
  streamsCommand,
  createCommand,
  tablesCommand,
  describeCommand,
  historyCommand,
  optimizeCommand,
  vacuumCommand,
  restoreCommand,
  undoCommand,
  lookupCommand,
  checkpointCommand,
  fsckCommand,
  cloneCommand,
  convertCommand,
  atCommand,
  diffCommand,
  exportCommand,
  viewsCommand,
  refreshCommand,
  rebuildCommand,
  serveCommand,
  demoCommand,
  checkStoreCommand,
]

/** Runs one command line and ends the process with its exit code. */
export async function main(words: readonly string[]): Promise<never> {
  const signal = interruptSignal()
  let exitCode: ExitCode = EXIT.done
  const run: Run =
    (body) =>
    async (...args) => {
      const command = args.at(-1) as Command
      exitCode = (await body(createContext(settingsOf(command), signal), ...args)) ?? EXIT.done
    }
  const program = buildProgram(run)
  try {
    await program.parseAsync(words, { from: 'user' })
  } catch (error) {
    exitCode = report(error, signal, wantsJson(program))
  }
  // What is still open (a stalled download, a terminal) must not keep a finished command alive.
  await Promise.all([flushed(process.stdout), flushed(process.stderr)])
  process.exit(exitCode)
}

/** Every command, flag and word of help; `run` decides what an action does. */
export function buildProgram(run: Run): Command {
  const program = new Command('deltaic')
    .description('A Delta Lake table engine: streaming writes and batch rewrites in one table, one SQL query path.')
    .version(DELTAIC_VERSION, '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .enablePositionalOptions()
    .configureOutput({ outputError: () => {} })
    .exitOverride()
    .addHelpText('after', PROGRAM_NOTES)
  addSettings(program, 'global')
  for (const build of COMMANDS) {
    const command = build(run)
    command.copyInheritedSettings(program)
    if (command.name() === 'serve' || command.name() === 'demo') addSettings(command, 'server')
    if (command.name() === 'sql') addSettings(command, 'shell')
    // Here as well, so that they may be typed behind the command: `deltaic sql -o json …`.
    addSettings(command, 'global')
    program.addCommand(command)
  }
  return program
}

const PROGRAM_NOTES = `
Every setting may also come from the environment or from deltaic.json in the working folder; a flag goes first.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 lost every race, 5 damaged, 130 interrupted.

Example:
  $ deltaic ingest visits access.log --format combined --create
  $ deltaic sql "SELECT path, count(*) AS visits FROM visits GROUP BY path ORDER BY visits DESC LIMIT 5"`

const GROUPS = { global: 'Settings:', shell: 'Shell settings:', server: 'Server settings:' } as const

function addSettings(command: Command, scope: Setting<unknown>['scope']): void {
  for (const name of settingNames()) {
    const setting: Setting<unknown> = SETTINGS[name]
    if (setting.scope !== scope) continue
    const { default: fallback = setting.otherwise } = setting
    const facts = [...(fallback === undefined || fallback === 'false' ? [] : [`default: ${fallback}`]), `env: ${setting.env}`]
    command.addOption(new Option(setting.flags, `${setting.description} (${facts.join(', ')})`).helpGroup(GROUPS[scope]))
  }
}

function settingsOf(command: Command): Settings {
  const flags = { ...command.parent?.opts(), ...command.opts() }
  return resolveSettings([flagSource(flags), environmentSource(process.env), configFileSource(process.cwd())])
}

function report(error: unknown, signal: AbortSignal, asJson: boolean): ExitCode {
  if (error instanceof PipeClosed) return EXIT.done
  if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')) {
    return error.exitCode === 0 ? EXIT.done : EXIT.usage
  }
  if (signal.aborted) {
    process.stderr.write('interrupted\n')
    return EXIT.interrupted
  }
  const failure = failureOf(error)
  process.stderr.write(formatFailure(failure, asJson))
  if (failure.code === 'INTERNAL' && process.env['DELTAIC_DEBUG']) process.stderr.write(`${(error as Error).stack}\n`)
  return failure.exitCode
}

/** Asked of the words alone: the settings may be what is wrong. */
function wantsJson(program: Command): boolean {
  const typed = [program, ...program.commands].map((command) => command.opts<{ output?: string }>().output)
  return (typed.find((format) => format !== undefined) ?? process.env[SETTINGS.output.env]) === 'json'
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write('', () => resolve())
  })
}
