import { createReadStream } from 'node:fs'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { type BytePart, partOf, partsOf, rangeOf } from './byte-part.js'
import { Caller } from './caller.js'
import type { ServerContext } from './context.js'
import { contentTypeOf } from './formats.js'
import { PART_BYTES, type QueryJob } from './query-jobs.js'
import { list, object, problems, queryJob, queryResponse, text } from './schemas.js'

interface OfQuery {
  readonly id: string
}

const params = object({ id: { ...text, description: 'Of the query, as `Location` names it.' } })

/** GET and DELETE below /v1/queries: what runs without a connection, and its results. */
export function queriesRoute(app: FastifyInstance, { jobs }: ServerContext): void {
  app.get(
    '/v1/queries',
    {
      schema: {
        operationId: 'queries',
        summary: 'Queries that run on their own, the newest first',
        response: { 200: object({ queries: list(queryJob) }), ...problems },
      },
    },
    async (request) => ({ queries: jobs.list(request.role).map(jobFacts) }),
  )

  app.get<{ Params: OfQuery }>(
    '/v1/queries/:id',
    {
      schema: {
        operationId: 'query',
        summary: 'State, progress and statistics of a query',
        params,
        response: { 200: queryJob, ...problems },
      },
    },
    async (request) => jobFacts(jobs.get(request.params.id, request.role)),
  )

  app.delete<{ Params: OfQuery }>(
    '/v1/queries/:id',
    {
      config: { reads: true },
      schema: {
        operationId: 'cancel',
        summary: 'Cancel a query, or forget one that has ended, with its result',
        params,
        response: { 204: { description: 'It is so.', type: 'null' }, ...problems },
      },
    },
    async (request, reply) => {
      await jobs.delete(request.params.id, request.role)
      reply.code(204)
    },
  )

  const part = { type: 'integer', minimum: 1, description: 'Only this part, from 1: a result is all of its parts in order.' }
  app.get<{ Params: OfQuery; Querystring: { readonly part?: number } }>(
    '/v1/queries/:id/result',
    {
      schema: {
        operationId: 'result',
        summary: 'The answer of a query, once it is there; Range and ?part resume it',
        params,
        querystring: object({ 'part?': part }),
        response: { 200: queryResponse, 206: queryResponse, ...problems },
      },
    },
    async (request, reply) => {
      const caller = Caller.behind(reply)
      const { job, file } = await jobs.answer(request.params.id, request.role, caller.signal)
      const tag = `"${job.id}"`
      const { part } = request.query
      const condition = request.headers['if-range']
      const range = condition === undefined || condition === tag ? request.headers.range : undefined
      try {
        const wanted = part === undefined ? rangeOf(range, job.bytes) : partOf(part, job.bytes, PART_BYTES)
        describePart(reply, job, tag, wanted, part === undefined)
        const { start, endExclusive } = wanted ?? { start: 0, endExclusive: job.bytes }
        return start === endExclusive ? Buffer.alloc(0) : createReadStream(file, { start, end: endExclusive - 1 })
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        return await reply.code(416).header('content-range', error.message).send(Buffer.alloc(0))
      }
    },
  )
}

function describePart(reply: FastifyReply, job: QueryJob, tag: string, part: BytePart | undefined, isRange: boolean): void {
  const { start, endExclusive } = part ?? { start: 0, endExclusive: job.bytes }
  if (part && isRange) reply.code(206).header('content-range', `bytes ${start}-${endExclusive - 1}/${job.bytes}`)
  reply
    .header('content-type', contentTypeOf(job.format))
    .header('content-length', endExclusive - start)
    .header('accept-ranges', 'bytes')
    .header('etag', tag)
    .header('deltaic-parts', partsOf(job.bytes, PART_BYTES))
}

/** A query as it is told. */
export function jobFacts(job: QueryJob) {
  const { id, state, statement, format, submittedAt, startedAt, endedAt, progress, problem, bytes } = job
  const { columns, versions, stats, rowCount } = job.result ?? {}
  const isThere = state === 'succeeded'
  return {
    id,
    state,
    statement,
    format,
    submittedAt,
    startedAt,
    endedAt,
    progress: { rows: progress?.done ?? 0, rowsTotal: progress?.total, bytes },
    versions,
    stats,
    columns,
    rowCount: isThere ? rowCount : undefined,
    result: isThere
      ? { url: `/v1/queries/${id}/result`, bytes, parts: partsOf(bytes, PART_BYTES), partBytes: PART_BYTES }
      : undefined,
    problem,
  }
}
