import { isDeltaError } from '../base/errors.js'
import { LOG_FOLDER, parseLogPath, SIDECAR_FOLDER } from '../protocol/log-path.js'
import { tableProperties } from '../protocol/properties.js'
import { openCheckpoint, sidecarPath } from './checkpoint-open.js'
import type { LogDependencies } from './dependencies.js'
import { type CheckpointFiles, listLog } from './log-listing.js'
import type { TableLog } from './table-log.js'
import { Timeline } from './timeline.js'

const DAY_MS = 86_400_000

/**
 * Deletes what the log need not keep: everything before the newest checkpoint that is older than the table's
 * `delta.logRetentionDuration` (30 days) before `nowMs`, counted in whole days of UTC, and sidecars that no checkpoint names.
 * Versions from that checkpoint on stay as they are, in content and in time. Interrupted, it leaves a log that is whole.
 *
 * Deletes nothing where `delta.enableExpiredLogCleanup` is false, and nothing before the version that
 * `delta.requireCheckpointProtectionBeforeVersion` names unless everything before it goes.
 *
 * @returns the deleted paths.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#metadata-cleanup
 */
export async function cleanUpLog(deps: LogDependencies, log: TableLog, nowMs: number): Promise<readonly string[]> {
  const properties = tableProperties(log.stateAt(log.version).metadata.configuration)
  if (!properties.enableExpiredLogCleanup) return []
  const cutoffMs = Math.floor((nowMs - properties.logRetentionMs) / DAY_MS) * DAY_MS
  const { checkpoints } = await listLog(deps.store, 0)
  const timeline = await Timeline.load(deps.store, log)
  const newestExpired = await timeline.newestAt(cutoffMs)
  if (newestExpired === undefined) return []
  // A time that was moved forward leans on commits before it.
  const base = checkpoints.find(({ version }) => version <= newestExpired && timeline.standsAlone(version))
  if (!base || base.version < properties.checkpointProtectionBeforeVersion) return []
  const expired = await expiredFiles(deps, base.version)
  if (expired.length === 0 || !(await isWhole(deps, base))) return []
  await deps.store.delete(expired)
  const kept = checkpoints.filter(({ version }) => version >= base.version)
  const orphans = await orphanSidecars(deps, kept, nowMs)
  await deps.store.delete(orphans)
  return [...expired, ...orphans]
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
async function isWhole(deps: LogDependencies, checkpoint: CheckpointFiles): Promise<boolean> {
  return (await sidecarsOf(deps, checkpoint)) !== undefined
}

/** The sidecars of a checkpoint, all there; `undefined` when it is damaged. */
async function sidecarsOf(deps: LogDependencies, checkpoint: CheckpointFiles): Promise<readonly string[] | undefined> {
  try {
    const opened = await openCheckpoint(deps, checkpoint, {})
    await opened.release()
    const paths = opened.head.sidecars.map((sidecar) => sidecarPath(sidecar, deps.store.uri))
    const there = await Promise.all(paths.map((path) => deps.store.head(path)))
    return there.includes(undefined) ? undefined : paths
  } catch (error) {
    if (isDeltaError(error, 'corrupt')) return undefined
    throw error
  }
}

/** Sidecars older than a day that no checkpoint names. A younger one may belong to a checkpoint that is being written. */
async function orphanSidecars(deps: LogDependencies, kept: readonly CheckpointFiles[], nowMs: number): Promise<string[]> {
  const old: string[] = []
  for await (const { path, modifiedAtMs } of deps.store.list(SIDECAR_FOLDER)) if (modifiedAtMs < nowMs - DAY_MS) old.push(path)
  if (old.length === 0) return []
  const named = new Set<string>()
  for (const checkpoint of kept) {
    const sidecars = await sidecarsOf(deps, checkpoint)
    if (!sidecars) return []
    for (const path of sidecars) named.add(path)
  }
  return old.filter((path) => !named.has(path))
}
