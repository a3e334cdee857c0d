import { resolve } from 'node:path'
import { Command } from 'commander'
import { quoteName } from '../arguments.js'
import type { Run } from '../context.js'
import { counted } from '../output/human.js'
import { toJson } from '../output/relation.js'

interface ConvertFlags {
  readonly partitionBy?: string
  readonly statistics: boolean
}

export function convertCommand(run: Run): Command {
  return new Command('convert')
    .description('make a Delta table of a folder of Parquet files, which stay as they are')
    .argument('<folder>', 'a path or URI')
    .option('--partition-by <columns>', 'the columns of folders `name=value`, as in SQL: "name TYPE, …"')
    .option('--no-statistics', 'keep no bounds of the files for queries to skip by')
    .addHelpText('after', '\nExample:\n  $ deltaic convert exports/page_views --partition-by "day DATE"')
    .action(
      run(async (context, folder: string, { partitionBy, statistics }: ConvertFlags) => {
        const location = /^[a-z0-9]+:/i.test(folder) ? folder : resolve(folder)
        const statement = [
          `CONVERT TO DELTA parquet.${quoteName(location)}`,
          ...(statistics ? [] : ['NO STATISTICS']),
          ...(partitionBy === undefined ? [] : [`PARTITIONED BY (${partitionBy})`]),
        ].join(' ')
        const [result] = await context.withLake(async (lake) => {
          const answer = await lake.sql(statement, { signal: context.signal })
          return await answer.rows()
        })
        const { converted, version, files, rows } = result as Record<'version' | 'files' | 'rows', number> & {
          converted: boolean
        }
        const sentence = converted
          ? `${folder} is a table of ${counted(files, 'file')}, ${counted(rows, 'row')}`
          : `${folder} was a table already, at version ${version}`
        await context.out.write(
          `${context.settings.output === 'table' ? sentence : toJson({ converted, version, files, rows })}\n`,
        )
        return undefined
      }),
    )
}
