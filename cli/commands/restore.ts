import { Command } from 'commander'
import type { RestoreResult } from '../../src/index.js'
import { argument, fromZero } from '../arguments.js'
import type { Run } from '../context.js'
import { counted, humanBytes } from '../output/human.js'
import { printOutcome } from '../output/outcome.js'

interface RestoreFlags {
  readonly version?: number
  readonly timestamp?: string
}

export function restoreCommand(run: Run): Command {
  return new Command('restore')
    .description('make a table what it was, in a new version; nothing of its history is lost')
    .argument('<table>')
    .option('--version <n>', 'the version', argument('--version', fromZero))
    .option('--timestamp <time>', 'the version that was the newest then; ISO 8601, UTC unless it says otherwise')
    .addHelpText('after', '\nExample:\n  $ deltaic restore page_views --version 12')
    .action(
      run(async (context, table: string, { version, timestamp }: RestoreFlags) => {
        const { signal } = context
        const result = await context.withLake(async (lake) => await lake.table(table).restore({ version, timestamp }, { signal }))
        await printOutcome(context, result, sentence(result))
        return undefined
      }),
    )
}

function sentence(result: RestoreResult): string {
  const { version, restoredVersion, filesAdded, filesRemoved, bytesAdded, bytesRemoved, attempts } = result
  if (attempts === 0) return `nothing to do: version ${version} is what version ${restoredVersion} was`
  const back = `${counted(filesAdded, 'file')} (${humanBytes(bytesAdded)}) came back`
  const gone = `${counted(filesRemoved, 'file')} (${humanBytes(bytesRemoved)}) left`
  return `version ${version} is what version ${restoredVersion} was: ${back}, ${gone}`
}
