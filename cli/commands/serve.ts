import { Command } from 'commander'
import type { RunningServer } from '../../server/server.js'
import type { Context, Run } from '../context.js'
import type { ExitCode } from '../exit.js'
import { untilAborted } from '../interrupt.js'
import { listen } from '../listen.js'
import { humanBytes, humanCount, humanElapsed } from '../output/human.js'

export function serveCommand(run: Run): Command {
  return new Command('serve')
    .description('serve the lakehouse over HTTP until Ctrl-C, which drains')
    .addHelpText('after', '\nExample:\n  $ deltaic serve --port 8080\n  $ DELTAIC_TOKEN=secret deltaic serve --host 0.0.0.0')
    .action(run(async (context) => await serve(context)))
}

async function serve(context: Context): Promise<ExitCode | undefined> {
  await context.withLake(async (lake) => {
    const server = await listen(lake, context.settings)
    context.note(`deltaic serves ${context.settings.root} at ${server.url}; Ctrl-C ends it`)
    context.note(`limits: ${limitsInForce(server)}`)
    await untilDrained(context, server)
  })
  return undefined
}

/** Waits for the wish to stop, then finishes what was asked before it. */
export async function untilDrained(context: Context, server: RunningServer): Promise<void> {
  await untilAborted(context.signal)
  context.note('finishing what runs; Ctrl-C again does not wait')
  await server.close()
}

function limitsInForce({ limits }: RunningServer): string {
  const { bodyBytesMax, queriesMax, queriesWaitingMax, queryTimeoutMs, asyncTimeoutMs, answerRowsMax } = limits
  const rows = answerRowsMax === undefined ? '' : `${humanCount(answerRowsMax)} rows and `
  return [
    `${humanBytes(bodyBytesMax)} a request`,
    `${queriesMax} queries at once and ${queriesWaitingMax} waiting`,
    `${humanElapsed(queryTimeoutMs)} a query, ${humanElapsed(asyncTimeoutMs)} with async=true`,
    `${rows}${humanBytes(limits.answerBytesMax)} an answer`,
    `${humanBytes(limits.resultsBytesMax)} of async results for ${humanElapsed(limits.resultsKeptMs)}`,
    `${humanBytes(limits.cacheBytesMax)} of answers in memory`,
    `${limits.watchersMax} watchers`,
  ].join(', ')
}
