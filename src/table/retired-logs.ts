import type { TableLog } from '../log/table-log.js'

type Held = TableLog['held']

/**
 * Logs that a table no longer needs. Snapshots that were handed out still read theirs, so its files are let go of when
 * the last of them is garbage, or at the end.
 */
export class RetiredLogs {
  private readonly waiting = new Set<Held>()
  private readonly unused = new FinalizationRegistry<Held>((held) => {
    if (this.waiting.delete(held)) held.drop().catch(() => undefined)
  })

  add(log: TableLog): void {
    this.waiting.add(log.held)
    this.unused.register(log, log.held)
  }

  async close(): Promise<void> {
    const held = [...this.waiting]
    this.waiting.clear()
    for (const relation of held) await relation.drop()
  }
}
