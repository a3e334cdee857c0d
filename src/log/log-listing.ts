import { beforeVersion, LOG_FOLDER, type LogPath, parseLogPath } from '../protocol/log-path.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'

/** A checkpoint that is all there, as far as names tell: one file, or every part of a multi-part one. */
export interface CheckpointFiles {
  readonly version: number
  readonly format: 'parquet' | 'json'
  readonly paths: readonly string[]
}

/** A file that stands for the commits of versions `version` to `endVersion`, both included. */
export type CompactedCommits = Extract<LogPath, { kind: 'compacted' }>

/** What a listing of `_delta_log` shows. */
export interface LogListing {
  /** Ascending. */
  readonly commits: readonly number[]
  /** When the file of each commit was written, in milliseconds since 1970-01-01 UTC. */
  readonly fileTimesMs: ReadonlyMap<number, number>
  readonly compacted: readonly CompactedCommits[]
  /** Versions that have a checksum. */
  readonly checksums: readonly number[]
  /** Newest first; of several at one version the one with a name of its own, then the classic one, then one of many parts. */
  readonly checkpoints: readonly CheckpointFiles[]
}

/** Lists the log from `fromVersion` on. Names that are not known are passed over, as the protocol asks. */
export async function listLog(store: ObjectStore, fromVersion: number, options: StoreOptions = {}): Promise<LogListing> {
  const commits: number[] = []
  const fileTimesMs = new Map<number, number>()
  const compacted: CompactedCommits[] = []
  const checksums: number[] = []
  const checkpoints: (CheckpointFiles & { readonly rank: number })[] = []
  const parts = new Map<string, { readonly version: number; readonly parts: number; readonly paths: string[] }>()
  const startAfter = fromVersion > 0 ? beforeVersion(fromVersion).slice(LOG_FOLDER.length + 1) : undefined
  for await (const { path, modifiedAtMs } of store.list(LOG_FOLDER, { ...options, startAfter })) {
    const name = path.slice(LOG_FOLDER.length + 1)
    const found = name.includes('/') ? undefined : parseLogPath(name)
    switch (found?.kind) {
      case 'commit':
        commits.push(found.version)
        fileTimesMs.set(found.version, modifiedAtMs)
        break
      case 'compacted':
        compacted.push(found)
        break
      case 'uuid-checkpoint':
        checkpoints.push({ version: found.version, format: found.format, paths: [path], rank: 0 })
        break
      case 'checkpoint':
        checkpoints.push({ version: found.version, format: 'parquet', paths: [path], rank: 1 })
        break
      case 'multipart-checkpoint': {
        const key = `${found.version}/${found.parts}`
        const group = parts.get(key) ?? { version: found.version, parts: found.parts, paths: [] }
        group.paths.push(path)
        parts.set(key, group)
        break
      }
      case 'checksum':
        checksums.push(found.version)
        break
      case undefined:
        break
    }
  }
  for (const { version, parts: whole, paths } of parts.values())
    if (paths.length === whole) checkpoints.push({ version, format: 'parquet', paths, rank: 2 })
  return {
    commits: commits.sort((a, b) => a - b),
    fileTimesMs,
    compacted,
    checksums,
    checkpoints: checkpoints
      .sort((a, b) => b.version - a.version || a.rank - b.rank || a.paths.length - b.paths.length)
      .map(({ rank: _, ...checkpoint }) => checkpoint),
  }
}

export interface VersionRange {
  readonly earliest: number
  readonly latest: number
}

/**
 * The versions that the log can still rebuild, if none in between is missing: from 0, or from the oldest checkpoint when
 * the first commit is gone. `undefined` for an empty log.
 */
export function versionRange({ commits, checkpoints }: LogListing): VersionRange | undefined {
  const latest = Math.max(commits.at(-1) ?? -1, checkpoints[0]?.version ?? -1)
  if (latest < 0) return undefined
  return { earliest: commits[0] === 0 ? 0 : (checkpoints.at(-1)?.version ?? commits[0] ?? 0), latest }
}
