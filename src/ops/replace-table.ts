import type { CommittedBatch, DomainMetadata, Metadata, Protocol } from '../protocol/actions.js'
import { isClustering } from '../protocol/clustering.js'
import { tableProperties } from '../protocol/properties.js'
import { protocolFor } from '../protocol/protocol-for.js'
import { parseSchema } from '../protocol/schema.js'
import { supportedFeatures } from '../protocol/table-features.js'
import type { Operation } from '../table/commit-info.js'
import { conflictError } from '../table/conflict.js'
import type { DeltaTable } from '../table/delta-table.js'
import type { StagedFiles } from '../table/stage.js'
import { tombstoneOf } from '../table/tombstone.js'

/** What the table is to be from now on; its metadata has an id of its own, by which streams notice. */
export interface Replacement {
  readonly metadata: Metadata
  /** What the new table needs. Features that the old one has stay: earlier versions are still read by them. */
  readonly protocol: Protocol
  readonly domains?: readonly DomainMetadata[] | undefined
  /** What its rows are made from. */
  readonly batches?: readonly CommittedBatch[] | undefined
}

/**
 * CREATE OR REPLACE TABLE: puts another table in the place of the one that is there, in its next version. Earlier versions
 * stay as they were.
 *
 * @param staged the first rows, made for the new schema.
 * @throws {DeltaError} `TABLE_NOT_FOUND`, `COMMIT_CONFLICT`, `TABLE_APPEND_ONLY`.
 */
export async function replaceTable(
  table: DeltaTable,
  { metadata, protocol, domains = [], batches = [] }: Replacement,
  staged: StagedFiles,
  operation: Operation,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<{ readonly version: number; readonly filesRemoved: number }> {
  const transaction = await table.transaction(undefined, options)
  const { snapshot } = transaction
  const { files } = await snapshot.files('TRUE', options)
  const now = table.deps.clock.now()
  const request = { features: supportedFeatures(protocol), ...versionsOf(protocol) }
  const grown = protocolFor(parseSchema(metadata.schemaString), metadata.configuration, request, snapshot.protocol)
  if (tableProperties(metadata.configuration).isView) transaction.maintainView()
  transaction
    .readWhole()
    .remove(files.map((file) => tombstoneOf(file, now, true)))
    .add(staged.adds)
    .setMetadata(metadata)
    .describe({
      ...operation,
      metrics: {
        numFiles: staged.adds.length,
        numOutputRows: staged.rows,
        numOutputBytes: staged.bytes,
        numRemovedFiles: files.length,
        numRemovedBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0),
      },
    })
  if (grown !== snapshot.protocol) transaction.setProtocol(grown)
  // How a table is clustered ends with it; other domains are not its own.
  for (const domain of (await table.known()).domainMetadata())
    if (isClustering(domain.domain)) transaction.setDomain({ ...domain, removed: true })
  for (const domain of domains) transaction.setDomain(domain)
  for (const batch of batches) transaction.setTransaction(batch)
  const outcome = await transaction.commit(options)
  if (outcome.kind === 'conflict') throw conflictError(table.uri, outcome.conflict)
  return { version: outcome.version, filesRemoved: files.length }
}

/** A list of features needs no version beyond what it implies. */
function versionsOf({ minReaderVersion, minWriterVersion }: Protocol): Partial<Protocol> {
  return minWriterVersion >= 7 ? {} : { minReaderVersion, minWriterVersion }
}
