import type { DeltaicEvent } from '../base/events.js'
import type { IngestResult } from '../ingest/group-read.js'
import type { SpoolRoom } from './spool-room.js'

/** What this process did with a lakehouse since it opened it. */
export interface LakehouseStats {
  readonly ingest: {
    /** That were answered with rows taken, now or before. */
    readonly requests: number
    /** Of these, batches that had been there before. */
    readonly replayed: number
    readonly rows: number
    readonly rowsRejected: number
    /** Unpacked. */
    readonly bytes: number
    /** Groups of requests that shared a commit. */
    readonly groups: number
  }
  readonly spool: { readonly bytes: number; readonly bytesMax: number; readonly refusals: number }
  readonly commits: number
  /** How often a commit was tried: more than `commits` when races were lost. */
  readonly commitAttempts: number
  /** Work beside the answers that failed, such as a checkpoint. */
  readonly degraded: number
}

/** Totals that tables add to. */
export class IngestTotals {
  requests = 0
  replayed = 0
  rows = 0
  rowsRejected = 0
  bytes = 0
  groups = 0

  count({ rows, rejected, replayed }: Pick<IngestResult, 'rows' | 'rejected' | 'replayed'>, bytes: number): void {
    this.requests++
    this.bytes += bytes
    if (replayed) this.replayed++
    else this.rows += rows
    if (!replayed) this.rowsRejected += rejected
  }
}

/** Totals that a lakehouse's events add to. */
export class CommitTotals {
  commits = 0
  attempts = 0
  degraded = 0

  count(event: DeltaicEvent): void {
    if (event.type === 'degraded') this.degraded++
    if (event.type !== 'committed') return
    this.commits++
    this.attempts += event.attempts
  }
}

export function lakehouseStats(
  ingest: IngestTotals,
  commits: CommitTotals,
  { bytes, bytesMax, refusals }: SpoolRoom,
): LakehouseStats {
  const { requests, replayed, rows, rowsRejected, bytes: bytesIn, groups } = ingest
  return {
    ingest: { requests, replayed, rows, rowsRejected, bytes: bytesIn, groups },
    spool: { bytes, bytesMax, refusals },
    commits: commits.commits,
    commitAttempts: commits.attempts,
    degraded: commits.degraded,
  }
}
