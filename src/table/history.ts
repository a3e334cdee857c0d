import { DeltaError } from '../base/errors.js'
import { readCommit } from '../log/segment-load.js'
import type { TableLog } from '../log/table-log.js'
import { Timeline } from '../log/timeline.js'
import type { CommitInfo } from '../protocol/actions.js'
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

/**
 * The version that was the newest at a time.
 *
 * @param orLatest whether a time after the last version is the last version.
 * @throws {DeltaError} `VERSION_NOT_FOUND` (with `earliest` and `latest`) for a time before the first version that can be
 * rebuilt, or after the last one.
 */
export async function versionAt(
  store: ObjectStore,
  timestampMs: number,
  log: TableLog,
  orLatest: boolean,
  options: StoreOptions = {},
): Promise<number> {
  if (!Number.isFinite(timestampMs)) throw new DeltaError('ARGUMENT_INVALID', 'not a time', { timestampMs })
  const timeline = await Timeline.load(store, log, options)
  const [first, last] = [timeline.rebuildable[0], timeline.rebuildable.at(-1)]
  if (first === undefined || last === undefined)
    throw new DeltaError('VERSION_NOT_FOUND', 'the log holds no commit to find a time in', { timestampMs })
  const found = await timeline.newestAt(timestampMs, options)
  const latestMs = await timeline.timeOf(last, options)
  if (found !== undefined && (orLatest || found !== last || timestampMs <= latestMs)) return found
  const text = (ms: number) => new Date(ms).toISOString()
  const facts = {
    timestamp: text(timestampMs),
    earliest: text(await timeline.timeOf(first, options)),
    latest: text(latestMs),
  }
  if (found === undefined) throw new DeltaError('VERSION_NOT_FOUND', 'the time lies before the first version in the log', facts)
  throw new DeltaError('VERSION_NOT_FOUND', 'the time lies after the last version', facts, {
    hint: 'leave the time out to read the newest version',
  })
}

/**
 * The first version that was made at a time or later.
 *
 * @throws {DeltaError} `VERSION_NOT_FOUND` (with `latest`) for a time after the last version.
 */
export async function versionFrom(timeline: Timeline, timestampMs: number, options: StoreOptions = {}): Promise<number> {
  const before = await timeline.newestAt(timestampMs - 1, options)
  const found = timeline.rebuildable.find((version) => before === undefined || version > before)
  if (found !== undefined) return found
  const latest = timeline.rebuildable.at(-1)
  throw new DeltaError('VERSION_NOT_FOUND', 'the time lies after the last version', {
    timestamp: new Date(timestampMs).toISOString(),
    ...(latest === undefined ? {} : { latest: new Date(await timeline.timeOf(latest, options)).toISOString() }),
  })
}

const READ_AT_ONCE = 16

/** @internal */
export async function readHistory(
  store: ObjectStore,
  log: TableLog,
  limit: number,
  options: StoreOptions = {},
): Promise<readonly HistoryEntry[]> {
  const timeline = await Timeline.load(store, log, options)
  const wanted = timeline.versions.slice(-limit).reverse()
  const entries: HistoryEntry[] = []
  for (let start = 0; start < wanted.length; start += READ_AT_ONCE) {
    const some = wanted.slice(start, start + READ_AT_ONCE)
    const infos = await Promise.all(some.map(async (version) => (await readCommit(store, version, options))?.commitInfo))
    for (const [index, version] of some.entries()) {
      const info = infos[index]
      entries.push(entry(version, timeline.timeSaid(version, info?.inCommitTimestamp), info))
    }
  }
  return entries
}

function entry(version: number, timestampMs: number, info: CommitInfo | undefined): HistoryEntry {
  return {
    version,
    timestampMs,
    operation: info?.operation ?? 'UNKNOWN',
    operationParameters: info?.operationParameters ?? {},
    operationMetrics: info?.operationMetrics ?? {},
    readVersion: info?.readVersion,
    isBlindAppend: info?.isBlindAppend,
    engineInfo: info?.engineInfo,
    userMetadata: info?.userMetadata,
  }
}
