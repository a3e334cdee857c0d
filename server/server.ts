import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { DeltaError, type Lakehouse, StreamRunner } from '../src/index.js'
import { AnswerCache } from './answer-cache.js'
import { buildApp } from './app.js'
import { type ServerLimits, type ServerOptions, type ServerSettings, serverSettings } from './options.js'
import { QueryJobs } from './query-jobs.js'
import { QuerySlots } from './query-slots.js'

export interface RunningServer {
  /** `http://127.0.0.1:8080`: without a slash at the end. */
  readonly url: string
  readonly port: number
  /** As they are in force. */
  readonly limits: ServerLimits
  /** Takes no new requests, finishes those that run, and resolves. The lakehouse stays open. */
  close(): Promise<void>
}

/**
 * Serves a lakehouse over HTTP.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID` for a port that is taken or not ours to take, an address that is not this machine's, and
 * for an address that others can reach without a token.
 */
export async function startServer(lake: Lakehouse, options: ServerOptions = {}): Promise<RunningServer> {
  const settings = serverSettings(options)
  const { limits } = settings
  const jobs = new QueryJobs(lake, limits)
  const maintenance = options.maintenance === false ? undefined : lake.maintain()
  const isReadOnly = settings.readToken !== undefined && settings.token === undefined
  const streams = isReadOnly ? undefined : new StreamRunner(lake, (error) => settings.log({ type: 'stream', error }))
  const cache = new AnswerCache(limits.cacheBytesMax)
  const context = { lake, limits, slots: new QuerySlots(limits), cache, jobs, maintenance, streams }
  const app = await buildApp(context, settings)
  const refresher = options.maintenance === false ? undefined : lake.keepViewsFresh()
  const atWork = [jobs, maintenance, streams, refresher]
  app.addHook('preClose', async () => void (await Promise.all(atWork.map((one) => one?.close()))))
  await listen(app, settings)
  streams?.begin()
  const { port } = app.server.address() as AddressInfo
  const url = `http://${hostInUrl(settings.host)}:${port}`
  settings.log({ type: 'listening', url })
  let closing: Promise<void> | undefined
  return { url, port, limits, close: () => (closing ??= drain(app, settings)) }
}

async function listen(app: FastifyInstance, { host, port }: ServerSettings): Promise<void> {
  try {
    await app.listen({ host, port })
  } catch (error) {
    await app.close()
    const { code = '' } = error as NodeJS.ErrnoException
    const refusal = REFUSALS[code]
    throw refusal
      ? new DeltaError('ARGUMENT_INVALID', refusal.message, { host, port }, { hint: refusal.hint, cause: error })
      : error
  }
}

const REFUSALS: Readonly<Record<string, { readonly message: string; readonly hint: string }>> = {
  EADDRINUSE: { message: 'the port is taken', hint: 'stop who holds it, or take another: --port 8081 (0 takes any free one)' },
  EACCES: { message: 'this user may not take the port', hint: 'take one from 1024 on: --port 8080' },
  EADDRNOTAVAIL: { message: 'the address is not one of this machine', hint: 'serve on 127.0.0.1 or 0.0.0.0: --host' },
  ENOTFOUND: { message: 'the host name has no address', hint: 'serve on 127.0.0.1 or 0.0.0.0: --host' },
}

async function drain(app: FastifyInstance, { log }: ServerSettings): Promise<void> {
  log({ type: 'draining' })
  await app.close()
  log({ type: 'closed' })
}

function hostInUrl(host: string): string {
  if (host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}
