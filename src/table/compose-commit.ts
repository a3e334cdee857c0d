import { assert } from '../base/errors.js'
import {
  type Action,
  type AddCDCFile,
  type AddFile,
  type CommitInfo,
  type DomainMetadata,
  deletionVectorId,
  type Metadata,
  type Protocol,
  type RemoveFile,
  type SetTransaction,
} from '../protocol/actions.js'
import { type CommitBefore, commitTimestamp } from './in-commit-timestamp.js'
import { assignRowIds, givesRowIds } from './row-ids.js'

/** What a commit is to do, whichever version it becomes. */
export interface StagedActions {
  readonly protocol?: Protocol | undefined
  readonly metadata?: Metadata | undefined
  readonly domains?: readonly DomainMetadata[] | undefined
  readonly txns?: readonly SetTransaction[] | undefined
  readonly removes?: readonly RemoveFile[] | undefined
  readonly adds?: readonly AddFile[] | undefined
  readonly cdc?: readonly AddCDCFile[] | undefined
}

/** The newest version, as a commit after it needs to know it. */
export interface LogTip extends CommitBefore {
  readonly version: number
  readonly protocol: Protocol
  /** The highest row id given out, -1 for none. */
  readonly rowIdMark: number
}

/**
 * The lines of the commit that comes after `tip`, or of version 0. Pure.
 *
 * Only what depends on the place in the log is decided here: the in-commit timestamp, and the ids of new rows. Provenance
 * is the first line, as in-commit timestamps ask.
 *
 * @throws {DeltaError} `INVARIANT_BROKEN` for two removes of one file, or a file that is put where it was taken away.
 * @see https://github.com/delta-io/delta/blob/master/PROTOCOL.md#actions
 */
export function composeCommit(staged: StagedActions, info: CommitInfo, tip: LogTip | undefined, nowMs: number): Action[] {
  const version = tip ? tip.version + 1 : 0
  const { removes = [], cdc = [], txns = [], domains = [], protocol } = staged
  const { inCommitTimestamp, metadata } = commitTimestamp(version, nowMs, staged.metadata, tip)
  const [protocolAfter, metadataAfter] = [protocol ?? tip?.protocol, metadata ?? tip?.metadata]
  assert(protocolAfter && metadataAfter, 'the first commit of a table has protocol and metadata')
  const rowIds = givesRowIds(protocolAfter, metadataAfter)
    ? assignRowIds(staged.adds ?? [], removes, version, tip?.rowIdMark ?? -1)
    : { adds: staged.adds ?? [], domain: undefined }
  checkFiles(rowIds.adds, removes)
  const allDomains = [...domains, ...(rowIds.domain ? [rowIds.domain] : [])]
  assert(new Set(allDomains.map(({ domain }) => domain)).size === allDomains.length, 'one commit sets a domain once')
  return [
    { commitInfo: inCommitTimestamp === undefined ? info : { inCommitTimestamp, ...info } },
    ...(protocol ? [{ protocol }] : []),
    ...(metadata ? [{ metaData: metadata }] : []),
    ...allDomains.map((domainMetadata) => ({ domainMetadata })),
    ...txns.map((txn) => ({ txn })),
    ...removes.map((remove) => ({ remove })),
    ...rowIds.adds.map((add) => ({ add })),
    ...cdc.map((file) => ({ cdc: file })),
  ]
}

/** Databricks fails on a table with a commit that removes a file twice. @see PROTOCOL.md#action-reconciliation */
function checkFiles(adds: readonly AddFile[], removes: readonly RemoveFile[]): void {
  const removed = new Map(removes.map((remove) => [remove.path, deletionVectorId(remove.deletionVector)]))
  assert(removed.size === removes.length, 'one commit removes a file once')
  for (const { path, deletionVector } of removed.size === 0 ? [] : adds)
    assert(removed.get(path) !== deletionVectorId(deletionVector), 'a commit does not put back the file that it removes')
}
