import { DeltaError } from '../base/errors.js'
import { beforeVersion, LAST_CHECKPOINT_PATH, LOG_FOLDER, parseLogPath } from '../protocol/log-path.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'

/** A checkpoint that can be read: one file, or all parts of a multi-part one. */
export interface CheckpointFiles {
  readonly version: number
  readonly paths: readonly string[]
}

/**
 * The files that make a table at `version`: at most one checkpoint, and every commit after it. Gapless by construction.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-log-entries
 */
export interface LogSegment {
  readonly version: number
  readonly checkpoint: CheckpointFiles | undefined
  /** Versions after the checkpoint (from 0 without one), ascending. */
  readonly commits: readonly number[]
}

/** What a listing of `_delta_log` shows. */
export interface LogListing {
  /** Ascending. */
  readonly commits: readonly number[]
  /** Complete checkpoints, newest first. */
  readonly checkpoints: readonly CheckpointFiles[]
  /** The newest checkpoint in a format that this library does not read. */
  readonly unreadableCheckpoint: number | undefined
}

/** Lists the log from `fromVersion` on. Names that are not known are passed over, as the protocol asks. */
export async function listLog(store: ObjectStore, fromVersion: number, options: StoreOptions = {}): Promise<LogListing> {
  const commits: number[] = []
  const whole: CheckpointFiles[] = []
  const parts = new Map<string, { readonly version: number; readonly parts: number; readonly paths: string[] }>()
  let unreadableCheckpoint: number | undefined
  const startAfter = fromVersion > 0 ? beforeVersion(fromVersion).slice(LOG_FOLDER.length + 1) : undefined
  for await (const { path } of store.list(LOG_FOLDER, { ...options, startAfter })) {
    const name = path.slice(LOG_FOLDER.length + 1)
    const found = name.includes('/') ? undefined : parseLogPath(name)
    if (found === undefined) continue
    if (found.kind === 'commit') commits.push(found.version)
    if (found.kind === 'checkpoint') whole.push({ version: found.version, paths: [path] })
    if (found.kind === 'uuid-checkpoint') unreadableCheckpoint = Math.max(unreadableCheckpoint ?? 0, found.version)
    if (found.kind === 'multipart-checkpoint') {
      const key = `${found.version}/${found.parts}`
      const group = parts.get(key) ?? { version: found.version, parts: found.parts, paths: [] }
      group.paths.push(path)
      parts.set(key, group)
    }
  }
  for (const group of parts.values()) if (group.paths.length === group.parts) whole.push(group)
  return {
    commits: commits.sort((a, b) => a - b),
    checkpoints: whole.sort((a, b) => b.version - a.version || a.paths.length - b.paths.length),
    unreadableCheckpoint,
  }
}

/**
 * The segments from which `target` (the newest version without one) can be rebuilt, best first: each checkpoint at or
 * below it with the commits after, then the commits alone. Later ones serve when an earlier one turns out damaged.
 *
 * @throws {DeltaError} `LOG_GAP` when commits are missing, `VERSION_NOT_FOUND` when the version asked for is not in the
 * log, `TABLE_NOT_FOUND` when there is no log, `FEATURE_UNSUPPORTED` when only a v2 checkpoint reaches the version.
 */
export function planSegments(listing: LogListing, target: number | undefined): LogSegment[] {
  const newestCheckpoint = listing.checkpoints[0]?.version
  const latest = Math.max(listing.commits.at(-1) ?? -1, newestCheckpoint ?? -1, listing.unreadableCheckpoint ?? -1)
  if (latest < 0) throw new DeltaError('TABLE_NOT_FOUND', 'there is no Delta table here')
  const version = target ?? latest
  if (version > latest) throw new DeltaError('VERSION_NOT_FOUND', 'version is not in the log', { version, latest })

  const bases = listing.checkpoints.filter((checkpoint) => checkpoint.version <= version)
  const segments: LogSegment[] = []
  let gap: number | undefined
  for (const checkpoint of [...bases, undefined]) {
    const first = checkpoint === undefined ? 0 : checkpoint.version + 1
    const commits = listing.commits.filter((commit) => commit >= first && commit <= version)
    const missing = firstGap(commits, first, version)
    if (missing === undefined) segments.push({ version, checkpoint, commits })
    else gap ??= missing
  }
  if (segments.length > 0) return segments
  throw unreachable(listing, version, gap ?? 0)
}

/** The version that `_last_checkpoint` points to. It is a hint: damaged or absent, it is no hint at all. */
export async function readCheckpointHint(store: ObjectStore, options: StoreOptions = {}): Promise<number | undefined> {
  const bytes = await store.get(LAST_CHECKPOINT_PATH, options)
  if (!bytes) return undefined
  try {
    const { version } = JSON.parse(Buffer.from(bytes).toString('utf8')) as { version?: unknown }
    return typeof version === 'number' && Number.isSafeInteger(version) && version >= 0 ? version : undefined
  } catch {
    return undefined
  }
}

function firstGap(commits: readonly number[], first: number, last: number): number | undefined {
  for (let version = first; version <= last; version++) if (commits[version - first] !== version) return version
  return undefined
}

function unreachable(listing: LogListing, version: number, missing: number): DeltaError {
  if (listing.unreadableCheckpoint !== undefined)
    return new DeltaError('FEATURE_UNSUPPORTED', 'deltaic cannot read this table', { features: 'v2Checkpoint' })
  const earliest = listing.checkpoints.at(-1)?.version
  const beforeLog = (listing.commits[0] ?? 0) > version
  if (beforeLog || (earliest !== undefined && version < earliest && missing < (listing.commits[0] ?? 0)))
    return new DeltaError('VERSION_NOT_FOUND', 'version is no longer in the log', {
      version,
      earliest: earliest ?? listing.commits[0],
    })
  const file = `${beforeVersion(missing)}.json`
  return new DeltaError(
    'LOG_GAP',
    'a commit is missing from the log',
    { file, version: missing },
    {
      hint: 'restore this file from a copy; versions before it can still be read',
    },
  )
}
