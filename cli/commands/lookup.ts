import { Command } from 'commander'
import type { Context, Run } from '../context.js'
import { UsageError } from '../errors.js'
import { EXIT, type ExitCode } from '../exit.js'
import { printResult } from '../output/result.js'

interface LookupFlags {
  readonly stale?: boolean
}

export function lookupCommand(run: Run): Command {
  return new Command('lookup')
    .description('rows of a view by key, exact as of now')
    .argument('<view>')
    .argument('<key...>', 'values of the key column, or column=value,… where the key has several')
    .option('--stale', 'the stored state will do, however old')
    .addHelpText(
      'after',
      '\nExample:\n  $ deltaic lookup url_views /index.html /about\n  $ deltaic lookup daily_views url=/index.html,day=2026-11-01',
    )
    .action(
      run(async (context, view: string, keys: readonly string[], flags: LookupFlags) => await lookup(context, view, keys, flags)),
    )
}

async function lookup(
  context: Context,
  view: string,
  keys: readonly string[],
  { stale }: LookupFlags,
): Promise<ExitCode | undefined> {
  return await context.withLake(async (lake) => {
    const { key } = await lake.view(view).detail({ signal: context.signal })
    const result = await lake.lookup(
      view,
      keys.map((text) => keyOf(text, key)),
      { signal: context.signal, ...(stale ? { stale: 'ok' } : {}) },
    )
    await printResult(context, result, context.settings.output)
    return result.rowCount === 0 ? EXIT.notFound : undefined
  })
}

/** A value of the only key column, as it is written; of several `column=value`, cut at commas. */
function keyOf(text: string, key: readonly string[]): Record<string, string> {
  const [only, ...others] = key
  if (only !== undefined && others.length === 0) return { [only]: text }
  const pairs = text.split(',').map((pair) => /^([^=]+)=(.*)$/s.exec(pair))
  if (pairs.some((pair) => pair === null))
    throw new UsageError(`is no key: ${text}`, `write ${key.map((name) => `${name}=…`).join(',')}`)
  return Object.fromEntries(pairs.map((pair) => [(pair?.[1] ?? '').trim(), pair?.[2] ?? '']))
}
