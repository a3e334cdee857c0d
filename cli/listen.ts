import type { ServerOptions } from '../server/options.js'
import type { RunningServer } from '../server/server.js'
import type { Lakehouse } from '../src/index.js'
import { CommandError } from './errors.js'
import type { Settings } from './settings.js'

/**
 * Serves the lakehouse as the settings say. The server's code is loaded here: the other commands start sooner without.
 *
 * @throws {CommandError} `PORT_TAKEN`
 */
export async function listen(lake: Lakehouse, settings: Settings): Promise<RunningServer> {
  const { host, port, token, readToken, maintenance, log } = settings
  const [{ startServer }, { logLines }] = await Promise.all([import('../server/server.js'), import('../server/log.js')])
  try {
    return await startServer(lake, {
      host,
      port,
      token,
      readToken,
      maintenance,
      limits: limitsOf(settings),
      log: log ? logLines() : undefined,
    })
  } catch (error) {
    if (systemCode(error) !== 'EADDRINUSE') throw error
    const other = port === 65_535 ? 8080 : port + 1
    throw new CommandError(
      'PORT_TAKEN',
      `port ${port} of ${host} is taken`,
      `stop who holds it, or take another: --port ${other}, or DELTAIC_PORT=${other}`,
    )
  }
}

function limitsOf(settings: Settings): ServerOptions['limits'] {
  return {
    bodyBytesMax: settings.bodyLimit,
    queriesMax: settings.queriesMax,
    queriesWaitingMax: settings.queriesWaiting,
    queryTimeoutMs: settings.queryTimeout,
    asyncTimeoutMs: settings.asyncTimeout,
    answerRowsMax: settings.rowsMax,
    answerBytesMax: settings.answerLimit,
    resultsBytesMax: settings.resultsLimit,
    resultsKeptMs: settings.resultsKept,
    cacheBytesMax: settings.resultCache,
    watchersMax: settings.watchersMax,
    watchPollMs: settings.watchPollMs,
  }
}

function systemCode(error: unknown): string | undefined {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return (cause as NodeJS.ErrnoException).code
}
