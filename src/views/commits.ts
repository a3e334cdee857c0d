import { LRUCache } from 'lru-cache'
import type { Commit } from '../protocol/commit-file.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { Snapshot } from '../table/snapshot.js'

const COMMITS_MAX = 4096
/** A commit of many files is read again rather than kept. */
const FILES_MAX = 256

/** Commits of sources that reads behind a view's watermark ask for again and again. */
export class CommitCache {
  private readonly kept = new LRUCache<string, Commit>({ max: COMMITS_MAX })

  /** Reads commits of the table that a snapshot is of. */
  reader(table: DeltaTable, { metadata }: Snapshot): (version: number) => Promise<Commit | undefined> {
    return async (version) => {
      const key = `${table.uri} ${metadata.id} ${version}`
      const known = this.kept.get(key)
      if (known) return known
      const commit = await table.commitIfKept(version)
      if (commit && commit.adds.length + commit.removes.length <= FILES_MAX) this.kept.set(key, commit)
      return commit
    }
  }
}
