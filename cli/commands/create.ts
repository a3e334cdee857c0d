import { Command } from 'commander'
import { argument, collect, nameList, quoteName, quoteText } from '../arguments.js'
import type { Context, Run } from '../context.js'
import { UsageError } from '../errors.js'
import type { ExitCode } from '../exit.js'

interface CreateFlags {
  readonly partitionBy?: readonly string[]
  readonly clusterBy?: readonly string[]
  readonly property?: readonly string[]
  readonly comment?: string
  readonly ifNotExists?: boolean
}

export function createCommand(run: Run): Command {
  return new Command('create')
    .description('create an empty table')
    .argument('<table>')
    .argument('<columns>', 'as in SQL: "name TYPE [NOT NULL] [COMMENT \'…\'], …"')
    .option('--partition-by <columns>', 'names, separated by commas', argument('--partition-by', nameList))
    .option(
      '--cluster-by <columns>',
      'names that OPTIMIZE clusters rows by, separated by commas',
      argument('--cluster-by', nameList),
    )
    .option('--property <key=value>', 'a table property; may be repeated', collect)
    .option('--comment <text>', 'what the table is about')
    .option('--if-not-exists', 'leave a table that is there as it is')
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic create page_views "viewed_at TIMESTAMP NOT NULL, url STRING, day DATE" --partition-by day --property delta.checkpointInterval=20',
    )
    .action(
      run(async (context, table: string, columns: string, flags: CreateFlags) => await create(context, table, columns, flags)),
    )
}

async function create(context: Context, name: string, columns: string, flags: CreateFlags): Promise<ExitCode | undefined> {
  const statement = createStatement(name, columns, flags)
  const created = await context.withLake(async (lake) => {
    const table = lake.table(name)
    const wasThere = flags.ifNotExists === true && (await table.exists())
    const result = await lake.sql(statement, { signal: context.signal })
    await result.close()
    const { version, uri } = await table.detail()
    return { table: name, version, created: !wasThere, uri }
  })
  if (context.settings.output === 'table') {
    await context.out.write(`${created.created ? 'created' : 'was there already:'} ${name}, version ${created.version}\n`)
  } else {
    await context.print(
      [
        { name: 'table', value: () => created.table },
        { name: 'version', value: () => created.version },
        { name: 'created', value: () => created.created },
        { name: 'uri', value: () => created.uri },
      ],
      [created],
    )
  }
  return undefined
}

function createStatement(name: string, columns: string, flags: CreateFlags): string {
  const properties = (flags.property ?? []).map(propertyPair)
  return [
    `CREATE TABLE ${flags.ifNotExists ? 'IF NOT EXISTS ' : ''}${quoteName(name)} (${columns})`,
    ...(flags.partitionBy?.length ? [`PARTITIONED BY (${flags.partitionBy.map(quoteName).join(', ')})`] : []),
    ...(flags.clusterBy?.length ? [`CLUSTER BY (${flags.clusterBy.map(quoteName).join(', ')})`] : []),
    ...(flags.comment === undefined ? [] : [`COMMENT ${quoteText(flags.comment)}`]),
    ...(properties.length === 0 ? [] : [`TBLPROPERTIES (${properties.join(', ')})`]),
  ].join(' ')
}

function propertyPair(pair: string): string {
  const split = pair.indexOf('=')
  if (split < 1) throw new UsageError(`--property is no pair: ${pair}`, 'write --property key=value')
  return `${quoteText(pair.slice(0, split))} = ${quoteText(pair.slice(split + 1))}`
}
