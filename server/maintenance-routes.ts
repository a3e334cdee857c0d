import type { FastifyInstance } from 'fastify'
import { Caller, callerName } from './caller.js'
import type { ServerContext } from './context.js'
import { checkpointAnswer, object, problems, restoreAnswer, tableParams, text, truth, vacuumAnswer, whole } from './schemas.js'

interface OfTable {
  readonly table: string
}

interface Restore {
  readonly version?: number
  readonly timestamp?: string
}

interface Vacuum {
  readonly mode?: 'full' | 'lite'
  readonly retentionHours?: number
  readonly dryRun?: boolean
}

const HOUR_MS = 3_600_000

/** POST /v1/tables/:table/restore, …/vacuum and …/checkpoint; closing the connection stops them before their commit. */
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
      const caller = Caller.behind(reply)
      const release = await slots.take(callerName(request), caller.signal)
      try {
        const table = lake.table(request.params.table)
        return await caller.waitsFor(() => table.restore(request.body, { signal: caller.signal }))
      } finally {
        release()
      }
    },
  )

  app.post<{ Params: OfTable; Body: Vacuum | null | undefined }>(
    '/v1/tables/:table/vacuum',
    {
      schema: {
        operationId: 'vacuum',
        summary: 'Delete files that no version within the retention needs',
        params: tableParams,
        body: {
          ...object({
            'mode?': { type: 'string', enum: ['full', 'lite'], description: 'lite looks only at what the log says was removed.' },
            'retentionHours?': { type: 'number', minimum: 0, description: 'Not less than the table’s own.' },
            'dryRun?': { ...truth, description: 'Delete nothing, and tell what would be.' },
          }),
          nullable: true,
        },
        response: { 200: vacuumAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const { mode, retentionHours, dryRun } = request.body ?? {}
      const retentionMs = retentionHours === undefined ? undefined : retentionHours * HOUR_MS
      const caller = Caller.behind(reply)
      const release = await slots.take(callerName(request), caller.signal)
      try {
        const table = lake.table(request.params.table)
        return await caller.waitsFor(() => table.vacuum({ mode, retentionMs, dryRun, signal: caller.signal }))
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
      const caller = Caller.behind(reply)
      const release = await slots.take(callerName(request), caller.signal)
      try {
        const table = lake.table(request.params.table)
        return await caller.waitsFor(() => table.checkpoint({ signal: caller.signal }))
      } finally {
        release()
      }
    },
  )
}
