import { Command } from 'commander'
import { argument, fromZero } from '../arguments.js'
import type { Run } from '../context.js'
import { counted, humanBytes } from '../output/human.js'
import { toJson } from '../output/relation.js'

interface CloneFlags {
  readonly shallow?: boolean
  readonly version?: number
  readonly timestamp?: string
}

export function cloneCommand(run: Run): Command {
  return new Command('clone')
    .description('make a table of the files of another')
    .argument('<source>')
    .argument('<table>')
    .option('--shallow', 'refer to the files where they are, instead of copying them')
    .option('--version <n>', 'the source at this version', argument('--version', fromZero))
    .option('--timestamp <time>', 'the source as it was then; ISO 8601, UTC unless it says otherwise')
    .addHelpText('after', '\nExample:\n  $ deltaic clone page_views trial --shallow --version 12')
    .action(
      run(async (context, source: string, table: string, { shallow, version, timestamp }: CloneFlags) => {
        const bar = context.progress()
        try {
          const options = { shallow, version, timestamp, signal: context.signal, onProgress: bar.show }
          const result = await context.withLake(async (lake) => await lake.cloneTable(source, table, options))
          bar.end()
          const size = `${counted(result.files, 'file')}, ${humanBytes(result.bytes)}`
          const sentence = `${table} has ${size} of ${source}, ${shallow ? 'by reference' : 'copied'}`
          await context.out.write(`${context.settings.output === 'table' ? sentence : toJson(result)}\n`)
          return undefined
        } finally {
          bar.end()
        }
      }),
    )
}
