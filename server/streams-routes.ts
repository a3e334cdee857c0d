import type { FastifyInstance } from 'fastify'
import type { DefineStreamOptions, StreamInfo, StreamRunner } from '../src/index.js'
import type { ServerContext } from './context.js'
import { list, object, problems, text, truth, whole } from './schemas.js'

interface NewStream extends DefineStreamOptions {
  readonly source: string
  readonly table: string
}

const choice = (...values: readonly string[]) => ({ type: 'string', enum: values }) as const
const number = { type: 'number', minimum: 0 } as const

const settings = {
  'with?': {
    ...list(text),
    description: 'Parts of each record that are columns too: key, timestamp, headers, partition, offset; or key=user_id.',
  },
  'from?': { ...choice('earliest', 'latest'), description: 'Where to begin in a topic of which the table holds nothing.' },
  'onOutOfRange?': {
    ...choice('fail', 'earliest', 'latest'),
    description: 'Where to go on when a partition does not hold the offset that comes next.',
  },
  'onError?': choice('fail', 'reject'),
  'schema?': choice('strict', 'evolve'),
  'create?': truth,
  'group?': text,
  'partitions?': list(whole),
  'batchRows?': { ...whole, minimum: 1 },
  'batchMs?': number,
  'sasl?': object({
    mechanism: choice('plain', 'scram-sha-256', 'scram-sha-512'),
    username: text,
    'passwordVariable?': {
      ...text,
      description: 'The variable of the server’s environment; begins with DELTAIC_KAFKA_PASSWORD.',
    },
  }),
}

const streamAnswer = object({
  id: text,
  source: text,
  table: text,
  runs: choice('server', 'command'),
  state: { ...choice('running', 'waiting', 'failed', 'elsewhere'), description: 'How it fares on this server.' },
  settings: object(settings),
  partitions: list(
    object({
      partition: whole,
      'offset?': { ...whole, description: 'Rows of all before it are in the table.' },
      'high?': { ...whole, description: 'The offset after the last record.' },
      'lag?': whole,
      'committedAtMs?': whole,
    }),
  ),
  'lag?': whole,
  rowsPerSecond: number,
  'error?': text,
})

/** /v1/streams: the streams of the lakehouse, which servers run. */
export function streamsRoutes(app: FastifyInstance, { lake, streams }: ServerContext): void {
  app.post<{ Body: NewStream }>(
    '/v1/streams',
    {
      schema: {
        operationId: 'createStream',
        summary: 'Stream a topic into a table',
        body: object({ 'id?': text, source: { ...text, description: 'kafka://host:port/topic' }, table: text, ...settings }),
        response: { 200: streamAnswer, ...problems },
      },
    },
    async (request) => {
      const { source, table, ...options } = request.body
      const { id } = await lake.defineStream(source, table, { ...options, runs: 'server' })
      await streams?.sync()
      const found = (await lake.streams()).find((stream) => stream.id === id)
      return answer(found as StreamInfo, streams)
    },
  )

  app.get(
    '/v1/streams',
    {
      schema: {
        operationId: 'streams',
        summary: 'List the streams, and how far each is',
        response: { 200: object({ streams: list(streamAnswer) }), ...problems },
      },
    },
    async () => ({ streams: (await lake.streams()).map((stream) => answer(stream, streams)) }),
  )

  app.delete<{ Params: { readonly id: string } }>(
    '/v1/streams/:id',
    {
      schema: {
        operationId: 'dropStream',
        summary: 'End a stream and forget it; its places stay in the table',
        params: object({ id: text }),
        response: { 200: object({ dropped: text }), ...problems },
      },
    },
    async ({ params: { id } }) => {
      await lake.dropStream(id)
      await streams?.sync()
      return { dropped: id }
    },
  )
}

function answer(stream: StreamInfo, streams: StreamRunner | undefined) {
  const here = streams?.of(stream.id)
  return { ...stream, state: here?.state ?? 'elsewhere', error: here?.error ?? stream.error }
}
