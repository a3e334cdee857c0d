import { LRUCache } from 'lru-cache'
import type { TableLog } from '../log/table-log.js'

/** What a log of few files takes, beside them, is as much as so many files take. */
const LEAST_FILES = 1000

/** Who holds a log, and can load it anew. */
export interface LogHolder {
  forget(log: TableLog): void
}

/**
 * The logs that tables hold in memory, of all of them together so many files. Beyond that, those go that were not asked for the longest;
 * who asks for their table again loads it again. What a query reads meanwhile stays until it is done.
 */
export class OpenLogs {
  private readonly logs: LRUCache<LogHolder, TableLog>

  /** @param filesMax a log with more files is held as long as it is the only one. */
  constructor(filesMax: number) {
    this.logs = new LRUCache<LogHolder, TableLog>({
      maxSize: filesMax,
      sizeCalculation: ({ filesHeld }) => Math.min(filesMax, Math.max(LEAST_FILES, filesHeld)),
      dispose: (log, holder) => holder.forget(log),
    })
  }

  used(holder: LogHolder, log: TableLog): void {
    if (this.logs.get(holder) !== log) this.logs.set(holder, log)
  }

  /** The holder holds nothing any more. */
  closed(holder: LogHolder): void {
    this.logs.delete(holder)
  }
}
