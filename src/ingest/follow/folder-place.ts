import type { SourceBatch, SourcePlace } from '../row-sink.js'
import { folderAppId } from './file-id.js'
import type { FollowedFiles, FoundFile } from './found-file.js'

/** How late a file may show up behind its own time: an upload carries the time at which it began. */
const LATE_MS = 24 * 3_600_000
const STEP_MS = 3_600_000

/**
 * The time before which everything that changed in a folder has been taken. It bounds what the log must remember: places
 * of older files may expire there (`delta.setTransactionRetentionDuration`), and their files are still not taken again.
 */
export class FolderPlace {
  readonly appId: string
  private readonly isFolder: boolean
  private beforeMs = -1

  constructor({ uri, only }: FollowedFiles) {
    this.appId = folderAppId(uri)
    this.isFolder = only === undefined
  }

  load(places: ReadonlyMap<string, SourcePlace>): void {
    this.beforeMs = places.get(this.appId)?.version ?? -1
  }

  /** Whether a file of which the table knows nothing was there in time, so that its place has expired. */
  isBefore({ changedAtMs }: FoundFile): boolean {
    return this.isFolder && changedAtMs < this.beforeMs
  }

  /** @param unfinishedMs when the first file changed that has not been taken whole. */
  batch(unfinishedMs: number): SourceBatch | undefined {
    const beforeMs = Math.floor((unfinishedMs - LATE_MS) / STEP_MS) * STEP_MS
    if (!this.isFolder || beforeMs <= this.beforeMs || beforeMs < 0) return undefined
    const body = { kind: 'bytes', chunks: [], sizeBytes: 0 } as const
    return { appId: this.appId, after: this.beforeMs, version: beforeMs, format: 'ndjson', body, name: 'folder' }
  }

  /** Whether a place is worth a commit of its own: where no file comes for long, it would expire too. */
  isStale(next: SourceBatch): boolean {
    return this.beforeMs >= 0 && next.version - this.beforeMs >= LATE_MS
  }

  settle(batch: SourceBatch): void {
    this.beforeMs = batch.version
  }
}
