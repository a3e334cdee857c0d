import { DeltaError } from '../base/errors.js'
import { emptyParquet } from '../engine/empty-parquet.js'
import { mappingMode } from '../protocol/column-mapping.js'
import type { Commit } from '../protocol/commit-file.js'
import { checkReadable } from '../protocol/features.js'
import { rootSpellings } from '../protocol/file-path.js'
import { commitPath, LOG_FOLDER, logFilePath } from '../protocol/log-path.js'
import { parseSchema } from '../protocol/schema.js'
import type { ObjectStore, StoreOptions } from '../storage/store.js'
import { applyFolded, foldCommits } from './apply-commits.js'
import { damageIsTyped, openCheckpoint } from './checkpoint-open.js'
import { loadCheckpointFiles } from './checkpoint-read.js'
import type { LogDependencies } from './dependencies.js'
import { isSummed, parseEntry } from './entry.js'
import { FilesRelation } from './files-relation.js'
import type { FileSums } from './last-checkpoint.js'
import { foldCommitHeads, foldHead, type HeadStates } from './log-head.js'
import { type LogEntry, type LogSegment, lastVersion } from './segment.js'

let relations = 0
const ENTRIES_AT_ONCE = 16

/** What a segment of a log comes to. */
export interface LoadedSegment {
  readonly head: HeadStates
  /** Of whoever loaded it, to drop. */
  readonly files: FilesRelation
  readonly firstVersion: number
  readonly version: number
  /** The newest commit, where the segment holds it. */
  readonly tip: Commit | undefined
  /** Whether the bytes of all that was loaded add up to sums that their writer gave. */
  readonly isSummed: boolean
}

/**
 * Reads a checkpoint and the commits behind it.
 *
 * @throws {DeltaError} as `TableLog.load`, of this segment alone.
 */
export async function loadSegment(
  deps: LogDependencies,
  segment: LogSegment,
  sums: FileSums,
  options: StoreOptions,
): Promise<LoadedSegment> {
  const commits = await readEntries(deps.store, segment.entries, options)
  const head: HeadStates = { states: [], txns: new Map(), domains: new Map() }
  const checkpoint = segment.checkpoint && (await openCheckpoint(deps, segment.checkpoint, sums, options))
  try {
    const version = segment.checkpoint?.version ?? -1
    if (checkpoint) {
      const { protocol, metaData, domains } = checkpoint.head
      foldHead(head, { version, protocol, metaData, adds: [], removes: [], cdc: [], txns: [], domains, commitInfo: undefined })
      for (const txn of checkpoint.head.txns) head.txns.set(txn.appId, { ...txn, committedAt: undefined })
    }
    foldCommitHeads(head, commits)
    const last = head.states.at(-1)?.state
    if (!last) throw new DeltaError('LOG_INCOMPLETE', 'log has no protocol or no metadata', { table: deps.store.uri })
    checkReadable(last.protocol, last.metadata)
    const shape = {
      schema: parseSchema(last.metadata.schemaString),
      partitionColumns: last.metadata.partitionColumns,
      mapping: mappingMode(last.protocol, last.metadata),
    }
    const files = await FilesRelation.create(deps.database, `files_${++relations}`, shape)
    const roots = rootSpellings(deps.store.uri)
    try {
      if (checkpoint)
        await damageIsTyped(checkpoint.path, () =>
          deps.database.use((connection) =>
            loadCheckpointFiles(connection, files, checkpoint.parts, version, roots, emptyParquet(deps.spool)),
          ),
        )
      await applyFolded(deps.database, files, foldCommits(commits, roots), checkpoint === undefined)
    } catch (error) {
      await files.drop()
      throw error
    }
    const compacted = segment.entries.findLast(({ kind }) => kind === 'compacted')
    const firstVersion = compacted ? lastVersion(compacted) : Math.max(version, 0)
    return {
      head,
      files,
      firstVersion,
      version: segment.version,
      tip: commits.at(-1),
      isSummed:
        commits.every(isSummed) && (segment.checkpoint?.paths ?? []).every((path) => path.slice(LOG_FOLDER.length + 1) in sums),
    }
  } finally {
    await checkpoint?.release()
  }
}

/** The commit of a version, or `undefined` when there is none yet. */
export async function readCommit(store: ObjectStore, version: number, options: StoreOptions = {}): Promise<Commit | undefined> {
  const path = commitPath(version)
  const bytes = await store.get(path, options)
  return bytes && parseEntry(version, bytes, path)
}

async function readEntries(store: ObjectStore, entries: readonly LogEntry[], options: StoreOptions): Promise<Commit[]> {
  const commits: Commit[] = []
  for (let start = 0; start < entries.length; start += ENTRIES_AT_ONCE) {
    const some = entries.slice(start, start + ENTRIES_AT_ONCE)
    commits.push(...(await Promise.all(some.map((entry) => readEntry(store, entry, options)))))
  }
  return commits
}

/** A run of compacted commits reads as one commit, at its last version. */
async function readEntry(store: ObjectStore, entry: LogEntry, options: StoreOptions): Promise<Commit> {
  const path = logFilePath(entry)
  const read = async () => {
    const bytes = await store.get(path, options)
    if (!bytes) throw new DeltaError('LOG_GAP', 'a commit went missing while the log was read', { file: path })
    return parseEntry(lastVersion(entry), bytes, path)
  }
  return entry.kind === 'compacted' ? damageIsTyped(path, read) : read()
}
