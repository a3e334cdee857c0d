import type { Clock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import type { EventSink } from '../base/events.js'
import type { Random } from '../base/random.js'
import type {
  Action,
  AddCDCFile,
  AddFile,
  CommittedBatch,
  DomainMetadata,
  Metadata,
  Protocol,
  RemoveFile,
  SetTransaction,
} from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { checkWritable } from '../protocol/features.js'
import { canonicalFilePath, rootSpellings } from '../protocol/file-path.js'
import { tableProperties } from '../protocol/properties.js'
import type { StoreOptions } from '../storage/store.js'
import { commitInfoOf, type Operation } from './commit-info.js'
import { composeCommit, type LogTip } from './compose-commit.js'
import { addsThatCount, type Conflict, type Footprint, findConflict, type IsolationLevel, type StateBefore } from './conflict.js'
import type { Snapshot, SnapshotFile } from './snapshot.js'

/** How a commit ended. A conflict is an answer: nothing was written, and the staged files are the caller's to use again. */
export type TransactionOutcome =
  | { readonly kind: 'committed'; readonly version: number; readonly attempts: number }
  | { readonly kind: 'conflict'; readonly conflict: Conflict; readonly attempts: number }

export interface PublishOptions extends StoreOptions {
  /** What must have happened before the entry may show. */
  readonly after?: Promise<unknown> | undefined
}

/** What a transaction needs of the table that it commits to. */
export interface TransactionHost {
  readonly uri: string
  readonly deps: { readonly clock: Clock; readonly random: Random; readonly events: EventSink }
  /** The newest version that this process knows of; `after` is the metadata that a commit after it sets. */
  tip(after: Metadata | undefined): Promise<LogTip>
  /** The commits of versions `from` to `to`, both included. */
  commitsBetween(from: number, to: number): Promise<readonly Commit[]>
  /** Which of these files a condition over the files relation, made for `snapshot`, may want. */
  select(snapshot: Snapshot, condition: string, adds: readonly AddFile[]): Promise<readonly AddFile[]>
  /** Publishes an entry after the last known one. A lost race is read in. */
  publish(version: number, actions: readonly Action[], options?: PublishOptions): Promise<'committed' | 'lost'>
  /** Runs `work` while no other transaction of this process commits to the table. */
  exclusive<T>(work: () => Promise<T>): Promise<T>
}

/** A file of which the winner and we both swapped the deletion vector. */
export interface VectorCollision {
  readonly oursBefore: RemoveFile
  readonly ours: AddFile
  /** The file as the winner left it: what a rebased one goes after. */
  readonly theirs: AddFile
}

/**
 * Brings two vectors of one file together: the file with both sides' rows deleted, or `undefined` when they collide.
 * Only rows may be deleted by either side, and none of theirs may be one that we changed.
 */
export type VectorRebase = (collision: VectorCollision) => Promise<AddFile | undefined>

const ATTEMPTS_MAX = 100
const BACKOFF_MAX_MS = 1000

/**
 * A read version and staged actions, committed once.
 *
 * Staged files must be durable in the store before the commit shows: told of by `after`, or before `commit`. Whatever the staged actions were derived from has to be told
 * (`readWhole`, `readFiles`, `readWhere`): a transaction that read nothing and only adds is a blind append, which no row
 * of others disturbs. A lost race is rebased: the winners are read once, checked for a real conflict, and the commit goes
 * after them.
 */
export class Transaction {
  readonly snapshot: Snapshot
  private readonly table: TransactionHost
  private readonly roots: readonly string[]
  private adds: AddFile[] = []
  private removes: RemoveFile[] = []
  private readonly cdc: AddCDCFile[] = []
  private readonly txns = new Map<string, SetTransaction>()
  private readonly batches: CommittedBatch[] = []
  private readonly domains = new Map<string, DomainMetadata>()
  private stagedProtocol: Protocol | undefined
  private stagedMetadata: Metadata | undefined
  private readsWhole = false
  private maintainsView = false
  private readonly filesRead = new Set<string>()
  private readonly filesHeld = new Set<string>()
  private readonly conditionsRead = new Set<string>()
  private vectorRebase: VectorRebase | undefined
  private stored: Promise<unknown> | undefined
  private operation: Operation = { name: 'WRITE' }
  private done = false

  /** @internal */
  constructor(table: TransactionHost, snapshot: Snapshot) {
    this.table = table
    this.snapshot = snapshot
    this.roots = rootSpellings(table.uri)
    const { evolvedFrom, protocol, metadata } = snapshot
    if (!evolvedFrom) return
    this.stagedMetadata = metadata
    if (protocol !== evolvedFrom.protocol) this.stagedProtocol = protocol
  }

  /** The metadata that the table will have, as far as this transaction decides it. */
  get metadata(): Metadata {
    return this.stagedMetadata ?? this.snapshot.metadata
  }

  /** The protocol that the table will have, as far as this transaction decides it. */
  get protocol(): Protocol {
    return this.stagedProtocol ?? this.snapshot.protocol
  }

  /** Says that the rows of this transaction are those of the view that the table holds. */
  maintainView(): this {
    this.maintainsView = true
    return this
  }

  /** @throws {DeltaError} `VIEW_READ_ONLY` for rows that do not come from the view which the table holds. */
  add(files: Iterable<AddFile>): this {
    for (const file of files) {
      this.checkView(file)
      this.adds.push(file)
    }
    return this
  }

  /**
   * @throws {DeltaError} `TABLE_APPEND_ONLY` for rows taken out of a table with `delta.appendOnly`; `VIEW_READ_ONLY` as `add`.
   */
  remove(files: Iterable<RemoveFile>): this {
    for (const file of files) {
      this.checkView(file)
      if (file.dataChange && this.snapshot.properties.appendOnly)
        throw new DeltaError(
          'TABLE_APPEND_ONLY',
          'the table only takes appends',
          { table: this.table.uri },
          { hint: 'set delta.appendOnly to false first' },
        )
      this.removes.push(file)
    }
    return this
  }

  /** Files that tell the change feed all that this commit changes. */
  addChangeFiles(files: Iterable<AddCDCFile>): this {
    for (const file of files) this.cdc.push(file)
    return this
  }

  /** Sets a producer's transaction to the batch's version, unless a later one is staged, and keeps the batch as evidence. */
  setTransaction(batch: CommittedBatch): this {
    const staged = this.txns.get(batch.appId)
    if (!staged || staged.version < batch.version)
      this.txns.set(batch.appId, { appId: batch.appId, version: batch.version, lastUpdated: this.table.deps.clock.now() })
    this.batches.push(batch)
    return this
  }

  /**
   * Replaces the table's metadata as a whole; derive it from `metadata`.
   *
   * @throws {DeltaError} `VIEW_READ_ONLY` for other columns than those of the view that the table holds.
   */
  setMetadata(metadata: Metadata): this {
    if (metadata.schemaString !== this.snapshot.metadata.schemaString) this.checkView({ dataChange: true })
    this.stagedMetadata = metadata
    return this
  }

  /** Replaces the table's protocol as a whole; derive it from `protocol`. */
  setProtocol(protocol: Protocol): this {
    this.stagedProtocol = protocol
    return this
  }

  setDomain(domain: DomainMetadata): this {
    this.domains.set(domain.domain, domain)
    return this
  }

  /** Says that the staged actions follow from every row of the table. */
  readWhole(): this {
    this.readsWhole = true
    return this
  }

  /** Says that the staged actions follow from rows of these files. */
  readFiles(files: Iterable<Pick<SnapshotFile, 'file'>>): this {
    for (const { file } of files) this.filesRead.add(file)
    return this
  }

  /**
   * Says that the staged actions follow from what a condition selects, such as the one that chose the files to read.
   * Files that it chose belong to `readFiles` too.
   *
   * @param mayMatch a condition over the snapshot's files relation (`part`, `stat`), false only for files without a
   * wanted row.
   */
  readWhere(mayMatch: string): this {
    if (mayMatch === 'TRUE') this.readsWhole = true
    else this.conditionsRead.add(mayMatch)
    return this
  }

  /** Says that files which are there are staged again as they are: whoever takes one of them out meanwhile is in the way. */
  hold(files: Iterable<Pick<SnapshotFile, 'file'>>): this {
    for (const { file } of files) this.filesHeld.add(file)
    return this
  }

  /**
   * Says that files which were added are still on their way into the store: the entry is made ready meanwhile, and shows after
   * them. When they do not get there nothing is committed, and `commit` rejects with their error.
   */
  after(stored: Promise<unknown> | undefined): this {
    this.stored = stored
    return this
  }

  /** How to go on when a winner swapped the deletion vector of a file of which we swap it too. Without it, that conflicts. */
  rebaseVectors(rebase: VectorRebase): this {
    this.vectorRebase = rebase
    return this
  }

  describe(operation: Operation): this {
    this.operation = operation
    return this
  }

  /**
   * Commits after the newest version, whatever won in between, unless that conflicts.
   *
   * An abort before the first put rejects with the signal's reason; later ones wait for the outcome.
   *
   * @throws {DeltaError} `COMMIT_CONFLICT` when the race was lost too often, `COMMIT_OUTCOME_UNKNOWN` when the store
   * left it open whether the commit landed, `FEATURE_UNSUPPORTED` when a winner made the table one that this library
   * does not write.
   */
  async commit(options: StoreOptions = {}): Promise<TransactionOutcome> {
    if (this.done) throw new DeltaError('ARGUMENT_INVALID', 'this transaction is over', {}, { hint: 'begin a new one' })
    this.done = true
    const { clock, random, events } = this.table.deps
    const startedMs = clock.now()
    let checked = this.snapshot.version
    let before: StateBefore = this.snapshot.evolvedFrom ?? this.snapshot
    const first = before
    for (let attempts = 1; attempts <= ATTEMPTS_MAX; attempts++) {
      const outcome = await this.table.exclusive(async (): Promise<TransactionOutcome | undefined> => {
        const tip = await this.table.tip(this.stagedMetadata)
        if (tip.metadata.id !== this.snapshot.metadata.id)
          return { kind: 'conflict', conflict: replacedAt(tip.version), attempts }
        for (const winner of await this.table.commitsBetween(checked + 1, tip.version)) {
          const conflict = await this.check(before, winner)
          if (conflict) return { kind: 'conflict', conflict, attempts }
          before = { protocol: winner.protocol ?? before.protocol, metadata: winner.metaData ?? before.metadata }
          checked = winner.version
        }
        if (before !== first) checkWritable(before.protocol, before.metadata)
        const published = await this.table.publish(tip.version + 1, this.actions(tip), { ...options, after: this.stored })
        return published === 'committed' ? { kind: 'committed', version: tip.version + 1, attempts } : undefined
      })
      if (outcome?.kind === 'committed')
        events({
          type: 'committed',
          table: this.table.uri,
          version: outcome.version,
          operation: this.operation.name,
          attempts,
          elapsedMs: clock.now() - startedMs,
        })
      if (outcome) return outcome
      await clock.sleep(Math.min(BACKOFF_MAX_MS, 2 ** Math.min(attempts, 8)) * random.next())
    }
    throw new DeltaError(
      'COMMIT_CONFLICT',
      'the race for the next version was lost too often',
      { attempts: ATTEMPTS_MAX },
      {
        hint: 'other writers are busy on this table: run it again',
      },
    )
  }

  private async check(before: StateBefore, winner: Commit): Promise<Conflict | undefined> {
    const footprint = this.footprint(await this.settleVectors(winner))
    const counting = addsThatCount(footprint, winner)
    return findConflict(footprint, before, winner, this.readsWhole ? counting : await this.selected(counting))
  }

  private async selected(adds: readonly AddFile[]): Promise<readonly AddFile[]> {
    if (adds.length === 0 || this.conditionsRead.size === 0) return []
    const condition = [...this.conditionsRead].map((one) => `(${one})`).join(' OR ')
    return this.table.select(this.snapshot, condition, adds)
  }

  /** Rebases our deletion vectors onto a winner's, and answers with the files for which that worked. */
  private async settleVectors(winner: Commit): Promise<ReadonlySet<string>> {
    const settled = new Set<string>()
    if (!this.vectorRebase) return settled
    const canonical = (path: string) => canonicalFilePath(path, this.roots)
    const removed = new Set(winner.removes.map(({ path }) => canonical(path)))
    const theirs = new Map(winner.adds.map((add) => [canonical(add.path), add]))
    for (const [at, oursBefore] of this.removes.entries()) {
      const file = canonical(oursBefore.path)
      const after = theirs.get(file)
      const ours = this.adds.findIndex((add) => canonical(add.path) === file)
      if (!after || !removed.has(file) || ours < 0) continue
      const rebased = await this.vectorRebase({ oursBefore, ours: this.adds[ours] as AddFile, theirs: after })
      if (!rebased) continue
      this.adds[ours] = rebased
      this.removes[at] = { ...oursBefore, path: after.path, deletionVector: after.deletionVector }
      settled.add(file)
    }
    return settled
  }

  private checkView({ dataChange }: Pick<AddFile, 'dataChange'>): void {
    if (dataChange && this.snapshot.properties.isView && !this.maintainsView)
      throw new DeltaError(
        'VIEW_READ_ONLY',
        'the rows of a view come from its definition alone',
        { table: this.table.uri },
        { hint: 'change its sources; REFRESH, REBUILD and DROP MATERIALIZED VIEW act on the view' },
      )
  }

  private footprint(settledFiles: ReadonlySet<string>): Footprint {
    return {
      roots: this.roots,
      isolation: this.isolation(),
      readsWhole: this.readsWhole,
      readsSome: this.readsSome(),
      readFiles: this.filesRead,
      removedFiles: new Set([...this.removes.map(({ path }) => canonicalFilePath(path, this.roots)), ...this.filesHeld]),
      settledFiles,
      appIds: new Set(this.txns.keys()),
      domains: new Set(this.domains.keys()),
      changesProtocol: this.stagedProtocol !== undefined,
      changesMetadata: this.stagedMetadata !== undefined,
    }
  }

  private readsSome(): boolean {
    return this.readsWhole || this.filesRead.size > 0 || this.conditionsRead.size > 0
  }

  /** A commit that only rearranges rows needs to see no row of others. */
  private isolation(): IsolationLevel {
    const files = [...this.adds, ...this.removes]
    const says = this.txns.size + this.domains.size > 0 || this.stagedMetadata !== undefined || this.stagedProtocol !== undefined
    if (files.length > 0 && !says && files.every(({ dataChange }) => !dataChange)) return 'SnapshotIsolation'
    return this.snapshot.properties.isolationLevel
  }

  /**
   * Rows that move to another file keep their ids there, in a table that has them.
   *
   * @throws {DeltaError} `FEATURE_UNSUPPORTED`.
   */
  private checkRowIdsKept(metadata: Metadata): void {
    if (this.operation.keepsRowIds === true || !tableProperties(metadata.configuration).rowTracking) return
    if (!this.adds.some((add) => !add.dataChange && !isSwap(add, this.removes))) return
    throw new DeltaError(
      'FEATURE_UNSUPPORTED',
      'rows of a table that tracks them move with their ids only',
      { table: this.table.uri, operation: this.operation.name },
      { hint: 'say keepsRowIds of the operation once the files hold the ids, or set delta.enableRowTracking to false' },
    )
  }

  private actions(tip: LogTip): Action[] {
    const { deps } = this.table
    this.checkRowIdsKept(tip.metadata)
    const info = commitInfoOf(deps, this.operation, {
      readVersion: this.snapshot.version,
      isolationLevel: this.isolation(),
      isBlindAppend: this.removes.length === 0 && !this.readsSome(),
      batches: this.batches,
    })
    const { adds, removes, cdc, stagedProtocol: protocol, stagedMetadata: metadata } = this
    const staged = { protocol, metadata, adds, removes, cdc, txns: [...this.txns.values()], domains: [...this.domains.values()] }
    return composeCommit(staged, info, tip, deps.clock.now())
  }
}

function isSwap(add: AddFile, removes: readonly RemoveFile[]): boolean {
  return removes.some(({ path }) => path === add.path)
}

function replacedAt(version: number): Conflict {
  return { version, reason: 'metadataChanged', subjects: [], operation: undefined }
}
