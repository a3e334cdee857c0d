import { Command } from 'commander'
import type { Context, Run } from '../context.js'
import type { ExitCode } from '../exit.js'

export function tablesCommand(run: Run): Command {
  return new Command('tables')
    .description('list the tables')
    .addHelpText('after', '\nExample:\n  $ deltaic tables\n  $ deltaic --root s3://bucket/lake tables -o json')
    .action(run(async (context) => await listTables(context)))
}

async function listTables(context: Context): Promise<ExitCode | undefined> {
  const tables = await context.withLake(async (lake) => await lake.tables())
  const isForPeople = context.settings.output === 'table'
  if (tables.length > 0 || !isForPeople) {
    await context.print(
      [
        { name: 'name', value: (table) => table.name },
        { name: 'uri', value: (table) => table.uri },
      ],
      tables,
    )
  } else {
    context.note(`no tables in ${context.settings.root}; "deltaic ingest NAME FILE --create" or "deltaic demo" makes one`)
  }
  return undefined
}
