import type { FastifyInstance } from 'fastify'
import type { ViewDetail } from '../src/index.js'
import { Caller, callerName } from './caller.js'
import type { ServerContext } from './context.js'
import { toProblem } from './errors.js'
import { list, mapOf, object, problem, problems, text, truth, whole } from './schemas.js'

interface OfView {
  readonly view: string
}

const viewParams = object({ view: { ...text, minLength: 1, description: 'The name of a view.' } })
const lag = object({
  name: { ...text, description: 'Of a source.' },
  'watermark?': { ...whole, description: 'The version that the state was made from; absent when it was made from none.' },
  version: { ...whole, description: 'The newest one.' },
})
const detail = object({
  name: text,
  uri: text,
  definition: text,
  sources: list(text),
  version: { ...whole, description: 'Of its state.' },
  key: list(text),
  columns: list(object({ name: text, type: text })),
  maintenance: { ...text, description: 'How it is kept up with its sources.' },
  incremental: truth,
  watermarks: list(lag),
  behind: { ...truth, description: 'Whether its state lacks changed rows. Queries never do.' },
  lagMs: { type: 'number' },
  lagBytes: whole,
  properties: mapOf(text),
})
const refreshed = object({
  view: text,
  version: whole,
  outcome: { type: 'string', enum: ['refreshed', 'current', 'overtaken'] },
  how: { type: 'string', enum: ['changes', 'full', 'none'] },
  sources: mapOf(whole),
  rowsAdded: whole,
  'rowsRemoved?': whole,
  filesAdded: whole,
  filesRemoved: whole,
  filesMarked: whole,
  bytesAdded: whole,
  bytesRead: whole,
  attempts: whole,
  elapsedMs: { type: 'number' },
})
const full = { ...truth, description: 'Compute it anew from the raw rows.' }
const made = object({ created: truth, version: whole, rowsAdded: whole, maintenance: text })

/** GET /v1/views and /v1/views/:view; POST /v1/views/refresh, …/:view/refresh and …/:view/rebuild. */
export function viewsRoutes(app: FastifyInstance, { lake, slots }: ServerContext): void {
  app.get(
    '/v1/views',
    {
      schema: {
        operationId: 'views',
        summary: 'Every materialized view, and how far its state has come',
        response: { 200: object({ views: list(detail) }), ...problems },
      },
    },
    async () => {
      const views: ViewDetail[] = []
      for (const { name } of await lake.views()) views.push(await lake.view(name).detail())
      return { views }
    },
  )

  app.get<{ Params: OfView }>(
    '/v1/views/:view',
    {
      schema: {
        operationId: 'view',
        summary: 'A view: definition, watermark, lag',
        params: viewParams,
        response: { 200: detail, ...problems },
      },
    },
    async (request) => await lake.view(request.params.view).detail(),
  )

  app.post<{ Body: { readonly views: readonly string[]; readonly full?: boolean } }>(
    '/v1/views/refresh',
    {
      schema: {
        operationId: 'refreshSeveral',
        summary:
          'Bring the stored states of several views up to their sources; those over one table read what changed there once',
        body: object({ views: { ...list({ ...text, minLength: 1 }), minItems: 1, maxItems: 1000 }, 'full?': full }),
        response: {
          200: object({
            refreshed: list(refreshed),
            failed: { ...list(object({ view: text, problem })), description: 'One that fails keeps no other from it.' },
          }),
          ...problems,
        },
      },
    },
    async (request, reply) => {
      const caller = Caller.behind(reply)
      const release = await slots.take(callerName(request), caller.signal)
      try {
        const { views, full } = request.body
        const done = await caller.waitsFor(() => lake.refreshViews(views, { full, signal: caller.signal }))
        return {
          refreshed: done.flatMap((one) => ('error' in one ? [] : [one.result])),
          failed: done.flatMap((one) => ('error' in one ? [{ view: one.view, problem: toProblem(one.error) }] : [])),
        }
      } finally {
        release()
      }
    },
  )

  app.post<{ Params: OfView; Body: { readonly full?: boolean } | null | undefined }>(
    '/v1/views/:view/refresh',
    {
      schema: {
        operationId: 'refresh',
        summary: 'Bring the stored state of a view up to its sources',
        params: viewParams,
        body: { ...object({ 'full?': full }), nullable: true },
        response: { 200: refreshed, ...problems },
      },
    },
    async (request, reply) => {
      const caller = Caller.behind(reply)
      const release = await slots.take(callerName(request), caller.signal)
      try {
        const { full } = request.body ?? {}
        return await caller.waitsFor(() => lake.refreshView(request.params.view, { full, signal: caller.signal }))
      } finally {
        release()
      }
    },
  )

  app.post<{ Params: OfView; Body: { readonly as?: string } | null | undefined }>(
    '/v1/views/:view/rebuild',
    {
      schema: {
        operationId: 'rebuild',
        summary: 'Derive a view from the raw rows again; the old state answers until then',
        params: viewParams,
        body: { ...object({ 'as?': { ...text, description: 'The definition from now on.' } }), nullable: true },
        response: { 200: made, ...problems },
      },
    },
    async (request, reply) => {
      const caller = Caller.behind(reply)
      const release = await slots.take(callerName(request), caller.signal)
      try {
        const { as } = request.body ?? {}
        return await caller.waitsFor(() => lake.rebuildView(request.params.view, { as, signal: caller.signal }))
      } finally {
        release()
      }
    },
  )
}
