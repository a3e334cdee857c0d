import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { ErrorKind } from '../src/index.js'
import { answerBrokenRequest, careForConnections } from './connections.js'
import type { ServerContext } from './context.js'
import { problemText, retryAfterSeconds, toProblem } from './errors.js'
import { guardRequests } from './guard.js'
import { healthRoutes } from './health-route.js'
import type { LogSink } from './log.js'
import { lookupRoute } from './lookup-route.js'
import { maintenanceRoutes } from './maintenance-routes.js'
import { serverMetrics } from './metrics.js'
import { describeRoutes } from './openapi.js'
import { optimizeRoute } from './optimize-route.js'
import type { ServerSettings } from './options.js'
import { queriesRoute } from './queries-route.js'
import { rowsRoute } from './rows-route.js'
import { sqlRoute } from './sql-route.js'
import { streamsRoutes } from './streams-routes.js'
import { tablesRoute } from './tables-route.js'
import { undoRoute } from './undo-route.js'
import { answerUnknownRoutes } from './unknown-route.js'
import { upkeepRoute } from './upkeep-route.js'
import { viewsRoutes } from './views-routes.js'
import { watchRoute } from './watch-route.js'

/** How long a whole request may take to come in: uploads over slow lines do. */
const REQUEST_MS = 30 * 60_000
const HEADERS_MS = 30_000
const KEEP_ALIVE_MS = 72_000

/** The caller can do nothing about these: the log tells who can. */
const OUR_FAULT: ReadonlySet<ErrorKind> = new Set(['corrupt', 'unavailable', 'internal'])

declare module 'fastify' {
  interface FastifyRequest {
    /** Of the problem that was answered. */
    problemCode: string | undefined
  }
}

/** Every route and rule of the server, not listening yet. */
export async function buildApp(context: ServerContext, settings: ServerSettings): Promise<FastifyInstance> {
  const app = fastify({
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { headersTimeout: HEADERS_MS },
    exposeHeadRoutes: false,
    return503OnClosing: false,
    routerOptions: { maxParamLength: 1024 },
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true, strictTypes: false } },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => sendProblem(error, request, reply, settings.log),
  })
  app.decorateRequest('problemCode')
  app.setErrorHandler((error: FastifyError, request, reply) => sendProblem(error, request, reply, settings.log))
  // Hooks that wait for nothing take a callback: a promise for each would cost small requests more than the hooks do.
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff')
    done()
  })
  careForConnections(app)
  logAnswers(app, settings.log)
  const metrics = serverMetrics(app, context)
  guardRequests(app, settings)
  answerUnknownRoutes(app)
  await describeRoutes(app)
  healthRoutes(app, context.lake, metrics)
  sqlRoute(app, context)
  queriesRoute(app, context)
  tablesRoute(app, context)
  optimizeRoute(app, context)
  lookupRoute(app, context)
  watchRoute(app, context)
  undoRoute(app, context)
  maintenanceRoutes(app, context)
  upkeepRoute(app, context)
  streamsRoutes(app, context)
  viewsRoutes(app, context)
  await app.register(rowsRoute, context)
  return app
}

function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply, log: LogSink): void {
  const problem = toProblem(error)
  const retryAfter = retryAfterSeconds(problem)
  request.problemCode = problem.code
  if (OUR_FAULT.has(problem.kind)) log({ type: 'failed', method: request.method, route: routeOf(request), error })
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  reply.removeHeader('connection')
  void reply
    .code(problem.status)
    .header('content-type', 'application/problem+json')
    .send(Buffer.from(problemText(problem)))
}

function logAnswers(app: FastifyInstance, log: LogSink): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { method, problemCode: code } = request
    const status = reply.raw.writableFinished ? reply.statusCode : 499
    log({ type: 'answered', method, route: routeOf(request), status, code, elapsedMs: Math.round(reply.elapsedTime) })
    done()
  })
}

function routeOf(request: FastifyRequest): string {
  return request.routeOptions.url ?? 'unknown'
}
