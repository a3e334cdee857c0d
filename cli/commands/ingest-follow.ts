import type { Compression, FollowOptions, FollowResult, InputFormat } from '../../src/index.js'
import type { Context } from '../context.js'
import { UsageError } from '../errors.js'
import { counted, humanBytes } from '../output/human.js'

export interface FollowFlags {
  readonly follow?: readonly string[]
  readonly format?: InputFormat
  readonly compression?: Compression
  readonly create?: boolean
  readonly batchRows?: number
  readonly batchSeconds?: number
  readonly poll?: number
  readonly once?: boolean
  readonly onError: 'fail' | 'reject'
  readonly schema: 'strict' | 'evolve'
}

/** Follows files into a table until Ctrl-C; what is being taken then still is. */
export async function followFiles(
  context: Context,
  table: string,
  sources: readonly string[],
  flags: FollowFlags,
): Promise<void> {
  const { format, compression, create, batchRows, batchSeconds, poll, once, onError, schema } = flags
  if (format === 'json' || format === 'arrow') throw new UsageError(`files of ${format} are not followed`, 'ingest them by name')
  const bar = context.progress()
  const stop = new AbortController()
  const signal = AbortSignal.any([context.signal, stop.signal])
  let retrying = ''
  const options: FollowOptions = {
    format,
    compression,
    create,
    batchRows,
    batchMs: batchSeconds === undefined ? undefined : batchSeconds * 1000,
    pollMs: poll === undefined ? undefined : poll * 1000,
    once,
    onError,
    schema,
    signal,
    onProgress: bar.show,
    onRetry: (error) => {
      const message = error instanceof Error ? error.message : String(error)
      if (message !== retrying) context.note(`trying again: ${message}`)
      retrying = message
    },
  }
  const results = await context.withLake(async (lake) => {
    if (!once) context.note(`following ${sources.join(', ')} into ${table}; Ctrl-C ends it`)
    const following = sources.map(async (source) => {
      try {
        return await lake.table(table).follow(source, options)
      } catch (error) {
        stop.abort(error)
        throw error
      }
    })
    try {
      const ended = await Promise.allSettled(following)
      const failed = ended.find((outcome) => outcome.status === 'rejected')
      if (failed) throw failed.reason
      return ended.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    } finally {
      bar.end()
    }
  })
  await report(context, table, results)
}

async function report(context: Context, table: string, results: readonly FollowResult[]): Promise<void> {
  const sum = (pick: (result: FollowResult) => number) => results.reduce((total, result) => total + pick(result), 0)
  const total = {
    table,
    rowsAdded: sum(({ rowsAdded }) => rowsAdded),
    rowsRejected: sum(({ rowsRejected }) => rowsRejected),
    files: sum(({ files }) => files),
    bytesRead: sum(({ bytesRead }) => bytesRead),
    version: results.reduce<number | undefined>(
      (latest, { version }) => (version === undefined ? latest : Math.max(version, latest ?? 0)),
      undefined,
    ),
  }
  if (context.settings.output !== 'table')
    return await context.print<typeof total>(
      (['table', 'rowsAdded', 'rowsRejected', 'files', 'bytesRead', 'version'] as const).map((name) => ({
        name,
        value: (row) => row[name],
        isNumber: name !== 'table',
      })),
      [total],
    )
  const at = total.version === undefined ? '' : `, version ${total.version}`
  const rejected = total.rowsRejected === 0 ? '' : `, ${counted(total.rowsRejected, 'line')} rejected into ${table}__rejects`
  const read = `${counted(total.files, 'file')}, ${humanBytes(total.bytesRead)}`
  await context.out.write(`${counted(total.rowsAdded, 'row')} into ${table} from ${read}${at}${rejected}\n`)
}
