/** The actions of a commit, with the protocol's own field names. @see PROTOCOL.md#actions */

export interface Protocol {
  readonly minReaderVersion: number
  readonly minWriterVersion: number
  readonly readerFeatures?: readonly string[] | undefined
  readonly writerFeatures?: readonly string[] | undefined
}

export interface Metadata {
  readonly id: string
  readonly name?: string | undefined
  readonly description?: string | undefined
  readonly format: { readonly provider: string; readonly options?: Readonly<Record<string, string>> }
  /** The schema as JSON text; `parseSchema` reads it. */
  readonly schemaString: string
  readonly partitionColumns: readonly string[]
  readonly createdTime?: number | undefined
  readonly configuration: Readonly<Record<string, string>>
}

export interface DeletionVectorDescriptor {
  readonly storageType: string
  readonly pathOrInlineDv: string
  readonly offset?: number | undefined
  readonly sizeInBytes: number
  readonly cardinality: number
}

export type PartitionValues = Readonly<Record<string, string | null>>

export interface AddFile {
  /** Percent-encoded, relative to the table or absolute. */
  readonly path: string
  readonly partitionValues: PartitionValues
  /** Bytes. */
  readonly size: number
  /** Milliseconds since 1970-01-01 UTC. */
  readonly modificationTime: number
  /** False when the commit only rearranges rows that were there before. */
  readonly dataChange: boolean
  /** Statistics as JSON text. */
  readonly stats?: string | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly deletionVector?: DeletionVectorDescriptor | undefined
  readonly baseRowId?: number | undefined
  readonly defaultRowCommitVersion?: number | undefined
  readonly clusteringProvider?: string | undefined
}

export interface RemoveFile {
  readonly path: string
  /** Milliseconds since 1970-01-01 UTC. */
  readonly deletionTimestamp?: number | undefined
  readonly dataChange: boolean
  readonly extendedFileMetadata?: boolean | undefined
  readonly partitionValues?: PartitionValues | undefined
  readonly size?: number | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
  readonly deletionVector?: DeletionVectorDescriptor | undefined
  readonly baseRowId?: number | undefined
  readonly defaultRowCommitVersion?: number | undefined
  /** Statistics as JSON text; some writers keep the row count of what they remove. */
  readonly stats?: string | undefined
}

/** A file of changed rows for the change data feed: no part of the table's state. @see PROTOCOL.md#add-cdc-file */
export interface AddCDCFile {
  /** Percent-encoded, relative to the table or absolute. */
  readonly path: string
  readonly partitionValues: PartitionValues
  /** Bytes. */
  readonly size: number
  readonly dataChange: false
  readonly tags?: Readonly<Record<string, string>> | undefined
}

export interface SetTransaction {
  readonly appId: string
  readonly version: number
  readonly lastUpdated?: number | undefined
}

/** Free-form provenance; only the fields that this library reads are named. */
export interface CommitInfo {
  readonly timestamp?: number | undefined
  readonly inCommitTimestamp?: number | undefined
  readonly operation?: string | undefined
  readonly operationParameters?: Readonly<Record<string, unknown>> | undefined
  readonly operationMetrics?: Readonly<Record<string, unknown>> | undefined
  readonly readVersion?: number | undefined
  readonly isolationLevel?: string | undefined
  readonly isBlindAppend?: boolean | undefined
  readonly engineInfo?: string | undefined
  readonly userMetadata?: string | undefined
  readonly tags?: Readonly<Record<string, string>> | undefined
  /** Unique to one attempt to commit: what tells our own entry from another writer's. */
  readonly txnId?: string | undefined
  /** The batches that share this commit: the evidence from which a repeated batch is answered. */
  readonly batches?: readonly CommittedBatch[] | undefined
  /** What the bytes of the entry add up to; see `formatEntry`. */
  readonly checksum?: string | undefined
}

/** One producer's batch inside a commit. */
export interface CommittedBatch {
  readonly appId: string
  readonly version: number
  readonly rows: number
  readonly rejected: number
}

export interface DomainMetadata {
  readonly domain: string
  readonly configuration: string
  readonly removed: boolean
}

/** One line of a commit. Unknown kinds are left out when reading. */
export type Action =
  | { readonly protocol: Protocol }
  | { readonly metaData: Metadata }
  | { readonly add: AddFile }
  | { readonly remove: RemoveFile }
  | { readonly cdc: AddCDCFile }
  | { readonly txn: SetTransaction }
  | { readonly domainMetadata: DomainMetadata }
  | { readonly commitInfo: CommitInfo }

/** A logical file is a path and its deletion vector: one commit may swap the vector, in either order. @see PROTOCOL.md#action-reconciliation */
export function deletionVectorId(vector: DeletionVectorDescriptor | null | undefined): string | null {
  if (!vector) return null
  const offset = vector.offset === undefined || vector.offset === null ? '' : `@${vector.offset}`
  return `${vector.storageType}${vector.pathOrInlineDv}${offset}`
}

export function fileKey(file: Pick<AddFile, 'path' | 'deletionVector'>): string {
  return JSON.stringify([file.path, deletionVectorId(file.deletionVector)])
}
