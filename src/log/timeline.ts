import { DeltaError } from '../base/errors.js'
import { commitPath } from '../protocol/log-path.js'
import { tableProperties } from '../protocol/properties.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
import { type LogListing, listLog, versionRange } from './log-listing.js'
import { readCommit } from './segment-load.js'
import type { TableLog } from './table-log.js'

/**
 * When each version of a table was made.
 *
 * It is when the commit's file was written, moved forward where a later version looks older; on tables with in-commit
 * timestamps it is what the commit says, from the version on which enabled them. What the newest metadata says of that holds:
 * where in-commit timestamps were turned off, the files' times count for every version.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#in-commit-timestamps
 */
export class Timeline {
  /** Every version whose commit is in the log, ascending. */
  readonly versions: readonly number[]
  /** Those of them that can be rebuilt. */
  readonly rebuildable: readonly number[]
  private readonly store: ObjectStore
  private readonly fileTimesMs: ReadonlyMap<number, number>
  private readonly unmoved: ReadonlySet<number>
  private readonly inCommit: { readonly version: number; readonly timestampMs: number } | undefined

  private constructor(store: ObjectStore, listing: LogListing, latest: number, configuration: Readonly<Record<string, string>>) {
    this.store = store
    this.versions = listing.commits.filter((version) => version <= latest)
    const earliest = versionRange(listing)?.earliest ?? 0
    this.rebuildable = this.versions.filter((version) => version >= earliest)
    this.fileTimesMs = strictlyAscending(this.versions, listing.fileTimesMs)
    this.unmoved = new Set(this.versions.filter((version) => this.fileTimesMs.get(version) === listing.fileTimesMs.get(version)))
    const { inCommitTimestamps, inCommitTimestampEnablement } = tableProperties(configuration)
    this.inCommit = inCommitTimestamps ? (inCommitTimestampEnablement ?? FROM_THE_START) : undefined
  }

  static async load(store: ObjectStore, log: TableLog, options: StoreOptions = {}): Promise<Timeline> {
    return new Timeline(store, await listLog(store, 0, options), log.version, log.stateAt(log.version).metadata.configuration)
  }

  /**
   * The time of a version, given what its commit says. Milliseconds since 1970-01-01 UTC.
   *
   * @throws {DeltaError} `LOG_INCOMPLETE` where the commit has a say and does not use it: the time of its file is another clock's.
   */
  timeSaid(version: number, inCommitTimestamp: number | undefined): number {
    if (!this.inCommit || version < this.inCommit.version) return this.fileTimesMs.get(version) ?? Number.NaN
    if (inCommitTimestamp !== undefined) return inCommitTimestamp
    throw new DeltaError(
      'LOG_INCOMPLETE',
      'a commit does not say when it was made, on a table with in-commit timestamps',
      { file: commitPath(version) },
      { hint: 'the table itself can be read, by version and not by time' },
    )
  }

  /** The time of a version, in milliseconds since 1970-01-01 UTC. It reads the commit only where that has a say. */
  async timeOf(version: number, options: StoreOptions = {}): Promise<number> {
    if (!this.inCommit || version < this.inCommit.version) return this.timeSaid(version, undefined)
    return this.timeSaid(version, (await readCommit(this.store, version, options))?.commitInfo?.inCommitTimestamp)
  }

  /** Whether the times from a version on would be the same without the commits before it. */
  standsAlone(version: number): boolean {
    const first = this.versions.find((kept) => kept >= version)
    return first === undefined || this.unmoved.has(first) || (this.inCommit !== undefined && first >= this.inCommit.version)
  }

  /**
   * The newest version that can be rebuilt and was there at a time, if any.
   *
   * The times before and after in-commit timestamps were enabled come from two clocks, so each side is searched alone.
   */
  async newestAt(timestampMs: number, options: StoreOptions = {}): Promise<number | undefined> {
    const { inCommit } = this
    const says = (version: number) => inCommit !== undefined && version >= inCommit.version
    const onSide = inCommit !== undefined && timestampMs >= inCommit.timestampMs
    const among = this.rebuildable.filter((version) => says(version) === onSide)
    let [low, high] = [0, among.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((await this.timeOf(among[middle] ?? 0, options)) <= timestampMs) low = middle + 1
      else high = middle
    }
    return among[low - 1]
  }
}

/** A table that began with in-commit timestamps does not say when they were enabled. */
const FROM_THE_START = { version: 0, timestampMs: Number.NEGATIVE_INFINITY }

function strictlyAscending(versions: readonly number[], times: ReadonlyMap<number, number>): ReadonlyMap<number, number> {
  let before = Number.NEGATIVE_INFINITY
  return new Map(
    versions.map((version) => {
      before = Math.max(times.get(version) ?? 0, before + 1)
      return [version, before]
    }),
  )
}
