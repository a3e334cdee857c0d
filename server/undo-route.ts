import type { FastifyInstance } from 'fastify'
import type { UndoOptions } from '../src/index.js'
import { Caller, callerName } from './caller.js'
import type { ServerContext } from './context.js'
import { object, problems, tableParams, text, truth, undoAnswer, whole } from './schemas.js'

interface Undo extends Pick<UndoOptions, 'where' | 'changed' | 'dryRun' | 'proof' | 'views'> {
  readonly from: number
  readonly to?: number
}

/** POST /v1/tables/:table/undo; closing the connection stops it before its commit. */
export function undoRoute(app: FastifyInstance, { lake, slots }: ServerContext): void {
  app.post<{ Params: { readonly table: string }; Body: Undo }>(
    '/v1/tables/:table/undo',
    {
      schema: {
        operationId: 'undo',
        summary: 'Take back what commits added, with proof',
        params: tableParams,
        body: object({
          from: {
            ...whole,
            description: 'The first version to take back. Of a version that is an undo itself, its rows come back.',
          },
          'to?': { ...whole, description: 'The last version; the first one without it.' },
          'where?': { ...text, description: 'Only rows for which this SQL condition is true.' },
          'changed?': {
            type: 'string',
            enum: ['keep', 'remove'],
            description: 'What becomes of rows that later commits changed.',
          },
          'dryRun?': { ...truth, description: 'Take nothing out, and tell what would be.' },
          'proof?': {
            type: 'string',
            enum: ['changes', 'table'],
            description: 'Add up the rows that go, or every row of the table.',
          },
          'views?': {
            type: 'string',
            enum: ['check', 'skip'],
            description: 'Compute each view over the table from its definition, or leave that out and say so.',
          },
        }),
        response: { 200: undoAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const { from, to = from, ...options } = request.body
      const caller = Caller.behind(reply)
      const release = await slots.take(callerName(request), caller.signal)
      try {
        const table = lake.table(request.params.table)
        return await caller.waitsFor(() => table.undo({ ...options, versions: { from, to }, signal: caller.signal }))
      } finally {
        release()
      }
    },
  )
}
