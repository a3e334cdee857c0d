import { LRUCache } from 'lru-cache'
import { DeltaError, isDeltaError } from '../base/errors.js'
import { Serial } from '../base/serial.js'
import type { DomainMetadata, SetTransaction } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { rootSpellings } from '../protocol/file-path.js'
import { withoutIdentityMarks } from '../protocol/identity.js'
import { logFilePath } from '../protocol/log-path.js'
import type { StoreOptions } from '../storage/store.js'
import { applyFolded, foldCommits } from './apply-commits.js'
import { type ChecksumClaims, mismatchOf, parseChecksum } from './checksum-check.js'
import type { LogDependencies } from './dependencies.js'
import type { FilesRelation, RelationShape } from './files-relation.js'
import { NO_SUMS, readLastCheckpoint } from './last-checkpoint.js'
import { foldHead, type KnownTransaction, type LogHead, type TableState } from './log-head.js'
import { listLog } from './log-listing.js'
import { countTotals, RunningTotals } from './running-totals.js'
import { planSegments } from './segment.js'
import { type LoadedSegment, loadSegment, readCommit } from './segment-load.js'
import type { TableTotals } from './table-totals.js'

export type { LogDependencies } from './dependencies.js'

/** How a log is loaded. */
export interface LoadOptions extends StoreOptions {
  /** Whether version checksums are held against the log. @defaultValue true */
  readonly checksums?: boolean | undefined
  /** Whether the log is read from as far back as it goes. @defaultValue false */
  readonly whole?: boolean | undefined
}

/** Damage of one way to a version, where another may do. */
const MENDABLE: ReadonlySet<string> = new Set(['CHECKPOINT_DAMAGED', 'CHECKSUM_MISMATCH'])
const COLUMN_MAPPING = 'delta.columnMapping.mode'

const UNFOLDED_MAX = 200

/** A table's log, loaded: the files relation, and the rest of the state, for every version from `firstVersion` on. */
export class TableLog {
  readonly firstVersion: number
  private latest: number
  /** Whether the bytes of all that was loaded add up to sums that their writer gave. */
  private readonly isSummed: boolean
  /** The newest commit, where the log still holds it. */
  private tip: Commit | undefined
  private readonly relation: FilesRelation
  /** The day for which the log was last looked through for what expired; see `expiryDay`. */
  cleanedUpFor: number | undefined
  /** Commits whose files are not in the relation yet: a run of commits that nobody reads between is folded at once. */
  private unfolded: Commit[] = []
  private unfoldedAreNew = true
  private readonly folding = new Serial()
  /** What was read from the relation last, by version and condition: versions never change, so neither do answers. */
  readonly selections = new LRUCache<string, object>({ max: 32 })
  /** How many files the relation holds, those that went included. */
  filesHeld = 0
  private readonly deps: LogDependencies
  private readonly states: { readonly version: number; readonly state: TableState }[]
  private readonly txns: Map<string, KnownTransaction>
  private readonly domains: Map<string, DomainMetadata>
  /** What the newest version's checksum adds up. */
  readonly totals = new RunningTotals()

  private constructor(deps: LogDependencies, { head, files, firstVersion, version, tip, isSummed }: LoadedSegment) {
    this.isSummed = isSummed
    this.deps = deps
    this.relation = files
    this.firstVersion = firstVersion
    this.latest = version
    this.tip = tip
    this.states = head.states
    this.txns = head.txns
    this.domains = head.domains
  }

  /**
   * Loads the log up to `target`, or to its end.
   *
   * A damaged checkpoint is passed over for an earlier one, or for the commits alone, with a `degraded` event; so is one with
   * which the table is not what the newest version checksum says. It is the checksum that is passed over where it was made for another
   * commit, and where every byte of the log is known to be as it was written.
   *
   * @throws {DeltaError} `TABLE_NOT_FOUND`, `VERSION_NOT_FOUND`, `LOG_GAP`, `LOG_LINE_MALFORMED`, `LOG_INCOMPLETE` when
   * the commits hold no protocol or no metadata, `FEATURE_UNSUPPORTED` for a table that cannot be read, `CHECKPOINT_DAMAGED` when
   * only a damaged checkpoint reaches the version, `CHECKSUM_MISMATCH` when nothing in the log adds up to its checksum.
   */
  static async load(deps: LogDependencies, target?: number, options: LoadOptions = {}): Promise<TableLog> {
    const { checksums = true, whole = false } = options
    const { version: hint, sums } = (await readLastCheckpoint(deps.store, options)) ?? { version: undefined, sums: NO_SUMS }
    const from = !whole && hint !== undefined && (target === undefined || hint <= target) ? hint : 0
    let listing = await listLog(deps.store, from, options)
    const reaches = listing.checkpoints.some(({ version }) => target === undefined || version <= target)
    const hintHolds = from === 0 || reaches
    if (!hintHolds) listing = await listLog(deps.store, 0, options)
    let damage: unknown
    /** A log of which every byte adds up, and with it what a checksum has against it. */
    let sure: { readonly log: TableLog; readonly mismatch: unknown } | undefined
    const planned = planSegments(listing, target)
    for (const segments of [whole ? planned.toReversed() : planned, undefined]) {
      // The hint hides what lies before it; look there only after everything it showed turned out damaged.
      if (segments === undefined && (from === 0 || !hintHolds)) break
      if (segments === undefined) listing = await listLog(deps.store, 0, options)
      for (const segment of segments ?? planSegments(listing, target)) {
        let log: TableLog | undefined
        try {
          log = new TableLog(deps, await loadSegment(deps, segment, sums, options))
          if (checksums) await log.checkTotals(listing.checksums, options)
          log.filesHeld = await log.relation.rowCount()
          await sure?.log.close()
          return log
        } catch (error) {
          const isKept = !sure && log?.isSummed === true && isDeltaError(error) && error.code === 'CHECKSUM_MISMATCH'
          if (isKept && log) sure = { log, mismatch: error }
          else await log?.close()
          if (!isDeltaError(error) || !MENDABLE.has(error.code)) {
            await sure?.log.close()
            throw error
          }
          if (isKept) continue
          deps.events({ type: 'degraded', table: deps.store.uri, what: 'read a checkpoint', error })
          damage = error
        }
      }
    }
    if (!sure) throw damage
    deps.events({ type: 'degraded', table: deps.store.uri, what: 'read a version checksum', error: sure.mismatch })
    sure.log.filesHeld = await sure.log.relation.rowCount()
    return sure.log
  }

  get version(): number {
    return this.latest
  }

  /** The files of every loaded version. */
  async files(): Promise<FilesRelation> {
    await this.fold()
    return this.relation
  }

  /** What the relation's typed columns are made for. */
  get shape(): RelationShape {
    return this.relation.shape
  }

  /**
   * Reads the commits that came since, by asking for the next one until there is none: one request when nothing is new.
   *
   * @returns false when a commit changed the schema, the partitioning or what a reader must support, in which case this
   * log stands still before it and has to be loaded anew.
   */
  async follow(options: StoreOptions = {}): Promise<boolean> {
    const commits: Commit[] = []
    for (;;) {
      const commit = await readCommit(this.deps.store, this.latest + commits.length + 1, options)
      if (!commit) break
      commits.push(commit)
    }
    const restructured = commits.findIndex((commit) => this.restructures(commit))
    const followed = restructured < 0 ? commits : commits.slice(0, restructured)
    this.totals.followOthers(followed)
    this.apply(followed, false)
    return restructured < 0
  }

  /**
   * Takes in a commit of our own, the next one, without reading it back. @returns as `follow` does.
   *
   * @param mayBeLive the paths of those added files that may have been in the table before.
   */
  async applyOwn(commit: Commit, mayBeLive: ReadonlySet<string>): Promise<boolean> {
    if (commit.version !== this.latest + 1) return this.follow()
    if (this.restructures(commit)) return false
    this.totals.follow(commit, mayBeLive)
    this.apply([commit], mayBeLive.size === 0)
    return true
  }

  /** The newest commit, where the log was read as far as its entry: a checkpoint alone does not tell. */
  get newestCommit(): Commit | undefined {
    return this.tip
  }

  /** The table's own id, which another table in its place does not have. */
  get tableId(): string {
    return this.stateAt(this.latest).metadata.id
  }

  /**
   * Whether the newest commit is still what it was: somebody may have dropped the table, and made another in its place.
   * Asking for the next commit alone would not show that.
   */
  async isStillThere(options: StoreOptions = {}): Promise<boolean> {
    const { tip } = this
    if (tip?.commitInfo === undefined) return true
    const found = await readCommit(this.deps.store, tip.version, options)
    return JSON.stringify(found?.commitInfo) === JSON.stringify(tip.commitInfo)
  }

  /** Protocol and metadata at a loaded version. */
  stateAt(version: number): TableState {
    const found = this.states.findLast((entry) => entry.version <= version)
    if (!found) throw new DeltaError('LOG_INCOMPLETE', 'log has no protocol or no metadata', { version })
    return found.state
  }

  /** The newest version without its files. */
  head(): LogHead {
    const { latest: version } = this
    return { version, ...this.stateAt(version), txns: [...this.txns.values()], domains: [...this.domainMetadata()] }
  }

  /** Makes the totals of the newest version known. */
  async countTotals(): Promise<void> {
    await this.totals.count(this.deps.database, this.latest, () => this.files())
  }

  /** The newest transaction of a producer. */
  transaction(appId: string): KnownTransaction | undefined {
    return this.txns.get(appId)
  }

  /** Forgets producers, unless they have sent more since. */
  forget(txns: Iterable<SetTransaction>): void {
    for (const { appId, version, lastUpdated } of txns) {
      const known = this.txns.get(appId)
      if (known?.version === version && known.lastUpdated === lastUpdated) this.txns.delete(appId)
    }
  }

  transactions(): Iterable<KnownTransaction> {
    return this.txns.values()
  }

  domainMetadata(): Iterable<DomainMetadata> {
    return [...this.domains.values()].filter((domain) => !domain.removed)
  }

  async close(): Promise<void> {
    await this.relation.drop()
  }

  /** What `close` drops, for those who may not hold the log itself. */
  get held(): Pick<FilesRelation, 'drop'> {
    return this.relation
  }

  /**
   * What the checksum of a loaded version has against the log.
   *
   * @returns the totals of the version, where it has a checksum that can be read, and the `CHECKSUM_MISMATCH` where it differs.
   */
  async heldAgainst(version: number, options: StoreOptions = {}): Promise<HeldAgainst | undefined> {
    const path = logFilePath({ kind: 'checksum', version })
    const bytes = await this.deps.store.get(path, options)
    const claims = bytes && parseChecksum(bytes)
    if (!claims) return undefined
    const totals = await countTotals(this.deps.database, await this.files(), version)
    const mismatch = mismatchOf(claims, totals, this.stateAt(version), path, version)
    return { claims, totals, mismatch }
  }

  /** Holds the newest of the versions that have a checksum against it. @throws {DeltaError} `CHECKSUM_MISMATCH`. */
  private async checkTotals(checksums: readonly number[], options: StoreOptions): Promise<void> {
    const version = Math.max(-1, ...checksums.filter((one) => one >= this.firstVersion && one <= this.latest))
    const held = version < 0 ? undefined : await this.heldAgainst(version, options)
    if (!held) return
    const { claims, totals, mismatch } = held
    if (mismatch) {
      const commit = this.tip?.version === version ? this.tip : await readCommit(this.deps.store, version, options)
      // It stayed behind when somebody wrote another commit in the place of its own, and knows nothing of this one.
      if (!commit || commit.commitInfo?.txnId === claims.txnId) throw mismatch
      this.deps.events({ type: 'degraded', table: this.deps.store.uri, what: 'read a version checksum', error: mismatch })
    }
    if (version === this.latest) this.totals.know(totals)
  }

  private restructures({ protocol, metaData }: Commit): boolean {
    const before = this.stateAt(this.latest).metadata
    return (
      protocol !== undefined ||
      (metaData !== undefined &&
        (withoutIdentityMarks(metaData.schemaString) !== withoutIdentityMarks(before.schemaString) ||
          metaData.partitionColumns.join('\n') !== before.partitionColumns.join('\n') ||
          metaData.configuration[COLUMN_MAPPING] !== before.configuration[COLUMN_MAPPING]))
    )
  }

  private apply(commits: readonly Commit[], filesAreNew: boolean): void {
    const last = commits.at(-1)
    if (!last) return
    const head = { states: this.states, txns: this.txns, domains: this.domains }
    for (const commit of commits) foldHead(head, commit)
    this.unfolded.push(...commits)
    for (const { adds } of commits) this.filesHeld += adds.length
    this.unfoldedAreNew &&= filesAreNew
    this.latest = last.version
    this.tip = last
    // Nobody waits for it; where it fails, it is done again when somebody reads.
    if (this.unfolded.length >= UNFOLDED_MAX) this.fold().catch(() => undefined)
  }

  /** Brings what commits did to files into the relation. */
  private async fold(): Promise<void> {
    await this.folding.run(async () => {
      if (this.unfolded.length === 0) return
      const [commits, areNew] = [this.unfolded, this.unfoldedAreNew]
      this.unfolded = []
      this.unfoldedAreNew = true
      try {
        await applyFolded(this.deps.database, this.relation, foldCommits(commits, rootSpellings(this.deps.store.uri)), areNew)
      } catch (error) {
        this.unfolded = [...commits, ...this.unfolded]
        this.unfoldedAreNew = false
        throw error
      }
    })
  }
}

interface HeldAgainst {
  readonly claims: ChecksumClaims
  readonly totals: TableTotals
  readonly mismatch: DeltaError | undefined
}
