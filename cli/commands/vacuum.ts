import { Command } from 'commander'
import type { VacuumResult } from '../../src/index.js'
import { argument } from '../arguments.js'
import type { Context, Run } from '../context.js'
import type { ExitCode } from '../exit.js'
import { counted, humanBytes, humanElapsed } from '../output/human.js'
import { toJson } from '../output/relation.js'
import { duration } from '../settings.js'

interface VacuumFlags {
  readonly retain?: number
  readonly lite?: boolean
  readonly dryRun?: boolean
  readonly force?: boolean
}

export function vacuumCommand(run: Run): Command {
  return new Command('vacuum')
    .description('delete files that no version within the retention needs; older versions can no longer be read')
    .argument('<table>')
    .option(
      '--retain <time>',
      'keep what versions up to this old need (default: the table’s, else 7d)',
      argument('--retain', duration),
    )
    .option('--lite', 'look only at what the log says was removed: quicker, and blind for what failed writes left')
    .option('--dry-run', 'delete nothing, and list what would be')
    .option('--force', 'allow less than the table’s own retention: nothing else may be at work on the table')
    .addHelpText('after', '\nExample:\n  $ deltaic vacuum page_views --dry-run\n  $ deltaic vacuum page_views --retain 720h')
    .action(run(async (context, table: string, flags: VacuumFlags) => await vacuum(context, table, flags)))
}

async function vacuum(context: Context, name: string, flags: VacuumFlags): Promise<ExitCode | undefined> {
  const bar = context.progress()
  try {
    const result = await context.withLake(
      async (lake) =>
        await lake.table(name).vacuum({
          mode: flags.lite ? 'lite' : 'full',
          retentionMs: flags.retain,
          dryRun: flags.dryRun,
          force: flags.force,
          signal: context.signal,
          onProgress: bar.show,
        }),
    )
    bar.end()
    await printResult(context, result, flags.dryRun ?? false)
  } finally {
    bar.end()
  }
  return undefined
}

async function printResult(context: Context, result: VacuumResult, isDry: boolean): Promise<void> {
  const { output } = context.settings
  if (output === 'table')
    await context.out.write(
      isDry ? `${result.files.map((path) => `${path}\n`).join('')}${sentence(result, isDry)}\n` : `${sentence(result, isDry)}\n`,
    )
  else if (output === 'json') await context.out.write(`${toJson(result)}\n`)
  else await context.print([{ name: 'path', value: (path: string) => path }], result.files)
}

function sentence({ filesDeleted, bytesDeleted, foldersDeleted, elapsedMs }: VacuumResult, isDry: boolean): string {
  if (filesDeleted === 0) return 'nothing to do: every file is needed, or too young'
  const what = `${counted(filesDeleted, 'file')}, ${humanBytes(bytesDeleted)}`
  if (isDry) return `${what} would be deleted`
  const folders = foldersDeleted === 0 ? '' : `, and ${counted(foldersDeleted, 'folder')}`
  return `${what} deleted${folders}, ${humanElapsed(elapsedMs)}`
}
