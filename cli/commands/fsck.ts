import { Command } from 'commander'
import type { FsckProblem, FsckResult } from '../../src/index.js'
import type { Context, Run } from '../context.js'
import { EXIT, type ExitCode } from '../exit.js'
import { counted, humanElapsed } from '../output/human.js'
import { toJson } from '../output/relation.js'

interface FsckFlags {
  readonly repair?: boolean
  readonly quick?: boolean
}

export function fsckCommand(run: Run): Command {
  return new Command('fsck')
    .description('check every promise of a table’s log and files')
    .argument('<table>')
    .option('--repair', 'take missing files out of the table (the rows in them are lost), and wrong checksums out of its log')
    .option('--quick', 'look at sizes and footers alone, and read no rows')
    .addHelpText('after', '\nExits with 5 when a promise is broken.\n\nExample:\n  $ deltaic fsck page_views --quick')
    .action(run(async (context, table: string, flags: FsckFlags) => await fsck(context, table, flags)))
}

async function fsck(context: Context, name: string, { repair, quick }: FsckFlags): Promise<ExitCode | undefined> {
  const bar = context.progress()
  try {
    const result = await context.withLake(
      async (lake) => await lake.table(name).fsck({ repair, quick, signal: context.signal, onProgress: bar.show }),
    )
    bar.end()
    await printResult(context, result)
    return result.problemsFound > result.filesRemoved + result.checksumsRemoved ? EXIT.corrupt : EXIT.done
  } finally {
    bar.end()
  }
}

async function printResult(context: Context, result: FsckResult): Promise<void> {
  const { output } = context.settings
  if (output === 'json') await context.out.write(`${toJson(result)}\n`)
  else if (output !== 'table' || result.problems.length > 0)
    await context.print<FsckProblem>(
      [
        { name: 'check', value: (problem) => problem.check },
        { name: 'file', value: (problem) => problem.file },
        { name: 'detail', value: (problem) => problem.detail },
      ],
      result.problems,
    )
  if (output === 'table') context.note(sentence(result))
}

function sentence({ version, filesChecked, problemsFound, filesRemoved, checksumsRemoved, elapsedMs }: FsckResult): string {
  const found = problemsFound === 0 ? 'every promise holds' : counted(problemsFound, 'problem')
  const removed = filesRemoved === 0 ? '' : `; ${counted(filesRemoved, 'missing file')} taken out`
  const mended = checksumsRemoved === 0 ? '' : `; ${counted(checksumsRemoved, 'wrong checksum')} taken away`
  return `version ${version}: ${counted(filesChecked, 'file')} checked, ${found}${removed}${mended}, ${humanElapsed(elapsedMs)}`
}
