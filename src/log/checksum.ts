import { crc32 } from 'node:zlib'
import type { Clock } from '../base/clock.js'
import { isDeltaError } from '../base/errors.js'
import type { CommitInfo, DomainMetadata, SetTransaction } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { SEAL_BLANK, sealed } from '../protocol/commit-seal.js'
import { logFilePath } from '../protocol/log-path.js'
import { tableProperties } from '../protocol/properties.js'
import { supportedFeatures } from '../protocol/table-features.js'
import { transactionRetentionMs } from '../protocol/transactions.js'
import type { LogDependencies } from './dependencies.js'
import type { TableState } from './log-head.js'
import type { TableLog } from './table-log.js'
import { NO_FILES, SIZE_BINS, type TableTotals, totalsAfter } from './table-totals.js'

/** As many producers, or domains, as a checksum lists: with more of them it lists none, which readers understand. */
const LISTED_MAX = 100

/** Where commits follow each other closely, checksums take a thirtieth of the time: not each version has one then. */
const REST = 29
const REST_MS_MAX = 1000

/** What a version checksum tells of. */
export interface ChecksumState extends TableState {
  readonly version: number
  readonly txns: Iterable<SetTransaction>
  readonly domains: Iterable<DomainMetadata>
  readonly commitInfo: CommitInfo | undefined
  readonly totals: TableTotals | undefined
}

/**
 * The version checksum of a state; `undefined` where its totals, or its time, are not known. Pure.
 *
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#version-checksum-file
 */
export function formatChecksum(state: ChecksumState): Uint8Array | undefined {
  const { protocol, metadata, totals, commitInfo: info } = state
  if (!totals) return undefined
  const properties = tableProperties(metadata.configuration)
  const { inCommitTimestamps } = properties
  if (inCommitTimestamps && info?.inCommitTimestamp === undefined) return undefined
  const vectors = supportedFeatures(protocol).includes('deletionVectors')
    ? {
        numDeletedRecordsOpt: totals.deletedRows,
        numDeletionVectorsOpt: totals.vectors,
        deletedRecordCountsHistogramOpt: { deletedRecordCounts: totals.deletedCounts },
      }
    : {}
  const txns = listed(state.txns)?.map(({ appId, version, lastUpdated }) => ({ appId, version, lastUpdated }))
  const expire = txns?.some((txn) => Number.isFinite(transactionRetentionMs(txn, properties)))
  const checksum = {
    txnId: info?.txnId,
    tableSizeBytes: totals.bytes,
    numFiles: totals.files,
    ...vectors,
    numMetadata: 1,
    numProtocol: 1,
    inCommitTimestampOpt: inCommitTimestamps ? info?.inCommitTimestamp : undefined,
    // Producers that have been silent for long are of the state for some readers, and not for others.
    setTransactions: expire ? undefined : txns,
    domainMetadata: listed(state.domains),
    metadata,
    protocol,
    fileSizeHistogram: { sortedBinBoundaries: SIZE_BINS, fileCounts: totals.sizeCounts, totalBytes: totals.sizeBytes },
    checksum: SEAL_BLANK,
  }
  return sealed(Buffer.from(JSON.stringify(checksum)), crc32)
}

/** The newest version of a log. */
function newestOf(log: TableLog): ChecksumState {
  const { version, newestCommit: commit } = log
  return {
    version,
    ...log.stateAt(version),
    txns: log.transactions(),
    domains: log.domainMetadata(),
    commitInfo: commit?.version === version ? commit.commitInfo : undefined,
    totals: log.totals.now,
  }
}

function listed<T>(items: Iterable<T>): T[] | undefined {
  const list: T[] = []
  for (const item of items) if (list.push(item) > LISTED_MAX) return undefined
  return list
}

/**
 * Writes version checksums behind the commits of a table: one at a time, and after a rest that of the version which is the newest
 * by then. A commit never waits for one; a failure is an event.
 */
export class ChecksumWriter {
  private readonly deps: LogDependencies
  private readonly clock: Clock
  private next: { readonly log: TableLog; readonly mayCount: boolean } | undefined
  private running: Promise<void> | undefined

  constructor(deps: LogDependencies, clock: Clock) {
    this.deps = deps
    this.clock = clock
  }

  /**
   * Asks for the checksum of the log's newest version.
   *
   * @param mayCount whether files may be counted for it, where commits have not told the totals.
   */
  request(log: TableLog, mayCount: boolean): Promise<void> {
    this.next = { log, mayCount: mayCount || this.next?.mayCount === true }
    this.running ??= this.run().finally(() => {
      this.running = undefined
    })
    return this.running
  }

  /** Writes the checksum of version 0, which is all in its commit. */
  async writeFirst(commit: Commit): Promise<void> {
    const { version, protocol, metaData: metadata, txns, domains, commitInfo } = commit
    if (!protocol || !metadata) return
    const totals = totalsAfter(NO_FILES, commit, new Set())
    await this.write({ version, protocol, metadata, txns, domains, commitInfo, totals }).catch((error: unknown) =>
      this.report(error),
    )
  }

  private async run(): Promise<void> {
    // Who waits for the commit goes on first.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.next) {
      const { log, mayCount } = this.next
      this.next = undefined
      const startedAtMs = this.clock.now()
      try {
        if (!log.totals.now && (mayCount || log.totals.neverCounted)) await log.countTotals()
        await this.write(newestOf(log))
      } catch (error) {
        this.report(error)
      }
      // A small one takes less than the clock can tell.
      const tookMs = Math.max(1, this.clock.now() - startedAtMs)
      if (this.next) await this.clock.sleep(Math.min(REST_MS_MAX, REST * tookMs))
    }
  }

  private async write(state: ChecksumState): Promise<void> {
    const body = formatChecksum(state)
    // Readers pass over a checksum that is cut short, so none is worth waiting for the disk.
    if (!body) return
    const path = logFilePath({ kind: 'checksum', version: state.version })
    await this.deps.store.putIfAbsent(path, body, { durable: false, folderMustExist: true })
  }

  private report(error: unknown): void {
    if (!isDeltaError(error)) throw error
    this.deps.events({ type: 'degraded', table: this.deps.store.uri, what: 'write a version checksum', error })
  }
}
