import { Command } from 'commander'
import type { Lakehouse } from '../../src/index.js'
import type { Context, Run } from '../context.js'
import { EXIT, type ExitCode } from '../exit.js'
import { listen } from '../listen.js'
import { connect } from '../tour/client.js'
import { nextSteps } from '../tour/next-steps.js'
import { TOUR_TABLE } from '../tour/question.js'
import { createStage, type Stage } from '../tour/stage.js'
import { playTour } from '../tour/tour.js'
import { untilDrained } from './serve.js'

export function demoCommand(run: Run): Command {
  return new Command('demo')
    .description('a tour: fills an empty lakehouse through its own HTTP server, checks every answer, then serves it')
    .option('--once', 'end after the tour: 0 when every check held, else 1')
    .addHelpText('after', '\nExample:\n  $ deltaic demo\n  $ deltaic --root /tmp/lake demo --port 8181 --once')
    .action(run(async (context, flags: { once?: boolean }) => await demo(context, flags.once ?? false)))
}

async function demo(context: Context, once: boolean): Promise<ExitCode | undefined> {
  return await context.withLake(async (lake) => {
    const server = await listen(lake, context.settings)
    const stage = createStage(context)
    try {
      await stage.title(`deltaic on ${context.settings.root}, serving at ${server.url}`)
      const client = connect(server.url, context.settings.token, context.signal)
      const isEmpty = (await lake.tables()).length === 0
      if (isEmpty) await playTour(client, stage)
      else await greet(lake, client, stage)
      if (once) return stage.failed === 0 ? EXIT.done : EXIT.failed
      await stage.say(nextSteps(server.url, context.settings, await tableToShow(lake)))
      await untilDrained(context, server)
      return EXIT.done
    } finally {
      await server.close()
    }
  })
}

/** What a lakehouse that holds something gets instead of the tour. */
async function greet(lake: Lakehouse, client: ReturnType<typeof connect>, stage: Stage): Promise<void> {
  await stage.say(`The lakehouse holds tables already, so there is no tour: an empty one (--root ./another) gets it.\n`)
  const table = await tableToShow(lake)
  const { rows, versions } = await client.sql<{ rows: number }>(`SELECT count(*)::BIGINT AS "rows" FROM "${table}"`)
  await stage.check(
    rows.length === 1,
    `${table} answers: ${Number(rows[0]?.rows).toLocaleString('en-US')} rows at version ${versions[table]}`,
  )
}

async function tableToShow(lake: Lakehouse): Promise<string> {
  const names = (await lake.tables()).map(({ name }) => name)
  return names.includes(TOUR_TABLE) ? TOUR_TABLE : (names[0] ?? TOUR_TABLE)
}
