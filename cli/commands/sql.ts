import { readFile } from 'node:fs/promises'
import { text as readText } from 'node:stream/consumers'
import { Command } from 'commander'
import type { Lakehouse } from '../../src/index.js'
import type { Context, Run } from '../context.js'
import { UsageError } from '../errors.js'
import type { ExitCode } from '../exit.js'
import { humanElapsed } from '../output/human.js'
import { patient } from '../output/progress-bar.js'
import { printResult } from '../output/result.js'
import { historyFile } from '../shell/history-file.js'
import { runShell } from '../shell/shell.js'
import { saysSomething, splitStatements } from '../statements.js'

interface SqlFlags {
  readonly file?: string
  readonly explain?: boolean
  readonly stale?: boolean
}

export function sqlCommand(run: Run): Command {
  return new Command('sql')
    .description('run SQL; on a terminal without a query, an interactive shell')
    .argument('[query]', 'statements, separated by ";"; - reads them from stdin')
    .option('-f, --file <file>', 'read the statements from a file')
    .option('--stale', 'answer from the stored state of views, however old')
    .option('--explain', 'show what queries read and skip, and by what, instead of running them')
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic sql "SELECT url, count(*) AS views FROM page_views GROUP BY url ORDER BY views DESC LIMIT 5"' +
        '\n  $ deltaic sql "SELECT count(*) FROM page_views VERSION AS OF 12" -o json' +
        '\n  $ deltaic sql -f report.sql -o csv > report.csv' +
        '\n  $ deltaic sql --explain "SELECT * FROM page_views WHERE day = DATE \'2026-11-01\'"',
    )
    .action(run(async (context, query: string | undefined, flags: SqlFlags) => await sql(context, query, flags)))
}

async function sql(context: Context, query: string | undefined, flags: SqlFlags): Promise<ExitCode | undefined> {
  const { file, explain } = flags
  if (query !== undefined && file !== undefined) throw new UsageError('a query and --file are one too many')
  const text = await statementsFrom(context, query, file)
  await context.withLake(async (lake) => {
    if (text !== undefined) await runAll(context, lake, text, flags)
    else if (explain) throw new UsageError('--explain needs a query', 'deltaic sql --explain "SELECT 1"')
    else await startShell(context, lake)
  })
  return undefined
}

/** `undefined` where a person sits at the terminal and has typed no query yet. */
async function statementsFrom(
  context: Context,
  query: string | undefined,
  file: string | undefined,
): Promise<string | undefined> {
  if (file !== undefined && file !== '-') return await readScript(file)
  if (query !== undefined && query !== '-') return query
  if (query === undefined && file === undefined && context.stdin.isTerminal && context.out.isTerminal) return undefined
  return await readText(context.stdin.open())
}

async function readScript(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    throw new UsageError(`--file cannot be read: ${(error as Error).message}`)
  }
}

/** Runs the statements in order, each one's result printed before the next begins. */
async function runAll(context: Context, lake: Lakehouse, text: string, { explain, stale }: SqlFlags): Promise<void> {
  const { statements, rest } = splitStatements(text)
  const all = saysSomething(rest) ? [...statements, rest] : statements
  if (all.length === 0) throw new UsageError('there is no statement to run', 'deltaic sql "SELECT 1"')
  let before = ''
  for (const statement of all) {
    // Blanks stand for what ran before, so that a mistake is reported on the line where it is.
    const bar = patient(context.progress())
    try {
      const asked = `${before}${explain ? 'EXPLAIN ' : ''}${statement}`
      const result = await lake.sql(asked, { signal: context.signal, stale: stale ? 'ok' : undefined, onProgress: bar.show })
      for (const { name, stale: isStale, ageMs } of result.views)
        if (isStale) context.note(`${name} is ${humanElapsed(ageMs)} old`)
      await printResult(context, result, context.settings.output, bar)
    } finally {
      bar.end()
    }
    before += `${statement.replace(/[^\n]/g, ' ')} `
  }
}

async function startShell(context: Context, lake: Lakehouse): Promise<void> {
  await runShell({
    input: process.stdin,
    output: process.stdout,
    lake,
    root: context.settings.root,
    format: context.settings.output,
    history: historyFile(context.settings.historyFile),
    signal: context.signal,
    progress: () => patient(context.progress()),
    print: async (result, format, bar) => await printResult(context, result, format, bar),
  })
}
