import type { DomainMetadata, Metadata, Protocol, SetTransaction } from '../protocol/actions.js'
import type { Commit } from '../protocol/commit-file.js'

/** A producer's last batch in the table; `committedAt` is unknown when a checkpoint told of it, and no later when a compacted file did. */
export interface KnownTransaction extends SetTransaction {
  readonly committedAt: number | undefined
}

/** Protocol and metadata of one version. */
export interface TableState {
  readonly protocol: Protocol
  readonly metadata: Metadata
}

/** All of a version but its files, and for good: it stays as it is when the log goes on. */
export interface LogHead extends TableState {
  readonly version: number
  readonly txns: readonly KnownTransaction[]
  readonly domains: readonly DomainMetadata[]
}

/** The same of every version from some on, as commits are folded in; it goes on with the log. */
export interface HeadStates {
  readonly states: { readonly version: number; readonly state: TableState }[]
  readonly txns: Map<string, KnownTransaction>
  readonly domains: Map<string, DomainMetadata>
}

/** Takes in the next commit, but for its files. */
export function foldHead(head: HeadStates, commit: Commit): void {
  const before = head.states.at(-1)?.state
  const protocol = commit.protocol ?? before?.protocol
  const metadata = commit.metaData ?? before?.metadata
  if ((commit.protocol || commit.metaData) && protocol && metadata)
    head.states.push({ version: commit.version, state: { protocol, metadata } })
  for (const txn of commit.txns) head.txns.set(txn.appId, { ...txn, committedAt: commit.version })
  for (const domain of commit.domains) head.domains.set(domain.domain, domain)
}

/** Takes in the first commits: protocol and metadata may come in either order, and in several of them. */
export function foldCommitHeads(head: HeadStates, commits: readonly Commit[]): void {
  let pending: Pick<Commit, 'protocol' | 'metaData'> = { protocol: undefined, metaData: undefined }
  for (const commit of commits) {
    pending = { protocol: commit.protocol ?? pending.protocol, metaData: commit.metaData ?? pending.metaData }
    foldHead(head, head.states.length > 0 ? commit : { ...commit, ...pending })
  }
}
