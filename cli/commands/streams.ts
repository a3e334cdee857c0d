import { Command } from 'commander'
import type { StreamInfo } from '../../src/index.js'
import type { Context, Run } from '../context.js'
import type { ExitCode } from '../exit.js'
import { humanAgo } from '../output/human.js'

interface StreamsFlags {
  readonly drop?: string
}

export function streamsCommand(run: Run): Command {
  return new Command('streams')
    .description('list the streams, and how far each is')
    .option('--drop <id>', 'end a stream and forget it; its places stay in the table')
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic streams\n  $ deltaic streams -o json\n  $ deltaic streams --drop page_views.page-views',
    )
    .action(run(async (context, flags: StreamsFlags) => await streams(context, flags)))
}

async function streams(context: Context, { drop }: StreamsFlags): Promise<ExitCode | undefined> {
  if (drop !== undefined) {
    await context.withLake(async (lake) => await lake.dropStream(drop))
    context.note(`${drop} is forgotten`)
    return undefined
  }
  const found = await context.withLake(async (lake) => await lake.streams())
  const isForPeople = context.settings.output === 'table'
  if (found.length === 0 && isForPeople) {
    context.note('no streams; "deltaic stream kafka://host:port/topic TABLE" begins one')
    return undefined
  }
  const nowMs = Date.now()
  const rows = found.flatMap((stream) =>
    (stream.partitions.length === 0 ? [undefined] : stream.partitions).map((at) => ({ stream, at })),
  )
  await context.print<(typeof rows)[number]>(
    [
      { name: 'stream', value: ({ stream }) => stream.id },
      { name: 'source', value: ({ stream }) => stream.source },
      { name: 'table', value: ({ stream }) => stream.table },
      { name: 'runs', value: ({ stream }) => stream.runs },
      { name: 'partition', value: ({ at }) => at?.partition, isNumber: true },
      { name: 'offset', value: ({ at }) => at?.offset, isNumber: true },
      { name: 'lag', value: ({ at }) => at?.lag, isNumber: true },
      { name: 'rowsPerSecond', value: ({ stream }) => Math.round(stream.rowsPerSecond * 10) / 10, isNumber: true },
      {
        name: isForPeople ? 'committed' : 'committedAtMs',
        value: ({ at }) =>
          isForPeople && at?.committedAtMs !== undefined ? humanAgo(at.committedAtMs, nowMs) : at?.committedAtMs,
      },
    ],
    rows,
  )
  reportErrors(context, found)
  return undefined
}

function reportErrors(context: Context, found: readonly StreamInfo[]): void {
  for (const { id, error } of found) if (error !== undefined) context.note(`${id}: ${error}`)
}
