import { DeltaError } from '../base/errors.js'
import { readCommit, type TableLog } from '../log/table-log.js'
import type { CommitInfo } from '../protocol/actions.js'
import { LOG_FOLDER, parseLogPath } from '../protocol/log-path.js'
import { tableProperties } from '../protocol/properties.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'

/** What one version did. */
export interface HistoryEntry {
  readonly version: number
  /** Milliseconds since 1970-01-01 UTC: the time by which the version is found. */
  readonly timestampMs: number
  readonly operation: string
  readonly operationParameters: Readonly<Record<string, unknown>>
  readonly operationMetrics: Readonly<Record<string, unknown>>
  readonly readVersion: number | undefined
  readonly isBlindAppend: boolean | undefined
  readonly engineInfo: string | undefined
  readonly userMetadata: string | undefined
}

export interface CommitTime {
  readonly version: number
  readonly timestampMs: number
}

/**
 * The time of every commit still in the log, ascending by version and strictly ascending by time.
 *
 * It is the commit file's modification time, moved forward where a later version looks older; on tables with in-commit
 * timestamps it is what the commit says, from the version on which enabled them.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#in-commit-timestamps
 */
export async function commitTimes(store: ObjectStore, log: TableLog, options: StoreOptions = {}): Promise<readonly CommitTime[]> {
  const times: { version: number; timestampMs: number }[] = []
  for await (const { path, modifiedAtMs } of store.list(LOG_FOLDER, options)) {
    const found = parseLogPath(path.slice(LOG_FOLDER.length + 1))
    if (found?.kind === 'commit' && found.version <= log.version)
      times.push({ version: found.version, timestampMs: modifiedAtMs })
  }
  times.sort((a, b) => a.version - b.version)
  const { configuration } = log.stateAt(log.version).metadata
  if (tableProperties(configuration).inCommitTimestamps) {
    const enabledAt = Number(configuration['delta.inCommitTimestampEnablementVersion'] ?? 0)
    for (const time of times.filter(({ version }) => version >= enabledAt)) {
      const info = (await readCommit(store, time.version, options))?.commitInfo
      time.timestampMs = info?.inCommitTimestamp ?? time.timestampMs
    }
  }
  let before = Number.NEGATIVE_INFINITY
  for (const time of times) {
    time.timestampMs = Math.max(time.timestampMs, before + 1)
    before = time.timestampMs
  }
  return times
}

/**
 * The version that was the newest at a time.
 *
 * @throws {DeltaError} `VERSION_NOT_FOUND` for a time before the first commit in the log, or after the last one.
 */
export async function versionAt(
  store: ObjectStore,
  timestampMs: number,
  log: TableLog,
  options: StoreOptions = {},
): Promise<number> {
  if (!Number.isFinite(timestampMs)) throw new DeltaError('ARGUMENT_INVALID', 'not a time', { timestampMs })
  const times = await commitTimes(store, log, options)
  const [first, last] = [times[0], times.at(-1)]
  if (!first || !last) throw new DeltaError('VERSION_NOT_FOUND', 'the log holds no commit to find a time in', { timestampMs })
  const text = (ms: number) => new Date(ms).toISOString()
  const facts = { timestamp: text(timestampMs), earliest: text(first.timestampMs), latest: text(last.timestampMs) }
  if (timestampMs < first.timestampMs)
    throw new DeltaError('VERSION_NOT_FOUND', 'the time lies before the first version in the log', facts)
  if (timestampMs > last.timestampMs)
    throw new DeltaError('VERSION_NOT_FOUND', 'the time lies after the last version', facts, {
      hint: 'leave the time out to read the newest version',
    })
  return times.findLast((time) => time.timestampMs <= timestampMs)?.version ?? first.version
}

const READ_AT_ONCE = 16

/** @internal */
export async function readHistory(
  store: ObjectStore,
  latest: number,
  limit: number,
  times: readonly CommitTime[],
  options: StoreOptions = {},
): Promise<readonly HistoryEntry[]> {
  const wanted = times
    .filter(({ version }) => version <= latest)
    .slice(-limit)
    .reverse()
  const entries: HistoryEntry[] = []
  for (let start = 0; start < wanted.length; start += READ_AT_ONCE) {
    const some = wanted.slice(start, start + READ_AT_ONCE)
    const infos = await Promise.all(some.map(async ({ version }) => (await readCommit(store, version, options))?.commitInfo))
    for (const [index, time] of some.entries()) entries.push(entry(time, infos[index]))
  }
  return entries
}

function entry(time: CommitTime, info: CommitInfo | undefined): HistoryEntry {
  return {
    ...time,
    operation: info?.operation ?? 'UNKNOWN',
    operationParameters: info?.operationParameters ?? {},
    operationMetrics: info?.operationMetrics ?? {},
    readVersion: info?.readVersion,
    isBlindAppend: info?.isBlindAppend,
    engineInfo: info?.engineInfo,
    userMetadata: info?.userMetadata,
  }
}
