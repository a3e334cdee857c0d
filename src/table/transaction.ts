import type { Clock } from '../base/clock.js'
import { DeltaError } from '../base/errors.js'
import type { EventSink } from '../base/events.js'
import type { Random } from '../base/random.js'
import type { Action, AddFile, CommitInfo, CommittedBatch, RemoveFile, SetTransaction } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'
import { rootSpellings } from '../protocol/file-path.js'
import type { StoreOptions } from '../storage/store.js'
import { type Conflict, findConflict, footprintOf } from './conflict.js'
import { ENGINE_INFO } from './engine-info.js'
import type { Snapshot } from './snapshot.js'

/** How a commit ended. A conflict is an answer: nothing was written, and the staged files are the caller's to use again. */
export type TransactionOutcome =
  | { readonly kind: 'committed'; readonly version: number; readonly attempts: number }
  | { readonly kind: 'conflict'; readonly conflict: Conflict; readonly attempts: number }

/** What the table's history says about a commit. */
export interface Operation {
  /** A name of Delta's own, such as `WRITE`, `OPTIMIZE`. */
  readonly name: string
  readonly parameters?: Readonly<Record<string, string>> | undefined
  readonly metrics?: Readonly<Record<string, number>> | undefined
  readonly userMetadata?: string | undefined
}

/** What a transaction needs of the table that it commits to. */
export interface TransactionHost {
  readonly uri: string
  readonly deps: { readonly clock: Clock; readonly random: Random; readonly events: EventSink }
  /** The newest version that this process knows of. */
  known(): Promise<{ readonly version: number; readonly tableId: string }>
  /** The commits of versions `from` to `to`, both included. */
  commitsBetween(from: number, to: number): Promise<readonly Commit[]>
  /** Publishes an entry after the last known one. A lost race is read in. */
  publish(version: number, actions: readonly Action[], options?: StoreOptions): Promise<'committed' | 'lost'>
  /** Runs `work` while no other transaction of this process commits to the table. */
  exclusive<T>(work: () => Promise<T>): Promise<T>
}

const ATTEMPTS_MAX = 100
const BACKOFF_MAX_MS = 1000

/**
 * A read version and staged actions, committed once.
 *
 * Staged files must be durable in the store before `commit`. A lost race is rebased: the winners are read once, checked
 * for a real conflict, and the commit goes after them.
 */
export class Transaction {
  readonly snapshot: Snapshot
  private readonly table: TransactionHost
  private readonly adds: AddFile[] = []
  private readonly removes: RemoveFile[] = []
  private readonly txns = new Map<string, SetTransaction>()
  private readonly batches: CommittedBatch[] = []
  private operation: Operation = { name: 'WRITE' }
  private done = false

  /** @internal */
  constructor(table: TransactionHost, snapshot: Snapshot) {
    this.table = table
    this.snapshot = snapshot
  }

  add(files: Iterable<AddFile>): this {
    this.adds.push(...files)
    return this
  }

  /** @throws {DeltaError} `TABLE_APPEND_ONLY` for rows taken out of a table with `delta.appendOnly`. */
  remove(files: Iterable<RemoveFile>): this {
    for (const file of files) {
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

  /** Sets a producer's transaction to the batch's version, unless a later one is staged, and keeps the batch as evidence. */
  setTransaction(batch: CommittedBatch): this {
    const staged = this.txns.get(batch.appId)
    if (!staged || staged.version < batch.version)
      this.txns.set(batch.appId, { appId: batch.appId, version: batch.version, lastUpdated: this.table.deps.clock.now() })
    this.batches.push(batch)
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
   * left it open whether the commit landed.
   */
  async commit(options: StoreOptions = {}): Promise<TransactionOutcome> {
    if (this.done) throw new DeltaError('ARGUMENT_INVALID', 'this transaction is over', {}, { hint: 'begin a new one' })
    this.done = true
    const { clock, random, events } = this.table.deps
    const footprint = footprintOf({
      roots: rootSpellings(this.table.uri),
      adds: this.adds,
      removes: this.removes,
      appIds: [...this.txns.keys()],
      changesTable: false,
    })
    let checked = this.snapshot.version
    for (let attempts = 1; attempts <= ATTEMPTS_MAX; attempts++) {
      const outcome = await this.table.exclusive(async (): Promise<TransactionOutcome | undefined> => {
        const { version: latest, tableId } = await this.table.known()
        if (tableId !== this.snapshot.metadata.id)
          return { kind: 'conflict', conflict: { version: latest, reason: 'metadataChanged', subjects: [] }, attempts }
        for (const winner of await this.table.commitsBetween(checked + 1, latest)) {
          const conflict = findConflict(footprint, winner)
          if (conflict) return { kind: 'conflict', conflict, attempts }
        }
        checked = latest
        const published = await this.table.publish(latest + 1, this.actions(), options)
        return published === 'committed' ? { kind: 'committed', version: latest + 1, attempts } : undefined
      })
      if (outcome?.kind === 'committed')
        events({ type: 'committed', table: this.table.uri, version: outcome.version, operation: this.operation.name, attempts })
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

  private actions(): Action[] {
    return [
      { commitInfo: this.commitInfo() },
      ...[...this.txns.values()].map((txn) => ({ txn })),
      ...this.removes.map((remove) => ({ remove })),
      ...this.adds.map((add) => ({ add })),
    ]
  }

  private commitInfo(): CommitInfo {
    return commitInfoOf(this.table, this.operation, {
      readVersion: this.snapshot.version,
      isBlindAppend: this.removes.length === 0,
      ...(this.batches.length > 0 ? { batches: this.batches } : {}),
    })
  }
}

/** The provenance line of a commit, with a fresh `txnId`. */
export function commitInfoOf(
  table: Pick<TransactionHost, 'deps'>,
  operation: Operation,
  more: Partial<CommitInfo> = {},
): CommitInfo {
  const { clock, random } = table.deps
  const metrics = Object.entries(operation.metrics ?? {}).map(([name, value]) => [name, String(value)])
  return {
    timestamp: clock.now(),
    operation: operation.name,
    operationParameters: operation.parameters ?? {},
    isolationLevel: 'Serializable',
    operationMetrics: Object.fromEntries(metrics) as Record<string, string>,
    ...(operation.userMetadata === undefined ? {} : { userMetadata: operation.userMetadata }),
    ...more,
    engineInfo: ENGINE_INFO,
    txnId: random.uuid(),
  }
}
