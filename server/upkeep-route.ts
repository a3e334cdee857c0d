import type { FastifyInstance } from 'fastify'
import type { ServerContext } from './context.js'
import { list, object, problems, text, truth, whole } from './schemas.js'

const upkeep = object({
  enabled: { ...truth, description: 'Whether this server looks after its tables.' },
  tables: list(
    object({
      table: text,
      version: { ...whole, description: 'The version that was looked at last.' },
      files: { ...whole, description: 'Files that a reader of the whole table opens.' },
      filesAtBest: { ...whole, description: 'The same if all of them were full.' },
      bytes: whole,
      bytesAppended: { ...whole, description: 'That writers brought since the server began to look.' },
      bytesRewritten: { ...whole, description: 'That rewriting files cost since then, whoever did it.' },
      writeAmplification: { type: 'number', minimum: 1, description: 'Bytes written for each byte that was brought.' },
      compactions: whole,
      clusterings: whole,
      filesGivenUp: { ...whole, description: 'That compaction let go because somebody else changed them meanwhile.' },
      checkpoints: whole,
      vacuums: whole,
      filesVacuumed: whole,
      failures: whole,
    }),
  ),
})

/** GET /v1/maintenance: what looking after the tables has come to. */
export function upkeepRoute(app: FastifyInstance, { maintenance }: ServerContext): void {
  app.get(
    '/v1/maintenance',
    {
      schema: { operationId: 'maintenance', summary: 'How the tables are looked after', response: { 200: upkeep, ...problems } },
    },
    async () => ({ enabled: maintenance !== undefined, tables: maintenance?.status() ?? [] }),
  )
}
