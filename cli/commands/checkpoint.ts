import { Command } from 'commander'
import type { Run } from '../context.js'
import { counted, humanBytes } from '../output/human.js'
import { printOutcome } from '../output/outcome.js'

export function checkpointCommand(run: Run): Command {
  return new Command('checkpoint')
    .description('write the state of a table beside its log; writers do so by themselves every few versions')
    .argument('<table>')
    .addHelpText('after', '\nExample:\n  $ deltaic checkpoint page_views')
    .action(
      run(async (context, table: string) => {
        const { signal } = context
        const result = await context.withLake(async (lake) => await lake.table(table).checkpoint({ signal }))
        const { version, actions, bytes } = result
        await printOutcome(context, result, `version ${version}: ${counted(actions, 'action')}, ${humanBytes(bytes)}`)
        return undefined
      }),
    )
}
