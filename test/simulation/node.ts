import type { Engines } from '../../src/lakehouse/engines.js'
import { Lakehouse } from '../../src/lakehouse/lakehouse.js'
import type { Table } from '../../src/lakehouse/table.js'
import type { TableLog } from '../../src/log/table-log.js'
import type { DeltaTable } from '../../src/table/delta-table.js'
import { type Disk, Process, SimulatedStore } from './disk.js'

const TABLE = 't'
let places = 0

/** A node that serves the table: a process that may die, and another in its place. */
export class Node {
  readonly name: string
  private readonly disk: Disk
  private readonly engines: Engines
  private readonly ignoresTxns: boolean
  private readonly used: { readonly process: Process; readonly lake: Lakehouse }[] = []
  private starts = 0

  constructor(name: string, disk: Disk, engines: Engines, ignoresTxns = false) {
    this.name = name
    this.disk = disk
    this.engines = engines
    this.ignoresTxns = ignoresTxns
  }

  /** The process at work, started anew where the last one died. */
  async serve(): Promise<{ readonly process: Process; readonly lake: Lakehouse; readonly table: Table }> {
    const last = this.used.at(-1)
    if (last?.process.isAlive) return { ...last, table: last.lake.table(TABLE) }
    const process = new Process(`${this.name}-${++this.starts}`, this.disk)
    const { scheduler } = this.disk
    // Caches are by place: no process sees what another one has cached, nor what one of an earlier run has.
    const store = new SimulatedStore(process, `memory:${String(places++).padStart(9, '0')}`)
    const lake = await Lakehouse.open(
      store,
      { clock: process, random: scheduler.random, lingerMs: 5, locations: false },
      this.engines,
    )
    if (this.ignoresTxns) forgetTxns(lake.deltaOf(TABLE))
    this.used.push({ process, lake })
    return this.serve()
  }

  get process(): Process | undefined {
    return this.used.at(-1)?.process
  }

  /** How many there were. */
  get processes(): number {
    return this.used.length
  }

  /** Lets go of what processes hold in the engine. */
  async close(): Promise<void> {
    for (const { process, lake } of this.used) {
      if (!process.isAlive) await lake.deltaOf(TABLE).close()
      else await lake.table(TABLE).close()
    }
  }
}

/** Plants a fault: the table knows no producer. */
function forgetTxns(table: DeltaTable): void {
  const known = table.known.bind(table)
  table.known = async () => {
    const log = await known()
    const get = (_: TableLog, name: keyof TableLog): unknown => {
      const value = log[name] as unknown
      if (name === 'transaction') return () => undefined
      return typeof value === 'function' ? (value.bind(log) as unknown) : value
    }
    return new Proxy(log, { get: get as (log: TableLog, name: string | symbol) => unknown })
  }
}
