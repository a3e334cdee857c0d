import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { isDeltaError } from '../../src/base/errors.js'
import { type Random, seededRandom } from '../../src/base/random.js'
import { AutoMaintenance } from '../../src/lakehouse/auto-maintenance.js'
import type { Engines } from '../../src/lakehouse/engines.js'
import type { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import type { Table } from '../../src/lakehouse/table.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { CALM, Disk, type Plants, type Weather } from './disk.js'
import { type Batch, type Change, commitTimes, judge, Ledger } from './model.js'
import { Node } from './node.js'
import type { Row } from './protocol-checker.js'
import { Scheduler } from './scheduler.js'

export interface SimulationOptions extends Plants {
  /** Nodes know no producer, so that each batch is new to them. */
  readonly txnIgnored?: boolean | undefined
  /** Vacuum keeps nothing for those who are at work. */
  readonly vacuumEarly?: boolean | undefined
}

export interface SimulationReport {
  readonly seed: number
  /** What does not hold, each a sentence; none is what is wanted. */
  readonly wrong: readonly string[]
  readonly versions: number
  readonly rows: number
  readonly steps: number
  readonly storeCalls: number
  readonly processes: number
  /** Every call of the store, in order. */
  readonly journal: readonly string[]
}

const HOUR_MS = 3_600_000
const RETENTION = { filesMs: 48 * HOUR_MS, skewMs: 0.5 * HOUR_MS }
const STEPS_MAX = 40_000
const RETRIES_MAX = 60
/** One history in so many is a long one; the others break in as many ways, sooner. */
const LONG_EVERY = 16

/** Names come from the seed too: files are listed by name. */
function seedNames(random: Random): () => void {
  const { randomUUID } = crypto
  crypto.randomUUID = () => random.uuid() as ReturnType<typeof randomUUID>
  syncBuiltinESMExports()
  return () => {
    crypto.randomUUID = randomUUID
    syncBuiltinESMExports()
  }
}

/** One run of several nodes on one table: everything that happens follows from the seed. */
export async function simulate(seed: number, engines: Engines, options: SimulationOptions = {}): Promise<SimulationReport> {
  const scheduler = new Scheduler(seededRandom(Math.imul(seed, 2_654_435_761)))
  const unseed = seedNames(seededRandom(seed + 1))
  try {
    return await new Simulation(seed, scheduler, engines, options).run()
  } finally {
    unseed()
  }
}

class Simulation {
  private readonly seed: number
  private readonly scheduler: Scheduler
  private readonly engines: Engines
  private readonly options: SimulationOptions
  private readonly disk: Disk
  private readonly nodes: readonly Node[]
  private readonly ledger = new Ledger()
  private readonly wrong: string[] = []
  private readonly isStale: boolean
  private readonly isLong: boolean
  private ids = 0
  private producing = 0

  constructor(seed: number, scheduler: Scheduler, engines: Engines, options: SimulationOptions) {
    this.seed = seed
    this.scheduler = scheduler
    this.engines = engines
    this.options = options
    this.disk = new Disk(scheduler, options)
    const nodes = 1 + scheduler.below(3)
    this.nodes = Array.from({ length: nodes }, (_, at) => new Node(`n${at}`, this.disk, engines, options.txnIgnored))
    this.isStale = scheduler.chance(0.2)
    this.isLong = seed % LONG_EVERY === 0
  }

  /** How much there is of something: in a long history, or in another. */
  private many(long: number, short: number): number {
    return this.isLong ? long : short
  }

  async run(): Promise<SimulationReport> {
    const { scheduler } = this
    try {
      await scheduler.run(this.play(), STEPS_MAX)
    } catch (error) {
      this.wrong.push(`the run did not end well: ${(error as Error).stack}`)
    }
    this.disk.weather = CALM
    const judged = await judge(this.disk, this.ledger, this.engines, RETENTION, !this.isStale && !this.options.unconditional)
    return {
      seed: this.seed,
      wrong: [...this.wrong, ...judged.wrong],
      versions: judged.commits.length,
      rows: judged.rows.at(-1)?.size ?? 0,
      steps: scheduler.steps,
      storeCalls: this.disk.journal.length,
      processes: this.nodes.reduce((sum, node) => sum + node.processes, 0),
      journal: this.disk.journal,
    }
  }

  private async play(): Promise<void> {
    const { scheduler } = this
    const first = await this.nodes[0]?.serve()
    await first?.lake.createTable('t', {
      columns: [
        { name: 'id', type: 'BIGINT' },
        { name: 'v', type: 'STRING' },
      ],
      properties: this.properties(),
    })
    this.disk.weather = this.weather()
    const producers = Array.from({ length: 2 + scheduler.below(this.many(2, 1)) }, (_, at) => this.produce(`p${at}`))
    this.producing = producers.length
    const others = [this.loosely(), this.change(), this.change(), this.maintain(), this.read(), this.crash(), this.time()]
    await Promise.all([...producers, ...others])
    this.disk.weather = CALM
    await this.readVersions()
    for (const node of this.nodes) await node.close()
  }

  private properties(): Readonly<Record<string, string>> {
    const { scheduler } = this
    return {
      'delta.checkpointInterval': String(this.many(3, 2) + scheduler.below(this.many(6, 4))),
      'delta.deletedFileRetentionDuration': 'interval 2 days',
      'delta.logRetentionDuration': 'interval 3 days',
      'deltaic.maintenance.minFiles': String(2 + scheduler.below(4)),
      ...(scheduler.chance(0.5) ? { 'delta.enableDeletionVectors': 'true' } : {}),
      ...(scheduler.chance(0.3) ? { 'delta.enableInCommitTimestamps': 'true' } : {}),
      ...(scheduler.chance(0.3) ? { 'delta.feature.v2Checkpoint': 'supported', 'delta.checkpointPolicy': 'v2' } : {}),
    }
  }

  private weather(): Weather {
    const { scheduler } = this
    const share = (most: number) => (scheduler.chance(0.3) ? 0 : scheduler.between(0, this.many(most, 1.5 * most)))
    return {
      lost: share(0.04),
      replyLost: share(0.04),
      late: share(0.03),
      throttled: share(0.05),
      stale: this.isStale ? 0.2 : 0,
      crash: share(0.008),
      stall: share(0.02),
    }
  }

  /** Sends batches in order, each until it is acknowledged, and some again. */
  private async produce(producer: string): Promise<void> {
    const { scheduler } = this
    const batches = this.many(3, 1) + scheduler.below(this.many(3, 2))
    for (let sequence = 1; sequence <= batches; sequence++) {
      await this.pause()
      const batch = this.batch(producer, sequence)
      await this.sendUntilAcked(batch)
      if (scheduler.chance(0.3)) await this.send(batch)
    }
    this.producing--
  }

  private async sendUntilAcked(batch: Batch): Promise<void> {
    for (let retries = 0; retries < RETRIES_MAX; retries++) {
      // Some clients give up waiting and send again while the first is still on its way.
      const sends = this.scheduler.chance(0.1) ? [this.send(batch), this.send(batch)] : [this.send(batch)]
      if ((await Promise.all(sends)).includes(true)) return
      await this.scheduler.park(this.scheduler.between(50, 1500))
    }
    this.wrong.push(`batch ${batch.producer} ${batch.sequence} was not taken in ${RETRIES_MAX} times`)
  }

  private async send(batch: Batch): Promise<boolean> {
    const { producer, sequence, rows, acks } = batch
    const txn = producer === undefined ? undefined : { appId: producer, version: sequence }
    return this.attempt(async (table) => {
      const body = Buffer.from(rows.map(([id, v]) => `${JSON.stringify({ id, v })}\n`).join(''))
      const result = await table.ingest(body, { txn })
      if (result.rows !== rows.length && !result.replayed)
        this.wrong.push(`a batch of ${rows.length} rows was acknowledged as ${result.rows}`)
      acks.push(this.ledger.ack(result.version))
    })
  }

  /** Batches that nothing tells apart from others: nobody repeats them. */
  private async loosely(): Promise<void> {
    for (let sent = 0; sent < this.many(4, 1); sent++) {
      await this.pause()
      await this.send(this.batch(undefined, sent))
    }
  }

  private batch(producer: string | undefined, sequence: number): Batch {
    const rows = Array.from(
      { length: 1 + this.scheduler.below(4) },
      (): Row => [++this.ids, `${producer ?? 'loose'}-${sequence}`],
    )
    const batch = { producer, sequence, rows, acks: [] }
    this.ledger.batches.push(batch)
    return batch
  }

  private async change(): Promise<void> {
    const { scheduler } = this
    for (let done = 0; done < this.many(4, 1) && this.producing > 0; done++) {
      await this.pause()
      // Ids are given out for good, and no two changes have the same bounds.
      const from = 1 + scheduler.below(this.ids + 1)
      const to = from + 1 + scheduler.below(8)
      if (this.ledger.changes.some((one) => one.from === from && one.to === to)) continue
      const change: Change = {
        from,
        to,
        v: scheduler.chance(0.5) ? `changed-${this.ledger.changes.length}` : undefined,
        version: undefined,
      }
      this.ledger.changes.push(change)
      await this.attempt(async (table) => {
        const where = `id >= ${from} AND id < ${to}`
        const result = change.v === undefined ? await table.delete(where) : await table.update({ v: `'${change.v}'` }, where)
        if ((result.filesRemoved ?? 0) > 0) change.version = this.ledger.ack(result.version)
      })
    }
  }

  private async maintain(): Promise<void> {
    const { scheduler } = this
    const upkeep = async (_: Table, { source, small: engine }: Engines, delta: DeltaTable) =>
      new AutoMaintenance({ tables: () => [['t', delta]], source, engine }).once()
    const vacuum = async (table: Table) => table.vacuum(this.options.vacuumEarly ? { retentionMs: 0, force: true } : {})
    const work = [async (table: Table) => table.optimize(), vacuum, async (table: Table) => table.checkpoint(), upkeep]
    while (this.producing > 0) {
      await this.pause(2)
      const one = scheduler.pick(work)
      await this.attempt(async (table, lake) => void (await one(table, this.engines, lake.deltaOf('t'))))
    }
  }

  private async read(): Promise<void> {
    while (this.producing > 0) {
      await this.pause(4)
      const ackedBefore = this.ledger.acked
      const { lake } = await this.scheduler.pick(this.nodes).serve()
      await this.tolerate(async () => {
        const result = await lake.sql('SELECT id, v FROM t')
        const version = Number(Object.values(result.versions)[0])
        const rows = await result.rows()
        this.ledger.readings.push({ version, ackedBefore, rows: mapOf(rows) })
      })
    }
  }

  private async crash(): Promise<void> {
    while (this.producing > 0) {
      await this.pause(12)
      this.scheduler.pick(this.nodes).process?.crash()
    }
  }

  /** Days pass, and clocks jump. */
  private async time(): Promise<void> {
    const { scheduler } = this
    while (this.producing > 0) {
      await this.pause(6)
      const process = scheduler.pick(this.nodes).process
      if (process) process.skewMs = scheduler.between(-10, 10) * 60_000
    }
  }

  /** Every version within the retention is read by a process that knows nothing yet. */
  private async readVersions(): Promise<void> {
    const times = commitTimes(this.disk)
    const newest = Math.max(...times.keys())
    const kept = [...times]
      .filter(([, ms]) => ms > this.scheduler.nowMs - RETENTION.filesMs + RETENTION.skewMs)
      .map(([version]) => version)
    const fresh = new Node('reader', this.disk, this.engines)
    const { lake } = await fresh.serve()
    for (const version of new Set([newest, ...kept.filter(() => this.scheduler.chance(this.many(4, 1) / kept.length))])) {
      const result = await lake.sql(`SELECT id, v FROM t VERSION AS OF ${version}`)
      this.ledger.readings.push({ version, ackedBefore: 0, rows: mapOf(await result.rows()) })
    }
    await fresh.close()
  }

  private async attempt(work: (table: Table, lake: Lakehouse) => Promise<void>): Promise<boolean> {
    const { table, lake } = await this.scheduler.pick(this.nodes).serve()
    return this.tolerate(async () => work(table, lake))
  }

  /** Work may fail, in the ways in which it is said to. */
  private async tolerate(work: () => Promise<void>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      const isFair =
        isDeltaError(error, 'unavailable', 'conflict') || (this.isStale && isDeltaError(error, 'corrupt', 'notFound'))
      if (!isFair) this.wrong.push(`work failed as it should not: ${(error as Error).stack}`)
      return false
    }
  }

  /** Mostly milliseconds, so that things happen at once; now and then hours, so that things get old. */
  private async pause(times = 1): Promise<void> {
    const { scheduler } = this
    await scheduler.park(scheduler.chance(0.06) ? scheduler.between(1, 40) * HOUR_MS : scheduler.between(0, 400 * times))
  }
}

function mapOf(rows: readonly Readonly<Record<string, unknown>>[]): ReadonlyMap<number, string> {
  return new Map(rows.map(({ id, v }) => [Number(id), String(v)]))
}
