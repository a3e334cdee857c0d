import { Command } from 'commander'
import type { OptimizeResult } from '../../src/index.js'
import { argument, nameList, positiveSize } from '../arguments.js'
import type { Context, Run } from '../context.js'
import type { ExitCode } from '../exit.js'
import { counted, humanBytes, humanElapsed } from '../output/human.js'
import { printOutcome } from '../output/outcome.js'

interface OptimizeFlags {
  readonly full?: boolean
  readonly where?: string
  readonly targetFileSize?: number
  readonly zorder?: readonly string[]
}

export function optimizeCommand(run: Run): Command {
  return new Command('optimize')
    .alias('compact')
    .description('rewrite small files into large ones; rows and answers stay the same')
    .argument('<table>')
    .option('--where <condition>', 'only these partitions')
    .option(
      '--zorder <columns>',
      'order rows along a Z curve through these columns, names separated by commas',
      argument('--zorder', nameList),
    )
    .option('--full', 'in a clustered table, also what was clustered by other columns')
    .option(
      '--target-file-size <size>',
      'how large files are to become (default: the table’s, else 128MB)',
      argument('--target-file-size', positiveSize),
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic optimize page_views --where "day >= DATE \'2026-11-01\'" --target-file-size 256MB',
    )
    .action(run(async (context, table: string, flags: OptimizeFlags) => await optimize(context, table, flags)))
}

async function optimize(context: Context, name: string, flags: OptimizeFlags): Promise<ExitCode | undefined> {
  const bar = context.progress()
  try {
    const result = await context.withLake(
      async (lake) =>
        await lake.table(name).optimize({
          where: flags.where,
          targetFileSizeBytes: flags.targetFileSize,
          zorderBy: flags.zorder,
          full: flags.full,
          signal: context.signal,
          onProgress: bar.show,
        }),
    )
    bar.end()
    await printOutcome(context, result, sentence(result))
  } finally {
    bar.end()
  }
  return undefined
}

function sentence(result: OptimizeResult): string {
  const { filesRemoved, filesAdded, bytesRemoved, bytesAdded, filesConflicted } = result
  const left = filesConflicted === 0 ? '' : `; ${counted(filesConflicted, 'file')} changed meanwhile and stayed as they were`
  if (filesRemoved === 0) return `nothing to do: version ${result.version} has no small files to join${left}`
  const sizes = `${humanBytes(bytesRemoved)} → ${humanBytes(bytesAdded)}`
  return `${counted(filesRemoved, 'file')} → ${counted(filesAdded, 'file')}, ${sizes}, version ${result.version}, ${humanElapsed(result.elapsedMs)}${left}`
}
