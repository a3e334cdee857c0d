import { Command, Option } from 'commander'
import type { StreamLogin, StreamOptions, StreamSettings, StreamStatus } from '../../src/index.js'
import { argument, fromOne, fromZero, nameList, seconds } from '../arguments.js'
import type { Context, Run } from '../context.js'
import { UsageError } from '../errors.js'
import type { ExitCode } from '../exit.js'
import { counted } from '../output/human.js'

interface StreamFlags extends Omit<StreamSettings, 'batchMs' | 'sasl'> {
  readonly id?: string
  readonly once?: boolean
  readonly background?: boolean
  readonly batchSeconds?: number
  readonly sasl?: StreamLogin['mechanism']
  readonly username?: string
}

export function streamCommand(run: Run): Command {
  return new Command('stream')
    .description('take the records of a Kafka topic into a table, each once, until Ctrl-C')
    .argument('<source>', 'kafka://host:port[,host:port…]/topic, or kafkas:// over TLS')
    .argument('<table>')
    .option('--with <parts>', 'columns for key, timestamp, headers, partition, offset; or key=user_id,…', nameList)
    .addOption(
      new Option('--from <end>', 'where to begin in a topic of which the table holds nothing (default: earliest)').choices([
        'earliest',
        'latest',
      ]),
    )
    .addOption(
      new Option('--on-out-of-range <what>', 'when the records that come next are gone (default: fail)').choices([
        'fail',
        'earliest',
        'latest',
      ]),
    )
    .addOption(
      new Option(
        '--on-error <what>',
        'a record that is no row ends it, or goes to the table <name>__rejects (default: fail)',
      ).choices(['fail', 'reject']),
    )
    .addOption(
      new Option(
        '--schema <what>',
        'fields that the table lacks fail their record, or become columns of it (default: strict)',
      ).choices(['strict', 'evolve']),
    )
    .option('--create', 'make the table from the first records where there is none')
    .option('--group <name>', 'workers of one group share the partitions (default: one for the table and the topic)')
    .option('--partitions <numbers>', 'read these alone, whoever else does: 0,1', partitionList)
    .option('--batch-rows <n>', 'a commit follows about so many records (default: 100,000)', argument('--batch-rows', fromOne))
    .option('--batch-seconds <n>', 'how long slow records are gathered (default: 1)', argument('--batch-seconds', seconds))
    .addOption(
      new Option('--sasl <mechanism>', 'log in; the password is in DELTAIC_KAFKA_PASSWORD').choices([
        'plain',
        'scram-sha-256',
        'scram-sha-512',
      ]),
    )
    .option('--username <name>', 'with --sasl')
    .option('--id <name>', 'what "deltaic streams" calls it (default: table.topic)')
    .option('--background', 'let servers of the lakehouse run it, and end')
    .option('--once', 'take what is there, and end')
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic stream kafka://localhost:9092/page-views page_views --create --with key,timestamp' +
        '\n  $ deltaic stream kafka://localhost:9092/page-views page_views --background --on-error reject',
    )
    .action(
      run(async (context, source: string, table: string, flags: StreamFlags) => await stream(context, source, table, flags)),
    )
}

async function stream(context: Context, source: string, table: string, flags: StreamFlags): Promise<ExitCode | undefined> {
  const { id, once, background, batchSeconds, sasl, username, ...rest } = flags
  if ((sasl === undefined) !== (username === undefined)) throw new UsageError('--sasl and --username belong together')
  if (once && background) throw new UsageError('--once runs here, --background elsewhere')
  const settings: StreamSettings = {
    with: rest.with,
    from: rest.from,
    onOutOfRange: rest.onOutOfRange,
    onError: rest.onError,
    schema: rest.schema,
    create: rest.create,
    group: rest.group,
    partitions: rest.partitions,
    batchRows: rest.batchRows,
    batchMs: batchSeconds === undefined ? undefined : batchSeconds * 1000,
    sasl: sasl && username !== undefined ? { mechanism: sasl, username } : undefined,
  }
  const bar = context.progress()
  let retrying = ''
  const options: StreamOptions = {
    ...settings,
    once,
    signal: context.signal,
    onProgress: ({ rows }) => bar.show({ phase: 'stream', done: rows, unit: 'rows' }),
    onRetry: (error) => {
      const message = error instanceof Error ? error.message : String(error)
      if (message !== retrying) context.note(`trying again: ${message}`)
      retrying = message
    },
  }
  await context.withLake(async (lake) => {
    const known = (await lake.streamDefinitions()).find((one) => one.source === source && one.table === table)
    // What servers run, a worker beside them does not take from them.
    if (background || known?.runs !== 'server')
      await lake.defineStream(source, table, { ...settings, id: id ?? known?.id, runs: background ? 'server' : 'command' })
    if (background) {
      context.note('servers of the lakehouse run it from now on; "deltaic streams" tells how far it is')
      return
    }
    if (!once) context.note(`streaming ${source} into ${table}; Ctrl-C ends it`)
    try {
      const status = await lake.stream(source, table, options)
      bar.end()
      await report(context, table, status)
    } finally {
      bar.end()
    }
  })
  return undefined
}

async function report(context: Context, table: string, status: StreamStatus): Promise<void> {
  const { rows, rejected, empty, version, partitions } = status
  if (context.settings.output !== 'table')
    return await context.print<StreamStatus>(
      [
        { name: 'table', value: () => table },
        { name: 'rowsAdded', value: () => rows, isNumber: true },
        { name: 'rowsRejected', value: () => rejected, isNumber: true },
        { name: 'empty', value: () => empty, isNumber: true },
        { name: 'version', value: () => version, isNumber: true },
      ],
      [status],
    )
  const at = version === undefined ? '' : `, version ${version}`
  const rest = rejected === 0 ? '' : `, ${counted(rejected, 'record')} rejected into ${table}__rejects`
  const nothing = empty === 0 ? '' : `, ${counted(empty, 'record')} without a value`
  await context.out.write(
    `${counted(rows, 'row')} into ${table} from ${counted(partitions.length, 'partition')}${at}${rest}${nothing}\n`,
  )
}

function partitionList(text: string): number[] {
  return nameList(text).map(argument('--partitions', fromZero))
}
