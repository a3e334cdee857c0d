import { DeltaError } from '../base/errors.js'
import { beforeVersion, type LogPath } from '../protocol/log-path.js'
import { type CheckpointFiles, type CompactedCommits, type LogListing, versionRange } from './log-listing.js'

/** A file that replay reads: one commit, or several in one. */
export type LogEntry = Extract<LogPath, { kind: 'commit' }> | CompactedCommits

/**
 * The files that make a table at `version`: at most one checkpoint, and every commit after it. Gapless by construction.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-log-entries
 */
export interface LogSegment {
  readonly version: number
  readonly checkpoint: CheckpointFiles | undefined
  /** From after the checkpoint (from version 0 without one), ascending. */
  readonly entries: readonly LogEntry[]
}

/**
 * The segments from which `target` (the newest version without one) can be rebuilt, best first: each checkpoint at or
 * below it with the commits after, then the commits alone; each with compacted commits where there are some, then without.
 * Later ones serve when a file of an earlier one turns out damaged.
 *
 * @throws {DeltaError} `LOG_GAP` when commits are missing, `VERSION_NOT_FOUND` when the version asked for is not in the
 * log, `TABLE_NOT_FOUND` when there is no log.
 */
export function planSegments(listing: LogListing, target: number | undefined): LogSegment[] {
  const range = versionRange(listing)
  if (!range) throw new DeltaError('TABLE_NOT_FOUND', 'there is no Delta table here')
  const version = target ?? range.latest
  if (version > range.latest) throw new DeltaError('VERSION_NOT_FOUND', 'version is not in the log', { version, ...range })

  const bases = listing.checkpoints.filter((checkpoint) => checkpoint.version <= version)
  const segments: LogSegment[] = []
  let gap: number | undefined
  for (const checkpoint of [...bases, undefined]) {
    const first = checkpoint === undefined ? 0 : checkpoint.version + 1
    const commits = listing.commits.filter((commit) => commit >= first && commit <= version)
    const missing = firstGap(commits, first, version)
    if (missing === undefined) {
      const entries = withCompacted(listing.compacted, first, version)
      if (entries.length < commits.length) segments.push({ version, checkpoint, entries })
      segments.push({ version, checkpoint, entries: commits.map((commit) => ({ kind: 'commit', version: commit })) })
    } else gap ??= missing
  }
  if (segments.length > 0) return segments
  throw unreachable(listing, version, gap ?? 0, range)
}

/** Takes the longest compacted file at each step. The newest commit is read itself: it tells of more than files. */
function withCompacted(compacted: readonly CompactedCommits[], first: number, last: number): LogEntry[] {
  const longest = new Map<number, CompactedCommits>()
  for (const run of compacted)
    if (run.endVersion < last && run.endVersion > (longest.get(run.version)?.endVersion ?? 0)) longest.set(run.version, run)
  const entries: LogEntry[] = []
  for (let version = first; version <= last; ) {
    const entry = longest.get(version) ?? ({ kind: 'commit', version } as const)
    entries.push(entry)
    version = lastVersion(entry) + 1
  }
  return entries
}

/** The version at which a table stands after an entry. */
export function lastVersion(entry: LogEntry): number {
  return entry.kind === 'compacted' ? entry.endVersion : entry.version
}

function firstGap(commits: readonly number[], first: number, last: number): number | undefined {
  for (let version = first; version <= last; version++) if (commits[version - first] !== version) return version
  return undefined
}

function unreachable({ commits, checkpoints }: LogListing, version: number, missing: number, range: object): DeltaError {
  const [firstCommit = 0] = commits
  const oldest = checkpoints.at(-1)?.version
  if (firstCommit > version || (oldest !== undefined && version < oldest && missing < firstCommit))
    return new DeltaError('VERSION_NOT_FOUND', 'version is no longer in the log', { version, ...range })
  return new DeltaError(
    'LOG_GAP',
    'a commit is missing from the log',
    { file: `${beforeVersion(missing)}.json`, version: missing },
    { hint: 'restore this file from a copy; versions before it can still be read' },
  )
}
