import { DeltaError, isDeltaError } from '../base/errors.js'
import { canonicalFilePath, rootSpellings } from '../protocol/file-path.js'
import { LOG_FOLDER, SIDECAR_FOLDER } from '../protocol/log-path.js'
import type { StoreOptions } from '../storage/store.js'
import { type CheckpointHead, type CheckpointPart, readCheckpointHead, type Sidecar } from './checkpoint-read.js'
import type { LogDependencies } from './dependencies.js'
import { sumOfFile } from './file-sum.js'
import { type FileSums, SUM_TAG } from './last-checkpoint.js'
import type { CheckpointFiles } from './log-listing.js'

/** A checkpoint whose files are all on this machine, its sidecars among them. */
export interface OpenCheckpoint {
  /** The file that messages name. */
  readonly path: string
  readonly head: CheckpointHead
  readonly parts: readonly CheckpointPart[]
  release(): Promise<void>
}

/**
 * Fetches a checkpoint and reads what it holds beside files. What `sums` tells of its files is checked before they are read.
 *
 * @throws {DeltaError} `CHECKPOINT_DAMAGED`, also for a sidecar that is gone.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#checkpoints
 */
export async function openCheckpoint(
  deps: LogDependencies,
  checkpoint: CheckpointFiles,
  sums: FileSums,
  options: StoreOptions,
): Promise<OpenCheckpoint> {
  const fetched: string[] = []
  const release = () => releaseFiles(deps, fetched)
  try {
    const { path, top, head } = await openTop(deps, checkpoint, sums, fetched, options)
    const sidecars = head.sidecars.map((sidecar) => sidecarPath(sidecar, deps.store.uri))
    const parts: CheckpointPart[] = [top]
    if (sidecars.length > 0) {
      const files = await localFiles(deps, sidecars, 'parquet', fetched, options)
      await checkSums(sidecars, files, (at) => head.sidecars[at]?.tags?.[SUM_TAG])
      parts.push({ files, format: 'parquet' })
    }
    return { path, head, parts, release }
  } catch (error) {
    await release()
    throw error
  }
}

/** Where the sidecars of a checkpoint are, whether they are there or not. @throws {DeltaError} `CHECKPOINT_DAMAGED` */
export async function readSidecarPaths(
  deps: LogDependencies,
  checkpoint: CheckpointFiles,
  sums: FileSums,
  options: StoreOptions,
): Promise<readonly string[]> {
  const fetched: string[] = []
  try {
    const { head } = await openTop(deps, checkpoint, sums, fetched, options)
    return head.sidecars.map((sidecar) => sidecarPath(sidecar, deps.store.uri))
  } finally {
    await releaseFiles(deps, fetched)
  }
}

async function openTop(
  deps: LogDependencies,
  { version, paths, format }: CheckpointFiles,
  sums: FileSums,
  fetched: string[],
  options: StoreOptions,
) {
  const [path = ''] = paths
  const top: CheckpointPart = { files: await localFiles(deps, paths, format, fetched, options), format }
  await checkSums(paths, top.files, (at) => sums[paths[at]?.slice(LOG_FOLDER.length + 1) ?? ''])
  const head = await damageIsTyped(path, async () => {
    const found = await readCheckpointHead(deps.database, top)
    if (found.version !== undefined && found.version !== version)
      throw new DeltaError('LOG_INCOMPLETE', 'checkpoint is of another version than its name says', { version: found.version })
    if (found.protocol && found.metaData) return found
    // It is no whole one, and an earlier one serves better.
    throw new DeltaError('LOG_INCOMPLETE', 'checkpoint has no protocol or no metadata')
  })
  return { path, top, head }
}

/** @throws {DeltaError} `CHECKPOINT_DAMAGED` for a file whose bytes do not add up to what was said of them. */
async function checkSums(
  paths: readonly string[],
  files: readonly string[],
  said: (at: number) => string | undefined,
): Promise<void> {
  for (const [at, file] of files.entries())
    await damageIsTyped(paths[at] ?? '', async () => {
      const [sum, found] = [said(at), said(at) && (await sumOfFile(file))]
      if (sum !== found)
        throw new DeltaError('LOG_INCOMPLETE', 'the bytes of a checkpoint are not those that were written', { sum, found })
    })
}

async function releaseFiles(deps: LogDependencies, fetched: readonly string[]): Promise<void> {
  await Promise.all(fetched.map((file) => deps.spool.remove(file)))
}

/** Where a sidecar is, relative to the table. */
function sidecarPath(sidecar: Sidecar, tableUri: string): string {
  const path = canonicalFilePath(sidecar.path, rootSpellings(tableUri))
  return path.includes('/') ? path : `${SIDECAR_FOLDER}/${path}`
}

/** Runs the reading of a file for which another can stand in. @throws {DeltaError} `CHECKPOINT_DAMAGED` for whatever it holds wrong. */
export async function damageIsTyped<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (isDeltaError(cause, 'cancelled', 'limit', 'unavailable')) throw cause
    throw new DeltaError(
      'CHECKPOINT_DAMAGED',
      'a checkpoint of the table is damaged',
      { file },
      {
        cause,
        hint: 'earlier commits are no longer in the log, so the table cannot be read past it: restore the file from a copy',
      },
    )
  }
}

const FILES_AT_ONCE = 8

/** Files of the log as files of this machine: where they are, or fetched into the spool and named in `fetched`. */
async function localFiles(
  deps: LogDependencies,
  paths: readonly string[],
  format: string,
  fetched: string[],
  options: StoreOptions,
): Promise<string[]> {
  const one = async (path: string) => {
    const local = deps.store.localPath(path)
    if (local) return local
    const file = deps.spool.file(format)
    fetched.push(file)
    await deps.spool.write(file, (await deps.store.get(path, options)) ?? new Uint8Array())
    return file
  }
  const files: string[] = []
  for (let start = 0; start < paths.length; start += FILES_AT_ONCE)
    files.push(...(await Promise.all(paths.slice(start, start + FILES_AT_ONCE).map(one))))
  return files
}
