import { Command } from 'commander'
import type { RefreshResult, ViewDetail } from '../../src/index.js'
import type { Context, Run } from '../context.js'
import type { ExitCode } from '../exit.js'
import { counted, humanBytes, humanElapsed } from '../output/human.js'
import { printOutcome } from '../output/outcome.js'

export function viewsCommand(run: Run): Command {
  return new Command('views')
    .description('list the materialized views, and how far the state of each has come')
    .addHelpText('after', '\nExample:\n  $ deltaic views\n  $ deltaic views -o json')
    .action(run(async (context) => await listViews(context)))
}

export function refreshCommand(run: Run): Command {
  return new Command('refresh')
    .description('bring the stored states of views up to their sources; queries are exact without')
    .argument('<view...>')
    .option('--full', 'compute it anew from the raw rows')
    .addHelpText('after', '\nExample:\n  $ deltaic refresh url_views\n  $ deltaic refresh url_views views_per_day --full')
    .action(
      run(async (context, views: readonly string[], { full }: { readonly full?: boolean }) => {
        const { signal } = context
        const refreshed = await context.withLake(async (lake) => await lake.refreshViews(views, { full, signal }))
        for (const one of refreshed) {
          if ('error' in one) continue
          const { sources, ...facts } = one.result
          const said = views.length === 1 ? sentence(one.result) : `${one.view}: ${sentence(one.result)}`
          await printOutcome(context, { ...facts, sources: JSON.stringify(sources) }, said)
        }
        for (const one of refreshed) if ('error' in one) throw one.error
        return undefined
      }),
    )
}

export function rebuildCommand(run: Run): Command {
  return new Command('rebuild')
    .description('derive a view from the raw rows again; the old state answers until the new one takes its place')
    .argument('<view>')
    .option('--as <query>', 'by this definition from now on')
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic rebuild url_views --as "SELECT url, count(*) AS views FROM page_views WHERE status = 200 GROUP BY url"',
    )
    .action(
      run(async (context, view: string, { as }: { readonly as?: string }) => {
        const { signal } = context
        const result = await context.withLake(async (lake) => await lake.rebuildView(view, { as, signal }))
        const { version, rowsAdded, maintenance } = result
        await printOutcome(context, result, `version ${version}: ${counted(rowsAdded, 'row')}; ${maintenance}`)
        return undefined
      }),
    )
}

async function listViews(context: Context): Promise<ExitCode | undefined> {
  const { signal } = context
  const views = await context.withLake(async (lake) => {
    const details: ViewDetail[] = []
    for (const { name } of await lake.views({ signal })) details.push(await lake.view(name).detail({ signal }))
    return details
  })
  if (views.length === 0 && context.settings.output === 'table') {
    context.note(`no views in ${context.settings.root}; "CREATE MATERIALIZED VIEW … AS SELECT …" makes one`)
    return undefined
  }
  await context.print(
    [
      { name: 'name', value: (view) => view.name },
      { name: 'key', value: (view) => view.key.join(', ') },
      {
        name: 'state',
        value: (view) =>
          view.watermarks.map(({ name, watermark, version }) => `${name} ${watermark ?? '-'}/${version}`).join(', '),
      },
      { name: 'behind', value: (view) => (view.behind ? `${humanBytes(view.lagBytes)}, ${humanElapsed(view.lagMs)}` : 'no') },
      { name: 'maintenance', value: (view) => view.maintenance },
      { name: 'definition', value: (view) => view.definition },
    ],
    views,
  )
  return undefined
}

function sentence({
  outcome,
  how,
  version,
  rowsAdded,
  rowsRemoved,
  bytesRead,
  elapsedMs,
}: RefreshResult & { readonly elapsedMs: number }): string {
  if (outcome === 'current') return `version ${version} is up to its sources`
  if (outcome === 'overtaken') return `somebody else refreshed it in version ${version}`
  const read = `${humanBytes(bytesRead)} read, in ${humanElapsed(elapsedMs)}`
  if (how === 'none') return `version ${version}: no row had changed`
  return `version ${version}: ${counted(rowsAdded, 'row')} in, ${rowsRemoved ?? 'some'} out${how === 'full' ? ', computed anew' : ''}; ${read}`
}
