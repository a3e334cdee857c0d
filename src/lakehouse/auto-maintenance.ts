import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeltaError } from '../base/errors.js'
import type { Database } from '../engine/database.js'
import { readLastCheckpoint } from '../log/last-checkpoint.js'
import { type CompactionPolicy, chooseClustering, chooseCompaction, smallBytes } from '../ops/maintenance-policy.js'
import { type ChosenFiles, clusteringColumns, compact } from '../ops/optimize.js'
import { vacuum } from '../ops/vacuum.js'
import { type MaintenanceProperties, maintenanceProperties } from '../protocol/maintenance-properties.js'
import { pathText } from '../protocol/schema-path.js'
import { checkpoint } from '../table/checkpoint.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { FileSource } from '../table/file-source.js'
import type { Snapshot, SnapshotFile } from '../table/snapshot.js'
import type { MaintenanceOptions, TableMaintenance } from './maintenance-options.js'

interface Watched {
  readonly table: DeltaTable
  /** The version up to which what came in was counted. */
  seen: number | undefined
  /** No work before then, after something went wrong. */
  restsUntilMs: number
  failuresInARow: number
  vacuumedAtMs: number
  checkpointAt: number
  status: TableMaintenance
}

/** What the loop works with. */
interface Workshop {
  readonly tables: () => Iterable<readonly [name: string, table: DeltaTable]>
  readonly source: FileSource
  /** An engine of one thread: what serves requests keeps the others. */
  readonly engine: Database
}

const EVERY_MS = 5000
const REST_MS_MAX = 10 * 60_000
/** Commits of which more are not looked at one by one. */
const COUNTED_MAX = 1000
/** Checkpoints that writers left out are made up for after this many intervals. */
const CHECKPOINT_LATE = 3

/**
 * Looks after the tables that this process writes to or reads, by their properties: rewrites small files where that saves readers
 * most, clustered where the table is, makes up for checkpoints that are late, and vacuums where the table asks for it.
 *
 * It does one piece of work at a time, on one thread, and rests as long as it worked. It waits for nobody's commit and nobody
 * waits for its own longer than for one entry of the log; where somebody else changed a file meanwhile, it lets its own work go.
 */
export class AutoMaintenance {
  private readonly workshop: Workshop
  private readonly everyMs: number
  private readonly watched = new Map<DeltaTable, Watched>()
  private readonly ending = new AbortController()
  private loop: Promise<void> | undefined

  /** @internal */
  constructor(workshop: Workshop, { everyMs = EVERY_MS }: MaintenanceOptions = {}) {
    this.workshop = workshop
    this.everyMs = everyMs
    // A compaction opens many files at once.
    setMaxListeners(0, this.ending.signal)
  }

  /** @internal */
  start(): this {
    this.loop ??= this.run().catch(() => undefined)
    return this
  }

  get isClosed(): boolean {
    return this.ending.signal.aborted
  }

  /** Stops what runs, before its commit, and does nothing more. */
  async close(): Promise<void> {
    this.ending.abort(new DOMException('maintenance ends', 'AbortError'))
    await this.loop
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** What is known of each table that was looked at, by name. */
  status(): readonly TableMaintenance[] {
    return [...this.watched.values()].map(({ status }) => status).toSorted((one, other) => (one.table < other.table ? -1 : 1))
  }

  /** Looks at every table, and does at most one piece of work for each. @returns how many pieces were done. */
  async once(): Promise<number> {
    let done = 0
    for (const [name, table] of this.workshop.tables()) {
      const { clock, events } = table.deps
      const watched = this.watched.get(table) ?? newWatched(name, table, clock.now())
      if (clock.now() < watched.restsUntilMs) continue
      try {
        if (await this.look(watched)) done++
        watched.failuresInARow = 0
      } catch (error) {
        this.ending.signal.throwIfAborted()
        if (isDeltaError(error) && error.code === 'TABLE_NOT_FOUND') continue
        watched.failuresInARow++
        watched.restsUntilMs = clock.now() + Math.min(REST_MS_MAX, this.everyMs * 2 ** watched.failuresInARow)
        watched.status = { ...watched.status, failures: watched.status.failures + 1 }
        events({ type: 'degraded', table: table.uri, what: 'maintain the table', error })
      }
    }
    return done
  }

  private async run(): Promise<void> {
    const { signal } = this.ending
    for (;;) {
      const started = performance.now()
      const isDone = (await this.once()) === 0
      const worked = performance.now() - started
      // Where there is more to do it goes on, half of the time.
      await sleep(Math.max(isDone ? this.everyMs : 0, worked), undefined, { signal, ref: false })
    }
  }

  private async look(watched: Watched): Promise<boolean> {
    const { table } = watched
    const snapshot = await table.knownSnapshot()
    const policy = maintenanceProperties(snapshot.metadata.configuration)
    if (!policy.enabled) return false
    this.watched.set(table, watched)
    if (watched.seen === snapshot.version) return this.vacuumIfDue(watched, policy)
    await this.count(watched, snapshot)
    watched.seen = snapshot.version
    return (
      (policy.compacts && (await this.compactSome(watched, snapshot, policy))) ||
      (await this.checkpointIfLate(watched, snapshot)) ||
      (await this.vacuumIfDue(watched, policy))
    )
  }

  /** Adds up what came in since the last look, and what it is to read all of it. */
  private async count(watched: Watched, { version, properties }: Snapshot): Promise<void> {
    const { table, seen } = watched
    let { bytesAppended, bytesRewritten } = watched.status
    if (seen !== undefined && version - seen <= COUNTED_MAX)
      for (const { adds } of await table.commitsBetween(seen + 1, version))
        for (const { dataChange, size } of adds) {
          if (dataChange) bytesAppended += size
          else bytesRewritten += size
        }
    const { files, bytes } = await (await table.knownSnapshot()).totals()
    const filesAtBest = Math.max(files === 0 ? 0 : 1, Math.ceil(bytes / properties.targetFileSizeBytes))
    const writeAmplification = bytesAppended === 0 ? 1 : (bytesAppended + bytesRewritten) / bytesAppended
    watched.status = { ...watched.status, version, files, filesAtBest, bytes, bytesAppended, bytesRewritten, writeAmplification }
  }

  private async compactSome(watched: Watched, snapshot: Snapshot, policy: MaintenanceProperties): Promise<boolean> {
    const { table } = watched
    const { signal } = this.ending
    const targetBytes = snapshot.properties.targetFileSizeBytes
    const chosen = await this.chooseFiles(table, snapshot, { targetBytes, filesMin: policy.filesMin })
    if (!chosen) return false
    const { filesConflicted } = await compact(table, this.workshop.source, {
      chosen,
      targetFileSizeBytes: targetBytes,
      engine: this.workshop.engine,
      signal,
    })
    // There may be more to do at the version that this made, or that somebody else did.
    watched.seen = snapshot.version
    const { compactions, clusterings, filesGivenUp } = watched.status
    watched.status = {
      ...watched.status,
      compactions: compactions + 1,
      clusterings: clusterings + (chosen.clusterBy ? 1 : 0),
      filesGivenUp: filesGivenUp + filesConflicted,
    }
    return true
  }

  private async chooseFiles(table: DeltaTable, snapshot: Snapshot, policy: CompactionPolicy): Promise<ChosenFiles | undefined> {
    const { signal } = this.ending
    const small = await snapshot.files(`"size" < ${smallBytes(policy.targetBytes)}`, { signal })
    const clusterBy = await clusteringColumns(table, snapshot)
    if (clusterBy.length === 0) {
      const choice = chooseCompaction<SnapshotFile>(small.files, policy)
      return choice && { snapshot, files: choice.files }
    }
    // All files are looked at only once as many are small as make it worth it.
    if (small.files.length < policy.filesMin) return undefined
    const { files } = await snapshot.files(undefined, { signal })
    const chosen = chooseClustering<SnapshotFile>(files, clusterBy.map(pathText), policy)
    return chosen && { snapshot, files: chosen, clusterBy }
  }

  private async checkpointIfLate(watched: Watched, { version, properties }: Snapshot): Promise<boolean> {
    const { table } = watched
    const late = properties.checkpointInterval * CHECKPOINT_LATE
    if (version - watched.checkpointAt < late) return false
    watched.checkpointAt = (await readLastCheckpoint(table.deps.store))?.version ?? -1
    if (version - watched.checkpointAt < late) return false
    watched.checkpointAt = (await checkpoint(table, { signal: this.ending.signal })).version
    watched.status = { ...watched.status, checkpoints: watched.status.checkpoints + 1 }
    return true
  }

  private async vacuumIfDue(watched: Watched, { vacuums, vacuumEveryMs }: MaintenanceProperties): Promise<boolean> {
    const { table } = watched
    const nowMs = table.deps.clock.now()
    if (!vacuums || nowMs - watched.vacuumedAtMs < vacuumEveryMs) return false
    watched.vacuumedAtMs = nowMs
    const { filesDeleted } = await vacuum(table, { signal: this.ending.signal })
    const { vacuums: before, filesVacuumed } = watched.status
    watched.status = { ...watched.status, vacuums: before + 1, filesVacuumed: filesVacuumed + filesDeleted }
    return true
  }
}

function newWatched(name: string, table: DeltaTable, nowMs: number): Watched {
  const nothing = { files: 0, filesAtBest: 0, bytes: 0, bytesAppended: 0, bytesRewritten: 0, writeAmplification: 1 }
  const work = { compactions: 0, clusterings: 0, filesGivenUp: 0, checkpoints: 0, vacuums: 0, filesVacuumed: 0, failures: 0 }
  return {
    table,
    seen: undefined,
    restsUntilMs: 0,
    failuresInARow: 0,
    // A process that is started often does not vacuum each time.
    vacuumedAtMs: nowMs,
    checkpointAt: -1,
    status: { table: name, version: -1, ...nothing, ...work },
  }
}
