import { Command } from 'commander'
import type { HistoryEntry } from '../../src/index.js'
import { argument, fromOne } from '../arguments.js'
import type { Context, Run } from '../context.js'
import type { ExitCode } from '../exit.js'
import { humanAgo } from '../output/human.js'
import { toJson } from '../output/relation.js'

export function historyCommand(run: Run): Command {
  return new Command('history')
    .description('what each version did, newest first')
    .argument('<table>')
    .option('--limit <n>', 'how many versions', argument('--limit', fromOne), 20)
    .addHelpText('after', '\nExample:\n  $ deltaic history page_views --limit 5')
    .action(run(async (context, table: string, flags: { limit: number }) => await history(context, table, flags.limit)))
}

async function history(context: Context, name: string, limit: number): Promise<ExitCode | undefined> {
  const entries = await context.withLake(async (lake) => await lake.table(name).history({ limit }))
  if (context.settings.output === 'json') {
    await context.out.write(`${toJson(entries)}\n`)
    return undefined
  }
  const now = Date.now()
  await context.print<HistoryEntry>(
    [
      { name: 'version', value: (entry) => entry.version, isNumber: true },
      {
        name: 'when',
        value: (entry) => new Date(entry.timestampMs).toISOString(),
        show: (entry) => humanAgo(entry.timestampMs, now),
      },
      { name: 'operation', value: (entry) => entry.operation },
      { name: 'parameters', value: (entry) => entry.operationParameters, show: (entry) => pairs(entry.operationParameters) },
      { name: 'metrics', value: (entry) => entry.operationMetrics, show: (entry) => pairs(entry.operationMetrics) },
      { name: 'by', value: (entry) => entry.engineInfo },
    ],
    entries,
  )
  return undefined
}

/** What says nothing is left out. */
function pairs(record: Readonly<Record<string, unknown>>): string {
  return Object.entries(record)
    .filter(([, value]) => !['', '[]', '{}', null].includes(value as string | null))
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : toJson(value)}`)
    .join('\n')
}
