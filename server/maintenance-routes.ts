import type { FastifyInstance } from 'fastify'
import { Caller } from './caller.js'
import type { ServerContext } from './context.js'
import { checkpointAnswer, object, problems, restoreAnswer, tableParams, text, whole } from './schemas.js'

interface OfTable {
  readonly table: string
}

interface Restore {
  readonly version?: number
  readonly timestamp?: string
}

/** POST /v1/tables/:table/restore and …/checkpoint; closing the connection stops them before their commit. */
export function maintenanceRoutes(app: FastifyInstance, { lake, slots }: ServerContext): void {
  app.post<{ Params: OfTable; Body: Restore }>(
    '/v1/tables/:table/restore',
    {
      schema: {
        operationId: 'restore',
        summary: 'Make a table what it was, in a new version',
        params: tableParams,
        body: object({
          'version?': whole,
          'timestamp?': { ...text, description: 'ISO 8601, UTC unless it says otherwise. One of the two is given.' },
        }),
        response: { 200: restoreAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const release = slots.take()
      const caller = new Caller(reply)
      try {
        const table = lake.table(request.params.table)
        return await caller.waitsFor(() => table.restore(request.body, { signal: caller.signal }))
      } finally {
        release()
      }
    },
  )

  app.post<{ Params: OfTable }>(
    '/v1/tables/:table/checkpoint',
    {
      schema: {
        operationId: 'checkpoint',
        summary: 'Write the state of a table beside its log',
        params: tableParams,
        response: { 200: checkpointAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const release = slots.take()
      const caller = new Caller(reply)
      try {
        const table = lake.table(request.params.table)
        return await caller.waitsFor(() => table.checkpoint({ signal: caller.signal }))
      } finally {
        release()
      }
    },
  )
}
