import type { Clock } from '../base/clock.js'
import { assert, DeltaError } from '../base/errors.js'
import type { Random } from '../base/random.js'
import { Serial } from '../base/serial.js'
import type { Database } from '../engine/database.js'
import { CheckpointWriter, isCheckpointDue } from '../log/checkpoint-writer.js'
import { ChecksumWriter } from '../log/checksum.js'
import { commitEntry } from '../log/committer.js'
import { formatEntry, parseEntry } from '../log/entry.js'
import { listLog, versionRange } from '../log/log-listing.js'
import { readCommit } from '../log/segment-load.js'
import { type LogDependencies, TableLog } from '../log/table-log.js'
import type { Action, AddFile, Metadata, Protocol } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { checkWritable } from '../protocol/features.js'
import { commitPath } from '../protocol/log-path.js'
import { tableProperties } from '../protocol/properties.js'
import type { StoreOptions } from '../storage/store.js'
import { composeCommit, type LogTip } from './compose-commit.js'
import { wasFresh } from './fresh-files.js'
import { type HistoryEntry, readHistory, versionAt } from './history.js'
import { enablesInCommitTimestamps } from './in-commit-timestamp.js'
import type { LogHolder, OpenLogs } from './open-logs.js'
import { RetiredLogs } from './retired-logs.js'
import { rowIdMark } from './row-ids.js'
import { Snapshot } from './snapshot.js'
import { type PublishOptions, Transaction, type TransactionHost } from './transaction.js'
import { addsSelected } from './winner-adds.js'

export interface TableDependencies extends LogDependencies {
  /** The engine for work over about this many bytes: on few, threads cost more than they bring. */
  readonly engineFor: (bytes: number) => Database
  readonly clock: Clock
  readonly random: Random
  /** Bounds what the logs of tables take together. @defaultValue no bound */
  readonly openLogs?: OpenLogs | undefined
}

/** Which version: by number, by time (milliseconds since 1970-01-01 UTC), or the newest. */
export interface VersionSelector {
  readonly version?: number | undefined
  readonly timestampMs?: number | undefined
  /** Whether a time after the newest version is the newest version. @defaultValue false */
  readonly orLatest?: boolean | undefined
}

const OLD_LOGS_MAX = 4
const RECENT_COMMITS_MAX = 64
/** How long a look at the log vouches for the table's being the same; another process may drop it. */
const SURE_MS = 1000

/**
 * A location that one may open as a Delta table. It follows its log and hands out snapshots; it holds no state that is
 * not in the log.
 */
export class DeltaTable implements TransactionHost, LogHolder {
  readonly deps: TableDependencies
  private log: TableLog | undefined
  private queuedRefresh: Promise<TableLog> | undefined
  /** When the log was last seen to be the table's own, in milliseconds. */
  private sureAtMs = Number.NEGATIVE_INFINITY
  private readonly logChanges = new Serial()
  private readonly commits = new Serial()
  private readonly oldLogs = new Map<number, Promise<TableLog>>()
  /** Logs that only snapshots may still hold: each goes when the last of these does. */
  private readonly retired = new RetiredLogs()
  private readonly recent = new Map<number, Commit>()
  private readonly background = new Set<Promise<void>>()
  /** @internal */
  readonly checksums: ChecksumWriter
  private readonly checkpoints: CheckpointWriter

  constructor(deps: TableDependencies) {
    this.deps = deps
    this.checksums = new ChecksumWriter(deps, deps.clock)
    this.checkpoints = new CheckpointWriter(deps, deps.clock)
  }

  get uri(): string {
    return this.deps.store.uri
  }

  /**
   * The table at a version. Without a selector, the newest one: it asks the store whether a later commit is there.
   *
   * @throws {DeltaError} `TABLE_NOT_FOUND`; `VERSION_NOT_FOUND` (with `earliest` and `latest`); `FEATURE_UNSUPPORTED`;
   * kind `corrupt` for a damaged log, naming the file.
   */
  async snapshot(select: VersionSelector = {}, options: StoreOptions = {}): Promise<Snapshot> {
    const log = await this.refresh()
    options.signal?.throwIfAborted()
    const { timestampMs, orLatest = false } = select
    const version =
      timestampMs === undefined ? select.version : await versionAt(this.deps.store, timestampMs, log, orLatest, options)
    if (version === undefined) return new Snapshot(this.deps, log, log.version)
    if (!Number.isSafeInteger(version) || version < 0)
      throw new DeltaError('ARGUMENT_INVALID', 'version is not a whole number from 0', { version })
    if (version > log.version)
      throw new DeltaError('VERSION_NOT_FOUND', 'version is not in the log', {
        version,
        earliest: versionRange(await listLog(this.deps.store, 0, options))?.earliest,
        latest: log.version,
      })
    return new Snapshot(this.deps, version >= log.firstVersion ? log : await this.olderLog(version, options), version)
  }

  /** Whether there is a table here. */
  async exists(): Promise<boolean> {
    try {
      await this.refresh()
      return true
    } catch (error) {
      if (error instanceof DeltaError && error.code === 'TABLE_NOT_FOUND') return false
      throw error
    }
  }

  /**
   * Begins a transaction on a snapshot, the newest one by default.
   *
   * @throws {DeltaError} `FEATURE_UNSUPPORTED` for a table whose promises this library cannot keep; nothing is ever
   * written to such a table. `STORE_UNSAFE` for a store whose conditional puts cannot be trusted.
   */
  async transaction(base?: Snapshot, options: StoreOptions = {}): Promise<Transaction> {
    await this.deps.store.ensureSafe(options)
    const snapshot = base ?? (await this.snapshot({}, options))
    checkWritable(snapshot.protocol, snapshot.metadata)
    return new Transaction(this, snapshot)
  }

  /**
   * Writes version 0: `actions` are the commit's provenance, then domains and files that are durable already.
   *
   * @returns false when somebody else's table is there.
   */
  async create(protocol: Protocol, metadata: Metadata, actions: readonly Action[], options: StoreOptions = {}): Promise<boolean> {
    const { store, clock, random } = this.deps
    await store.ensureSafe(options)
    const info = actions.find((action) => 'commitInfo' in action)?.commitInfo
    assert(info, 'a commit tells of itself')
    const staged = {
      protocol,
      metadata,
      domains: actions.flatMap((action) => ('domainMetadata' in action ? action.domainMetadata : [])),
      txns: actions.flatMap((action) => ('txn' in action ? action.txn : [])),
      adds: actions.flatMap((action) => ('add' in action ? action.add : [])),
    }
    const body = formatEntry(composeCommit(staged, info, undefined, clock.now()))
    const commit = readBack(0, body)
    const outcome = await commitEntry(store, 0, body, { ...options, clock, random })
    if (outcome.kind === 'committed') this.behind('write a version checksum', this.checksums.writeFirst(commit))
    return outcome.kind === 'committed'
  }

  /** What each version did, newest first, at most `limit`. */
  async history(limit: number, options: StoreOptions = {}): Promise<readonly HistoryEntry[]> {
    const log = await this.refresh()
    return readHistory(this.deps.store, log, limit, options)
  }

  /** The log at its newest version, after asking the store; callers at one time share the request. */
  async refresh(): Promise<TableLog> {
    this.queuedRefresh ??= this.logChanges.run(async () => {
      this.queuedRefresh = undefined
      const before = this.log?.version
      if (!this.log) this.log = await TableLog.load(this.deps)
      else if (!(await this.log.follow())) await this.reload()
      if (this.log.version === before) await this.makeSure(this.log)
      else this.sureAtMs = this.deps.clock.now()
      const log = this.log ?? (await this.load())
      this.deps.openLogs?.used(this, log)
      return log
    })
    return this.queuedRefresh
  }

  /** The log as this process knows it: without a request, unless it was not looked at for a while. */
  async known(): Promise<TableLog> {
    return this.log && this.isSure() ? this.log : this.refresh()
  }

  /** Publishes an entry after the last known one, alone in this process. A lost race is read in. */
  async publish(version: number, actions: readonly Action[], options: PublishOptions = {}): Promise<'committed' | 'lost'> {
    const body = formatEntry(actions)
    const commit = readBack(version, body)
    const outcome = await commitEntry(this.deps.store, version, body, {
      ...options,
      clock: this.deps.clock,
      random: this.deps.random,
    })
    if (outcome.kind === 'lost') {
      await this.refresh()
      return 'lost'
    }
    this.recent.set(version, commit)
    this.recent.delete(version - RECENT_COMMITS_MAX)
    try {
      const mayBeLive = new Set(actions.flatMap((action) => ('add' in action && !wasFresh(action.add) ? [action.add.path] : [])))
      this.follow(await this.takeIn(commit, mayBeLive), version)
    } catch (error) {
      // The commit stands. What this process missed of it, its next look at the log makes good.
      this.deps.events({ type: 'degraded', table: this.uri, what: `take in version ${version}`, error })
    }
    return 'committed'
  }

  /** Runs `work` while no other transaction of this process commits to the table. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.commits.run(work)
  }

  /** The newest version that this process knows of; `after` is the metadata that a commit after it sets. */
  async tip(after: Metadata | undefined): Promise<LogTip> {
    const log = await this.known()
    const { version, newestCommit: newest } = log
    const { protocol, metadata } = log.stateAt(version)
    const mark = rowIdMark(log.domainMetadata())
    const needsTime = tableProperties(metadata.configuration).inCommitTimestamps || enablesInCommitTimestamps(after, metadata)
    const said = newest?.version === version ? newest.commitInfo?.inCommitTimestamp : undefined
    return { version, protocol, metadata, rowIdMark: mark, timeMs: said ?? (needsTime ? await this.commitTime(version) : 0) }
  }

  async select(snapshot: Snapshot, condition: string, adds: readonly AddFile[]): Promise<readonly AddFile[]> {
    return addsSelected(this.deps, snapshot.prunable, condition, adds)
  }

  /** The commit of a version, or `undefined` when the log no longer holds it. */
  async commitIfKept(version: number): Promise<Commit | undefined> {
    return this.recent.get(version) ?? (await readCommit(this.deps.store, version))
  }

  /** The table as this process knows it, without a request. */
  async knownSnapshot(): Promise<Snapshot> {
    const log = await this.known()
    return new Snapshot(this.deps, log, log.version)
  }

  /** The commits of versions `from` to `to`, both included. */
  async commitsBetween(from: number, to: number): Promise<Commit[]> {
    const found: Commit[] = []
    for (let version = from; version <= to; version++) {
      const commit = await this.commitIfKept(version)
      if (!commit) throw new DeltaError('LOG_GAP', 'a commit is missing from the log', { file: commitPath(version), version })
      found.push(commit)
    }
    return found
  }

  /** Lets go of a log, which the next one who asks for the table loads anew. */
  forget(log: TableLog): void {
    void this.logChanges.run(async () => {
      if (this.log !== log) return
      this.retired.add(log)
      this.log = undefined
      for (const version of [...this.oldLogs.keys()]) this.retireOld(version)
    })
  }

  /** Waits for work behind the last commits, and forgets what was loaded. */
  async close(): Promise<void> {
    await Promise.all(this.background)
    const older = await Promise.allSettled(this.oldLogs.values())
    const logs = [...older.flatMap((log) => (log.status === 'fulfilled' ? [log.value] : [])), ...(this.log ? [this.log] : [])]
    this.log = undefined
    this.oldLogs.clear()
    this.deps.openLogs?.closed(this)
    for (const log of logs) await log.close()
    await this.retired.close()
  }

  private async takeIn(commit: Commit, mayBeLive: ReadonlySet<string>): Promise<TableLog> {
    return this.logChanges.run(async () => {
      if (!this.log) this.log = await TableLog.load(this.deps)
      else if (this.log.version < commit.version && !(await this.log.applyOwn(commit, mayBeLive))) await this.reload()
      return this.log
    })
  }

  /** What a commit says of its time, or else the time of its file. */
  private async commitTime(version: number): Promise<number> {
    const said = (await this.commitIfKept(version))?.commitInfo?.inCommitTimestamp
    return said ?? (await this.deps.store.head(commitPath(version)))?.modifiedAtMs ?? 0
  }

  private isSure(): boolean {
    return this.deps.clock.now() - this.sureAtMs < SURE_MS
  }

  /** Lets go of a table that somebody dropped, or replaced by another. */
  private async makeSure(log: TableLog): Promise<void> {
    if (this.isSure()) return
    if (!(await log.isStillThere())) {
      this.retired.add(log)
      this.log = undefined
      this.deps.openLogs?.closed(this)
      this.recent.clear()
      this.oldLogs.clear()
    }
    this.sureAtMs = this.deps.clock.now()
  }

  private async load(): Promise<TableLog> {
    this.log = await TableLog.load(this.deps)
    return this.log
  }

  private async reload(): Promise<void> {
    const loaded = await TableLog.load(this.deps)
    // Snapshots that were handed out still read the log that they came from.
    if (this.log) this.retired.add(this.log)
    this.log = loaded
  }

  private async olderLog(version: number, options: StoreOptions): Promise<TableLog> {
    // Several callers may wait for one load, so no caller's signal ends it.
    const loading = this.oldLogs.get(version) ?? this.loadOld(version)
    const log = await loading
    options.signal?.throwIfAborted()
    return log
  }

  private loadOld(version: number): Promise<TableLog> {
    const [oldest] = this.oldLogs.keys()
    if (oldest !== undefined && this.oldLogs.size >= OLD_LOGS_MAX) this.retireOld(oldest)
    const loading = TableLog.load(this.deps, version)
    this.oldLogs.set(version, loading)
    loading.catch(() => {
      if (this.oldLogs.get(version) === loading) this.oldLogs.delete(version)
    })
    return loading
  }

  private retireOld(version: number): void {
    const loading = this.oldLogs.get(version)
    this.oldLogs.delete(version)
    loading?.then(
      (log) => this.retired.add(log),
      () => undefined,
    )
  }

  /** Starts what comes behind a commit, for which no commit waits. */
  private follow(log: TableLog, version: number): void {
    const isDue = isCheckpointDue(version, log.stateAt(version).metadata.configuration)
    this.behind('write a version checksum', this.checksums.request(log, isDue))
    const checkpoint = log.version === version ? this.checkpoints.committed(log, isDue) : undefined
    if (checkpoint) this.behind('write a checkpoint', checkpoint)
  }

  private behind(what: string, work: Promise<void>): void {
    const settled: Promise<void> = work
      .catch((error: unknown) => this.deps.events({ type: 'degraded', table: this.uri, what, error }))
      .finally(() => this.background.delete(settled))
    this.background.add(settled)
  }
}

/**
 * The commit as every reader will see it, before it is written: a table with an entry that nobody can read is lost.
 *
 * @throws {DeltaError} `ARGUMENT_INVALID`.
 */
function readBack(version: number, body: Uint8Array): Commit {
  try {
    return parseEntry(version, body, commitPath(version))
  } catch (cause) {
    throw new DeltaError('ARGUMENT_INVALID', `these actions make no commit: ${(cause as Error).message}`, {}, { cause })
  }
}
