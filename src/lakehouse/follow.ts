import { fileURLToPath } from 'node:url'
import { DeltaError } from '../base/errors.js'
import { DiskFiles } from '../ingest/follow/disk-files.js'
import { follow } from '../ingest/follow/follow.js'
import { StoreFiles } from '../ingest/follow/store-files.js'
import type { Compression, InputFormat } from '../ingest/formats.js'
import type { RowSink } from '../ingest/row-sink.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Progress } from './options.js'
import type { TableHost } from './table-host.js'

export interface FollowOptions {
  /** Of every file. @defaultValue by each file's name; of a folder, files whose names do not tell are passed over */
  readonly format?: Exclude<InputFormat, 'json' | 'arrow'> | undefined
  /** @defaultValue by each file's name (`.gz`, `.br`) */
  readonly compression?: Compression | undefined
  /** A commit takes at most this many lines of a file. @defaultValue 1,000,000 */
  readonly batchRows?: number | undefined
  /** How long lines that come in slowly are gathered, in milliseconds. @defaultValue 1,000 */
  readonly batchMs?: number | undefined
  /** How often files are looked at, in milliseconds. @defaultValue 500 */
  readonly pollMs?: number | undefined
  /** What a line that cannot be read does: end it all, or go to the table `<name>__rejects`. @defaultValue 'fail' */
  readonly onError?: 'fail' | 'reject' | undefined
  /** Whether the table's columns may change to fit: new ones are added, types are widened. @defaultValue 'strict' */
  readonly schema?: 'strict' | 'evolve' | undefined
  /** Create the table from the first rows where there is none. @defaultValue false */
  readonly create?: boolean | undefined
  /** Take what is there, and end. @defaultValue false */
  readonly once?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Told of what is waited out: storage that does not answer, another that follows the same. */
  readonly onRetry?: ((error: unknown) => void) | undefined
}

export interface FollowResult {
  readonly rowsAdded: number
  readonly rowsRejected: number
  /** Files of which something was taken. */
  readonly files: number
  readonly bytesRead: number
  /** The version from which on all of it is visible; absent when nothing was taken. */
  readonly version: number | undefined
  readonly elapsedMs: number
}

const [BATCH_ROWS, BATCH_MS, POLL_MS] = [1_000_000, 1000, 500]

/** Follows files into a table until the signal aborts. */
export async function followInto(
  host: TableHost,
  table: DeltaTable,
  sink: RowSink,
  source: string,
  options: FollowOptions,
): Promise<FollowResult> {
  const { clock, spool } = table.deps
  const startedAtMs = clock.now()
  const { batchRows = BATCH_ROWS, batchMs = BATCH_MS, pollMs = POLL_MS, once = false, onProgress } = options
  for (const [name, value, min] of [
    ['batchRows', batchRows, 1],
    ['batchMs', batchMs, 0],
    ['pollMs', pollMs, 1],
  ] as const)
    if (!(value >= min)) throw new DeltaError('ARGUMENT_INVALID', `${name} is too small`, { [name]: value, min })
  const files = await filesAt(host, source)
  try {
    const totals = await follow(
      files,
      sink,
      { clock, spool },
      {
        ...options,
        batchRows,
        batchMs,
        pollMs,
        once,
        onProgress: ({ rows }) => onProgress?.({ phase: 'follow', done: rows, unit: 'rows' }),
      },
    )
    return {
      rowsAdded: totals.rows,
      rowsRejected: totals.rejected,
      files: totals.files,
      bytesRead: totals.bytes,
      version: totals.version,
      elapsedMs: clock.now() - startedAtMs,
    }
  } finally {
    await files.close()
  }
}

async function filesAt(host: TableHost, source: string) {
  if (/^file:/i.test(source)) return DiskFiles.at(fileURLToPath(source))
  return /^[a-z][a-z0-9+.-]+:/i.test(source) ? new StoreFiles(host.openStore(source)) : DiskFiles.at(source)
}
