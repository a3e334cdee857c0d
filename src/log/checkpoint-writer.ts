import type { Clock } from '../base/clock.js'
import { tableProperties } from '../protocol/properties.js'
import { checkpointBehind } from './checkpoint-write.js'
import type { LogDependencies } from './dependencies.js'
import type { TableLog } from './table-log.js'

/** After a checkpoint none for so many times as long as it took, where the table does not say how often: it may take a tenth of a writer's time. */
const REST = 9
const REST_MS_MAX = 30_000

/**
 * Writes checkpoints behind the commits of a table: one at a time, however fast commits come and however large the table is.
 * What falls due meanwhile is made up for by a later one.
 */
export class CheckpointWriter {
  private readonly deps: LogDependencies
  private readonly clock: Clock
  private isWriting = false
  private isOwed = false
  private restsUntilMs = 0

  constructor(deps: LogDependencies, clock: Clock) {
    this.deps = deps
    this.clock = clock
  }

  /**
   * Tells of a commit after which the log is as it is now.
   *
   * @returns the checkpoint that this begins, `undefined` when none is due, or one has to wait. A failure is an event.
   */
  committed(log: TableLog, isDue: boolean): Promise<void> | undefined {
    const rests = !isTold(log) && this.clock.now() < this.restsUntilMs
    this.isOwed ||= isDue
    if (!this.isOwed || this.isWriting || rests) return undefined
    return this.write(log)
  }

  private async write(log: TableLog): Promise<void> {
    const { clock } = this
    const startedAtMs = clock.now()
    const elapsed = () => clock.now() - startedAtMs
    this.isWriting = true
    this.isOwed = false
    try {
      await checkpointBehind(this.deps, log, log.head(), startedAtMs, elapsed)
    } finally {
      this.isWriting = false
      this.restsUntilMs = clock.now() + Math.min(REST_MS_MAX, REST * elapsed())
    }
    if (this.isOwed && isTold(log)) await this.write(log)
  }
}

/** Whether the table says how often it wants a checkpoint. */
function isTold(log: TableLog): boolean {
  return log.head().metadata.configuration['delta.checkpointInterval'] !== undefined
}

/** Whether a version is one after which its table wants a checkpoint. */
export function isCheckpointDue(version: number, configuration: Readonly<Record<string, string>>): boolean {
  return version > 0 && version % tableProperties(configuration).checkpointInterval === 0
}
