import { open, rename, rm } from 'node:fs/promises'
import { Command, Option } from 'commander'
import type { QueryResult } from '../../src/index.js'
import { argument, fromZero, nameList, quoteName } from '../arguments.js'
import { type AsOfFlags, asOfClause } from '../as-of.js'
import type { Context, Run } from '../context.js'
import { CommandError, UsageError } from '../errors.js'
import { counted, humanBytes, humanElapsed } from '../output/human.js'
import { printOutcome } from '../output/outcome.js'

interface ExportFlags extends AsOfFlags {
  readonly format?: ExportFormat
  readonly columns?: readonly string[]
  readonly where?: string
  readonly force?: boolean
}

const FORMATS = ['ndjson', 'json', 'csv', 'parquet', 'arrow'] as const
type ExportFormat = (typeof FORMATS)[number]

const FORMAT_OF: Readonly<Record<string, ExportFormat>> = {
  ndjson: 'ndjson',
  jsonl: 'ndjson',
  json: 'json',
  csv: 'csv',
  parquet: 'parquet',
  arrow: 'arrow',
  arrows: 'arrow',
}

export function exportCommand(run: Run): Command {
  return new Command('export')
    .description('write the rows of a table to a file')
    .argument('<table>')
    .argument('<file>', 'it comes whole or not at all')
    .addOption(new Option('--format <format>', 'what is written (default: by the name)').choices(FORMATS))
    .option('--columns <names>', 'only these, separated by commas', argument('--columns', nameList))
    .option('--where <condition>', 'only rows for which this is true')
    .option('--version <n>', 'of this version', argument('--version', fromZero))
    .option('--timestamp <time>', 'of the version that was the newest then; ISO 8601, UTC unless it says otherwise')
    .option('--force', 'write over a file that is there')
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic export page_views views.parquet' +
        '\n  $ deltaic export page_views monday.csv --columns url,status --where "day = DATE \'2026-11-02\'" --version 12',
    )
    .action(
      run(async (context, table: string, file: string, flags: ExportFlags) => {
        const format = flags.format ?? formatOf(file)
        const outcome = await context.withLake(async (lake) => {
          const columns = flags.columns?.map(quoteName).join(', ') ?? '*'
          const condition = flags.where === undefined ? '' : ` WHERE (${flags.where}\n)`
          const text = `SELECT ${columns} FROM ${quoteName(table)} ${asOfClause(flags)}${condition}`
          const result = await lake.sql(text, { signal: context.signal, readOnly: true })
          return await writeWhole(context, result, format, file, flags.force ?? false, table)
        })
        const { rows, bytes, version, elapsedMs } = outcome
        const sentence = `${counted(rows, 'row')} of version ${version} into ${file}, ${humanBytes(bytes)}, ${humanElapsed(elapsedMs)}`
        await printOutcome(context, outcome, sentence)
        return undefined
      }),
    )
}

function formatOf(file: string): ExportFormat {
  const format = FORMAT_OF[/\.([^./\\]+)$/.exec(file)?.[1]?.toLowerCase() ?? '']
  if (format === undefined)
    throw new UsageError(`the name does not say what to write: ${file}`, `end it in .${FORMATS.join(', .')}, or say --format`)
  return format
}

async function writeWhole(
  context: Context,
  result: QueryResult,
  format: ExportFormat,
  file: string,
  mayReplace: boolean,
  table: string,
): Promise<{ file: string; version: number; rows: number; bytes: number; elapsedMs: number }> {
  const part = `${file}.${process.pid}.part`
  let bytes = 0
  try {
    // Taken now, so that nobody waits for an answer that has no place.
    if (!mayReplace) await (await createNew(file)).close()
    try {
      const handle = await createNew(part)
      try {
        for await (const chunk of result.bytes(format)) {
          context.signal.throwIfAborted()
          await handle.writeFile(chunk)
          bytes += chunk.length
        }
      } finally {
        await handle.close()
      }
      await rename(part, file)
    } catch (error) {
      await rm(part, { force: true })
      if (!mayReplace) await rm(file, { force: true })
      throw error
    }
    const { versions, rowCount = 0, elapsedMs } = result
    return { file, version: versions[table] ?? Object.values(versions)[0] ?? 0, rows: rowCount, bytes, elapsedMs }
  } finally {
    await result.close()
  }
}

async function createNew(file: string) {
  try {
    return await open(file, 'wx')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EEXIST')
      throw new CommandError('FILE_EXISTS', `there is a file already: ${file}`, 'choose another name, or say --force')
    throw new CommandError('FILE_NOT_WRITTEN', `cannot write ${file}: ${message}`)
  }
}
