import { Command, Option } from 'commander'
import { type AppendOptions, COMPRESSIONS, INPUT_FORMATS } from '../../src/index.js'
import { argument, collect, fromOne, fromZero, seconds } from '../arguments.js'
import type { Context, Run } from '../context.js'
import { UsageError } from '../errors.js'
import type { ExitCode } from '../exit.js'
import { type Load, reportLoads, reportRejects } from '../output/load-report.js'
import { contentBatch } from '../producer.js'
import { type FollowFlags, followFiles } from './ingest-follow.js'

interface IngestFlags extends FollowFlags {
  readonly producer?: string
  readonly sequence?: number
  readonly schema: 'strict' | 'evolve'
}

const STDIN = '-'

export function ingestCommand(run: Run): Command {
  return new Command('ingest')
    .description('load files, or what comes from stdin')
    .argument('<table>')
    .argument('[files...]', 'what to load, in order; - is stdin')
    .addOption(
      new Option('--format <format>', 'what the data is (default: by the name; ndjson from stdin)').choices(INPUT_FORMATS),
    )
    .addOption(new Option('--compression <kind>', 'how it is compressed (default: by the name)').choices(COMPRESSIONS))
    .addOption(
      new Option(
        '--follow <file|folder|s3://prefix>',
        'take in what is written there, each line and file once, until Ctrl-C; may be repeated',
      ).argParser(collect),
    )
    .option('--once', 'with --follow: take what is there, and end')
    .option(
      '--batch-seconds <n>',
      'with --follow: how long slow lines are gathered for a commit (default: 1)',
      argument('--batch-seconds', seconds),
    )
    .option('--poll <seconds>', 'with --follow: how often files are looked at (default: 0.5)', argument('--poll', seconds))
    .option('--create', 'make the table from the data where there is none')
    .option('--batch-rows <n>', 'commit every so many rows, instead of once a file', argument('--batch-rows', fromOne))
    .option('--producer <id>', 'load each file once: under the same name, a repeat of the same data writes nothing')
    .option(
      '--sequence <n>',
      'number the files yourself, from n on, instead of telling them by their content',
      argument('--sequence', fromZero),
    )
    .addOption(
      new Option('--on-error <what>', 'a line that cannot be read fails its file, or goes to the table <name>__rejects')
        .choices(['fail', 'reject'])
        .default('fail'),
    )
    .addOption(
      new Option('--schema <what>', 'fields that the table lacks fail their line, or become columns of it')
        .choices(['strict', 'evolve'])
        .default('strict'),
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic ingest visits access.log --format combined --create --on-error reject' +
        '\n  $ deltaic ingest page_views monday.ndjson.gz tuesday.ndjson.gz --producer nightly' +
        '\n  $ deltaic ingest visits --follow /var/log/nginx/access.log --format combined --on-error reject' +
        '\n  $ tail -n 1000 events.ndjson | deltaic ingest page_views -',
    )
    .action(
      run(async (context, table: string, files: string[], flags: IngestFlags) => await ingest(context, table, files, flags)),
    )
}

async function ingest(
  context: Context,
  table: string,
  named: readonly string[],
  flags: IngestFlags,
): Promise<ExitCode | undefined> {
  const sources = followed(named, flags)
  if (sources) {
    await followFiles(context, table, sources, flags)
    return undefined
  }
  const files = inputs(context, named, flags)
  const loads: Load[] = []
  await context.withLake(async (lake) => {
    for (const [index, file] of files.entries()) {
      const bar = context.progress()
      try {
        const options: AppendOptions = {
          format: flags.format,
          compression: flags.compression,
          create: flags.create,
          batchRows: flags.batchRows,
          onError: flags.onError,
          schema: flags.schema,
          txn: await batchOf(file, index, flags),
          signal: context.signal,
          onProgress: bar.show,
        }
        const result = await lake.table(table).append(file === STDIN ? context.stdin.open() : file, options)
        bar.end()
        loads.push({ file, result })
        reportRejects(context, { file, result }, files.length > 1)
      } catch (error) {
        bar.end()
        if (loads.length > 0) await reportLoads(context, table, loads)
        if (files.length > 1) context.note(`${file} was not loaded; those before it were`)
        throw error
      }
    }
  })
  await reportLoads(context, table, loads)
  return undefined
}

/** What is to be followed; `undefined` when files are to be loaded. */
function followed(named: readonly string[], flags: IngestFlags): readonly string[] | undefined {
  const { follow, once, batchSeconds, poll, producer, sequence } = flags
  if (follow === undefined) {
    if (once || batchSeconds !== undefined || poll !== undefined)
      throw new UsageError('--once, --batch-seconds and --poll belong to --follow')
    return undefined
  }
  if (named.length > 0) throw new UsageError('files are loaded or followed, not both')
  if (producer !== undefined || sequence !== undefined)
    throw new UsageError('--follow needs no --producer: the table knows each file')
  return follow
}

function inputs(context: Context, named: readonly string[], flags: IngestFlags): readonly string[] {
  const { producer, sequence, batchRows } = flags
  if (named.length === 0 && context.stdin.isTerminal)
    throw new UsageError('there is nothing to load', 'name files, or pipe rows in')
  const files = named.length === 0 ? [STDIN] : named
  if (files.filter((file) => file === STDIN).length > 1) throw new UsageError('stdin can be read once')
  if (sequence !== undefined && producer === undefined) throw new UsageError('--sequence belongs to --producer')
  if (sequence !== undefined && batchRows !== undefined && files.length > 1) {
    throw new UsageError('--sequence with --batch-rows takes one file: each of its commits takes a number')
  }
  if (producer !== undefined && sequence === undefined && files.includes(STDIN)) {
    throw new UsageError('rows from stdin need a --sequence with --producer', 'there is no telling whether they came before')
  }
  return files
}

async function batchOf(file: string, index: number, flags: IngestFlags): Promise<AppendOptions['txn']> {
  const { producer, sequence, batchRows } = flags
  if (producer === undefined) return undefined
  return sequence === undefined ? await contentBatch(producer, file, batchRows) : { appId: producer, version: sequence + index }
}
