import { Command } from 'commander'
import type { Lakehouse } from '../../src/index.js'
import { argument, fromZero, quoteName } from '../arguments.js'
import { type AsOfFlags, asOfClause } from '../as-of.js'
import type { Context, Run } from '../context.js'
import { UsageError } from '../errors.js'
import type { ExitCode } from '../exit.js'
import { humanCount } from '../output/human.js'
import { printResult } from '../output/result.js'

const ROWS_SHOWN = 20

export function atCommand(run: Run): Command {
  return new Command('at')
    .description('time travel: the table as it was')
    .argument('<table>')
    .argument('[query]', `a query in which the table's name means that version (default: the first ${ROWS_SHOWN} rows)`)
    .option('--version <n>', 'the version', argument('--version', fromZero))
    .option('--timestamp <time>', 'the version that was the newest then; ISO 8601, UTC unless it says otherwise')
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic at page_views --version 12' +
        '\n  $ deltaic at page_views --timestamp 2026-11-01T10:30:00Z "SELECT url, count(*) FROM page_views GROUP BY url"',
    )
    .action(
      run(async (context, table: string, query: string | undefined, flags: AsOfFlags) => await at(context, table, query, flags)),
    )
}

async function at(context: Context, table: string, query: string | undefined, flags: AsOfFlags): Promise<ExitCode | undefined> {
  const asOf = asOfClause(flags)
  if (asOf === '') throw new UsageError('at needs --version or --timestamp', 'deltaic history TABLE lists them')
  const source = `${quoteName(table)} ${asOf}`
  await context.withLake(async (lake) => {
    const text = query === undefined ? `SELECT * FROM ${source} LIMIT ${ROWS_SHOWN}` : queryAt(table, source, query)
    const result = await lake.sql(text, { signal: context.signal, readOnly: true })
    await printResult(context, result, context.settings.output)
    if (query === undefined) await noteWhatIsShown(context, lake, table, result.versions[table])
  })
  return undefined
}

/** Puts a query where the table's name means `source`; queries with a WITH of their own keep it. */
function queryAt(table: string, source: string, query: string): string {
  const name = `${quoteName(table)} AS (SELECT * FROM ${source})`
  const text = query.replace(/;\s*$/, '')
  const own = /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*with\s+(recursive\s)?/i.exec(text)
  if (own === null) return `WITH ${name} ${text}`
  return `WITH ${own[1] ?? ''}${name}, ${text.slice(own[0].length)}`
}

async function noteWhatIsShown(context: Context, lake: Lakehouse, table: string, version: number | undefined): Promise<void> {
  const { rows, version: found } = await lake.table(table).detail({ version })
  const all = rows === undefined ? '' : ` of ${humanCount(rows)}`
  if (rows === undefined || rows > ROWS_SHOWN) context.note(`version ${found}: ${ROWS_SHOWN}${all} rows; give a query for others`)
  else context.note(`version ${found}: all rows`)
}
