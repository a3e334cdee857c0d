import { isDeltaError } from '../base/errors.js'
import type { Metadata } from '../protocol/actions.js'
import { LOG_FOLDER, parseLogPath, SIDECAR_FOLDER } from '../protocol/log-path.js'
import { tableProperties } from '../protocol/properties.js'
import { readSidecarPaths } from './checkpoint-open.js'
import type { LogDependencies } from './dependencies.js'
import { type FileSums, NO_SUMS, readLastCheckpoint } from './last-checkpoint.js'
import { type CheckpointFiles, listLog } from './log-listing.js'
import type { TableLog } from './table-log.js'
import { Timeline } from './timeline.js'

const DAY_MS = 86_400_000

/**
 * Deletes what the log need not keep: everything before the newest checkpoint that is older than the table's
 * `delta.logRetentionDuration` (30 days) before `nowMs`, counted in whole days of UTC, and sidecars older than a day that no
 * checkpoint names.
 * Versions from that checkpoint on stay as they are, in content and in time. Interrupted, it leaves a log that is whole.
 *
 * Deletes nothing where `delta.enableExpiredLogCleanup` is false, and nothing before the version that
 * `delta.requireCheckpointProtectionBeforeVersion` names unless everything before it goes.
 *
 * @returns the deleted paths.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#metadata-cleanup
 */
export async function cleanUpLog(deps: LogDependencies, log: TableLog, nowMs: number): Promise<readonly string[]> {
  const { metadata } = log.stateAt(log.version)
  const properties = tableProperties(metadata.configuration)
  if (!properties.enableExpiredLogCleanup) return []
  return deleteBefore(deps, log, expiryDay(metadata, nowMs) * DAY_MS, properties.checkpointProtectionBeforeVersion, nowMs)
}

/**
 * Deletes everything before the newest checkpoint of a version that was there before a time, whatever the table's own
 * retention.
 *
 * @returns the deleted paths.
 */
export async function truncateLog(
  deps: LogDependencies,
  log: TableLog,
  beforeMs: number,
  nowMs: number,
): Promise<readonly string[]> {
  return deleteBefore(
    deps,
    log,
    beforeMs,
    tableProperties(log.stateAt(log.version).metadata.configuration).checkpointProtectionBeforeVersion,
    nowMs,
  )
}

async function deleteBefore(
  deps: LogDependencies,
  log: TableLog,
  beforeMs: number,
  protectedBefore: number,
  nowMs: number,
): Promise<readonly string[]> {
  const { checkpoints } = await listLog(deps.store, 0)
  const { sums } = (await readLastCheckpoint(deps.store)) ?? { sums: NO_SUMS }
  const base = await newestExpired(deps, log, checkpoints, beforeMs)
  const expired = base && base.version >= protectedBefore ? await expiredFiles(deps, base.version) : []
  if (base && expired.length > 0) {
    if (!(await isWhole(deps, base, sums))) return []
    await deps.store.delete(expired)
  }
  const gone = new Set(expired)
  const kept = checkpoints.filter(({ paths }) => !paths.some((path) => gone.has(path)))
  const orphans = await orphanSidecars(deps, kept, sums, nowMs)
  await deps.store.delete(orphans)
  return [...expired, ...orphans]
}

/** The day, counted from 1970 in UTC, before which entries expire. What `cleanUpLog` deletes changes with it and no sooner. */
export function expiryDay(metadata: Metadata, nowMs: number): number {
  return Math.floor((nowMs - tableProperties(metadata.configuration).logRetentionMs) / DAY_MS)
}

/** The newest checkpoint of a version that expired, and whose time leans on no commit before it: one that was moved forward does. */
async function newestExpired(
  deps: LogDependencies,
  log: TableLog,
  checkpoints: readonly CheckpointFiles[],
  beforeMs: number,
): Promise<CheckpointFiles | undefined> {
  const timeline = await Timeline.load(deps.store, log)
  const newest = await timeline.newestAt(beforeMs)
  return checkpoints.find(({ version }) => newest !== undefined && version <= newest && timeline.standsAlone(version))
}

/** Files of versions before the base, oldest first, and compacted files that begin at it or before. */
async function expiredFiles(deps: LogDependencies, base: number): Promise<string[]> {
  const expired: { readonly path: string; readonly version: number }[] = []
  for await (const { path } of deps.store.list(LOG_FOLDER)) {
    const name = path.slice(LOG_FOLDER.length + 1)
    const found = name.includes('/') ? undefined : parseLogPath(name)
    if (found && (found.version < base || (found.kind === 'compacted' && found.version === base)))
      expired.push({ path, version: found.version })
  }
  return expired.sort((a, b) => a.version - b.version).map(({ path }) => path)
}

/** Nothing is deleted on the word of a checkpoint that cannot be read. */
async function isWhole(deps: LogDependencies, checkpoint: CheckpointFiles, sums: FileSums): Promise<boolean> {
  const sidecars = await sidecarsNamed(deps, checkpoint, sums)
  const there = await Promise.all((sidecars ?? []).map((path) => deps.store.head(path)))
  return sidecars !== undefined && !there.includes(undefined)
}

/** The sidecars that a checkpoint names; `undefined` when it is damaged. */
async function sidecarsNamed(
  deps: LogDependencies,
  checkpoint: CheckpointFiles,
  sums: FileSums,
): Promise<readonly string[] | undefined> {
  try {
    return await readSidecarPaths(deps, checkpoint, sums, {})
  } catch (error) {
    if (isDeltaError(error, 'corrupt')) return undefined
    throw error
  }
}

/** Sidecars older than a day that no checkpoint names. A younger one may belong to a checkpoint that is being written. */
async function orphanSidecars(
  deps: LogDependencies,
  kept: readonly CheckpointFiles[],
  sums: FileSums,
  nowMs: number,
): Promise<string[]> {
  const old: string[] = []
  for await (const { path, modifiedAtMs } of deps.store.list(SIDECAR_FOLDER)) if (modifiedAtMs < nowMs - DAY_MS) old.push(path)
  if (old.length === 0) return []
  const named = new Set<string>()
  for (const checkpoint of kept) {
    const sidecars = await sidecarsNamed(deps, checkpoint, sums)
    if (!sidecars) return []
    for (const path of sidecars) named.add(path)
  }
  return old.filter((path) => !named.has(path))
}
