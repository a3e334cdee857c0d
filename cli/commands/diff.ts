import { Command } from 'commander'
import { quoteName, quoteText } from '../arguments.js'
import type { Context, Run } from '../context.js'
import { UsageError } from '../errors.js'
import type { ExitCode } from '../exit.js'
import { printResult } from '../output/result.js'

export function diffCommand(run: Run): Command {
  return new Command('diff')
    .description('what changed between two versions: FROM is before, TO after')
    .argument('<table>')
    .argument('<from>', 'a version')
    .argument('[to]', 'a version (default: the newest)')
    .option('--summary', 'how many rows of each kind, by version')
    .addHelpText('after', '\nExample:\n  $ deltaic diff page_views 3 9\n  $ deltaic diff page_views 3 --summary')
    .action(
      run(
        async (context, table: string, from: string, to: string | undefined, flags: { readonly summary?: boolean }) =>
          await diff(context, table, from, to, flags.summary ?? false),
      ),
    )
}

async function diff(
  context: Context,
  table: string,
  from: string,
  to: string | undefined,
  summary: boolean,
): Promise<ExitCode | undefined> {
  if (to !== undefined && versionOf('TO', to) <= versionOf('FROM', from)) throw new UsageError('TO is not after FROM')
  const range = [versionOf('FROM', from) + 1, ...(to === undefined ? [] : [versionOf('TO', to)])].join(', ')
  const changes = `table_changes(${quoteText(quoteName(table))}, ${range})`
  const text = summary
    ? `SELECT _commit_version AS version, _change_type AS change, count(*) AS rows FROM ${changes} GROUP BY ALL ORDER BY ALL`
    : `SELECT * FROM ${changes} ORDER BY _commit_version`
  await context.withLake(async (lake) => {
    const result = await lake.sql(text, { signal: context.signal, readOnly: true })
    await printResult(context, result, context.settings.output)
  })
  return undefined
}

function versionOf(name: string, text: string): number {
  const version = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(version))
    throw new UsageError(`${name} is not a version`, 'deltaic history TABLE lists them')
  return version
}
