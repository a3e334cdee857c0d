import { Command } from 'commander'
import type { TableDetail } from '../../src/index.js'
import type { Context, Run } from '../context.js'
import type { ExitCode } from '../exit.js'
import { counted, humanAgo, humanBytes } from '../output/human.js'
import { formatRelation, toJson } from '../output/relation.js'

export function describeCommand(run: Run): Command {
  return new Command('describe')
    .description('columns, partitions, size and properties of a table')
    .argument('<table>')
    .addHelpText('after', '\nExample:\n  $ deltaic describe page_views\n  $ deltaic describe page_views -o json')
    .action(run(async (context, table: string) => await describe(context, table)))
}

async function describe(context: Context, name: string): Promise<ExitCode | undefined> {
  const detail = await context.withLake(async (lake) => await lake.table(name).detail())
  await context.out.write(formatDetail(detail, context.settings.output))
  return undefined
}

/** JSON has everything; the other formats that programs read have the columns. */
function formatDetail(detail: TableDetail, format: Context['settings']['output']): string {
  if (format === 'json') return `${toJson(detail)}\n`
  const columns = formatRelation(
    [
      { name: 'column', value: (column) => column.name },
      { name: 'type', value: (column) => column.type },
      { name: 'nullable', value: (column) => column.nullable, show: (column) => (column.nullable ? 'yes' : 'no') },
      { name: 'partition', value: (column) => column.partition, show: (column) => (column.partition ? 'yes' : '') },
      { name: 'comment', value: (column) => column.comment },
    ],
    detail.columns,
    format,
  )
  return format === 'table' ? `${columns}${facts(detail)}` : columns
}

function facts(detail: TableDetail): string {
  const { rows, createdAtMs } = detail
  const properties = Object.entries(detail.properties).map(([key, value]) => `${key}=${value}`)
  const lines: readonly (readonly [string, string | undefined])[] = [
    ['location', detail.uri],
    ['about', detail.description],
    ['version', String(detail.version)],
    [
      'size',
      `${rows === undefined ? '' : `${counted(rows, 'row')} in `}${counted(detail.files, 'file')}, ${humanBytes(detail.bytes)}`,
    ],
    ['partitioned by', detail.partitionColumns.join(', ') || undefined],
    ['properties', properties.join(', ') || undefined],
    [
      'protocol',
      `reader ${detail.minReaderVersion}, writer ${detail.minWriterVersion}${detail.features.map((feature) => `, ${feature}`).join('')}`,
    ],
    ['created', createdAtMs === undefined ? undefined : humanAgo(createdAtMs, Date.now())],
  ]
  return lines
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name.padEnd(15)}${value}\n`)
    .join('')
}
