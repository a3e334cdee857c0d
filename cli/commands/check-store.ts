import { Command } from 'commander'
import { checkStore, type ProbeReport } from '../../src/index.js'
import type { Context, Run } from '../context.js'
import { EXIT, type ExitCode } from '../exit.js'
import { counted, humanBytes, humanElapsed } from '../output/human.js'
import { toJson } from '../output/relation.js'

export function checkStoreCommand(run: Run): Command {
  return new Command('check-store')
    .description('is this store safe to commit to? Writes scratch objects, one by one and racing, and takes them away again')
    .argument('[uri]', 'the store (default: --root)')
    .option('--thorough', 'race longer: a store that is wrong only now and then shows it sooner')
    .addHelpText(
      'after',
      '\nExits with 1 when the store loses commits.\n\nExample:\n  $ deltaic check-store s3://bucket/lake --s3-endpoint http://127.0.0.1:8333 --thorough',
    )
    .action(
      run(
        async (context, uri: string | undefined, flags: { thorough?: boolean }) =>
          await check(context, uri, flags.thorough ?? false),
      ),
    )
}

async function check(context: Context, uri: string | undefined, thorough: boolean): Promise<ExitCode | undefined> {
  const { settings, signal } = context
  const store = uri ?? settings.root
  const report = await checkStore(store, {
    thorough,
    signal,
    ...(settings.s3Endpoint === undefined ? {} : { s3: { endpoint: settings.s3Endpoint } }),
  })
  if (settings.output === 'table') await context.out.write(verdict(store, report))
  else if (settings.output === 'json') await context.out.write(`${toJson({ store, ...report })}\n`)
  else
    await context.print(
      [
        { name: 'store', value: () => store },
        { name: 'safe', value: () => report.safe },
        { name: 'sequential', value: () => report.sequential },
        { name: 'rounds', value: () => report.rounds.length, isNumber: true },
        { name: 'elapsedMs', value: () => report.elapsedMs, isNumber: true },
      ],
      [report],
    )
  return report.safe ? EXIT.done : EXIT.failed
}

function verdict(store: string, report: ProbeReport): string {
  const rounds = report.rounds.map(
    ({ putters, bytes, winners }) =>
      `  ${winners === 1 ? 'ok     ' : 'BROKEN '} ${putters} racing writers of ${humanBytes(bytes)}: ${counted(winners, 'winner')}\n`,
  )
  const sequential =
    report.sequential === 'ok'
      ? 'ok      a second writer is refused'
      : 'BROKEN  a second writer is let in: the store ignores If-None-Match'
  const closing = report.safe
    ? `${store} kept every commit it was asked to keep (${humanElapsed(report.elapsedMs)})`
    : `${store} loses commits: do not keep tables there`
  return `  ${sequential}\n${rounds.join('')}${closing}\n`
}
