import type { FastifyInstance } from 'fastify'
import { DeltaError, parseSize } from '../src/index.js'
import { Caller, callerName } from './caller.js'
import type { ServerContext } from './context.js'
import { list, object, optimizeAnswer, problems, tableParams, text } from './schemas.js'

interface Optimize {
  readonly where?: string
  readonly targetFileSize?: number | string
  readonly zorderBy?: readonly string[]
  readonly full?: boolean
}

const size = {
  anyOf: [{ type: 'integer', minimum: 1 }, text],
  description: 'In bytes, or with a unit: 128MB.',
} as const

/** POST /v1/tables/:table/optimize: it takes as long as it takes; closing the connection stops it. */
export function optimizeRoute(app: FastifyInstance, { lake, slots }: ServerContext): void {
  app.post<{ Params: { readonly table: string }; Body: Optimize | null | undefined }>(
    '/v1/tables/:table/optimize',
    {
      schema: {
        operationId: 'optimize',
        summary: 'Merge small files',
        params: tableParams,
        body: {
          ...object({
            'where?': { ...text, description: 'Only partitions that satisfy this.' },
            'targetFileSize?': size,
            'zorderBy?': { ...list(text), description: 'Columns by which rows lie near each other afterwards.' },
            'full?': { type: 'boolean', description: 'In a clustered table, also what was clustered by other columns.' },
          }),
          nullable: true,
        },
        response: { 200: optimizeAnswer, ...problems },
      },
    },
    async (request, reply) => {
      const { where, targetFileSize, zorderBy, full } = request.body ?? {}
      const targetFileSizeBytes = bytesOf(targetFileSize)
      const caller = Caller.behind(reply)
      const release = await slots.take(callerName(request), caller.signal)
      try {
        const table = lake.table(request.params.table)
        return await caller.waitsFor(() => table.optimize({ where, targetFileSizeBytes, zorderBy, full, signal: caller.signal }))
      } finally {
        release()
      }
    },
  )
}

function bytesOf(size: number | string | undefined): number | undefined {
  const bytes = typeof size === 'string' ? parseSize(size) : size
  if (size !== undefined && bytes === undefined)
    throw new DeltaError(
      'ARGUMENT_INVALID',
      'not a size',
      { targetFileSize: size },
      { hint: 'bytes, or a number with a unit: 128MB' },
    )
  return bytes
}
